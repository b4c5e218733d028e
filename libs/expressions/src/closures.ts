import type { Bag } from '@weft/attributes/bag'
import { Duration } from '@weft/attributes/duration'
import type { AttributeValue, ValueType } from '@weft/attributes/types'
import { WeftError } from '@weft/service/errors'
import type { Typed } from './checker.ts'
import { comparisonOf, equalityOf } from './comparisons.ts'
import { evaluationError, typeError } from './expression-error.ts'
import type { ExtensionFunction } from './functions.ts'
import { stringFunction } from './string-functions.ts'

/** A compiled part of an expression. Undefined: an attribute that it needs is absent, see {@link lastAbsence}. */
export type Evaluator = (bag: Bag) => AttributeValue | undefined

type Call = Extract<Typed, { type: 'call' }>

interface Context {
  text: string
  extensions: ReadonlyMap<string, ExtensionFunction>
}

// Absence is common (`a | "default"`, rules that do not apply), so it is no exception: the closure gives
// undefined and leaves behind what was missing. The last one noted is always the one that mattered, since
// an absence that `|` does not recover from ends the evaluation.
let absentName = ''
let absentKey: string | undefined

/** The error for the attribute whose absence made the last evaluation give undefined. */
export function lastAbsence(bag: Bag): WeftError {
  const key = absentKey
  if (key !== undefined) for (const name of bag.names()) if (name === absentName) return absence(`member lookup failed: '${key}'`)
  return absence(`lookup failed: '${absentName}'`)
}

function absence(message: string): WeftError {
  return new WeftError('not_found', message, { hint: 'give a value for its absence with |' })
}

/** Compiles a checked expression; `extensions` are the functions that the caller added. */
export function toClosure(text: string, typed: Typed, extensions: ReadonlyMap<string, ExtensionFunction>): Evaluator {
  return closureOf(typed, { text, extensions })
}

function closureOf(typed: Typed, context: Context): Evaluator {
  switch (typed.type) {
    case 'constant': {
      const value = typed.value
      return () => value
    }
    case 'attribute':
      return attributeClosure(typed.name, typed.valueType)
    case 'call':
      return callClosure(typed, context)
  }
}

function callClosure(call: Call, context: Context): Evaluator {
  const extension = context.extensions.get(call.name)
  if (extension !== undefined)
    return extensionClosure(
      extension,
      call.operands.map((operand) => closureOf(operand, context)),
    )
  const [first, second, third] = call.operands
  if (first === undefined) {
    if (call.name === 'emptyStringMap') return () => new Map<string, string>()
    throw typeError(context.text, call.offset, `unknown function: ${call.name}`)
  }
  const a = closureOf(first, context)
  if (second === undefined) return call.name === 'NOT' ? notClosure(a) : unaryClosure(call, a, first, context)
  switch (call.name) {
    case 'OR':
      return fallbackClosure(recoverable(first, context), closureOf(second, context))
    case 'INDEX':
      return indexClosure(first, second, false, context)
    case 'conditional':
    case 'conditionalString':
      if (third !== undefined) return conditionalClosure(a, closureOf(second, context), closureOf(third, context))
  }
  const b = closureOf(second, context)
  switch (call.name) {
    case 'LAND':
      return (bag) => {
        const left = a(bag)
        return left === true ? b(bag) : left
      }
    case 'LOR':
      return (bag) => {
        const left = a(bag)
        return left === false ? b(bag) : left
      }
    case 'EQ':
    case 'NEQ':
      return equalityClosure(call.name === 'EQ', first.valueType, a, b, second)
    case 'LSS':
      return comparisonClosure(first.valueType, a, b, (order) => order < 0)
    case 'LEQ':
      return comparisonClosure(first.valueType, a, b, (order) => order <= 0)
    case 'GTR':
      return comparisonClosure(first.valueType, a, b, (order) => order > 0)
    case 'GEQ':
      return comparisonClosure(first.valueType, a, b, (order) => order >= 0)
    case 'ADD':
      return sumClosure(a, b)
  }
  const apply = stringFunction(call.name, call.operands, (problem) => typeError(context.text, call.offset, problem))
  return (bag) => {
    const left = a(bag)
    if (left === undefined) return undefined
    const right = b(bag)
    return right === undefined ? undefined : apply(left, right)
  }
}

