import { WeftError } from '@weft/service/errors'
import { type CelFunction, findFunction } from './functions.ts'
import type { CelExpression } from './syntax.ts'
import { CelError, CelMap, CelMessage, type CelResult, CelType, type CelValue, mapOf } from './values.ts'

/** What a name stands for; undefined: for nothing. */
export type CelScope = (name: string) => CelResult | undefined

/** A compiled expression. */
export type CelProgram = (scope: CelScope) => CelResult

export interface CelOptions {
  /** Compiles a regular expression that is found anywhere in a text; throws for a bad one. */
  search: (pattern: string) => (text: string) => boolean
}

/** How deep an expression may be nested: a sum of so many parts, too. */
const deepest = 1_000

/**
 * Compiles an expression; what it calls has to exist, the types of its arguments are looked at when it runs. Throws
 * `invalid_argument` for a call that has no function, a pattern that is none, and one that is nested too deep.
 */
export function compileCel(expression: CelExpression, options: CelOptions): CelProgram {
  return compile(expression, options, 1)
}

function compile(expression: CelExpression, options: CelOptions, depth: number): CelProgram {
  if (depth > deepest) throw refused(`the expression is nested more than ${deepest} deep`)
  const inner = (one: CelExpression): CelProgram => compile(one, options, depth + 1)
  switch (expression.type) {
    case 'literal':
      return () => expression.value
    case 'name':
      return named(expression.name)
    case 'select':
      return select(inner(expression.operand), expression.field, expression.presence)
    case 'list':
      return list(expression.items.map(inner))
    case 'map':
      return map(expression.entries.map(([key, value]) => [inner(key), inner(value)] as const))
    case 'call':
      return call(expression, options, inner)
  }
}

function named(name: string): CelProgram {
  const unknown = new CelError(`No value with name "${name}" found in Activation`)
  const type = types.has(name) ? new CelType(name) : null
  return (scope) => scope(name) ?? type ?? unknown
}

/** Names of types, as values. */
const types = new Set(['bool', 'bytes', 'double', 'int', 'list', 'map', 'null_type', 'string', 'type', 'uint'])

function select(operand: CelProgram, field: string, presence: boolean): CelProgram {
  const missing = new CelError(`no such key: ${field}`)
  const unsupported = new CelError(`applying SELECT to a value without fields: ${field}`)
  return (scope) => {
    const value = operand(scope)
    if (value instanceof CelError) return value
    if (!(value instanceof CelMap)) return unsupported
    if (presence && value instanceof CelMessage) return value.has(field)
    const found = value.get(field)
    if (presence) return found !== undefined
    return found === undefined ? missing : found
  }
}

function list(items: readonly CelProgram[]): CelProgram {
  return (scope) => valuesOf(items, scope)
}

function map(entries: readonly (readonly [CelProgram, CelProgram])[]): CelProgram {
  return (scope) => {
    const values: [CelValue, CelValue][] = []
    for (const [key, value] of entries) {
      const pair = valuesOf([key, value], scope)
      if (pair instanceof CelError) return pair
      values.push([pair[0] ?? null, pair[1] ?? null])
    }
    return mapOf(values)
  }
}

/** The values of all, or the first error. */
function valuesOf(programs: readonly CelProgram[], scope: CelScope): CelError | CelValue[] {
  const values: CelValue[] = []
  for (const program of programs) {
    const value = program(scope)
    if (value instanceof CelError) return value
    values.push(value)
  }
  return values
}

type Call = Extract<CelExpression, { type: 'call' }>

function call(
  { function: name, target, args }: Call,
  options: CelOptions,
  inner: (one: CelExpression) => CelProgram,
): CelProgram {
  const all = target === null ? args : [target, ...args]
  const programs = all.map(inner)
  const [first, second, third] = programs
  if (name === '_&&_' && first !== undefined && second !== undefined && programs.length === 2)
    return absorbing(first, second, false)
  if (name === '_||_' && first !== undefined && second !== undefined && programs.length === 2)
    return absorbing(first, second, true)
  if (name === '_?_:_' && first !== undefined && second !== undefined && third !== undefined)
    return conditional(first, second, third)
  const found =
    name === 'matches' ? matching(all, options) : findFunction(name, target === null ? 'global' : 'method', all.length)
  if (found === undefined) throw refused(`there is no function ${name} of ${all.length} arguments`)
  return (scope) => {
    const values = valuesOf(programs, scope)
    return values instanceof CelError ? values : found(values)
  }
}

const noOverload = new CelError('No matching overloads found')

/** `&&` and `||`: the word that decides does so whatever the other side is, an error too. */
function absorbing(left: CelProgram, right: CelProgram, word: boolean): CelProgram {
  return (scope) => {
    const first = left(scope)
    if (first === word) return word
    const second = right(scope)
    if (second === word) return word
    if (first === !word && second === !word) return !word
    if (first instanceof CelError) return first
    return second instanceof CelError ? second : noOverload
  }
}

function conditional(condition: CelProgram, yes: CelProgram, no: CelProgram): CelProgram {
  return (scope) => {
    const holds = condition(scope)
    if (typeof holds === 'boolean') return holds ? yes(scope) : no(scope)
    return holds instanceof CelError ? holds : noOverload
  }
}

/** `matches`: a pattern that stands in the expression is compiled with it. */
function matching(all: readonly CelExpression[], { search }: CelOptions): CelFunction | undefined {
  const [, pattern] = all
  if (pattern === undefined || all.length !== 2) return undefined
  const fixed = pattern.type === 'literal' && typeof pattern.value === 'string' ? search(pattern.value) : null
  return ([text, given]) => {
    if (typeof text !== 'string' || typeof given !== 'string') return noOverload
    try {
      return (fixed ?? search(given))(text)
    } catch (error) {
      return new CelError(WeftError.from(error).message)
    }
  }
}

function refused(problem: string): WeftError {
  return new WeftError('invalid_argument', problem)
}
