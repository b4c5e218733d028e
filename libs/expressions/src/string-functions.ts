import { parseIp } from '@weft/attributes/ip'
import type { AttributeValue } from '@weft/attributes/types'
import { WeftError } from '@weft/service/errors'
import type { Typed } from './checker.ts'
import { evaluationError } from './expression-error.ts'
import { dnsNameProblem } from './values/dns-name.ts'
import { parseEmail } from './values/email.ts'
import { cachedPattern, compilePattern } from './values/pattern.ts'
import { parseTimestamp } from './values/timestamp.ts'
import { uriProblem } from './values/uri.ts'

type StringFunction = (first: AttributeValue, second: AttributeValue) => AttributeValue

/**
 * The function of one or two strings that a call names. What can be done once (a constant's pattern) is
 * done here; a constant that cannot work is refused by `fail`.
 */
export function stringFunction(name: string, operands: readonly Typed[], fail: (problem: string) => Error): StringFunction {
  const implementation = implementationOf(name, operands, fail)
  if (implementation === undefined) throw fail(`unknown function: ${name}`)
  return (first, second) => {
    if (typeof first === 'string' && typeof second === 'string') return implementation(first, second)
    throw evaluationError(`${name}: not a string: '${String(first)}', '${String(second)}'`)
  }
}

function implementationOf(
  name: string,
  operands: readonly Typed[],
  fail: (problem: string) => Error,
): ((first: string, second: string) => AttributeValue) | undefined {
  switch (name) {
    case 'ip':
      return toIp
    case 'timestamp':
      return toTimestamp
    case 'dnsName':
      return toDnsName
    case 'email':
      return toEmail
    case 'uri':
      return toUri
    case 'toLower':
      return (text) => text.toLowerCase()
    case 'size':
      return (text) => BigInt(Buffer.byteLength(text))
    case 'match':
      return matchFunction(operands[1])
    case 'startsWith':
      return (text, prefix) => text.startsWith(prefix)
    case 'endsWith':
      return (text, suffix) => text.endsWith(suffix)
    case 'matches':
      return matchesFunction(operands[0], fail)
    default:
      return undefined
  }
}

function toIp(text: string): AttributeValue {
  const address = parseIp(text)
  if (address === undefined) throw evaluationError(`could not convert ${text} to IP_ADDRESS`)
  return address
}

function toTimestamp(text: string): AttributeValue {
  const time = parseTimestamp(text)
  if (time === undefined) {
    throw evaluationError(`could not convert '${text}' to TIMESTAMP. expected format: '2006-01-02T15:04:05Z07:00'`)
  }
  return time
}

function toDnsName(text: string): AttributeValue {
  const problem = dnsNameProblem(text)
  if (problem !== undefined) throw evaluationError(`error converting '${text}' to dns name: '${problem}'`)
  return text
}

function toEmail(text: string): AttributeValue {
  const address = parseEmail(text)
  if ('problem' in address) throw evaluationError(`error converting '${text}' to e-mail: '${address.problem}'`)
  return text
}

function toUri(text: string): AttributeValue {
  const problem = uriProblem(text)
  if (problem === undefined) return text
  throw evaluationError(
    text === '' ? `error converting string to uri: ${problem}` : `error converting string to uri '${text}': '${problem}'`,
  )
}

/** Equality, or with a `*` at the pattern's end or start, a prefix or a suffix. A constant pattern is taken apart once. */
function matchFunction(pattern: Typed | undefined): (text: string, pattern: string) => boolean {
  return pattern?.type === 'constant' ? globOf(String(pattern.value)) : (text, dynamic) => globOf(dynamic)(text)
}

function globOf(pattern: string): (text: string) => boolean {
  if (pattern.endsWith('*')) {
    const prefix = pattern.slice(0, -1)
    return (text) => text.startsWith(prefix)
  }
  if (pattern.startsWith('*')) {
    const suffix = pattern.slice(1)
    return (text) => text.endsWith(suffix)
  }
  return (text) => text === pattern
}

/** `pattern.matches(text)`: the pattern is the receiver. */
function matchesFunction(
  pattern: Typed | undefined,
  fail: (problem: string) => Error,
): (pattern: string, text: string) => boolean {
  if (pattern?.type !== 'constant') return (dynamic, text) => cachedPattern(dynamic).test(text)
  try {
    const compiled = compilePattern(String(pattern.value))
    return (_, text) => compiled.test(text)
  } catch (thrown) {
    throw fail(WeftError.from(thrown).message)
  }
}
