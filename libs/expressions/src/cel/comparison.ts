import { CelDuration, CelMap, CelTimestamp, CelType, CelUint, type CelValue } from './values.ts'

/** A number of any kind as JavaScript compares them with each other exactly; null: not a number. */
function numberOf(value: CelValue): bigint | number | null {
  if (typeof value === 'bigint' || typeof value === 'number') return value
  return value instanceof CelUint ? value.value : null
}

/** Equality: numbers of different kinds by what they are, other types never equal each other. */
export function isEqual(a: CelValue, b: CelValue): boolean {
  if (a === b) return true
  if (a === null || b === null) return false
  const [x, y] = [numberOf(a), numberOf(b)]
  if (x !== null || y !== null) return x !== null && y !== null && sameNumber(x, y)
  if (typeof a !== 'object' || typeof b !== 'object') return false
  if (a instanceof Uint8Array) return b instanceof Uint8Array && Buffer.compare(a, b) === 0
  if (a instanceof CelTimestamp) return b instanceof CelTimestamp && a.nanoseconds === b.nanoseconds
  if (a instanceof CelDuration) return b instanceof CelDuration && a.nanoseconds === b.nanoseconds
  if (a instanceof CelType) return b instanceof CelType && a.name === b.name
  if (a instanceof CelMap) return b instanceof CelMap && sameMaps(a, b)
  if (!Array.isArray(a) || !Array.isArray(b)) return false
  return a.length === b.length && a.every((item: CelValue, i) => isEqual(item, b[i]))
}

function sameNumber(a: bigint | number, b: bigint | number): boolean {
  // Loosely, since a bigint is never identical to a number.
  return a <= b && a >= b
}

function sameMaps(a: CelMap, b: CelMap): boolean {
  const keys = a.keys()
  return (
    keys.length === b.keys().length &&
    keys.every((key) => {
      const [x, y] = [a.get(key), b.get(key)]
      return x !== undefined && y !== undefined && isEqual(x as CelValue, y as CelValue)
    })
  )
}

/** Below 0, 0 or above; NaN where the order of two numbers is not known; null: values that have no order. */
export function compare(a: CelValue, b: CelValue): number | null {
  const [x, y] = [numberOf(a), numberOf(b)]
  if (x !== null && y !== null) return x < y ? -1 : x > y ? 1 : x >= y ? 0 : Number.NaN
  if (typeof a === 'string' && typeof b === 'string') return a === b ? 0 : Buffer.compare(Buffer.from(a), Buffer.from(b))
  if (typeof a === 'boolean' && typeof b === 'boolean') return Number(a) - Number(b)
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b)
  if (a instanceof CelTimestamp && b instanceof CelTimestamp) return order(a.nanoseconds, b.nanoseconds)
  if (a instanceof CelDuration && b instanceof CelDuration) return order(a.nanoseconds, b.nanoseconds)
  return null
}

function order(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0
}
