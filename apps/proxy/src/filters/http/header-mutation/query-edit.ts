import {
  KeyValueAppend_KeyValueAppendAction as Action,
  type KeyValueAppend,
  type KeyValueMutation,
} from '@weft/contracts/envoy/config/core/v3/base'
import type { FormatContext } from '../../../observe/format/context.ts'
import { compileTextFormat, type TextFormat } from '../../../observe/format/text-format.ts'
import { invalid } from '../../../plan/problems.ts'

/** A parameter by its name without escapes, and as it is written. */
interface Parameter {
  readonly name: string
  readonly text: string
}

/** One edit of a query's parameters. */
export type QueryEdit = (parameters: readonly Parameter[], context: FormatContext) => readonly Parameter[]

/** Compiles mutations of the query's parameters; values may hold command operators. Throws WeftError. */
export function compileQueryEdits(mutations: readonly KeyValueMutation[], path: string): readonly QueryEdit[] {
  return mutations.map(({ append, remove }, i) => {
    if (append !== undefined && remove !== '') throw invalid(`${path}[${i}]`, 'only one of append and remove may be set')
    if (append !== undefined) return compileAppend(append, `${path}[${i}].append`)
    if (remove === '') throw invalid(`${path}[${i}]`, 'one of append and remove is needed')
    return (parameters) => parameters.filter(({ name }) => name !== remove)
  })
}

function compileAppend({ record, entry, action }: KeyValueAppend, path: string): QueryEdit {
  const [key, format] = record === undefined ? ofEntry(entry, path) : ofRecord(record, path)
  return (parameters, context) => {
    const there = parameters.some(({ name }) => name === key)
    if (action === Action.ADD_IF_ABSENT && there) return parameters
    if (action === Action.OVERWRITE_IF_EXISTS && !there) return parameters
    const overwrites = action === Action.OVERWRITE_IF_EXISTS_OR_ADD || action === Action.OVERWRITE_IF_EXISTS
    const kept = overwrites ? parameters.filter(({ name }) => name !== key) : parameters
    return [...kept, { name: key, text: `${escaped(key, plainInNames)}=${escaped(format(context), plainInValues)}` }]
  }
}

function ofRecord(record: NonNullable<KeyValueAppend['record']>, path: string): [key: string, format: TextFormat] {
  const at = `${path}.record.value`
  if (typeof record.value !== 'string') throw invalid(at, 'only text can be a parameter')
  return [record.key, compileTextFormat(record.value, at, '')]
}

/** The older way. */
function ofEntry(entry: KeyValueAppend['entry'], path: string): [key: string, format: TextFormat] {
  if (entry === undefined) throw invalid(path, 'record is needed')
  return [entry.key, compileTextFormat(entry.value.toString('latin1'), `${path}.entry.value`, '')]
}

/** The path with its query edited; then parameters stand in the order of their names, as Envoy writes them. */
export function editQuery(edits: readonly QueryEdit[], context: FormatContext, path: string): string {
  const at = path.indexOf('?')
  const pairs = at < 0 ? [] : path.slice(at + 1).split('&')
  if (pairs.at(-1) === '') pairs.pop()
  let parameters: readonly Parameter[] = pairs.map(readParameter)
  for (const edit of edits) parameters = edit(parameters, context)
  const bare = at < 0 ? path : path.slice(0, at)
  if (parameters.length === 0) return bare
  const sorted = [...parameters].sort(({ name: a }, { name: b }) => (a < b ? -1 : a > b ? 1 : 0))
  return `${bare}?${sorted.map(({ text }) => text).join('&')}`
}

function readParameter(pair: string): Parameter {
  const equals = pair.indexOf('=')
  const name = equals < 0 ? pair : pair.slice(0, equals)
  return {
    name: name.replace(/%[0-9a-f]{2}/gi, character),
    text: `${unescapedLetters(name)}=${equals < 0 ? '' : unescapedLetters(pair.slice(equals + 1))}`,
  }
}

/** What means the same with and without an escape is written without; Envoy unescapes all, also what ends the target then. */
function unescapedLetters(text: string): string {
  return text.replace(/%[0-9a-f]{2}/gi, (coded) => {
    const one = character(coded)
    return /[\w.~-]/.test(one) ? one : coded
  })
}

const character = (coded: string): string => String.fromCharCode(Number.parseInt(coded.slice(1), 16))

/** Text of bytes, each that `kept` does not name as an escape. */
function escaped(text: string, kept: RegExp): string {
  return text.replace(/./gs, (one) =>
    kept.test(one) ? one : `%${one.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  )
}

/** What a value may hold as it is, and a name, which the configuration may have escaped already. */
const plainInValues = /[\w.*-]/
const plainInNames = /[!-~](?<![#&=])/
