import type { Bag } from '@weft/attributes/bag'
import type { Manifest } from '@weft/attributes/manifest'
import { compile, type Expression } from '@weft/expressions/expression'
import { WeftError } from '@weft/service/errors'
import { camelCase } from '../adapters/fields.ts'
import type { ExpressionField, Fields, FieldType } from './template.ts'

/** A problem with an instance's parameters, with its path below them. */
export interface FieldProblem {
  path: (string | number)[]
  message: string
}

/**
 * Makes one part of an instance out of a request's attributes; throws where an attribute it needs is absent. `record`
 * stands for the attributes as they are now: what is made again for the same record is the same object.
 */
type Builder = (bag: Bag, record?: object) => unknown

/**
 * Maps of expressions that are alike in several instances, by what they say. The mesh's metrics have the same sixteen
 * dimensions each: made once a record, they cost a quarter.
 */
export type SharedMaps = Map<string, Builder>

/** Most fields, entries of maps included, that one instance may have. */
const MAX_ENTRIES = 1_000

/**
 * Compiles an instance's parameters against its template's fields. Problems are collected, all of them; the builder is
 * of use only when there are none.
 */
export function compileInstance(
  name: string,
  fields: Fields,
  params: unknown,
  manifest: Manifest,
  problems: FieldProblem[],
  shared: SharedMaps = new Map(),
): (bag: Bag, record?: object) => { readonly name: string } {
  const parts = compileFields(fields, params, { manifest, problems, shared }, [])
  return (bag, record) => {
    const instance: Record<string, unknown> & { name: string } = { name }
    for (const { key, build } of parts) instance[key] = build(bag, record)
    return instance
  }
}

interface Compiling {
  readonly manifest: Manifest
  readonly problems: FieldProblem[]
  readonly shared: SharedMaps
}

interface Part {
  key: string
  build: Builder
}

function compileFields(fields: Fields, params: unknown, compiling: Compiling, path: (string | number)[]): Part[] {
  const { problems } = compiling
  const given = entriesOf(params, path, problems)
  const byField = new Map<string, { key: string; value: unknown }>()
  for (const [key, value] of given) {
    const field = Object.hasOwn(fields, key) ? key : camelCase(key)
    if (!Object.hasOwn(fields, field)) {
      problems.push({ path: [...path, key], message: `unknown field; there are ${Object.keys(fields).join(', ') || 'none'}` })
    } else byField.set(field, { key, value })
  }
  return Object.entries(fields).map(([name, field]) => {
    const written = byField.get(name)
    const at = [...path, written?.key ?? name]
    return { key: name, build: compileField(field, written?.value, compiling, at) }
  })
}

function compileField(field: Fields[string], value: unknown, compiling: Compiling, path: (string | number)[]): Builder {
  switch (field.kind) {
    case 'expression':
      return compileExpression(field, value, compiling, path)
    case 'map':
      return compileMap(field.type, value, compiling, path)
    case 'message':
      return mapBuilder(compileFields(field.fields, value, compiling, path))
  }
}

function compileMap(type: FieldType, params: unknown, compiling: Compiling, path: (string | number)[]): Builder {
  const { problems, shared } = compiling
  const entries = entriesOf(params, path, problems)
  const before = problems.length
  const parts = entries.map(([key, value]) => ({
    key,
    build: compileExpression({ kind: 'expression', type, presence: 'required' }, value, compiling, [...path, key]),
  }))
  const said = JSON.stringify([type, entries])
  const known = shared.get(said)
  if (known !== undefined || problems.length > before) return known ?? mapBuilder(parts)
  const builder = oncePerRecord(mapBuilder(parts))
  shared.set(said, builder)
  return builder
}

function oncePerRecord(build: Builder): Builder {
  let last: object | undefined
  let made: unknown
  return (bag, record) => {
    if (record === undefined) return build(bag)
    if (record !== last) {
      made = build(bag, record)
      last = record
    }
    return made
  }
}

/** Entries are added in one order, so that all objects of a builder share their shape. */
function mapBuilder(parts: readonly Part[]): Builder {
  if (parts.length === 0) {
    const empty = Object.freeze({})
    return () => empty
  }
  return (bag, record) => {
    const map: Record<string, unknown> = {}
    for (const { key, build } of parts) map[key] = build(bag, record)
    return map
  }
}

function entriesOf(params: unknown, path: (string | number)[], problems: FieldProblem[]): [string, unknown][] {
  if (params === undefined || params === null) return []
  if (typeof params !== 'object' || Array.isArray(params)) {
    problems.push({ path, message: 'must be a map' })
    return []
  }
  const entries = Object.entries(params)
  if (entries.length > MAX_ENTRIES) problems.push({ path, message: `has more than ${MAX_ENTRIES} entries` })
  if (Object.hasOwn(params, '__proto__')) problems.push({ path, message: "must not have the key '__proto__'" })
  return entries
}

function compileExpression(field: ExpressionField, value: unknown, compiling: Compiling, path: (string | number)[]): Builder {
  const { manifest, problems } = compiling
  if (value === undefined || value === null || value === '') {
    if (field.presence === 'required') problems.push({ path, message: 'must be an expression; it is missing' })
    const absent = field.presence === 'text' ? '' : undefined
    return () => absent
  }
  if (typeof value !== 'string') {
    problems.push({ path, message: `must be an expression in a string: write "${String(value)}" with quotes` })
    return () => undefined
  }
  try {
    const expression = compile(value, manifest)
    if (field.type !== 'ANY' && expression.type !== field.type) {
      problems.push({ path, message: `is ${expression.type}, but must be ${field.type}: ${value}` })
    }
    return evaluator(expression)
  } catch (error) {
    problems.push({ path, message: WeftError.from(error).message })
    return () => undefined
  }
}

function evaluator(expression: Expression): Builder {
  return (bag) => {
    const value = expression.resolve(bag)
    return value === undefined ? expression.evaluate(bag) : value
  }
}
