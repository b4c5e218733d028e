import {
  type DescEnum,
  type DescField,
  type DescMessage,
  fromJson,
  type JsonObject,
  type JsonValue,
  ScalarType,
  toBinary,
} from '@bufbuild/protobuf'
import { istioDescriptors } from '@weft/contracts/istio-descriptors'
import { WeftError } from '@weft/service/errors'
import { describeType, isRecord } from './document.ts'
import { durationJson, parseDuration } from './duration.ts'
import { joinPath } from './path.ts'

/** What is wrong with one field, by its path. */
export interface FieldProblem {
  path: string
  message: string
  hint?: string
}

/** Nesting that no honest object needs. */
const maxDepth = 64

/**
 * Reads a plain value as the protobuf message `typeName`, strictly: each unknown field, wrong type, bad enum or
 * duration and double oneof is told with its path, all of them at once. Gives the message's binary form when nothing
 * is wrong. Field names in camel case or as in the .proto; durations as Go writes them (`1h30m`), as Istio takes them.
 */
export function readStrictly(
  typeName: string,
  value: unknown,
  path: string,
): { bytes: Uint8Array; problems: [] } | { bytes: undefined; problems: FieldProblem[] } {
  const registry = istioDescriptors()
  const message = registry.getMessage(typeName)
  if (message === undefined) throw new WeftError('internal', `the contracts have no message ${typeName}`)
  const problems: FieldProblem[] = []
  const json = readMessage(message, value ?? {}, path, problems, 0)
  if (problems.length > 0) return { bytes: undefined, problems }
  try {
    return { bytes: toBinary(message, fromJson(message, json, { registry })), problems: [] }
  } catch (thrown) {
    const text = thrown instanceof Error ? thrown.message : String(thrown)
    return { bytes: undefined, problems: [{ path, message: text }] }
  }
}

/** A value, checked, in the form that protobuf's JSON takes. */
function readMessage(desc: DescMessage, value: unknown, path: string, problems: FieldProblem[], depth: number): JsonValue {
  const special = readWellKnown(desc, value, path, problems)
  if (special !== undefined) return special
  if (!isRecord(value) || depth > maxDepth) {
    problems.push({ path, message: depth > maxDepth ? 'nested too deeply' : `must be an object, not ${describeType(value)}` })
    return {}
  }
  const json: JsonObject = {}
  const oneofs = new Map<string, string>()
  for (const [key, given] of Object.entries(value)) {
    const at = joinPath(path, key)
    const field = desc.fields.find(({ jsonName, name }) => jsonName === key || name === key)
    if (field === undefined) {
      problems.push({ path: at, message: `unknown field "${key}"`, hint: suggestion(key, desc) })
      continue
    }
    if (given === null || given === undefined) continue
    if (field.jsonName in json) {
      problems.push({ path: at, message: `"${key}" is given twice, in two spellings`, hint: 'remove one' })
      continue
    }
    if (field.oneof !== undefined) {
      const other = oneofs.get(field.oneof.name)
      if (other !== undefined) {
        problems.push({ path: at, message: `"${other}" and "${key}" exclude each other`, hint: 'keep one of them' })
        continue
      }
      oneofs.set(field.oneof.name, key)
    }
    json[field.jsonName] = readField(field, given, at, problems, depth + 1)
  }
  return json
}

function readField(field: DescField, value: unknown, path: string, problems: FieldProblem[], depth: number): JsonValue {
  switch (field.fieldKind) {
    case 'scalar':
      return readScalar(field.scalar, value, path, problems)
    case 'enum':
      return readEnum(field.enum, value, path, problems)
    case 'message':
      return readMessage(field.message, value, path, problems, depth)
    case 'list': {
      if (!Array.isArray(value)) {
        problems.push({ path, message: `must be a list, not ${describeType(value)}`, hint: 'put a "- " before each element' })
        return []
      }
      return value.map((item: unknown, index) => {
        const at = joinPath(path, index)
        if (field.listKind === 'scalar') return readScalar(field.scalar, item, at, problems)
        if (field.listKind === 'enum') return readEnum(field.enum, item, at, problems)
        // An element with nothing after its "-" is the empty message.
        return readMessage(field.message, item ?? {}, at, problems, depth)
      })
    }
    case 'map': {
      if (!isRecord(value)) {
        problems.push({ path, message: `must be a map, not ${describeType(value)}` })
        return {}
      }
      const json: JsonObject = {}
      for (const [key, item] of Object.entries(value)) {
        const at = joinPath(path, key)
        // JSON's keys are strings always; a map by number still wants one that is a number.
        if (field.mapKey !== ScalarType.STRING) readScalar(field.mapKey, key, at, problems)
        if (field.mapKind === 'scalar') json[key] = readScalar(field.scalar, item, at, problems)
        else if (field.mapKind === 'enum') json[key] = readEnum(field.enum, item, at, problems)
        else json[key] = readMessage(field.message, item, at, problems, depth)
      }
      return json
    }
  }
}

function readEnum(desc: DescEnum, value: unknown, path: string, problems: FieldProblem[]): JsonValue {
  const known = desc.values.some(({ name, number }) => name === value || number === value)
  if (known && (typeof value === 'string' || typeof value === 'number')) return value
  const names = desc.values.map(({ name }) => name)
  problems.push({ path, message: `${quote(value)} is not one of ${names.join(', ')}` })
  return 0
}

