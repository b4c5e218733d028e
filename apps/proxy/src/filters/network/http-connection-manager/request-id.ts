import { randomFillSync } from 'node:crypto'

/** Characters of a request id. */
export const requestIdLength = 36

const pool = Buffer.allocUnsafeSlow(16 * 1024)
let at = pool.length
const digits = Buffer.from('0123456789abcdef')

/**
 * Writes a random UUID (RFC 9562, version 4) to `out` at `p`, out of a pool of random bytes: a call of the system's for each would
 * cost more than the rest.
 */
export function putRequestId(out: Buffer, p: number): void {
  if (at > pool.length - 16) {
    randomFillSync(pool)
    at = 0
  }
  for (let i = 0; i < 16; i++) {
    let byte = pool[at++]!
    if (i === 6) byte = (byte & 0x0f) | 0x40
    else if (i === 8) byte = (byte & 0x3f) | 0x80
    if (i === 4 || i === 6 || i === 8 || i === 10) out[p++] = 45
    out[p++] = digits[byte >> 4]!
    out[p++] = digits[byte & 15]!
  }
}
