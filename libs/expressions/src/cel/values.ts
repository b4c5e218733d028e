/**
 * Values of CEL (the Common Expression Language's definition, "Values"): `int` is a bigint, `double` a number, `bytes` a
 * Uint8Array, a list an array.
 */
export type CelValue =
  | null
  | boolean
  | bigint
  | number
  | string
  | Uint8Array
  | CelUint
  | CelTimestamp
  | CelDuration
  | CelMap
  | CelType
  | CelList

/** A list of values. */
export type CelList = readonly CelValue[]

/** What an evaluation gives: errors are values too, since `&&` and `||` may absorb them. */
export type CelResult = CelValue | CelError

/** Why there is no value. */
export class CelError {
  readonly message: string

  constructor(message: string) {
    this.message = message
  }
}

/** An unsigned integer of 64 bits. */
export class CelUint {
  readonly value: bigint

  constructor(value: bigint) {
    this.value = value
  }
}

/** Nanoseconds since 1970. */
export class CelTimestamp {
  readonly nanoseconds: bigint

  constructor(nanoseconds: bigint) {
    this.nanoseconds = nanoseconds
  }
}

export class CelDuration {
  readonly nanoseconds: bigint

  constructor(nanoseconds: bigint) {
    this.nanoseconds = nanoseconds
  }
}

export class CelType {
  readonly name: string

  constructor(name: string) {
    this.name = name
  }
}

/** A map whose values may be made when they are asked for. `get` gives undefined for a key that is not there. */
export class CelMap {
  readonly get: (key: CelValue) => CelResult | undefined
  readonly keys: () => CelList

  constructor(get: (key: CelValue) => CelResult | undefined, keys: () => CelList = () => []) {
    this.get = get
    this.keys = keys
  }
}

/** A message of protobuf: its fields are read like a map's, but it has no size, and an empty one among them counts as absent. */
export class CelMessage extends CelMap {
  has(field: string): boolean {
    const found = this.get(field)
    return found instanceof CelMap ? found.keys().length > 0 : found !== undefined
  }
}

/** A map of entries; an error for a key of no key's type, and for one that is there twice. */
export function mapOf(entries: readonly (readonly [CelValue, CelValue])[]): CelMap | CelError {
  const values = new Map<string, CelValue>()
  for (const [key, value] of entries) {
    if (typeof key === 'number') return new CelError('Invalid map key type: double')
    const place = placeOf(key)
    if (place === null) return new CelError(`Invalid map key type: ${typeName(key)}`)
    if (values.has(place)) return new CelError('duplicate key in map')
    values.set(place, value)
  }
  return new CelMap(
    (key) => {
      const place = placeOf(key)
      return place === null ? undefined : values.get(place)
    },
    () => entries.map(([key]) => key),
  )
}

/** Numbers of all kinds that are equal are one key. */
function placeOf(key: CelValue): string | null {
  if (typeof key === 'string') return `s${key}`
  if (typeof key === 'boolean') return `b${key}`
  const number = integerOf(key)
  return number === null ? null : `n${number}`
}

/** The whole number that a value of any kind of number is. */
export function integerOf(value: CelValue): bigint | null {
  if (typeof value === 'bigint') return value
  if (value instanceof CelUint) return value.value
  return typeof value === 'number' && Number.isInteger(value) ? BigInt(value) : null
}

/** A map of text keys over an object's own members; JSON values as `google.protobuf.Value` has them (numbers are doubles). */
export function fromJson(json: unknown): CelValue {
  if (json === null || json === undefined) return null
  if (typeof json === 'string' || typeof json === 'number' || typeof json === 'boolean' || typeof json === 'bigint') return json
  if (Array.isArray(json)) return json.map(fromJson)
  if (typeof json !== 'object') return null
  return new CelMap(
    (key) => (typeof key === 'string' && Object.hasOwn(json, key) ? fromJson(Reflect.get(json, key)) : undefined),
    () => Object.keys(json),
  )
}

/** What `type()` calls the type of a value. */
export function typeName(value: CelValue): string {
  if (value === null) return 'null_type'
  switch (typeof value) {
    case 'boolean':
      return 'bool'
    case 'bigint':
      return 'int'
    case 'number':
      return 'double'
    case 'string':
      return 'string'
    default:
      if (value instanceof CelUint) return 'uint'
      if (value instanceof Uint8Array) return 'bytes'
      if (value instanceof CelTimestamp) return 'google.protobuf.Timestamp'
      if (value instanceof CelDuration) return 'google.protobuf.Duration'
      if (value instanceof CelMap) return 'map'
      return value instanceof CelType ? 'type' : 'list'
  }
}
