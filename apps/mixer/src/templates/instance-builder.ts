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

/** Makes one part of an instance out of a request's attributes; throws where an attribute it needs is absent. */
export type Builder = (bag: Bag) => unknown

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
): (bag: Bag) => { readonly name: string } {
  const parts = compileFields(fields, params, manifest, [], problems)
  return (bag) => {
    const instance: Record<string, unknown> & { name: string } = { name }
    for (const { key, build } of parts) instance[key] = build(bag)
    return instance
  }
}

interface Part {
  key: string
  build: Builder
}

function compileFields(
  fields: Fields,
  params: unknown,
  manifest: Manifest,
  path: (string | number)[],
  problems: FieldProblem[],
): Part[] {
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
    return { key: name, build: compileField(field, written?.value, manifest, at, problems) }
  })
}

function compileField(
  field: Fields[string],
  value: unknown,
  manifest: Manifest,
  path: (string | number)[],
  problems: FieldProblem[],
): Builder {
  switch (field.kind) {
    case 'expression':
      return compileExpression(field, value, manifest, path, problems)
    case 'map':
      return mapBuilder(compileMap(field.type, value, manifest, path, problems))
    case 'message':
      return mapBuilder(compileFields(field.fields, value, manifest, path, problems))
  }
}

function compileMap(
  type: FieldType,
  params: unknown,
  manifest: Manifest,
  path: (string | number)[],
  problems: FieldProblem[],
): Part[] {
  return entriesOf(params, path, problems).map(([key, value]) => ({
    key,
    build: compileExpression({ kind: 'expression', type, presence: 'required' }, value, manifest, [...path, key], problems),
  }))
}

/** Entries are added in one order, so that all objects of a builder share their shape. */
function mapBuilder(parts: readonly Part[]): Builder {
  if (parts.length === 0) {
    const empty = Object.freeze({})
    return () => empty
  }
  return (bag) => {
    const map: Record<string, unknown> = {}
    for (const { key, build } of parts) map[key] = build(bag)
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

function compileExpression(
  field: ExpressionField,
  value: unknown,
  manifest: Manifest,
  path: (string | number)[],
  problems: FieldProblem[],
): Builder {
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
