import { Duration, parseDuration } from './duration.ts'
import { equalIp, formatIp, parseIp } from './ip.ts'
import type { AttributeValue, StringMap } from './types.ts'

/** A value in the form that labels, quota dimensions and log fields show; '' for an absent one. Maps print as `a=b&c=d`, sorted. */
export function stringify(value: AttributeValue | undefined): string {
  switch (typeof value) {
    case 'string':
      return value
    case 'undefined':
      return ''
    case 'bigint':
    case 'boolean':
      return String(value)
    case 'number':
      return formatDouble(value)
  }
  if (value instanceof Date) return `${value.toISOString().slice(0, -1)}000Z`
  if (value instanceof Duration) return value.toString()
  if (value instanceof Uint8Array) return formatIp(value)
  return stringifyMap(value)
}

function stringifyMap(map: StringMap): string {
  return [...map]
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    .map(([key, value]) => `${key}=${value}`)
    .join('&')
}

/** The shortest digits that read back as the same number, never with an exponent. */
function formatDouble(value: number): string {
  const shortest = String(value)
  const match = /^(-?)(\d)(?:\.(\d+))?e([+-]\d+)$/.exec(shortest)
  if (match === null) return shortest === 'Infinity' ? '+Inf' : shortest === '-Infinity' ? '-Inf' : shortest
  const [, sign = '', first = '', rest = '', exponentText = '0'] = match
  const digits = first + rest
  const point = 1 + Number(exponentText)
  if (point <= 0) return `${sign}0.${'0'.repeat(-point)}${digits}`
  return sign + digits.padEnd(point, '0')
}

/**
 * True when two values mean the same once printed: a string equals the address, time, duration or map that
 * it spells (`'1000ms'` a second), and an absent value equals ''.
 */
export function stringEquals(left: AttributeValue | undefined, right: AttributeValue | undefined): boolean {
  if (typeof left === 'string' && typeof right === 'object') return spells(left, right)
  if (typeof right === 'string' && typeof left === 'object') return spells(right, left)
  if (left instanceof Uint8Array && right instanceof Uint8Array) return equalIp(left, right)
  return stringify(left) === stringify(right)
}

function spells(text: string, value: Extract<AttributeValue, object>): boolean {
  if (text === stringify(value)) return true
  if (value instanceof Uint8Array) {
    const address = parseIp(text)
    return address !== undefined && equalIp(address, value)
  }
  if (value instanceof Duration) return parseDuration(text)?.equals(value) ?? false
  if (value instanceof Date) return new Date(text).getTime() === value.getTime()
  const entries = text === '' ? [] : text.split('&')
  const parsed = new Map(
    entries.map((entry): [string, string] => {
      const equals = entry.indexOf('=')
      return equals < 0 ? [entry, ''] : [entry.slice(0, equals), entry.slice(equals + 1)]
    }),
  )
  return stringifyMap(parsed) === stringifyMap(value)
}
