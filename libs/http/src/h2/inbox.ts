import type { AbuseBudget } from './abuse-budget.ts'
import type { FloodEvent } from './codec-event.ts'
import { errorCode } from './error-code.ts'
import { ReceiveWindow } from './flow-control.ts'
import { defaultWindow, flag } from './frame.ts'
import { unknownLength, violation } from './message-fields.ts'
import type { Http2Options } from './options.ts'
import type { Outbox } from './outbox.ts'
import type { Http2Stream } from './stream.ts'
import { type ClosedStreams, isRemoteOpen } from './stream-states.ts'
import type { StreamTable } from './stream-table.ts'

/** What an inbox knows of its connection, and has it do. */
export interface InboxOwner {
  readonly isServer: boolean
  readonly isDead: boolean
  readonly streams: StreamTable
  readonly closed: ClosedStreams
  readonly outbox: Outbox
  readonly budget: AbuseBudget
  isIdle(streamId: number): boolean
  /** Whether DATA may come on the stream: its head has come. */
  mayHaveData(stream: Http2Stream): boolean
  fail(code: number, detail: string): void
  flood(what: FloodEvent): void
  violateStream(stream: Http2Stream, code: number, detail: string): void
  streamError(stream: Http2Stream, code: number, detail: string): void
  resetStream(stream: Http2Stream, code: number): void
  refuse(streamId: number, code: number): void
  noteReset(): void
  remoteEnd(stream: Http2Stream): void
  settle(stream: Http2Stream): void
}

/**
 * The bodies that come in by a connection: DATA frames within the windows that we gave, what waits for a paused reader, and
 * what nobody needs any more.
 */
export class Inbox {
  /** Of streams that open from now on. */
  streamWindow: number
  private readonly owner: InboxOwner
  private readonly options: Http2Options
  private readonly now: () => number
  private readonly window: ReceiveWindow
  private readonly discarding = new Set<Http2Stream>()
  /** The stream of the DATA frame under way; null: its bytes are thrown away. */
  private current: Http2Stream | null = null
  private currentEnds = false

  constructor(owner: InboxOwner, options: Http2Options, now: () => number) {
    this.owner = owner
    this.options = options
    this.now = now
    this.window = new ReceiveWindow(Math.max(defaultWindow, options.initialConnectionWindow))
    this.streamWindow = Math.max(defaultWindow, options.initialStreamWindow)
  }

  /** Our settings count from now on. */
  onSettingsAck(): void {
    const size = this.options.initialStreamWindow
    if (size === this.streamWindow) return
    this.streamWindow = size
    for (const stream of this.owner.streams.all()) stream.receiveWindow.resize(size)
  }

  /** A DATA frame begins: `length` bytes of payload, of which `dataLength` are content. */
  frame(flags: number, streamId: number, length: number, dataLength: number): void {
    const { owner } = this
    this.current = null
    if (streamId === 0) {
      owner.fail(errorCode.protocolError, 'DATA on stream 0')
      return
    }
    const ends = (flags & flag.endStream) !== 0
    const flood = owner.budget.payloadReceived(dataLength === 0 && !ends)
    if (flood !== null) {
      owner.flood(flood)
      return
    }
    if (!this.window.take(length)) {
      owner.fail(errorCode.flowControlError, 'more DATA than the connection window allows')
      return
    }
    const stream = owner.streams.get(streamId)
    if (stream === null) {
      if (owner.isIdle(streamId)) {
        owner.fail(errorCode.protocolError, 'DATA on an idle stream')
        return
      }
      this.giveBack(length)
      // What was under way when we gave the stream up is no error; of what a server sends too much, nobody takes notice (as with Envoy).
      if (!owner.isServer || owner.closed.endOf(streamId) === 'local-reset') return
      owner.refuse(streamId, errorCode.streamClosed)
      owner.noteReset()
      return
    }
    if (!isRemoteOpen(stream.state)) {
      owner.fail(errorCode.streamClosed, 'DATA after the end')
      return
    }
    if (!stream.receiveWindow.take(length)) {
      this.giveBack(length)
      owner.streamError(stream, errorCode.flowControlError, 'more DATA than the stream window allows')
      return
    }
    if (!owner.mayHaveData(stream)) {
      this.giveBack(length)
      owner.violateStream(stream, errorCode.protocolError, violation('DATA before the head'))
      return
    }
    this.current = stream
    this.currentEnds = ends
    this.consume(stream, length - dataLength)
  }

