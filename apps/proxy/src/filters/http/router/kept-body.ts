import type { HeaderTable } from '@weft/http/header-table'
import type { ClientStream } from '@weft/http/stream'
import type { WireBytes } from '../../../observe/wire-bytes.ts'

/** Shared by bodies of which nothing is kept; never changed. */
const nothing: Buffer[] = []
const empty = Buffer.alloc(0)

/** A request's body so far: what has to wait for a connection, and what another try would send again. */
export class KeptBody {
  private list: Buffer[] = nothing
  bytes = 0
  /** It is kept although it was sent. */
  forRetries = false
  /** All of it has come. */
  ended = false
  /** The head was all: an empty body that came behind it is one nevertheless, as it is on the wire. */
  none = false
  trailers: HeaderTable | null = null

  get pieces(): readonly Buffer[] {
    return this.list
  }

  /** Another request. */
  begin(): void {
    this.forget()
    this.ended = this.none = false
    this.trailers = null
  }

  /** Keeps a piece; `limit` bytes are too much to send twice. False: it was, and nothing is kept. */
  add(buffer: Buffer, start: number, end: number, limit: number): boolean {
    if (end === start) return true
    if (this.bytes + end - start > limit) {
      this.forRetries = false
      this.forget()
      return false
    }
    if (this.list === nothing) this.list = []
    this.list.push(Buffer.from(buffer.subarray(start, end)))
    this.bytes += end - start
    return true
  }

  /** Nothing of it is kept any more. */
  forget(): void {
    if (this.list !== nothing) this.list = nothing
    this.bytes = 0
  }

  /** Sends what there is; gives whether the stream takes more. */
  sendTo(stream: ClientStream, wire: WireBytes | null): boolean {
    const { list, trailers, ended } = this
    const last = ended && trailers === null
    if (ended) wire?.requestEnd(true)
    let more = true
    for (let i = 0; i < list.length; i++) {
      const piece = list[i]!
      wire?.requestBody(piece.length, true)
      more = stream.sendData(piece, 0, piece.length, last && i === list.length - 1)
    }
    if (list.length === 0 && last) stream.sendData(empty, 0, 0, true)
    if (trailers !== null) stream.sendTrailers(trailers)
    return more
  }
}
