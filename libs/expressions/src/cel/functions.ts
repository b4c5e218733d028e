import { compare, isEqual } from './comparison.ts'
import { durationParts, parseDuration, parseTimestamp, timestampPart, timestampParts } from './time.ts'
import {
  CelDuration,
  CelError,
  CelMap,
  CelMessage,
  type CelResult,
  CelTimestamp,
  CelType,
  CelUint,
  type CelValue,
  integerOf,
  typeName,
} from './values.ts'

/** A function whose arguments are values; a receiver comes first. */
export type CelFunction = (args: readonly CelValue[]) => CelResult

interface Form {
  call: CelFunction
  /** How many arguments it may have, the receiver counted, as `f(x)` and as `x.f()`. */
  global?: readonly number[]
  method?: readonly number[]
}

/** The function of a name, called in this form with so many arguments (the receiver counted); undefined: there is none. */
export function findFunction(name: string, form: 'global' | 'method', count: number): CelFunction | undefined {
  const found = Object.hasOwn(functions, name) ? functions[name] : undefined
  return found?.[form]?.includes(count) === true ? found.call : undefined
}

const noOverload = new CelError('No matching overloads found')
const overflow = new CelError('integer overflow')
const byZero = new CelError('divide by zero')

function int(value: bigint): CelResult {
  return value === BigInt.asIntN(64, value) ? value : overflow
}

function uint(value: bigint): CelResult {
  return value === BigInt.asUintN(64, value) ? new CelUint(value) : overflow
}

function arithmetic(
  integers: (a: bigint, b: bigint) => bigint | CelError,
  doubles: ((a: number, b: number) => number) | null,
): CelFunction {
  const whole = (a: bigint, b: bigint, wrap: (value: bigint) => CelResult): CelResult => {
    const result = integers(a, b)
    return result instanceof CelError ? result : wrap(result)
  }
  return ([a, b]) => {
    if (typeof a === 'bigint' && typeof b === 'bigint') return whole(a, b, int)
    if (a instanceof CelUint && b instanceof CelUint) return whole(a.value, b.value, uint)
    return doubles !== null && typeof a === 'number' && typeof b === 'number' ? doubles(a, b) : noOverload
  }
}

const addNumbers = arithmetic(
  (a, b) => a + b,
  (a, b) => a + b,
)
const subtractNumbers = arithmetic(
  (a, b) => a - b,
  (a, b) => a - b,
)

const add: CelFunction = (args) => {
  const [a, b] = args
  if (a instanceof CelDuration && b instanceof CelDuration) return new CelDuration(a.nanoseconds + b.nanoseconds)
  if (a instanceof CelTimestamp && b instanceof CelDuration) return new CelTimestamp(a.nanoseconds + b.nanoseconds)
  if (a instanceof CelDuration && b instanceof CelTimestamp) return new CelTimestamp(a.nanoseconds + b.nanoseconds)
  return addNumbers(args)
}

const subtract: CelFunction = (args) => {
  const [a, b] = args
  if (a instanceof CelDuration && b instanceof CelDuration) return new CelDuration(a.nanoseconds - b.nanoseconds)
  if (a instanceof CelTimestamp && b instanceof CelTimestamp) return new CelDuration(a.nanoseconds - b.nanoseconds)
  if (a instanceof CelTimestamp && b instanceof CelDuration) return new CelTimestamp(a.nanoseconds - b.nanoseconds)
  return subtractNumbers(args)
}

function negate([value]: readonly CelValue[]): CelResult {
  if (typeof value === 'bigint') return int(-value)
  return typeof value === 'number' ? -value : noOverload
}

function ordered(holds: (order: number) => boolean): Form {
  return {
    global: [2],
    call: ([a = null, b = null]) => {
      const order = compare(a, b)
      return order === null ? noOverload : holds(order)
    },
  }
}

function texts(holds: (text: string, other: string) => boolean): Form {
  return {
    global: [2],
    method: [2],
    call: ([a, b]) => (typeof a === 'string' && typeof b === 'string' ? holds(a, b) : noOverload),
  }
}

function index([container, key = null]: readonly CelValue[]): CelResult {
  if (container instanceof CelMap) {
    const found = container.get(key)
    return found === undefined ? new CelError(`Key not found in map : "${shortText(key)}"`) : found
  }
  if (!Array.isArray(container)) return noOverload
  const at = integerOf(key)
  if (at === null) return noOverload
  const list: readonly CelValue[] = container
  return at < 0n || at >= BigInt(list.length)
    ? new CelError(`Index error: index=${at} size=${list.length}`)
    : (list[Number(at)] ?? null)
}

/** A key as an error names it. */
function shortText(key: CelValue): string {
  return typeof key === 'string' ? key.slice(0, 100) : typeName(key)
}

function isIn([item = null, container]: readonly CelValue[]): CelResult {
  if (container instanceof CelMap) return container.get(item) !== undefined
  return Array.isArray(container) ? container.some((one: CelValue) => isEqual(item, one)) : noOverload
}

function size([value]: readonly CelValue[]): CelResult {
  if (typeof value === 'string') return BigInt([...value].length)
  if (value instanceof Uint8Array) return BigInt(value.length)
  if (value instanceof CelMessage) return noOverload
  if (value instanceof CelMap) return BigInt(value.keys().length)
  return Array.isArray(value) ? BigInt(value.length) : noOverload
}