  /** A piece of the frame's content; `last`: there is no more. */
  piece(bytes: Buffer, start: number, end: number, last: boolean): void {
    const { owner, current: stream } = this
    if (stream === null) return
    const length = end - start
    if (stream.state === 'closed') {
      // It ended in the middle of the frame.
      this.giveBack(length)
      return
    }
    stream.receivedLength += length
    const ends = last && this.currentEnds
    const expected = stream.expectedLength
    if (expected !== unknownLength && (stream.receivedLength > expected || (ends && stream.receivedLength < expected))) {
      this.giveBack(length)
      owner.streamError(stream, errorCode.protocolError, lengthMismatch)
      return
    }
    if (this.discarding.size > 0 && this.discarding.has(stream)) {
      this.discard(stream, length, ends)
      return
    }
    if (ends) owner.remoteEnd(stream)
    if (stream.isPaused || stream.hasWaiting) {
      stream.keep(bytes, start, end)
      if (ends) stream.waitingEnd = true
      return
    }
    if (length > 0 || ends) stream.user?.onData(bytes, start, end, ends)
    this.consume(stream, length)
    if (ends) owner.settle(stream)
  }

  // Windows

  private consume(stream: Http2Stream, length: number): void {
    if (length === 0) return
    this.giveBack(length)
    if (!isRemoteOpen(stream.state) || this.owner.isDead) return
    const increment = stream.receiveWindow.consume(length)
    if (increment > 0) this.owner.outbox.windowUpdate(stream.id, increment)
  }

  private giveBack(length: number): void {
    if (length === 0 || this.owner.isDead) return
    const increment = this.window.consume(length)
    if (increment > 0) this.owner.outbox.windowUpdate(0, increment)
  }

  // Paused readers

  pause(stream: Http2Stream): void {
    stream.isPaused = true
  }

  resume(stream: Http2Stream): void {
    const { owner } = this
    if (!stream.isPaused) return
    stream.isPaused = false
    while (stream.waiting.length > 0 && !stream.isPaused) {
      const piece = stream.waiting.shift()!
      const last = stream.waitingEnd && stream.waiting.length === 0
      if (last) stream.waitingEnd = false
      stream.user?.onData(piece, 0, piece.length, last)
      this.consume(stream, piece.length)
      if (last) owner.settle(stream)
    }
    if (stream.isPaused || stream.waiting.length > 0) return
    if (stream.waitingEnd) {
      stream.waitingEnd = false
      stream.user?.onData(empty, 0, 0, true)
      owner.settle(stream)
    } else if (stream.waitingTrailers !== null) {
      const trailers = stream.waitingTrailers
      stream.waitingTrailers = null
      stream.user?.onTrailers(trailers)
      owner.settle(stream)
    }
  }

  // What nobody needs

  /**
   * The answer is complete: nobody needs the rest of the request (section 8.1). It may be on its way already; if there is much
   * of it, or it does not end, the client is told.
   */
  discardRest(stream: Http2Stream): void {
    stream.discardSinceMs = this.now()
    this.discarding.add(stream)
  }

  private discard(stream: Http2Stream, length: number, ends: boolean): void {
    const { owner } = this
    this.giveBack(length)
    stream.discarded += length
    if (ends) {
      owner.remoteEnd(stream)
      owner.settle(stream)
    } else if (stream.discarded > maxDiscarded) owner.resetStream(stream, errorCode.noError)
  }

  /** Tells clients whose requests go on for too long behind their answers. */
  tick(): void {
    for (const stream of [...this.discarding]) {
      if (this.now() - stream.discardSinceMs >= maxDiscardMs) this.owner.resetStream(stream, errorCode.noError)
    }
  }

  /** The stream is closed. */
  forget(stream: Http2Stream): void {
    this.giveBack(stream.dropWaiting())
    this.discarding.delete(stream)
  }
}

/** Of a request whose answer is complete: so much, and so long, until the client is told to stop. */
const maxDiscarded = 65536
const maxDiscardMs = 1000
/** Of a body that is not as long as its head said: Envoy ends its stream, and says no more of it. */
const lengthMismatch = 'http2.remote_reset: body does not have the announced length'
const empty = Buffer.alloc(0)
