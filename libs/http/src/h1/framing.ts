import { names } from '../header-name.ts'
import type { HeaderTable } from '../header-table.ts'
import { equalsIgnoreCase, listHas } from './bytes.ts'
import type { Mistake } from './refusal.ts'

export const none = -1
export const chunked = -2
export const framingError = -3

/** Why `bodyOf` gave `framingError`. */
export const framingProblem: { error: Mistake } = { error: 'bad-length' }

/**
 * The length of the body that the headers announce: a number of bytes (0 too), `none` when they say nothing, `chunked`, or
 * `framingError`. Everything two readers could understand differently is an error: several or malformed Content-Length,
 * a transfer coding other than `chunked` alone, and both at once unless `allowBoth` (then chunked wins and the length goes).
 */
export function bodyOf(table: HeaderTable, allowBoth: boolean): number {
  let length = none
  const lengthAt = table.find(names.contentLength)
  if (lengthAt >= 0) {
    if (table.find(names.contentLength, lengthAt + 1) >= 0) return failed('several-lengths')
    const { buffer, ranges } = table
    const start = ranges[lengthAt * 4 + 2]!
    const end = ranges[lengthAt * 4 + 3]!
    if (end === start) return failed('bad-length')
    length = 0
    for (let i = start; i < end; i++) {
      const digit = buffer[i]! - 48
      if (digit < 0 || digit > 9) return failed('bad-length')
      length = length * 10 + digit
    }
    // Sixty-four bits. What a double can't hold exactly, nobody sends.
    if (length > Number.MAX_SAFE_INTEGER && BigInt(buffer.latin1Slice(start, end)) >= 2n ** 64n) return failed('bad-length')
  }
  const codingAt = table.find(names.transferEncoding)
  if (codingAt < 0) return length
  if (length !== none && !allowBoth) return failed('length-and-coding')
  const start = table.ranges[codingAt * 4 + 2]!
  const end = table.ranges[codingAt * 4 + 3]!
  if (table.find(names.transferEncoding, codingAt + 1) >= 0 || !equalsIgnoreCase(table.buffer, start, end, 'chunked')) {
    return failed('bad-coding')
  }
  if (length !== none) table.remove(names.contentLength)
  return chunked
}

function failed(error: Mistake): number {
  framingProblem.error = error
  return framingError
}

/** Whether one of the Connection headers lists `token`. */
export function connectionHas(table: HeaderTable, token: string): boolean {
  for (let i = table.find(names.connection); i >= 0; i = table.find(names.connection, i + 1)) {
    if (listHas(table.buffer, table.ranges[i * 4 + 2]!, table.ranges[i * 4 + 3]!, token)) return true
  }
  return false
}
