import { copyBytes, HeaderTable } from '../header-table.ts'
import type { ByteSink } from '../stream.ts'
import { type AbuseBudget, patience } from './abuse-budget.ts'
import type { FloodEvent } from './codec-event.ts'
import { SendWindow } from './flow-control.ts'
import { defaultMaxFrameSize, defaultWindow, flag, frameHeaderSize, frameType, writeFrameHeader, writeUint32 } from './frame.ts'
import { HpackEncoder } from './hpack/encoder.ts'
import type { Http2Options } from './options.ts'
import type { Http2Stream } from './stream.ts'

/** What an outbox tells its connection. */
export interface OutboxEvents {
  /** The last byte of a stream is written. */
  onLocalEnd(stream: Http2Stream): void
  /** The peer makes us write more than it reads. */
  onFlood(what: FloodEvent): void
}

/**
 * Everything that goes out of a connection. Frames are written to the sink at once where windows and the peer's reading let
 * them; DATA that may not go waits with its stream, and goes in turns of one frame a stream, so that none starves another.
 */
export class Outbox {
  readonly window = new SendWindow(defaultWindow)
  readonly hpack: HpackEncoder
  /** The largest frame that the peer takes. */
  maxFrameSize = defaultMaxFrameSize
  private readonly sink: ByteSink
  private readonly budget: AbuseBudget
  private readonly events: OutboxEvents
  private readonly now: () => number
  /** Streams that have something to send and a window for it. */
  private readonly round: Http2Stream[] = []
  private readonly waiters = new Set<Http2Stream>()
  private pumping = false

  constructor(sink: ByteSink, hpack: HpackEncoder, budget: AbuseBudget, events: OutboxEvents, now: () => number) {
    this.sink = sink
    this.hpack = hpack
    this.budget = budget
    this.events = events
    this.now = now
  }

  get isCongested(): boolean {
    return this.sink.congested
  }

  // Control frames

  settings(values: readonly (readonly [id: number, value: number])[]): void {
    const length = values.length * 6
    const out = this.sink.reserve(frameHeaderSize + length)
    let at = writeFrameHeader(out, this.sink.position, length, frameType.settings, 0, 0)
    for (const [id, value] of values) {
      out[at++] = id >>> 8
      out[at++] = id
      at = writeUint32(out, at, value)
    }
    this.sink.commit(at)
  }

  settingsAck(): void {
    this.control(0, frameType.settings, flag.ack, 0)
  }

  ping(ack: boolean, payload: Uint8Array, start: number): void {
    const out = this.control(8, frameType.ping, ack ? flag.ack : 0, 0)
    if (out === null) return
    let at = this.sink.position
    for (let i = 0; i < 8; i++) out[at++] = payload[start + i]!
    this.sink.commit(at)
  }

  resetStream(streamId: number, code: number): void {
    const out = this.control(4, frameType.rstStream, 0, streamId)
    if (out !== null) this.sink.commit(writeUint32(out, this.sink.position, code))
  }

  /** Writes a control frame's header; the payload's place is behind. null: the peer has had too many. */
  private control(length: number, type: number, flags: number, streamId: number): Buffer | null {
    const flood = this.budget.controlSent()
    if (flood !== null) {
      this.events.onFlood(flood)
      return null
    }
    const out = this.sink.reserve(frameHeaderSize + length)
    this.sink.commit(writeFrameHeader(out, this.sink.position, length, type, flags, streamId))
    return out
  }

  goaway(lastStreamId: number, code: number, detail: string): void {
    const text = Buffer.from(detail, 'latin1')
    const out = this.sink.reserve(frameHeaderSize + 8 + text.length)
    let at = writeFrameHeader(out, this.sink.position, 8 + text.length, frameType.goaway, 0, 0)
    at = writeUint32(out, at, lastStreamId)
    at = writeUint32(out, at, code)
    this.sink.commit(copyBytes(text, 0, text.length, out, at))
  }

  windowUpdate(streamId: number, increment: number): void {
    const out = this.sink.reserve(frameHeaderSize + 4)
    const at = writeFrameHeader(out, this.sink.position, 4, frameType.windowUpdate, 0, streamId)
    this.sink.commit(writeUint32(out, at, increment))
    this.budget.frameSent()
  }

