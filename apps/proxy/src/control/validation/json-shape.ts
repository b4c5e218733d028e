import type { DescField, DescMessage, JsonValue, Registry } from '@bufbuild/protobuf'
import { ScalarType } from '@bufbuild/protobuf'
import type { PathSegment } from '../../bootstrap/document.ts'
import type { Problem } from './problem.ts'

/**
 * Everything in `json` that is not the proto3 JSON form of `message`: unknown fields, wrong types, bad durations, enum
 * words and type URLs, two members of one oneof. `fromJson` refuses the same but stops at the first and tells no path.
 */
export function checkJsonShape(registry: Registry, message: DescMessage, json: JsonValue): Problem[] {
  const problems: Problem[] = []
  checkMessage({ registry, problems }, message, json, [])
  return problems
}

interface Context {
  registry: Registry
  problems: Problem[]
}

type Path = readonly PathSegment[]

function report(context: Context, path: Path, message: string): undefined {
  context.problems.push({ path, message })
}

function checkMessage(context: Context, desc: DescMessage, json: JsonValue, path: Path): undefined {
  const wellKnown = wellKnownTypes[desc.typeName]
  if (wellKnown !== undefined) return wellKnown(context, json, path, desc)
  if (!isObject(json)) return report(context, path, `must be a map (${desc.typeName}), not ${kindOf(json)}`)
  checkFields(context, desc, json, path)
}

function checkFields(context: Context, desc: DescMessage, json: Record<string, JsonValue>, path: Path): undefined {
  const members = new Map<string, string>()
  for (const [key, value] of Object.entries(json)) {
    if (key === '@type') continue
    const field = fieldNamed(desc, key)
    if (field === undefined) {
      context.problems.push({ path: [...path, key], message: `unknown field in ${desc.typeName}`, unknownField: true })
      continue
    }
    if (value === null && field.message?.typeName !== 'google.protobuf.Value') continue
    if (field.oneof !== undefined) {
      const other = members.get(field.oneof.name)
      if (other !== undefined)
        report(context, [...path, key], `only one of ${other} and ${field.name} may be set (${field.oneof.name})`)
      members.set(field.oneof.name, field.name)
    }
    checkField(context, field, value, [...path, field.name])
  }
}

function checkField(context: Context, field: DescField, value: JsonValue, path: Path): undefined {
  switch (field.fieldKind) {
    case 'list':
      if (!Array.isArray(value)) return report(context, path, `must be a list, not ${kindOf(value)}`)
      for (const [index, item] of value.entries()) checkSingle(context, field, item, [...path, index])
      return
    case 'map':
      if (!isObject(value)) return report(context, path, `must be a map, not ${kindOf(value)}`)
      for (const [key, item] of Object.entries(value)) checkSingle(context, field, item, [...path, key])
      return
    default:
      checkSingle(context, field, value, path)
  }
}

function checkSingle(context: Context, field: DescField, value: JsonValue, path: Path): undefined {
  if (field.message !== undefined) return checkMessage(context, field.message, value, path)
  if (field.enum !== undefined) {
    const known = typeof value === 'string' ? field.enum.values.some((each) => each.name === value) : Number.isInteger(value)
    if (!known) report(context, path, `${shown(value)} is not a value of ${field.enum.typeName}`)
    return
  }
  if (field.scalar !== undefined) checkScalar(context, field.scalar, value, path)
}

const integers = new Map<ScalarType, [bigint, bigint]>([
  ...[ScalarType.INT32, ScalarType.SINT32, ScalarType.SFIXED32].map((type): [ScalarType, [bigint, bigint]] => [
    type,
    [-(1n << 31n), (1n << 31n) - 1n],
  ]),
  ...[ScalarType.UINT32, ScalarType.FIXED32].map((type): [ScalarType, [bigint, bigint]] => [type, [0n, (1n << 32n) - 1n]]),
  ...[ScalarType.INT64, ScalarType.SINT64, ScalarType.SFIXED64].map((type): [ScalarType, [bigint, bigint]] => [
    type,
    [-(1n << 63n), (1n << 63n) - 1n],
  ]),
  ...[ScalarType.UINT64, ScalarType.FIXED64].map((type): [ScalarType, [bigint, bigint]] => [type, [0n, (1n << 64n) - 1n]]),
])

