import type { HeaderTable } from '../header-table.ts'
import { tokenLower, valueByte } from './bytes.ts'

/** More bytes are needed. */
export const incomplete = -1
/** The bytes break the grammar: `error` says how. */
export const bad = -2

export type ScanError = 'bad-line' | 'bad-name' | 'bad-value' | 'too-many-headers' | 'too-large' | 'bad-version' | 'bad-character'

const phaseLine = 0
const phaseName = 1
const phaseValue = 2

/**
 * Scans the header lines of a message (or of trailers) in one pass over the bytes, noting ranges in a table and lower-casing
 * names in place. It can stop at any byte and go on when more came: no byte is scanned twice but those of a line that
 * `scanLine` has not got whole. Line ends are CRLF only; folded lines, spaces before the colon and control bytes are refused.
 */
export class HeadScanner {
  error: ScanError = 'bad-line'
  /** Where scanning goes on, from the start of the block. */
  private at = 0
  private phase = phaseLine
  private nameStart = 0
  private nameEnd = 0

  /** Before a new message; `trailers`: no first line. */
  reset(trailers = false): void {
    this.at = 0
    this.nameStart = 0
    this.phase = trailers ? phaseName : phaseLine
  }

  /** Whether the first line is still to come. */
  get wantsLine(): boolean {
    return this.phase === phaseLine
  }

  /** The first line is dealt with: header lines begin at `at` (from the block's start). */
  lineDone(at: number): void {
    this.at = at
    this.phase = phaseName
    this.nameStart = at
  }

  /**
   * Goes on over `bytes` from `base` (the block's start) to `end`. Gives the position behind the empty line, from the
   * block's start; `incomplete`; or `bad`. Entries get positions from the block's start.
   */
  scan(bytes: Buffer, base: number, end: number, table: HeaderTable, maxHeaders: number): number {
    let i = base + this.at
    let nameStart = base + this.nameStart
    let nameEnd = base + this.nameEnd
    let inValue = this.phase === phaseValue
    for (;;) {
      if (!inValue) {
        let byte = 0
        let lower = 0
        while (i < end) {
          byte = bytes[i]!
          lower = tokenLower[byte]!
          if (lower === 0) break
          if (lower !== byte) bytes[i] = lower
          i++
        }
        if (i >= end) break
        if (byte === 13 && i === nameStart) {
          if (i + 1 >= end) break
          if (bytes[i + 1] !== 10) return this.fail('bad-line')
          return i + 2 - base
        }
        if (byte !== 58 || i === nameStart) return this.fail('bad-name')
        nameEnd = i++
        inValue = true
      }
      while (i < end && valueByte[bytes[i]!] === 1) i++
      if (i + 1 >= end) {
        if (i < end && bytes[i] !== 13) return this.failValue(bytes[i]!)
        break
      }
      if (bytes[i] !== 13) return this.failValue(bytes[i]!)
      if (bytes[i + 1] !== 10) return this.fail('bad-value')
      let valueStart = nameEnd + 1
      let valueEnd = i
      while (valueStart < valueEnd && (bytes[valueStart] === 32 || bytes[valueStart] === 9)) valueStart++
      while (valueEnd > valueStart && (bytes[valueEnd - 1] === 32 || bytes[valueEnd - 1] === 9)) valueEnd--
      if (table.entries >= maxHeaders) return this.fail('too-many-headers')
      const whole = valueStart === nameEnd + 2 && valueEnd === i && bytes[nameEnd + 1] === 32
      table.add(bytes, base, nameStart - base, nameEnd - base, valueStart - base, valueEnd - base, whole)
      i += 2
      nameStart = i
      inValue = false
    }
    this.at = i - base
    this.nameStart = nameStart - base
    this.nameEnd = nameEnd - base
    this.phase = inValue ? phaseValue : phaseName
    return incomplete
  }

  private failValue(byte: number): number {
    return this.fail(byte === 10 || byte === 0 ? 'bad-value' : 'bad-character')
  }

  private fail(error: ScanError): number {
    this.error = error
    return bad
  }
}
