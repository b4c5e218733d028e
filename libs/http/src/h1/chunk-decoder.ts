import { HeaderTable } from '../header-table.ts'
import { hexValue } from './bytes.ts'
import { bad, HeadScanner } from './head-scanner.ts'
import type { Mistake } from './refusal.ts'

export type ChunkEvent = 'data' | 'last' | 'more' | 'end' | 'bad'

const size = 0
const firstDigit = 1
const extension = 2
const sizeLf = 3
const data = 4
const dataEnd = 5
const trailers = 6

/** Bytes of chunk extensions a message may have: they mean nothing here, and are not to be a way to send without end. */
const maxExtensionBytes = 16384

/**
 * Takes the chunked transfer coding off (RFC 9112 section 7.1), a piece at a time: call `next` until it says `more`, `end`
 * or `bad`; `last`: no data follows, trailers may. After `data` the range is `dataStart`…`dataEnd`; `position` is where to go on, and after `end` the byte behind
 * the message. Trailers are in `trailers`. As with Envoy whatever follows the digits of a size, and a chunk's bytes, is let pass
 * to the end of its line; the line of a size ends with CRLF only.
 */
export class ChunkDecoder {
  dataStart = 0
  dataEnd = 0
  position = 0
  /** For whoever gathers ranges before any is used: pairs of a beginning and an end. */
  readonly pieces: number[] = []
  trailers: HeaderTable | null = null
  /** What is wrong, after `bad`; of a trailer what the scanner says. */
  error: Mistake = 'bad-chunk-size'
  /** Something was let pass that other readers might cut elsewhere. */
  loose = false
  private state = firstDigit
  private remaining = 0
  /** Digits of a size behind its first one that is no zero. */
  private digits = 0
  private extensionBytes = 0
  private afterCr = false
  private readonly scanner = new HeadScanner()
  private readonly maxTrailers: number
  private readonly maxTrailerBytes: number

  constructor(maxTrailers = 100, maxTrailerBytes = 61440) {
    this.maxTrailers = maxTrailers
    this.maxTrailerBytes = maxTrailerBytes
  }

  reset(): void {
    this.state = firstDigit
    this.remaining = 0
    this.extensionBytes = 0
    this.trailers = null
    this.loose = false
  }

  next(bytes: Buffer, start: number, end: number): ChunkEvent {
    let i = start
    while (i < end) {
      const byte = bytes[i]!
      switch (this.state) {
        case firstDigit: {
          const digit = hexValue[byte]!
          if (digit === 255) return this.fail('bad-chunk-size')
          this.remaining = digit
          this.digits = 0
          this.state = size
          i++
          break
        }
        case size: {
          const digit = hexValue[byte]!
          if (digit !== 255) {
            // Sixty-four bits, leading zeros apart; what a double can't hold exactly, nobody sends.
            if (this.remaining > 0 && ++this.digits === 16) return this.fail('big-chunk')
            this.remaining = this.remaining * 16 + digit
            i++
            break
          }
          if (byte === 13) this.state = sizeLf
          else if (byte === 59 || byte === 10) this.state = extension
          else if (byte === 32 || byte === 9) {
            this.loose = true
            this.state = extension
          } else return this.fail('bad-chunk-size')
          // A line that ends too soon is refused as one: its size is known.
          if (byte !== 10) i++
          if (this.remaining > 0) break
          this.position = i
          return 'last'
        }
        case extension:
          if (byte === 13) this.state = sizeLf
          else if (byte === 0) this.loose = true
          else if (byte === 10 || ++this.extensionBytes > maxExtensionBytes) return this.fail('bad-chunk-extension')
          i++
          break
        case sizeLf:
          if (byte !== 10) return this.fail('bad-chunk-extension')
          i++
          if (this.remaining > 0) this.state = data
          else {
            this.state = trailers
            this.scanner.reset(true)
          }
          break
        case data: {
          const take = Math.min(this.remaining, end - i)
          this.dataStart = i
          this.dataEnd = i + take
          this.position = i + take
          this.remaining -= take
          if (this.remaining === 0) {
            this.state = dataEnd
            this.afterCr = false
          }
          return 'data'
        }
        case dataEnd:
          if (byte === 10) {
            if (!this.afterCr) this.loose = true
            this.state = firstDigit
          } else if (byte !== 13 || this.afterCr) this.loose = true
          this.afterCr = byte === 13
          if (byte !== 13 && byte !== 10 && ++this.extensionBytes > maxExtensionBytes) return this.fail('bad-chunk-extension')
          i++
          break
        default:
          return this.readTrailers(bytes, i, end)
      }
    }
    this.position = end
    return 'more'
  }

  private fail(error: Mistake): 'bad' {
    this.error = error
    return 'bad'
  }

  private readTrailers(bytes: Buffer, start: number, end: number): ChunkEvent {
    if (this.trailers === null) this.trailers = new HeaderTable()
    const table = this.trailers
    const before = table.used
    const take = Math.min(end - start, this.maxTrailerBytes + 1 - before)
    table.reserve(take)
    bytes.copy(table.buffer, before, start, start + take)
    table.used += take
    const stop = this.scanner.scan(table.buffer, 0, table.used, table, this.maxTrailers)
    if (stop === bad) {
      const { error } = this.scanner
      return this.fail(
        error === 'too-many-headers' ? 'too-many-trailers' : error === 'bad-character' ? error : 'bad-trailer-name',
      )
    }
    if (this.scanner.loose) this.loose = true
    if (stop < 0) {
      if (table.used > this.maxTrailerBytes) return this.fail('too-large-trailers')
      this.position = end
      return 'more'
    }
    table.used = stop
    this.position = start + stop - before
    if (table.entries === 0) this.trailers = null
    return 'end'
  }
}