function unaryClosure(call: Call, a: Evaluator, first: Typed, context: Context): Evaluator {
  const apply = stringFunction(call.name, [first], (problem) => typeError(context.text, call.offset, problem))
  return (bag) => {
    const value = a(bag)
    return value === undefined ? undefined : apply(value, '')
  }
}

/** Which JavaScript type a value of each attribute type has; a sender may have lied about it. */
function attributeClosure(name: string, type: ValueType): Evaluator {
  const fits = fitsType(type)
  const word = typeWord(type)
  return (bag) => {
    const value = bag.get(name)
    if (value === undefined) {
      absentName = name
      absentKey = undefined
      return undefined
    }
    if (!fits(value)) throw evaluationError(`error converting value to ${word}: '${String(value)}'`)
    return value
  }
}

function fitsType(type: ValueType): (value: AttributeValue) => boolean {
  switch (type) {
    case 'STRING':
    case 'EMAIL_ADDRESS':
    case 'URI':
    case 'DNS_NAME':
      return (value) => typeof value === 'string'
    case 'INT64':
      return (value) => typeof value === 'bigint'
    case 'DOUBLE':
      return (value) => typeof value === 'number'
    case 'BOOL':
      return (value) => typeof value === 'boolean'
    case 'TIMESTAMP':
      return (value) => value instanceof Date
    case 'DURATION':
      return (value) => value instanceof Duration
    case 'IP_ADDRESS':
      return (value) => value instanceof Uint8Array
    case 'STRING_MAP':
      return (value) => value instanceof Map
  }
}

function typeWord(type: ValueType): string {
  switch (type) {
    case 'STRING':
    case 'BOOL':
    case 'DOUBLE':
      return type.toLowerCase()
    case 'INT64':
      return 'integer'
    default:
      return type
  }
}

/**
 * A left side of `|`. Only an absent attribute, an absent map entry or a `|` of such gives way to the right
 * side; an absence inside a function's arguments is the whole expression's error, as in Istio.
 */
function recoverable(typed: Typed, context: Context): Evaluator {
  if (typed.type !== 'call') return closureOf(typed, context)
  const [first, second] = typed.operands
  if (first !== undefined && second !== undefined) {
    if (typed.name === 'OR') return fallbackClosure(recoverable(first, context), recoverable(second, context))
    if (typed.name === 'INDEX') return indexClosure(first, second, true, context)
  }
  return present(closureOf(typed, context))
}

/** An operand whose absence is an error at once. */
function present(evaluate: Evaluator): Evaluator {
  return (bag) => {
    const value = evaluate(bag)
    if (value === undefined) throw lastAbsence(bag)
    return value
  }
}

function fallbackClosure(first: Evaluator, second: Evaluator): Evaluator {
  return (bag) => {
    const value = first(bag)
    return value === undefined ? second(bag) : value
  }
}

function indexClosure(map: Typed, key: Typed, isRecoverable: boolean, context: Context): Evaluator {
  if (map.type === 'attribute') {
    const name = map.name
    if (key.type === 'constant') return entryClosure(name, String(key.value))
    const keyOf = isRecoverable ? present(closureOf(key, context)) : closureOf(key, context)
    return (bag) => {
      const keyValue = keyOf(bag)
      return typeof keyValue === 'string' ? entryOf(bag, name, keyValue) : undefined
    }
  }
  const locate = mapLocator(map, context)
  const keyOf = isRecoverable ? present(closureOf(key, context)) : closureOf(key, context)
  return (bag) => {
    const where = locate(bag)
    if (where === undefined) return undefined
    const keyValue = keyOf(bag)
    if (typeof keyValue !== 'string') return undefined
    if (typeof where === 'string') return entryOf(bag, where, keyValue)
    const value = where instanceof Map ? where.get(keyValue) : undefined
    if (typeof value === 'string') return value
    absentName = ''
    absentKey = keyValue
    return undefined
  }
}

