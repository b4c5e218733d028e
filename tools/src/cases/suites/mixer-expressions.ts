import { type Bag, bagOf } from '@weft/attributes/bag'
import { Duration } from '@weft/attributes/duration'
import { equalIp, formatIp, parseIp } from '@weft/attributes/ip'
import { manifestOf } from '@weft/attributes/manifest'
import { type AttributeValue, isValueType, type ValueType } from '@weft/attributes/types'
import { compile, type Expression } from '@weft/expressions/expression'
import type { ExtensionFunction, SlotType } from '@weft/expressions/functions'
import { array, type Json, type JsonObject, object, optionalArray, optionalObject, readCases, text } from '../read.ts'
import type { CaseResult } from '../suite.ts'

/** What the test functions that some cases add to the language do. */
const EXTENSIONS: Readonly<Record<string, ExtensionFunction['call']>> = {
  reverse: (value) => [...String(value)].reverse().join(''),
}

/** Expression, typed inputs and manifest → type, value, references or error, in Istio's words. */
export function mixerExpressions(dir: string): CaseResult[] {
  const file = readCases(dir, 'mixer-expressions.json')
  const manifests = object(file['manifests'], 'manifests')
  return array(file['cases'], 'cases').map((entry) => {
    const one = object(entry, 'case')
    const expected = expectationOf(one)
    const actual = play(one, manifests)
    return {
      name: `${JSON.stringify(one['id'])} ${text(one['expression'], 'expression')}`,
      passed: isAsExpected(expected, actual, one),
      expected,
      actual,
    }
  })
}

interface Outcome {
  compileError?: string
  type?: string
  evaluationError?: string
  value?: AttributeValue
  references?: string[]
}

function expectationOf(one: JsonObject): JsonObject {
  const keys = ['compile_error', 'type', 'eval_error_prefix', 'result', 'referenced']
  return Object.fromEntries(keys.flatMap((key) => (one[key] === undefined ? [] : [[key, one[key]]])))
}

function play(one: JsonObject, manifests: JsonObject): Outcome {
  const manifestName = text(one['manifest'], 'manifest')
  const types = Object.entries(object(manifests[manifestName], manifestName)).map(([name, type]): [string, ValueType] => [
    name,
    valueType(type),
  ])
  let expression: Expression
  try {
    const functions = optionalArray(one['extra_functions'], 'extra_functions').map(extension)
    expression = compile(text(one['expression'], 'expression'), manifestOf(new Map(types)), { functions })
  } catch (thrown) {
    return { compileError: messageOf(thrown) }
  }
  const bag = new NotingBag(inputsOf(optionalObject(one['inputs'], 'inputs')))
  const outcome: Outcome = { type: expression.type }
  try {
    outcome.value = expression.evaluate(bag)
  } catch (thrown) {
    outcome.evaluationError = messageOf(thrown)
  }
  outcome.references = bag.references()
  return outcome
}

function isAsExpected(expected: JsonObject, actual: Outcome, one: JsonObject): boolean {
  if (expected['compile_error'] !== undefined) return actual.compileError === expected['compile_error']
  if (actual.compileError !== undefined || actual.type !== expected['type']) return false
  const prefix = expected['eval_error_prefix']
  if (prefix !== undefined) {
    if (!actual.evaluationError?.startsWith(text(prefix, 'eval_error_prefix'))) return false
  } else if (actual.value === undefined || !isValue(object(one['result'], 'result'), actual.value)) {
    return false
  }
  if (expected['referenced'] === undefined) return true
  const references = array(expected['referenced'], 'referenced').map((name) => text(name, 'reference'))
  return JSON.stringify([...references].sort()) === JSON.stringify(actual.references)
}

/** A bag that notes what is asked of it in the cases' notation: `name`, and `name[key]` for an entry that was there to ask. */
class NotingBag implements Bag {
  readonly #bag: Bag
  readonly #noted = new Set<string>()

  constructor(bag: Bag) {
    this.#bag = bag
  }

  get(name: string): AttributeValue | undefined {
    this.#noted.add(name)
    return this.#bag.get(name)
  }

  getEntry(name: string, key: string): string | undefined {
    this.#noted.add(name)
    if (this.#bag.get(name) !== undefined) this.#noted.add(`${name}[${key}]`)
    return this.#bag.getEntry(name, key)
  }

  names(): Iterable<string> {
    return this.#bag.names()
  }

  references(): string[] {
    return [...this.#noted].sort()
  }
}

function inputsOf(inputs: JsonObject): Bag {
  return bagOf(Object.fromEntries(Object.entries(inputs).map(([name, input]) => [name, decodeValue(object(input, name))])))
}

/** A typed value of the case file as a bag holds it. */
function decodeValue(input: JsonObject): AttributeValue {
  const { type, value, nanos } = input
  switch (type) {
    case 'STRING_MAP':
      return new Map(Object.entries(object(value, 'map')).map(([key, entry]) => [key, text(entry, key)]))
    case 'TIMESTAMP':
      return new Date(text(value, 'timestamp'))
    case 'DURATION':
      return Duration.fromNanoseconds(BigInt(text(nanos, 'nanos')))
    case 'IP_ADDRESS':
      return parseIp(text(value, 'address')) ?? new Uint8Array()
    case 'BOOL':
      return value === true
    case 'DOUBLE':
      return Number(value)
    case 'STRING':
      return text(value, 'string')
    default:
      // INT64, and what the cases call "wrong type on purpose": a whole number where a string is declared.
      return BigInt(text(value, 'integer'))
  }
}

function isValue(result: JsonObject, actual: AttributeValue): boolean {
  const wanted = decodeValue(result)
  if (wanted instanceof Map) {
    return actual instanceof Map && actual.size === wanted.size && [...wanted].every(([key, value]) => actual.get(key) === value)
  }
  if (wanted instanceof Date) return actual instanceof Date && actual.getTime() === wanted.getTime()
  if (wanted instanceof Duration) return actual instanceof Duration && actual.equals(wanted)
  if (wanted instanceof Uint8Array) {
    return actual instanceof Uint8Array && equalIp(wanted, actual) && formatIp(actual) === result['value']
  }
  return actual === wanted
}

function extension(signature: Json): ExtensionFunction {
  const { Name, Instance, TargetType, ArgumentTypes, ReturnType } = object(signature, 'extra function')
  const name = text(Name, 'function name')
  const call = EXTENSIONS[name]
  if (call === undefined) throw new Error(`the runner has no test function ${name}`)
  return {
    name,
    target: Instance === true ? slotType(TargetType) : undefined,
    args: optionalArray(ArgumentTypes, 'ArgumentTypes').map(slotType),
    returns: slotType(ReturnType),
    call,
  }
}

function slotType(type: Json | undefined): SlotType {
  return type === undefined || type === null || type === 'VALUE_TYPE_UNSPECIFIED' ? 'ANY' : valueType(type)
}

function valueType(type: Json): ValueType {
  const name = text(type, 'type')
  if (!isValueType(name)) throw new Error(`${name} is no value type`)
  return name
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}