  raw(bytes: Buffer): void {
    const out = this.sink.reserve(bytes.length)
    this.sink.commit(copyBytes(bytes, 0, bytes.length, out, this.sink.position))
  }

  // HEADERS

  /** Begins a HEADERS frame with room for `bound` bytes of block; gives the buffer. The block begins at `blockStart`. */
  beginHeaders(bound: number): Buffer {
    return this.sink.reserve(frameHeaderSize + bound)
  }

  get blockStart(): number {
    return this.sink.position + frameHeaderSize
  }

  /** Ends it: the block stands between `blockStart` and `end`. One larger than a frame is split. */
  endHeaders(stream: Http2Stream, out: Buffer, end: number, endStream: boolean): void {
    const at = this.sink.position
    const start = at + frameHeaderSize
    const length = end - start
    const flags = endStream ? flag.endStream : 0
    this.budget.frameSent()
    if (length <= this.maxFrameSize) {
      writeFrameHeader(out, at, length, frameType.headers, flags | flag.endHeaders, stream.id)
      this.sink.commit(end)
    } else this.splitBlock(stream.id, Buffer.from(out.subarray(start, end)), flags)
    if (endStream) this.events.onLocalEnd(stream)
  }

  private splitBlock(streamId: number, block: Buffer, headersFlags: number): void {
    for (let from = 0; from < block.length; from += this.maxFrameSize) {
      const to = Math.min(block.length, from + this.maxFrameSize)
      const last = to === block.length ? flag.endHeaders : 0
      const [type, flags] = from === 0 ? [frameType.headers, headersFlags] : [frameType.continuation, 0]
      const out = this.sink.reserve(frameHeaderSize + to - from)
      const at = writeFrameHeader(out, this.sink.position, to - from, type, flags | last, streamId)
      this.sink.commit(copyBytes(block, from, to, out, at))
    }
  }

  /** Sends trailers, behind what still waits. */
  trailers(stream: Http2Stream, trailers: HeaderTable): void {
    if (!stream.hasQueued) {
      this.writeTrailers(stream, trailers)
      return
    }
    stream.queuedTrailers = new HeaderTable()
    stream.queuedTrailers.copyFrom(trailers)
  }

  private writeTrailers(stream: Http2Stream, trailers: HeaderTable): void {
    const out = this.beginHeaders(HpackEncoder.bound(trailers))
    const end = this.hpack.fields(trailers, out, this.hpack.begin(out, this.blockStart))
    this.endHeaders(stream, out, end, true)
  }

  // DATA

  /** Sends body bytes, or has them wait. False: the user stops until it hears that it may go on. */
  data(stream: Http2Stream, buffer: Buffer, start: number, end: number, endStream: boolean): boolean {
    let at = start
    if (!stream.hasQueued) {
      if (start === end) {
        if (endStream) this.writeData(stream, buffer, start, end, true)
        return !this.sink.congested
      }
      while (at < end) {
        const room = this.roomFor(stream, end - at)
        if (room === 0) break
        this.writeData(stream, buffer, at, at + room, endStream && at + room === end)
        at += room
      }
      if (at === end) {
        if (!this.sink.congested) return true
        if (!endStream) this.wait(stream)
        return false
      }
      stream.progressMs = this.now()
    }
    stream.enqueue(buffer, at, end)
    if (endStream) stream.endQueued = true
    else this.wait(stream)
    this.enterRound(stream)
    return false
  }

  private wait(stream: Http2Stream): void {
    stream.wantsWritable = true
    this.waiters.add(stream)
  }

  /** How many bytes of body the peer takes on the stream now; none: 0 or less. */
  windowFor(stream: Http2Stream): number {
    return Math.min(stream.sendWindow.available, this.window.available)
  }

  /** How much of `length` may be one frame of the stream now. */
  private roomFor(stream: Http2Stream, length: number): number {
    if (this.sink.congested) return 0
    return Math.max(0, Math.min(length, defaultMaxFrameSize, this.windowFor(stream)))
  }

  private writeData(stream: Http2Stream, buffer: Buffer, start: number, end: number, endStream: boolean): void {
    const length = end - start
    const out = this.sink.reserve(frameHeaderSize + length)
    const at = writeFrameHeader(out, this.sink.position, length, frameType.data, endStream ? flag.endStream : 0, stream.id)
    this.sink.commit(copyBytes(buffer, start, end, out, at))
    stream.sendWindow.available -= length
    this.window.available -= length
    this.budget.dataSent()
    this.noteRead(stream)
    if (endStream) this.events.onLocalEnd(stream)
  }

