import type { HeaderTable } from '../header-table.ts'
import type { ResetReason } from '../stream.ts'
import { ReceiveWindow, SendWindow } from './flow-control.ts'
import { unknownLength } from './message-fields.ts'
import type { StreamState } from './stream-states.ts'

/** Who is on our side of a stream. */
export interface StreamUser {
  onData(buffer: Buffer, start: number, end: number, endStream: boolean): void
  onTrailers(trailers: HeaderTable): void
  onReset(reason: ResetReason, detail: string): void
  onWritable(): void
}

/** One stream: its state, its windows, what waits to be sent, and what a paused reader has not taken yet. */
export class Http2Stream {
  readonly id: number
  /** null: nobody wants to hear of it any more. */
  user: StreamUser | null
  state: StreamState = 'open'
  readonly sendWindow: SendWindow
  readonly receiveWindow: ReceiveWindow
  /** Content-Length, and what came of it. */
  expectedLength = unknownLength
  receivedLength = 0
  /** When it was opened, as the connection's clock says. */
  readonly openedMs: number
  /** The head of its answer is sent. */
  isAnswered = false
  /** The first bytes of its answer's body have left, or the end of one without. */
  isRead = false
  /** A CONNECT that was accepted: each direction ends for itself. */
  isTunnel = false

  /** Waiting to be sent: pieces (the first from `firstAt` on), then trailers, then the end. */
  pieces: Buffer[] = none
  firstAt = 0
  queuedBytes = 0
  endQueued = false
  /** How long what waits may stay when all is there (ms; 0: any time); null: as long as the connection's others. */
  flushMs: number | null = null
  queuedTrailers: HeaderTable | null = null
  /** It stands in the outbox's round. */
  inRound = false
  /** The user was told to stop, and waits to hear that it may go on. */
  wantsWritable = false
  /** When bytes of it left last (as the connection's clock says); of interest while some are waiting. */
  progressMs = 0

  /** The answer is complete before the request: since when the rest is thrown away, and how much of it there was. */
  discardSinceMs = 0
  discarded = 0

  isPaused = false
  waiting: Buffer[] = none
  waitingEnd = false
  waitingTrailers: HeaderTable | null = null

  constructor(id: number, user: StreamUser | null, sendWindow: number, receiveWindow: number, openedMs: number) {
    this.id = id
    this.user = user
    this.openedMs = openedMs
    this.sendWindow = new SendWindow(sendWindow)
    this.receiveWindow = new ReceiveWindow(receiveWindow)
  }

  /** Whether what came of the body is what its head announced, or trailers say, which may if the head did not. */
  hasLength(inTrailers: number): boolean {
    const { expectedLength, receivedLength } = this
    if (expectedLength !== unknownLength) return receivedLength === expectedLength && inTrailers === unknownLength
    return inTrailers === unknownLength || inTrailers === receivedLength
  }

  /** Whether something waits to be sent. */
  get hasQueued(): boolean {
    return this.queuedBytes > 0 || this.endQueued || this.queuedTrailers !== null
  }

  /** Whether a paused reader has something to take. */
  get hasWaiting(): boolean {
    return this.waiting.length > 0 || this.waitingEnd || this.waitingTrailers !== null
  }

  enqueue(buffer: Buffer, start: number, end: number): void {
    if (end === start) return
    if (this.pieces === none) this.pieces = []
    this.pieces.push(Buffer.from(buffer.subarray(start, end)))
    this.queuedBytes += end - start
  }

  keep(buffer: Buffer, start: number, end: number): void {
    if (end === start) return
    if (this.waiting === none) this.waiting = []
    this.waiting.push(Buffer.from(buffer.subarray(start, end)))
  }

  /** Forgets what waits to be sent. */
  dropQueued(): void {
    this.pieces = none
    this.queuedBytes = 0
    this.endQueued = false
    this.queuedTrailers = null
    this.wantsWritable = false
  }

  /** Forgets what waits to be taken; gives its size. */
  dropWaiting(): number {
    let size = 0
    for (const piece of this.waiting) size += piece.length
    this.waiting = none
    this.waitingEnd = false
    this.waitingTrailers = null
    return size
  }
}

/** Shared by streams that keep nothing; never changed. */
const none: Buffer[] = []
