import type { RequestHead } from '../message.ts'
import { targetByte, tokenLower } from './bytes.ts'
import { bad, incomplete, isControl } from './head-scanner.ts'
import type { Mistake } from './refusal.ts'

/** Where the parts of a request line stand; filled by `scanRequestLine`. */
export class RequestLine {
  targetStart = 0
  targetEnd = 0
  error: Mistake = 'no-line'
  /** The line has not the form that the grammar wants. */
  loose = false
}

/** The methods that are taken unless any are allowed. */
const methodNames = (
  'GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH ACL BIND CHECKOUT COPY LINK LOCK MERGE MKACTIVITY MKCALENDAR MKCOL ' +
  'MOVE MSEARCH NOTIFY PROPFIND PROPPATCH PURGE QUERY REBIND REPORT SEARCH SOURCE SUBSCRIBE UNBIND UNLINK UNLOCK UNSUBSCRIBE'
).split(' ')
const methods = new Map<number, { bytes: Buffer; name: string }[]>()
const firstBytes = new Uint8Array(256)
for (const name of methodNames) {
  const key = methodKey(name.length, name.charCodeAt(0), name.charCodeAt(1))
  methods.set(key, [...(methods.get(key) ?? []), { bytes: Buffer.from(name), name }])
  firstBytes[name.charCodeAt(0)] = 1
}

function methodKey(length: number, first: number, second: number): number {
  return (length << 16) | (first << 8) | second
}

/**
 * Reads `method SP target SP HTTP/1.x CRLF` (RFC 9112 section 3), and what Envoy takes besides: blank lines before it, any
 * white space between the parts and behind them, LF alone, no version (then the request is an old one). Sets method and
 * version of `head`, the target's range in `line`. Gives the position behind the line, `incomplete` or `bad`. `first`: of its
 * connection, where a byte that no method begins with is refused before the line is whole.
 */
export function scanRequestLine(
  bytes: Buffer,
  start: number,
  end: number,
  head: RequestHead,
  line: RequestLine,
  anyMethod = false,
  first = true,
): number {
  line.loose = false
  let at = start
  while (at < end && (bytes[at] === 13 || bytes[at] === 10)) at++
  if (at >= end) return incomplete
  if (first && !anyMethod && firstBytes[bytes[at]!] === 0) return failed(line, bytes[at]! <= 32 ? 'no-line' : 'bad-method')
  const behind = scanUsual(bytes, at, end, head, line)
  if (behind === unusual) return scanLoose(bytes, at, end, head, line, anyMethod)
  if (behind >= 0 && !anyMethod && head.method !== 'GET' && !isKnown(head.method)) return failed(line, 'bad-method')
  return behind
}

/** The line has not the form that nearly all have. */
const unusual = -3

function scanUsual(bytes: Buffer, start: number, end: number, head: RequestHead, line: RequestLine): number {
  let i = start
  while (i < end && tokenLower[bytes[i]!] !== 0) i++
  if (i >= end) return incomplete
  if (bytes[i] !== 32) return unusual
  const methodEnd = i++
  const targetStart = i
  while (i < end && targetByte[bytes[i]!] === 1) i++
  if (i >= end) return incomplete
  if (bytes[i] !== 32 || i === targetStart) return unusual
  const targetEnd = i++
  // HTTP/1.x CR LF
  for (let k = 0; k < 7; k++) {
    if (i + k >= end) return incomplete
    if (bytes[i + k] !== httpSlash1Dot[k]) return unusual
  }
  if (i + 9 >= end) return incomplete
  const minor = bytes[i + 7]!
  if ((minor !== 49 && minor !== 48) || bytes[i + 8] !== 13 || bytes[i + 9] !== 10) return unusual
  head.version = minor === 49 ? 11 : 10
  head.method = methodOf(bytes, start, methodEnd)
  line.targetStart = targetStart
  line.targetEnd = targetEnd
  return i + 10
}

function scanLoose(bytes: Buffer, start: number, end: number, head: RequestHead, line: RequestLine, anyMethod: boolean): number {
  const lf = bytes.subarray(start, end).indexOf(10)
  if (lf < 0) return incomplete
  const stop = start + lf
  let i = start
  if (bytes[start]! <= 32) return failed(line, 'no-line')
  for (let k = start; k < stop; k++) if (isControl(bytes[k]!)) return failed(line, 'bad-character')
  const word = () => {
    while (i < stop && bytes[i]! <= 32) i++
    const from = i
    while (i < stop && bytes[i]! > 32) i++
    return [from, i] as const
  }
  const [methodStart, methodEnd] = word()
  const [targetStart, targetEnd] = word()
  let last = stop
  while (last > i && bytes[last - 1]! <= 32) last--
  while (i < last && bytes[i]! <= 32) i++
  const version = bytes.latin1Slice(i, last)
  const method = methodOf(bytes, methodStart, methodEnd)
  if (targetStart === targetEnd) return failed(line, 'bad-target')
  if (version !== '' && !/^HTTP\/\d\.\d$/.test(version)) return failed(line, 'bad-version')
  if (anyMethod ? !isToken(bytes, methodStart, methodEnd) : !isKnown(method)) return failed(line, 'bad-method')
  for (let k = targetStart; k < targetEnd; k++) {
    if (targetByte[bytes[k]!] !== 1) return failed(line, 'bad-target')
  }
  line.loose = true
  head.version = version === 'HTTP/1.1' ? 11 : 10
  head.method = method
  line.targetStart = targetStart
  line.targetEnd = targetEnd
  return stop + 1
}

const httpSlash1Dot = Buffer.from('HTTP/1.')

function failed(line: RequestLine, error: Mistake): number {
  line.error = error
  return bad
}

function isToken(bytes: Buffer, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (tokenLower[bytes[i]!] === 0) return false
  return end > start
}

const known = new Set(methodNames)

function isKnown(method: string): boolean {
  return known.has(method)
}

function methodOf(bytes: Buffer, start: number, end: number): string {
  // Most requests: without a look into the map.
  if (end - start === 3 && bytes[start] === 71 && bytes[start + 1] === 69 && bytes[start + 2] === 84) return 'GET'
  const candidates = methods.get(methodKey(end - start, bytes[start]!, bytes[start + 1]!))
  if (candidates !== undefined) {
    for (let k = 0; k < candidates.length; k++) {
      const candidate = candidates[k]!
      let i = 0
      while (i < candidate.bytes.length && candidate.bytes[i] === bytes[start + i]) i++
      if (i === candidate.bytes.length) return candidate.name
    }
  }
  return bytes.latin1Slice(start, end)
}
