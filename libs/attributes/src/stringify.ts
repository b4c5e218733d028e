import { Duration } from './duration.ts'
import { formatIp } from './ip.ts'
import type { AttributeValue } from './types.ts'

/**
 * A value as adapters write it into labels, dimensions and logs: addresses and durations as people write them,
 * timestamps with microseconds, maps as `a=b&c=d` with sorted keys; an absent value is empty.
 */
export function stringify(value: AttributeValue | undefined): string {
  if (typeof value === 'string') return value
  if (value === undefined) return ''
  if (value instanceof Date) return value.toISOString().replace('Z', '000Z')
  if (value instanceof Duration) return value.toString()
  if (value instanceof Uint8Array) return formatIp(value)
  if (value instanceof Map) {
    return [...value]
      .sort(([one], [other]) => (one < other ? -1 : one > other ? 1 : 0))
      .map(([key, entry]) => `${key}=${entry}`)
      .join('&')
  }
  return String(value)
}