function toInt([value]: readonly CelValue[]): CelResult {
  if (typeof value === 'bigint') return value
  if (value instanceof CelUint) return int(value.value)
  if (typeof value === 'number') return Math.abs(value) < 2 ** 63 ? BigInt(Math.trunc(value)) : overflow
  if (value instanceof CelTimestamp) return value.nanoseconds / 1_000_000_000n
  if (typeof value !== 'string') return noOverload
  return /^\s*[+-]?\d{1,19}\s*$/.test(value)
    ? int(BigInt(value.trim().replace(/^\+/, '')))
    : new CelError('cannot convert string to int')
}

function toUint([value]: readonly CelValue[]): CelResult {
  if (value instanceof CelUint) return value
  if (typeof value === 'bigint') return uint(value)
  if (typeof value === 'number') return value >= 0 && value < 2 ** 64 ? new CelUint(BigInt(Math.trunc(value))) : overflow
  if (typeof value !== 'string') return noOverload
  return /^\s*\+?\d{1,20}\s*$/.test(value)
    ? uint(BigInt(value.trim().replace(/^\+/, '')))
    : new CelError('cannot convert string to uint')
}

function toDouble([value]: readonly CelValue[]): CelResult {
  if (typeof value === 'number') return value
  if (typeof value === 'bigint') return Number(value)
  if (value instanceof CelUint) return Number(value.value)
  if (typeof value !== 'string') return noOverload
  const word = value.trim()
  if (/^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?$/i.test(word)) return Number(word)
  const special = /^([+-]?)(?:(inf|infinity)|nan)$/i.exec(word)
  if (special === null) return new CelError('cannot convert string to double')
  return special[2] === undefined ? Number.NaN : special[1] === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY
}

const booleans = new Map<string, boolean>([
  ...['true', 't', 'yes', 'y', '1'].map((word) => [word, true] as const),
  ...['false', 'f', 'no', 'n', '0'].map((word) => [word, false] as const),
])

function toBool([value]: readonly CelValue[]): CelResult {
  if (typeof value === 'boolean') return value
  if (typeof value !== 'string') return noOverload
  return booleans.get(value.toLowerCase()) ?? new CelError('cannot convert string to bool')
}

function toBytes([value]: readonly CelValue[]): CelResult {
  if (value instanceof Uint8Array) return value
  return typeof value === 'string' ? Buffer.from(value) : noOverload
}

function toTimestamp([value]: readonly CelValue[]): CelResult {
  if (value instanceof CelTimestamp) return value
  if (typeof value === 'bigint') return new CelTimestamp(value * 1_000_000_000n)
  if (typeof value !== 'string') return noOverload
  return parseTimestamp(value) ?? new CelError('String to Timestamp conversion failed')
}

function toDuration([value]: readonly CelValue[]): CelResult {
  if (value instanceof CelDuration) return value
  if (typeof value !== 'string') return noOverload
  return parseDuration(value) ?? new CelError('String to Duration conversion failed')
}

function part(name: string): Form {
  return {
    method: [1, 2],
    call: ([value, zone = '']) => {
      if (value instanceof CelTimestamp && typeof zone === 'string') return timestampPart(name, value, zone)
      const read = durationParts[name]
      return value instanceof CelDuration && zone === '' && read !== undefined ? read(value.nanoseconds) : noOverload
    },
  }
}

const one = [1]
const two = [2]
const membership: Form = { global: two, call: isIn }

/** All that are called with values. `&&`, `||` and `?:` look at errors too, and are not among them. */
const functions: Readonly<Record<string, Form>> = {
  '_==_': { global: two, call: ([a = null, b = null]) => isEqual(a, b) },
  '_!=_': { global: two, call: ([a = null, b = null]) => !isEqual(a, b) },
  '_<_': ordered((order) => order < 0),
  '_<=_': ordered((order) => order <= 0),
  '_>_': ordered((order) => order > 0),
  '_>=_': ordered((order) => order >= 0),
  '_+_': { global: two, call: add },
  '_-_': { global: two, call: subtract },
  '_*_': {
    global: two,
    call: arithmetic(
      (a, b) => a * b,
      (a, b) => a * b,
    ),
  },
  '_/_': {
    global: two,
    call: arithmetic(
      (a, b) => (b === 0n ? byZero : a / b),
      (a, b) => a / b,
    ),
  },
  '_%_': { global: two, call: arithmetic((a, b) => (b === 0n ? byZero : a % b), null) },
  '-_': { global: one, call: negate },
  '!_': { global: one, call: ([value]) => (typeof value === 'boolean' ? !value : noOverload) },
  '_[_]': { global: two, call: index },
  '@in': membership,
  _in_: membership,
  in: membership,
  size: { global: one, method: one, call: size },
  contains: texts((text, other) => text.includes(other)),
  startsWith: texts((text, other) => text.startsWith(other)),
  endsWith: texts((text, other) => text.endsWith(other)),
  int: { global: one, call: toInt },
  uint: { global: one, call: toUint },
  double: { global: one, call: toDouble },
  bool: { global: one, call: toBool },
  bytes: { global: one, call: toBytes },
  timestamp: { global: one, call: toTimestamp },
  duration: { global: one, call: toDuration },
  dyn: { global: one, call: ([value = null]) => value },
  type: { global: one, call: ([value = null]) => new CelType(typeName(value)) },
  ...Object.fromEntries(Object.keys(timestampParts).map((name) => [name, part(name)])),
}
