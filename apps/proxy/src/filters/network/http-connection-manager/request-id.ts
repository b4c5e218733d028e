import { randomFillSync } from 'node:crypto'

const pool = Buffer.allocUnsafeSlow(16 * 1024)
let at = pool.length
const text = Buffer.allocUnsafeSlow(36)
const digits = Buffer.from('0123456789abcdef')

/** A random UUID (RFC 9562, version 4), out of a pool of random bytes: a call of the system's for each would cost more than the rest. */
export function newRequestId(): string {
  if (at > pool.length - 16) {
    randomFillSync(pool)
    at = 0
  }
  let p = 0
  for (let i = 0; i < 16; i++) {
    let byte = pool[at++]!
    if (i === 6) byte = (byte & 0x0f) | 0x40
    else if (i === 8) byte = (byte & 0x3f) | 0x80
    if (i === 4 || i === 6 || i === 8 || i === 10) text[p++] = 45
    text[p++] = digits[byte >> 4]!
    text[p++] = digits[byte & 15]!
  }
  return text.latin1Slice(0, 36)
}
