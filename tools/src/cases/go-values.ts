import type { Bag } from '@weft/attributes/bag'
import { bagOf } from '@weft/attributes/bag'
import { Duration } from '@weft/attributes/duration'
import { parseIp } from '@weft/attributes/ip'
import type { AttributeValue } from '@weft/attributes/types'
import { type Json, type JsonObject, object } from './read.ts'

/** Values of Go test tables that refer to others by name: `{"$ident": "t9"}`. */
export type Idents = ReadonlyMap<string, AttributeValue>

/**
 * A value of a Go test table as a bag holds it: numbers are int64, lists are bytes, objects are string maps,
 * `{"$call": …}` is what that Go function makes, `{"$ident": …}` what `idents` says. Null is absent.
 */
export function goValue(value: Json | undefined, idents: Idents): AttributeValue | undefined {
  switch (typeof value) {
    case 'undefined':
      return undefined
    case 'string':
    case 'boolean':
      return value
    case 'number':
      return Number.isInteger(value) ? BigInt(value) : value
  }
  if (value === null) return undefined
  if (Array.isArray(value)) return Uint8Array.from(value, Number)
  const call = value['$call']
  if (typeof call === 'string') return goCall(call, Array.isArray(value['args']) ? value['args'] : [], idents)
  const ident = value['$ident']
  if (typeof ident === 'string') {
    const known = idents.get(ident)
    if (known === undefined) throw new Error(`the case file does not say what ${ident} is`)
    return known
  }
  return new Map(Object.entries(value).map(([key, entry]) => [key, String(entry)]))
}

function goCall(name: string, args: Json[], idents: Idents): AttributeValue | undefined {
  const [first] = args
  switch (name) {
    case 'time.Now':
      return new Date(0)
    case 'time.Date': {
      const [year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0] = args.map(Number)
      return new Date(Date.UTC(year, month - 1, day, hour, minute, second))
    }
    case 'net.ParseIP':
      return parseIp(String(first))
    case 'Stringify': {
      const value = goValue(first, idents)
      return value instanceof Map ? [...value].map(([key, entry]) => `${key}=${entry}`).join('&') : String(value)
    }
    case 'URI':
    case 'DNSName':
    case 'EmailAddress':
      return String(first)
    default:
      throw new Error(`the runner does not know Go's ${name}`)
  }
}

/** A bag of a Go test table's values. A key such as `map[$index:map[$ident:globalWords] i:0]` is that list's word. */
export function goBag(values: JsonObject, idents: Idents, globalWords: readonly string[]): Bag {
  const entries = Object.entries(values).flatMap(([key, value]): [string, AttributeValue][] => {
    const converted = goValue(value, idents)
    const index = /^map\[\$index:map\[\$ident:\w+\] i:(\d+)\]$/.exec(key)?.[1]
    const name = index === undefined ? key : globalWords[Number(index)]
    return converted === undefined || name === undefined ? [] : [[name, converted]]
  })
  return bagOf(Object.fromEntries(entries))
}

/** A field of a Go struct in a case file; absent ones read as an empty object. */
export function goField(struct: JsonObject, name: string): JsonObject {
  const field = struct[name]
  return field === undefined || field === null ? {} : object(field, name)
}

/** Nanoseconds, as Go writes a time.Duration. */
export function goDuration(value: Json | undefined): Duration | undefined {
  return typeof value === 'number' ? Duration.fromNanoseconds(BigInt(value)) : undefined
}
