import { HeaderTable } from '../header-table.ts'
import { hexValue } from './bytes.ts'
import { bad, HeadScanner } from './head-scanner.ts'

export type ChunkEvent = 'data' | 'more' | 'end' | 'bad'

const size = 0
const firstDigit = 1
const extension = 2
const sizeLf = 3
const data = 4
const dataCr = 5
const dataLf = 6
const trailers = 7

/** Bytes of chunk extensions a message may have: they mean nothing here, and are not to be a way to send without end. */
const maxExtensionBytes = 16384

/**
 * Takes the chunked transfer coding off (RFC 9112 section 7.1), a piece at a time: call `next` until it says `more`, `end`
 * or `bad`. After `data` the range is `dataStart`…`dataEnd`; `position` is where to go on, and after `end` the byte behind
 * the message. Trailers are in `trailers`. Line ends are CRLF only.
 */
export class ChunkDecoder {
  dataStart = 0
  dataEnd = 0
  position = 0
  trailers: HeaderTable | null = null
  private state = firstDigit
  private remaining = 0
  private extensionBytes = 0
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
  }

  next(bytes: Buffer, start: number, end: number): ChunkEvent {
    let i = start
    while (i < end) {
      const byte = bytes[i]!
      switch (this.state) {
        case firstDigit: {
          const digit = hexValue[byte]!
          if (digit === 255) return 'bad'
          this.remaining = digit
          this.state = size
          i++
          break
        }
        case size: {
          const digit = hexValue[byte]!
          if (digit !== 255) {
            if (this.remaining > 0xffffffffff) return 'bad'
            this.remaining = this.remaining * 16 + digit
          } else if (byte === 13) this.state = sizeLf
          else if (byte === 59) this.state = extension
          else return 'bad'
          i++
          break
        }
        case extension:
          if (byte === 13) this.state = sizeLf
          else if (byte === 10 || byte === 0 || ++this.extensionBytes > maxExtensionBytes) return 'bad'
          i++
          break
        case sizeLf:
          if (byte !== 10) return 'bad'
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
          if (this.remaining === 0) this.state = dataCr
          return 'data'
        }
        case dataCr:
          if (byte !== 13) return 'bad'
          this.state = dataLf
          i++
          break
        case dataLf:
          if (byte !== 10) return 'bad'
          this.state = firstDigit
          i++
          break
        default:
          return this.readTrailers(bytes, i, end)
      }
    }
    this.position = end
    return 'more'
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
    if (stop === bad) return 'bad'
    if (stop < 0) {
      if (table.used > this.maxTrailerBytes) return 'bad'
      this.position = end
      return 'more'
    }
    table.used = stop
    this.position = start + stop - before
    if (table.entries === 0) this.trailers = null
    return 'end'
  }
}
