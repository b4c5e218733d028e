import {
  KeyValueAppend_KeyValueAppendAction as Action,
  type KeyValueAppend,
  type KeyValueMutation,
} from '@weft/contracts/envoy/config/core/v3/base'
import type { FormatContext } from '../../../observe/format/context.ts'
import { compileTextFormat, type TextFormat } from '../../../observe/format/text-format.ts'
import { invalid } from '../../../plan/problems.ts'

/** Parameters of a query in their order, as they stand in the path. */
type Parameters = [name: string, value: string][]

/** One edit of a query's parameters. */
export type QueryEdit = (parameters: Parameters, context: FormatContext) => Parameters

/** Compiles mutations of the query's parameters; values may hold command operators. Throws WeftError. */
export function compileQueryEdits(mutations: readonly KeyValueMutation[], path: string): readonly QueryEdit[] {
  return mutations.map(({ append, remove }, i) => {
    if (append !== undefined && remove !== '') throw invalid(`${path}[${i}]`, 'only one of append and remove may be set')
    if (append !== undefined) return compileAppend(append, `${path}[${i}].append`)
    if (remove === '') throw invalid(`${path}[${i}]`, 'one of append and remove is needed')
    return (parameters) => parameters.filter(([name]) => name !== remove)
  })
}

function compileAppend({ record, entry, action }: KeyValueAppend, path: string): QueryEdit {
  const [key, format] = record === undefined ? ofEntry(entry, path) : ofRecord(record, path)
  return (parameters, context) => {
    const there = parameters.some(([name]) => name === key)
    if (action === Action.ADD_IF_ABSENT && there) return parameters
    if (action === Action.OVERWRITE_IF_EXISTS && !there) return parameters
    const overwrites = action === Action.OVERWRITE_IF_EXISTS_OR_ADD || action === Action.OVERWRITE_IF_EXISTS
    const kept = overwrites ? parameters.filter(([name]) => name !== key) : parameters
    return [...kept, [key, format(context)]]
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
  const query = at < 0 ? '' : path.slice(at + 1)
  let parameters = query
    .split('&')
    .filter(Boolean)
    .map((pair): Parameters[number] => {
      const equals = pair.indexOf('=')
      return equals < 0 ? [pair, ''] : [pair.slice(0, equals), pair.slice(equals + 1)]
    })
  for (const edit of edits) parameters = edit(parameters, context)
  parameters.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
  const bare = at < 0 ? path : path.slice(0, at)
  if (parameters.length === 0) return bare
  return `${bare}?${parameters.map(([name, value]) => `${name}=${value}`).join('&')}`
}
