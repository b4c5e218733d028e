import { stringify } from '@weft/attributes/stringify'
import type { AttributeValue } from '../../adapter.ts'
import type { Level } from './config.ts'

export interface Entry {
  level: Level
  time: Date
  /** The instance's full name. */
  instance: string
  values: Readonly<Record<string, AttributeValue>>
}

const levelNames: Readonly<Record<Level, string>> = { INFO: 'info', WARNING: 'warn', ERROR: 'error' }

/** An entry as one line of JSON; its own fields come first, the values in the order of their names. */
export function jsonLine({ level, time, instance, values }: Entry): string {
  let line = `{"level":"${levelNames[level]}","time":"${time.toISOString()}","instance":${JSON.stringify(instance)}`
  for (const name of Object.keys(values).sort()) line += `,${JSON.stringify(name)}:${jsonValue(values[name])}`
  return `${line}}\n`
}

/** An entry as one line for people: time, level and instance, then the values as JSON. */
export function consoleLine({ level, time, instance, values }: Entry): string {
  const pairs = Object.keys(values)
    .sort()
    .map((name) => `${JSON.stringify(name)}: ${jsonValue(values[name])}`)
  return `${time.toISOString()}\t${levelNames[level]}\t${instance}\t{${pairs.join(', ')}}\n`
}

function jsonValue(value: AttributeValue | undefined): string {
  switch (typeof value) {
    case 'bigint':
    case 'boolean':
      return String(value)
    case 'number':
      return Number.isFinite(value) ? String(value) : JSON.stringify(String(value))
    case 'string':
      return JSON.stringify(value)
    default:
      if (value instanceof Map) return JSON.stringify(Object.fromEntries(value))
      return JSON.stringify(value instanceof Date ? value.toISOString() : stringify(value))
  }
}
