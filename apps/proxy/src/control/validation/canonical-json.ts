import { type DescField, type DescMessage, type JsonObject, type JsonValue, type Registry, ScalarType } from '@bufbuild/protobuf'
import { fieldNamed } from './json-shape.ts'

/**
 * The proto3 JSON form of what Envoy's reader takes besides it: durations, times and wrapped values written as messages
 * (`{seconds: 3}`, `{value: true}`), enum words in any case, numbers and booleans as text, one item where a list is asked for.
 * What cannot be read stays as it is, for the checks that tell of it.
 */
export function canonicalJson(registry: Registry, desc: DescMessage, json: JsonValue): JsonValue {
  const wellKnown = wellKnownForms[desc.typeName]
  if (wellKnown !== undefined) return wellKnown(json)
  if (wrapper.test(desc.typeName)) return unwrapped(desc, json)
  if (!isObject(json)) return json
  if (desc.typeName === 'google.protobuf.Any') return canonicalAny(registry, json)
  if (desc.typeName.startsWith('google.protobuf.')) return json
  return canonicalFields(registry, desc, json)
}

const wrapper = /^google\.protobuf\.(?:Bool|Int32|Int64|UInt32|UInt64|Float|Double|String|Bytes)Value$/

function canonicalFields(registry: Registry, desc: DescMessage, json: JsonObject): JsonObject {
  const result: JsonObject = {}
  for (const [key, value] of Object.entries(json)) {
    const field = fieldNamed(desc, key)
    const canonical = field === undefined || value === null ? value : canonicalField(registry, field, value)
    // A key may be `__proto__`.
    Object.defineProperty(result, key, { value: canonical, enumerable: true, writable: true, configurable: true })
  }
  return result
}

function canonicalField(registry: Registry, field: DescField, value: JsonValue): JsonValue {
  const one = (item: JsonValue): JsonValue => canonicalOne(registry, field, item)
  if (field.fieldKind === 'list') {
    // A list of lists is no field: what is no list is its one item.
    return Array.isArray(value) ? value.map(one) : [one(value)]
  }
  if (field.fieldKind === 'map')
    return isObject(value) ? Object.fromEntries(Object.entries(value).map(([key, item]) => [key, one(item)])) : value
  return one(value)
}

function canonicalOne(registry: Registry, field: DescField, value: JsonValue): JsonValue {
  if (field.message !== undefined) return canonicalJson(registry, field.message, value)
  if (field.enum !== undefined && typeof value === 'string') {
    if (/^-?\d{1,10}$/.test(value)) return Number(value)
    const upper = value.toUpperCase()
    return field.enum.values.find(({ name }) => name === value || name.toUpperCase() === upper)?.name ?? value
  }
  return field.scalar === ScalarType.BOOL ? booleanOf(value) : value
}

function booleanOf(value: JsonValue): JsonValue {
  return typeof value === 'string' && /^(?:true|false)$/i.test(value) ? value.toLowerCase() === 'true' : value
}

function unwrapped(desc: DescMessage, json: JsonValue): JsonValue {
  const value = isObject(json) && Object.keys(json).every((key) => key === 'value') ? (json['value'] ?? null) : json
  if (value === null) return zeroOf(desc)
  return desc.typeName === 'google.protobuf.BoolValue' ? booleanOf(value) : value
}

function zeroOf(desc: DescMessage): JsonValue {
  if (desc.typeName === 'google.protobuf.BoolValue') return false
  return /String|Bytes/.test(desc.typeName) ? '' : 0
}

function canonicalAny(registry: Registry, json: JsonObject): JsonObject {
  const url = json['@type']
  if (typeof url !== 'string') return json
  const desc = registry.getMessage(url.slice(url.lastIndexOf('/') + 1))
  if (desc === undefined) return json
  // An Empty has no form of its own in JSON.
  const isPlain = desc.typeName === 'google.protobuf.Empty' || !desc.typeName.startsWith('google.protobuf.')
  if (isPlain) return canonicalFields(registry, desc, json)
  return { ...json, value: canonicalJson(registry, desc, json['value'] ?? (wrapper.test(desc.typeName) ? null : {})) }
}

/** Seconds and nanoseconds of a message's fields; null: it is not made of those. */
function parts(json: JsonValue): { seconds: bigint; nanos: number } | null {
  if (!isObject(json) || Object.keys(json).some((key) => key !== 'seconds' && key !== 'nanos')) return null
  const seconds = String(json['seconds'] ?? 0)
  const nanos = String(json['nanos'] ?? 0)
  return /^-?\d{1,12}$/.test(seconds) && /^-?\d{1,9}$/.test(nanos) ? { seconds: BigInt(seconds), nanos: Number(nanos) } : null
}

const wellKnownForms: Readonly<Record<string, (json: JsonValue) => JsonValue>> = {
  'google.protobuf.Duration'(json) {
    const time = parts(json)
    if (time === null) return json
    const sign = time.seconds < 0n || time.nanos < 0 ? '-' : ''
    const fraction = time.nanos === 0 ? '' : `.${String(Math.abs(time.nanos)).padStart(9, '0')}`
    return `${sign}${String(time.seconds).replace('-', '')}${fraction}s`
  },
  'google.protobuf.Timestamp'(json) {
    const time = parts(json)
    const date = new Date(time === null ? Number.NaN : Number(time.seconds) * 1000)
    if (time === null || Number.isNaN(date.getTime())) return json
    return date.toISOString().replace(/\.\d+Z$/, `.${String(time.nanos).padStart(9, '0')}Z`)
  },
}

function isObject(json: JsonValue): json is JsonObject {
  return typeof json === 'object' && json !== null && !Array.isArray(json)
}