  /** The peer takes of the stream's answer. */
  noteRead(stream: Http2Stream): void {
    if (stream.isRead) return
    stream.isRead = true
    this.budget.answerRead()
  }

  private enterRound(stream: Http2Stream): void {
    if (stream.inRound || (stream.queuedBytes > 0 && stream.sendWindow.available <= 0)) return
    stream.inRound = true
    this.round.push(stream)
  }

  /** The stream's window is wider. */
  streamWidened(stream: Http2Stream): void {
    if (!stream.hasQueued) return
    this.enterRound(stream)
    this.pump()
  }

  /** The sink has room again, or the connection's window is wider: sends what waits, a frame of each stream in turn. */
  pump(): void {
    if (this.pumping) return
    this.pumping = true
    let stuck = 0
    while (this.round.length > stuck && !this.sink.congested) {
      const stream = this.round.shift()
      if (stream === undefined) break
      stream.inRound = false
      if (stream.state === 'closed' || !stream.hasQueued) continue
      const sent = this.sendQueued(stream)
      if (stream.hasQueued) this.enterRound(stream)
      stuck = sent ? 0 : stuck + 1
    }
    this.pumping = false
    this.tellWaiters()
  }

  /** One frame of what waits; false: the connection's window does not let it. */
  private sendQueued(stream: Http2Stream): boolean {
    const piece = stream.pieces[0]
    if (piece !== undefined) {
      const room = this.roomFor(stream, piece.length - stream.firstAt)
      if (room === 0) return false
      const from = stream.firstAt
      const to = from + room
      stream.queuedBytes -= room
      if (to === piece.length) {
        stream.pieces.shift()
        stream.firstAt = 0
      } else stream.firstAt = to
      const last = stream.queuedBytes === 0 && stream.endQueued
      if (last) stream.endQueued = false
      stream.progressMs = this.now()
      this.writeData(stream, piece, from, to, last)
      return true
    }
    if (stream.queuedTrailers !== null) {
      const trailers = stream.queuedTrailers
      stream.queuedTrailers = null
      this.writeTrailers(stream, trailers)
    } else if (stream.endQueued) {
      stream.endQueued = false
      this.writeData(stream, empty, 0, 0, true)
    }
    return true
  }

  private tellWaiters(): void {
    if (this.waiters.size === 0) return
    for (const stream of [...this.waiters]) {
      if (this.sink.congested) return
      if (!stream.wantsWritable) this.waiters.delete(stream)
      else if (!stream.hasQueued) {
        stream.wantsWritable = false
        this.waiters.delete(stream)
        stream.user?.onWritable()
      }
    }
  }

  /** The stream is gone. */
  forget(stream: Http2Stream): void {
    stream.dropQueued()
    this.waiters.delete(stream)
  }

  /** Answers of which nothing has left for a while, since the peer doesn't read them: whether those are more than it may have and be steady. */
  get isStuck(): boolean {
    if (this.waiters.size <= patience) return false
    const before = this.now() - stuckMs
    let stuck = 0
    for (const stream of this.waiters) if (stream.hasQueued && stream.progressMs < before) stuck++
    return stuck > patience
  }

  /** Streams that have had bytes to send for longer than they may, and have sent none. */
  stalled(
    streams: readonly Http2Stream[],
    nowMs: number,
    { stallTimeoutMs, flushTimeoutMs }: Pick<Http2Options, 'stallTimeoutMs' | 'flushTimeoutMs'>,
  ): Http2Stream[] {
    return streams.filter((stream) => {
      if (!stream.hasQueued) return false
      const isWhole = stream.endQueued || stream.queuedTrailers !== null
      const limit = isWhole ? (stream.flushMs ?? flushTimeoutMs ?? stallTimeoutMs) : stallTimeoutMs
      return limit > 0 && stream.progressMs < nowMs - limit
    })
  }
}

const empty = Buffer.alloc(0)
/** How long bytes wait before the peer is taken for one that doesn't read them (ms). */
const stuckMs = 20