function entryClosure(name: string, key: string): Evaluator {
  return (bag) => {
    const value = bag.getEntry(name, key)
    if (value === undefined) {
      absentName = name
      absentKey = key
    }
    return value
  }
}

function entryOf(bag: Bag, name: string, key: string): string | undefined {
  const value = bag.getEntry(name, key)
  if (value === undefined) {
    absentName = name
    absentKey = key
  }
  return value
}

/**
 * Where the map of `(a | b)[key]` is: an attribute's name, so that the entry is asked of the bag and noted
 * there, or a map that belongs to no attribute.
 */
function mapLocator(map: Typed, context: Context): Evaluator {
  if (map.type === 'attribute') {
    const whole = attributeClosure(map.name, map.valueType)
    const name = map.name
    return (bag) => (whole(bag) === undefined ? undefined : name)
  }
  if (map.type === 'call') {
    const [first, second, third] = map.operands
    if (map.name === 'OR' && first !== undefined && second !== undefined) {
      return fallbackClosure(mapLocator(first, context), mapLocator(second, context))
    }
    if (map.name === 'conditional' && first !== undefined && second !== undefined && third !== undefined) {
      return conditionalClosure(closureOf(first, context), mapLocator(second, context), mapLocator(third, context))
    }
  }
  return closureOf(map, context)
}

function conditionalClosure(condition: Evaluator, whenTrue: Evaluator, whenFalse: Evaluator): Evaluator {
  return (bag) => {
    const value = condition(bag)
    if (value === undefined) return undefined
    return value === true ? whenTrue(bag) : whenFalse(bag)
  }
}

function notClosure(a: Evaluator): Evaluator {
  return (bag) => {
    const value = a(bag)
    return value === undefined ? undefined : value !== true
  }
}

function equalityClosure(wanted: boolean, type: ValueType, a: Evaluator, b: Evaluator, second: Typed): Evaluator {
  const equal = equalityOf(type)
  if (equal === undefined) {
    // Compared by identity, which is most of them; a constant on the right is the commonest form of all.
    if (second.type === 'constant') {
      const constant = second.value
      return (bag) => {
        const value = a(bag)
        return value === undefined ? undefined : (value === constant) === wanted
      }
    }
    return (bag) => {
      const left = a(bag)
      if (left === undefined) return undefined
      const right = b(bag)
      return right === undefined ? undefined : (left === right) === wanted
    }
  }
  return (bag) => {
    const left = a(bag)
    if (left === undefined) return undefined
    const right = b(bag)
    return right === undefined ? undefined : equal(left, right) === wanted
  }
}

function comparisonClosure(type: ValueType, a: Evaluator, b: Evaluator, holds: (order: number) => boolean): Evaluator {
  const compare = comparisonOf(type)
  return (bag) => {
    const left = a(bag)
    if (left === undefined) return undefined
    const right = b(bag)
    return right === undefined ? undefined : holds(compare(left, right))
  }
}

function sumClosure(a: Evaluator, b: Evaluator): Evaluator {
  return (bag) => {
    const left = a(bag)
    if (left === undefined) return undefined
    const right = b(bag)
    if (right === undefined) return undefined
    if (typeof left === 'string' && typeof right === 'string') return left + right
    if (typeof left === 'bigint' && typeof right === 'bigint') return BigInt.asIntN(64, left + right)
    if (typeof left === 'number' && typeof right === 'number') return left + right
    throw evaluationError(`cannot add '${String(left)}' and '${String(right)}'`)
  }
}

function extensionClosure(extension: ExtensionFunction, operands: readonly Evaluator[]): Evaluator {
  return (bag) => {
    const values: AttributeValue[] = []
    for (const operand of operands) {
      const value = operand(bag)
      if (value === undefined) return undefined
      values.push(value)
    }
    return extension.call(...values)
  }
}
