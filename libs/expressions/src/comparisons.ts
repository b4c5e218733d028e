import { Duration } from '@weft/attributes/duration'
import { equalIp } from '@weft/attributes/ip'
import type { AttributeValue, ValueType } from '@weft/attributes/types'
import { evaluationError } from './expression-error.ts'
import { equalDnsNames } from './values/dns-name.ts'
import { equalEmails } from './values/email.ts'
import { equalUris } from './values/uri.ts'

/** How two values of a type are found equal; undefined where JavaScript's `===` says it. */
export function equalityOf(type: ValueType): ((left: AttributeValue, right: AttributeValue) => boolean) | undefined {
  switch (type) {
    case 'TIMESTAMP':
      return (left, right) => left instanceof Date && right instanceof Date && left.getTime() === right.getTime()
    case 'DURATION':
      return (left, right) => left instanceof Duration && right instanceof Duration && left.equals(right)
    case 'IP_ADDRESS':
      return (left, right) => left instanceof Uint8Array && right instanceof Uint8Array && equalIp(left, right)
    case 'DNS_NAME':
      return textEquality('dns name', equalDnsNames)
    case 'EMAIL_ADDRESS':
      return textEquality('e-mail', equalEmails)
    case 'URI':
      return textEquality('uri', equalUris)
    default:
      return undefined
  }
}

type TextEquality = (left: string, right: string) => boolean | { invalid: string; problem: string }

function textEquality(kind: string, equal: TextEquality): (left: AttributeValue, right: AttributeValue) => boolean {
  return (left, right) => {
    const result = equal(String(left), String(right))
    if (typeof result === 'boolean') return result
    throw evaluationError(`error converting '${result.invalid}' to ${kind}: '${result.problem}'`)
  }
}

/** The order of two values of a type: negative, zero or positive. */
export function comparisonOf(type: ValueType): (left: AttributeValue, right: AttributeValue) => number {
  switch (type) {
    case 'STRING':
      return (left, right) => compareUtf8(String(left), String(right))
    case 'TIMESTAMP':
      return (left, right) => (left instanceof Date && right instanceof Date ? left.getTime() - right.getTime() : Number.NaN)
    case 'DURATION':
      return (left, right) => (left instanceof Duration && right instanceof Duration ? left.compare(right) : Number.NaN)
    default:
      return (left, right) => (left < right ? -1 : left > right ? 1 : left === right ? 0 : Number.NaN)
  }
}

/** Strings in the order of their UTF-8 bytes, as Go has them; UTF-16 puts surrogates before U+E000–U+FFFF. */
function compareUtf8(left: string, right: string): number {
  const length = Math.min(left.length, right.length)
  for (let i = 0; i < length; i++) {
    const a = left.charCodeAt(i)
    const b = right.charCodeAt(i)
    if (a !== b) return utf8Rank(a) - utf8Rank(b)
  }
  return left.length - right.length
}

/** A code unit's rank in UTF-8 order: a surrogate stands for a code point above all others. */
function utf8Rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit
}
