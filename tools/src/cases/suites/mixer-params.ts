import type { Json, JsonObject } from '../read.ts'

/**
 * An adapter's parameters as a Go test writes them, in the form that configuration has: field names begin with a small
 * letter, and durations, which Go counts in nanoseconds, are texts.
 */
export function paramsOf(struct: JsonObject): Record<string, unknown> {
  return Object.fromEntries(Object.entries(struct).map(([name, value]) => [fieldName(name), fieldValue(name, value)]))
}

function fieldName(name: string): string {
  return name.charAt(0).toLowerCase() + name.slice(1)
}

function fieldValue(name: string, value: Json): unknown {
  if (typeof value === 'number' && /(Duration|Interval|Ttl)$/.test(name)) return `${value}ns`
  return value
}
