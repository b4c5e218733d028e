import type { RequestHead } from '../message.ts'
import { targetByte, tokenLower } from './bytes.ts'
import { bad, incomplete, type ScanError } from './head-scanner.ts'

/** Where the parts of a request line stand; filled by `scanRequestLine`. */
export class RequestLine {
  targetStart = 0
  targetEnd = 0
  error: ScanError = 'bad-line'
}

const methodNames = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH']
const methods = new Map<number, { bytes: Buffer; name: string }>()
for (const name of methodNames)
  methods.set((name.length << 16) | (name.charCodeAt(0) << 8) | name.charCodeAt(1), { bytes: Buffer.from(name), name })

/**
 * Reads `method SP target SP HTTP/1.x CRLF` (RFC 9112 section 3). Sets method and version of `head`, the target's range in
 * `line`. Gives the position behind the line, `incomplete` or `bad`.
 */
export function scanRequestLine(bytes: Buffer, start: number, end: number, head: RequestHead, line: RequestLine): number {
  let i = start
  while (i < end && tokenLower[bytes[i]!] !== 0) i++
  if (i >= end) return incomplete
  if (bytes[i] !== 32 || i === start) return failed(line, 'bad-line')
  const methodEnd = i++
  const targetStart = i
  while (i < end && targetByte[bytes[i]!] === 1) i++
  if (i >= end) return incomplete
  if (bytes[i] !== 32 || i === targetStart) return failed(line, bytes[i] === 127 ? 'bad-character' : 'bad-line')
  const targetEnd = i++
  // HTTP/1.x CR LF
  for (let k = 0; k < 7; k++) {
    if (i + k >= end) return incomplete
    if (bytes[i + k] !== httpSlash1Dot[k]) return failed(line, 'bad-version')
  }
  if (i + 7 >= end) return incomplete
  const minor = bytes[i + 7]!
  if (minor !== 49 && minor !== 48) return failed(line, 'bad-version')
  if (i + 8 >= end) return incomplete
  if (bytes[i + 8] !== 13) return failed(line, 'bad-line')
  if (i + 9 >= end) return incomplete
  if (bytes[i + 9] !== 10) return failed(line, 'bad-line')
  head.version = minor === 49 ? 11 : 10
  head.method = methodOf(bytes, start, methodEnd)
  line.targetStart = targetStart
  line.targetEnd = targetEnd
  return i + 10
}

const httpSlash1Dot = Buffer.from('HTTP/1.')

function failed(line: RequestLine, error: ScanError): number {
  line.error = error
  return bad
}

function methodOf(bytes: Buffer, start: number, end: number): string {
  const known = methods.get(((end - start) << 16) | (bytes[start]! << 8) | bytes[start + 1]!)
  if (known !== undefined) {
    let i = 0
    while (i < known.bytes.length && known.bytes[i] === bytes[start + i]) i++
    if (i === known.bytes.length) return known.name
  }
  return bytes.latin1Slice(start, end)
}
