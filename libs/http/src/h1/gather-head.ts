import type { HeaderTable } from '../header-table.ts'
import { bad, incomplete } from './head-scanner.ts'

/** The head is larger than it may be. */
export const tooLarge = -3

/** Who reads a message's head. */
export interface HeadReader {
  /** Reads the head that begins at `base`, from where it stopped: the position behind it, from `base`; `incomplete`; or `bad`. */
  scanHead(bytes: Buffer, base: number, end: number): number
}

/**
 * Brings a head into its table's own buffer, as bytes of it come: the position behind it in `bytes`; `incomplete`; `bad`; or
 * `tooLarge`, where it has more than `max` bytes.
 */
export function gatherHead(
  reader: HeadReader,
  table: HeaderTable,
  bytes: Buffer,
  start: number,
  end: number,
  max: number,
): number {
  if (table.used === 0) {
    // Nothing kept from before: scan where the bytes stand, and copy the block once.
    // No further than the limit, as when the bytes come in pieces: the verdict must not hang on how they are cut.
    const limit = Math.min(end, start + max + 1)
    const stop = reader.scanHead(bytes, start, limit)
    if (stop === bad) return bad
    const length = stop < 0 ? limit - start : stop
    if (length > max) return tooLarge
    table.reserve(length)
    bytes.copy(table.buffer, 0, start, start + length)
    table.used = length
    return stop < 0 ? incomplete : start + stop
  }
  const before = table.used
  const take = Math.min(end - start, max + 1 - before)
  table.reserve(take)
  bytes.copy(table.buffer, before, start, start + take)
  table.used += take
  const stop = reader.scanHead(table.buffer, 0, table.used)
  if (stop === bad) return bad
  if (stop > max || (stop < 0 && table.used > max)) return tooLarge
  if (stop < 0) return incomplete
  table.used = stop
  return start + stop - before
}

/** A head's bytes as they came, for those who keep the case of names: scanning makes them lower case in place. */
export function keepRaw(raw: Buffer, table: HeaderTable, bytes: Buffer, start: number, end: number, max: number): Buffer {
  const piece = bytes.subarray(start, Math.min(end, start + max))
  return table.used === 0 ? Buffer.from(piece) : Buffer.concat([raw, piece])
}