function checkScalar(context: Context, type: ScalarType, value: JsonValue, path: Path): undefined {
  const range = integers.get(type)
  if (range !== undefined) {
    const text = typeof value === 'number' || typeof value === 'string' ? String(value) : ''
    if (!/^-?\d+(?:\.0*)?$/.test(text)) return report(context, path, `must be a whole number, not ${shown(value)}`)
    const number = BigInt(text.replace(/\..*$/, ''))
    if (number < range[0] || number > range[1]) report(context, path, `${text} is outside ${range[0]} to ${range[1]}`)
    return
  }
  switch (type) {
    case ScalarType.BOOL:
      if (typeof value !== 'boolean') report(context, path, `must be true or false, not ${shown(value)}`)
      return
    case ScalarType.STRING:
      if (typeof value !== 'string') report(context, path, `must be text, not ${shown(value)} (quote it)`)
      else if (!value.isWellFormed()) report(context, path, 'is not well-formed UTF-16')
      return
    case ScalarType.BYTES:
      if (typeof value !== 'string' || !/^[A-Za-z0-9+/_-]*={0,2}$/.test(value)) report(context, path, 'must be base64 text')
      return
    default: {
      const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value
      const special = value === 'NaN' || value === 'Infinity' || value === '-Infinity'
      if (!special && (typeof number !== 'number' || Number.isNaN(number)))
        report(context, path, `must be a number, not ${shown(value)}`)
    }
  }
}

type WellKnown = (context: Context, json: JsonValue, path: Path, desc: DescMessage) => undefined

const wrapped: WellKnown = (context, json, path, desc) => {
  const field = desc.fields[0]
  if (field?.scalar !== undefined) checkScalar(context, field.scalar, json, path)
}

const text =
  (pattern: RegExp, what: string): WellKnown =>
  (context, json, path) => {
    if (typeof json !== 'string' || !pattern.test(json)) report(context, path, `${shown(json)} is not ${what}`)
  }

const object: WellKnown = (context, json, path) => {
  if (!isObject(json)) report(context, path, `must be a map, not ${kindOf(json)}`)
}

const wellKnownTypes: Record<string, WellKnown> = {
  'google.protobuf.Any': (context, json, path) => {
    if (!isObject(json)) return report(context, path, `must be a map with @type, not ${kindOf(json)}`)
    const url = json['@type']
    if (typeof url !== 'string') {
      if (Object.keys(json).length > 0) report(context, path, 'has no @type, which says what it is')
      return
    }
    const name = url.slice(url.lastIndexOf('/') + 1)
    const desc = context.registry.getMessage(name)
    if (desc === undefined || !url.includes('/')) return report(context, [...path, '@type'], `unknown type ${shown(url)}`)
    if (wellKnownTypes[name] === undefined) return checkFields(context, desc, json, path)
    checkMessage(context, desc, json['value'] ?? null, [...path, 'value'])
  },
  'google.protobuf.Duration': text(/^-?\d{1,12}(?:\.\d{1,9})?s$/, 'a duration (such as 1.5s)'),
  'google.protobuf.Timestamp': text(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[-+]\d\d:\d\d)$/, 'a time (RFC 3339)'),
  'google.protobuf.FieldMask': text(/^[\w.,]*$/, 'a field mask'),
  'google.protobuf.Struct': object,
  'google.protobuf.Value': () => undefined,
  'google.protobuf.ListValue': (context, json, path) => {
    if (!Array.isArray(json)) report(context, path, `must be a list, not ${kindOf(json)}`)
  },
  ...Object.fromEntries(
    ['Bool', 'Int32', 'Int64', 'UInt32', 'UInt64', 'Float', 'Double', 'String', 'Bytes'].map((kind) => [
      `google.protobuf.${kind}Value`,
      wrapped,
    ]),
  ),
}

const namesOf = new WeakMap<DescMessage, Map<string, DescField>>()

/** The field that a JSON key names: by its own name or in camel case. */
export function fieldNamed(desc: DescMessage, key: string): DescField | undefined {
  let names = namesOf.get(desc)
  if (names === undefined) {
    names = new Map(desc.fields.flatMap((field) => [[field.name, field] as const, [field.jsonName, field] as const]))
    namesOf.set(desc, names)
  }
  return names.get(key)
}

function isObject(json: JsonValue): json is Record<string, JsonValue> {
  return typeof json === 'object' && json !== null && !Array.isArray(json)
}

function kindOf(json: JsonValue): string {
  if (json === null) return 'nothing'
  if (Array.isArray(json)) return 'a list'
  return typeof json === 'object' ? 'a map' : shown(json)
}

function shown(json: JsonValue): string {
  const text = JSON.stringify(json)
  return text.length > 60 ? `${text.slice(0, 57)}…` : text
}
