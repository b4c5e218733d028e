import type { HeaderTable } from '../header-table.ts'
import { tokenLower } from './bytes.ts'
import type { Mistake } from './refusal.ts'

/** More bytes are needed. */
export const incomplete = -1
/** The bytes break the grammar: `error` says how. */
export const bad = -2

const phaseLine = 0
const phaseName = 1
const phaseValue = 2
const phaseFolded = 3

/**
 * Scans the header lines of a message (or of trailers) in one pass over the bytes, noting ranges in a table and lower-casing
 * names in place. It can stop at any byte and go on when more came: no byte is scanned twice but those of a line that
 * `scanLine` has not got whole. As with Envoy a line may end with LF alone, a folded value becomes one line, and a CR inside a
 * value goes; spaces before the colon and control bytes are refused. What is kept can be read in one way only.
 */
export class HeadScanner {
  error: Mistake = 'bad-name'
  /** A line was read that other readers might cut elsewhere. */
  loose = false
  /** Where scanning goes on, from the start of the block. */
  private at = 0
  private phase = phaseLine
  private nameStart = 0
  private nameEnd = 0

  /** Before a new message; `trailers`: no first line. */
  reset(trailers = false): void {
    this.loose = false
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
    let inValue = this.phase === phaseValue || this.phase === phaseFolded
    let folded = this.phase === phaseFolded
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
          if (bytes[i + 1] !== 10) return this.fail('bad-name')
          return i + 2 - base
        }
        if (byte === 10 && i === nameStart) {
          this.loose = true
          return i + 1 - base
        }
        if (byte !== 58 || i === nameStart) return this.fail(badName(byte, i === nameStart))
        nameEnd = i++
        inValue = true
      }
      // Visible, space, tab or above 0x7f (RFC 9110 section 5.5); no table, as values are most of a head's bytes.
      for (; i < end; i++) {
        const byte = bytes[i]!
        if (byte < 32 ? byte !== 9 : byte === 127) break
      }
      if (i < end && bytes[i] !== 13 && bytes[i] !== 10) return this.fail('bad-character')
      // The line is over where the next one does not go on with it: its first byte has to be known.
      if (i + 2 >= end && !(i + 1 < end && bytes[i] === 10)) break
      if (bytes[i] !== 13 || bytes[i + 1] !== 10 || bytes[i + 2] === 32 || bytes[i + 2] === 9 || folded) {
        const lf = bytes[i] === 10
        this.loose = true
        if (!lf || bytes[i + 1] === 32 || bytes[i + 1] === 9) {
          folded = true
          i++
          continue
        }
      }
      let valueStart = nameEnd + 1
      let valueEnd = folded ? unfold(bytes, valueStart, i) : i
      while (valueStart < valueEnd && (bytes[valueStart] === 32 || bytes[valueStart] === 9)) valueStart++
      while (valueEnd > valueStart && (bytes[valueEnd - 1] === 32 || bytes[valueEnd - 1] === 9)) valueEnd--
      if (table.entries >= maxHeaders) return this.fail('too-many-headers')
      const whole = valueStart === nameEnd + 2 && valueEnd === i && bytes[i] === 13 && bytes[nameEnd + 1] === 32
      table.add(bytes, base, nameStart - base, nameEnd - base, valueStart - base, valueEnd - base, whole)
      i += bytes[i] === 10 ? 1 : 2
      nameStart = i
      inValue = false
      folded = false
    }
    this.at = i - base
    this.nameStart = nameStart - base
    this.nameEnd = nameEnd - base
    this.phase = folded ? phaseFolded : inValue ? phaseValue : phaseName
    return incomplete
  }

  private fail(error: Mistake): number {
    this.error = error
    return bad
  }
}

/** What is wrong with a name that this byte ends. */
function badName(byte: number, empty: boolean): Mistake {
  if (isControl(byte)) return 'bad-character'
  if (byte > 127) return 'high-name'
  if (byte === 58) return 'no-name'
  return !empty && (byte === 13 || byte === 10) ? 'no-colon' : 'bad-name'
}

/** Control bytes that stand nowhere in a head. */
export function isControl(byte: number): boolean {
  return byte < 32 ? byte !== 9 && byte !== 10 && byte !== 13 : byte === 127
}

/** Takes CR and LF out of a range, in place: a folded value is one line from then on. Gives the new end. */
function unfold(bytes: Buffer, start: number, end: number): number {
  let to = start
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!
    if (byte !== 13 && byte !== 10) bytes[to++] = byte
  }
  return to
}