const integers: Partial<Record<ScalarType, [least: bigint, most: bigint]>> = {
  [ScalarType.INT32]: [-(2n ** 31n), 2n ** 31n - 1n],
  [ScalarType.SINT32]: [-(2n ** 31n), 2n ** 31n - 1n],
  [ScalarType.SFIXED32]: [-(2n ** 31n), 2n ** 31n - 1n],
  [ScalarType.UINT32]: [0n, 2n ** 32n - 1n],
  [ScalarType.FIXED32]: [0n, 2n ** 32n - 1n],
  [ScalarType.INT64]: [-(2n ** 63n), 2n ** 63n - 1n],
  [ScalarType.SINT64]: [-(2n ** 63n), 2n ** 63n - 1n],
  [ScalarType.SFIXED64]: [-(2n ** 63n), 2n ** 63n - 1n],
  [ScalarType.UINT64]: [0n, 2n ** 64n - 1n],
  [ScalarType.FIXED64]: [0n, 2n ** 64n - 1n],
}

function readScalar(type: ScalarType, value: unknown, path: string, problems: FieldProblem[]): JsonValue {
  const wrong = (wanted: string, hint?: string): JsonValue => {
    const message = `must be ${wanted}, not ${typeof value === 'string' ? quote(value) : describeType(value)}`
    problems.push(hint === undefined ? { path, message } : { path, message, hint })
    return null
  }
  const bounds = integers[type]
  if (bounds !== undefined) {
    const [least, most] = bounds
    const number = wholeNumber(value)
    if (number === undefined) return wrong('a whole number')
    return number < least || number > most ? wrong(`from ${least} to ${most}`) : String(number)
  }
  switch (type) {
    case ScalarType.STRING:
      if (typeof value === 'string') return value
      return wrong('a string', typeof value === 'object' ? undefined : `put it in quotes: "${String(value)}"`)
    case ScalarType.BOOL:
      return typeof value === 'boolean' ? value : wrong('true or false')
    case ScalarType.BYTES:
      return typeof value === 'string' && /^[\w+/-]*={0,2}$/.test(value) ? value : wrong('base64')
    default: {
      const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value
      return typeof number === 'number' && !Number.isNaN(number) ? number : wrong('a number')
    }
  }
}

function wholeNumber(value: unknown): bigint | undefined {
  if (typeof value === 'number') return Number.isInteger(value) ? BigInt(value) : undefined
  return typeof value === 'string' && /^-?\d{1,20}$/.test(value) ? BigInt(value) : undefined
}

const wrappers: Readonly<Record<string, ScalarType>> = {
  'google.protobuf.BoolValue': ScalarType.BOOL,
  'google.protobuf.StringValue': ScalarType.STRING,
  'google.protobuf.BytesValue': ScalarType.BYTES,
  'google.protobuf.DoubleValue': ScalarType.DOUBLE,
  'google.protobuf.FloatValue': ScalarType.FLOAT,
  'google.protobuf.Int32Value': ScalarType.INT32,
  'google.protobuf.UInt32Value': ScalarType.UINT32,
  'google.protobuf.Int64Value': ScalarType.INT64,
  'google.protobuf.UInt64Value': ScalarType.UINT64,
}

/** Messages that JSON writes in a form of their own; undefined for all others. */
function readWellKnown(desc: DescMessage, value: unknown, path: string, problems: FieldProblem[]): JsonValue | undefined {
  const wrapped = wrappers[desc.typeName]
  if (wrapped !== undefined) return readScalar(wrapped, value, path, problems)
  switch (desc.typeName) {
    case 'google.protobuf.Duration': {
      const nanos = typeof value === 'string' ? parseDuration(value) : undefined
      if (nanos !== undefined) return durationJson(nanos)
      problems.push({ path, message: `bad duration ${quote(value)}`, hint: 'a number with its unit, such as 5s, 100ms or 1h' })
      return '0s'
    }
    case 'google.protobuf.Timestamp':
      if (typeof value === 'string' && !Number.isNaN(Date.parse(value))) return value
      problems.push({ path, message: `bad time ${quote(value)}`, hint: 'such as 2026-01-31T12:00:00Z' })
      return '1970-01-01T00:00:00Z'
    case 'google.protobuf.Struct':
      if (isRecord(value)) return toJson(value)
      problems.push({ path, message: `must be an object, not ${describeType(value)}` })
      return {}
    case 'google.protobuf.Value':
    case 'google.protobuf.ListValue':
    case 'google.protobuf.Any':
    case 'google.protobuf.FieldMask':
      return toJson(value)
    default:
      return undefined
  }
}

function toJson(value: unknown): JsonValue {
  if (Array.isArray(value)) return value.map(toJson)
  if (isRecord(value)) return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, toJson(item)]))
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value
  return null
}

function quote(value: unknown): string {
  return typeof value === 'object' && value !== null ? describeType(value) : JSON.stringify(value)
}

/** The field that was likely meant, or what there is. */
function suggestion(key: string, desc: DescMessage): string {
  const names = desc.fields.filter(({ deprecated }) => !deprecated).map(({ jsonName }) => jsonName)
  const near = names
    .map((name) => ({ name, away: distance(key.toLowerCase(), name.toLowerCase()) }))
    .sort((a, b) => a.away - b.away)[0]
  if (near !== undefined && near.away <= Math.max(1, Math.floor(key.length / 3))) return `did you mean "${near.name}"?`
  return names.length === 0 ? 'remove it' : `there are ${names.join(', ')}`
}

/** Levenshtein's, of short words. */
function distance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= Math.min(a.length, 64); i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      row.push(Math.min(previous[j]! + 1, row[j - 1]! + 1, previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)))
    }
    previous = row
  }
  return previous[b.length]!
}
