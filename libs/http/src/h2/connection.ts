import { HeaderTable } from '../header-table.ts'
import type { ByteSink, ResetReason } from '../stream.ts'
import { AbuseBudget } from './abuse-budget.ts'
import type { CodecEvent, FloodEvent } from './codec-event.ts'
import { ControlFrames, type ControlOwner } from './control-frames.ts'
import { errorCode } from './error-code.ts'
import { defaultWindow, flag, frameType, maxStreamId } from './frame.ts'
import { type Deadline, type FrameHandler, FrameReader } from './frame-reader.ts'
import { HeaderBlock } from './header-block.ts'
import { HpackDecoder } from './hpack/decoder.ts'
import { HpackEncoder } from './hpack/encoder.ts'
import { Inbox, type InboxOwner } from './inbox.ts'
import { Liveness } from './liveness.ts'
import { MessageFields, type MessagePart, violation } from './message-fields.ts'
import type { Http2Options } from './options.ts'
import { Outbox } from './outbox.ts'
import { PeerSettings, settingId } from './settings.ts'
import { Http2Stream, type StreamUser } from './stream.ts'
import { afterLocalEnd, afterRemoteEnd, ClosedStreams, isLocalOpen, isRemoteOpen } from './stream-states.ts'
import { StreamTable } from './stream-table.ts'

/** What the two roles do differently. */
export interface ConnectionRole {
  readonly isServer: boolean
  /** A header block is whole. `stream`: the open stream it belongs to. It has to be decoded, whatever becomes of it. */
  onHeaderBlock(block: HeaderBlock, stream: Http2Stream | null, bytes: Buffer, start: number, end: number): void
  /** A block of this stream has begun and will not be whole: the connection is about to end for it. */
  onInterrupted(streamId: number): void
  /** Whether DATA may come on the stream: its head has come. */
  mayHaveData(stream: Http2Stream): boolean
  /** The peer opens no streams beyond this one, or takes none of ours. */
  onGoaway(lastStreamId: number, code: number): void
  /** A stream is closed and its number free again. */
  onStreamClosed(): void
  onSettings(): void
  /** A connection error is about to end it. */
  onFailure(detail: string): void
  /** A connection is lost with more streams than should end at once: whether `endLost` will be called, soon. */
  endsLater(): boolean
  /** Something happened that is worth counting. */
  note(event: CodecEvent): void
  /** Nothing more comes: close when what is written has left. */
  closeAfterWrite(): void
  /** The same with a peer that overdid it: what more it sends is better not read at all. */
  turnAway(): void
}

/**
 * What both roles of a connection share (RFC 9113): frames in and out, streams and their states, flow control both ways,
 * settings, PING, GOAWAY. Without sockets and timers: bytes come by `receive`, time by `tick`.
 */
export class Http2Connection implements FrameHandler, InboxOwner, ControlOwner {
  readonly options: Http2Options
  readonly inbox: Inbox
  private readonly control: ControlFrames
  readonly outbox: Outbox
  readonly streams = new StreamTable()
  readonly closed = new ClosedStreams()
  readonly peer = new PeerSettings()
  readonly fields: MessageFields
  readonly budget: AbuseBudget
  readonly liveness: Liveness
  /** The highest identifier the peer has opened a stream with. */
  lastPeerStream = 0
  /** The next one of ours. */
  nextStream: number
  /** 'goaway': we have said which streams we still take. */
  draining: 'no' | 'notice' | 'goaway' = 'no'
  private readonly role: ConnectionRole
  private readonly reader: FrameReader
  private readonly decoder: HpackDecoder
  private readonly block: HeaderBlock
  private readonly scratch = new HeaderTable()
  private dead = false
  /** Once it is dead: what its streams hear, and those that have not heard it. */
  private lost: LostStreams | null = null
  readonly now: () => number

  constructor(sink: ByteSink, options: Http2Options, role: ConnectionRole, now: () => number) {
    this.options = options
    this.role = role
    this.now = now
    this.nextStream = role.isServer ? 2 : 1
    this.budget = new AbuseBudget(options.budget, now)
    this.outbox = new Outbox(
      sink,
      new HpackEncoder(Math.min(options.hpackTableSize, 65536), options.huffman),
      this.budget,
      { onLocalEnd: (stream) => this.localEnd(stream), onFlood: (what) => this.flood(what) },
      now,
    )
    this.fields = new MessageFields(options.maxHeadBytes, options.maxHeaders)
    this.decoder = new HpackDecoder(Math.max(4096, options.hpackTableSize))
    this.block = new HeaderBlock(options.maxHeadBytes, options.budget.maxContinuations)
    this.inbox = new Inbox(this, options, now)
    this.control = new ControlFrames(this)
    this.liveness = new Liveness(options, now)
    this.reader = new FrameReader(this)
  }

  /** Says our settings. */
  start(): void {
    const { options, role } = this
    const values: [number, number][] = [[settingId.headerTableSize, options.hpackTableSize]]
    if (!role.isServer) values.push([settingId.enablePush, 0])
    else {
      values.push([settingId.maxConcurrentStreams, options.maxConcurrentStreams])
      values.push([settingId.enableConnectProtocol, options.allowConnect ? 1 : 0])
    }
    values.push([settingId.initialWindowSize, options.initialStreamWindow])
    this.outbox.settings(values)
    const wider = options.initialConnectionWindow - defaultWindow
    if (wider > 0) this.outbox.windowUpdate(0, wider)
  }

  /** Whether the peer has said its settings. */
  get isGreeted(): boolean {
    return this.control.sawSettings
  }

  get isDead(): boolean {
    return this.dead
  }

  /** Gives the position behind what was taken, which is `end` but where the deadline was over. */
  receive(bytes: Buffer, start: number, end: number, deadline: Deadline | null = null): number {
    if (this.dead) return end
    if (!this.outbox.isCongested) this.budget.drained()
    this.liveness.heard()
    return this.reader.read(bytes, start, end, deadline)
  }

  /** The sink has room again. */
  writable(): void {
    if (this.dead) return
    this.budget.drained()
    this.outbox.pump()
  }

  // Ends

  /** A connection error (section 5.4.1). */
  fail(code: number, detail: string): void {
    if (this.dead) return
    this.interruptBlock()
    this.outbox.goaway(this.lastPeerStream, code, detail)
    this.role.onFailure(detail)
    this.lose('protocol-error', codecError)
    this.role.closeAfterWrite()
  }

  /**
   * The same for what is well formed and yet must not be; where the options say so without a word (Envoy's way). `streamId`: of the
   * stream it is about, if of one, which hears `ofStream`.
   */
  violate(code: number, detail: string, streamId = 0, ofStream = unknownError): void {
    if (this.dead) return
    if (this.options.announceViolations) {
      this.fail(code, detail)
      return
    }
    this.role.onFailure(detail)
    this.lose('protocol-error', codecError, streamId, ofStream)
    this.role.closeAfterWrite()
  }

  /** A stream's error; where violations end connections without a word (Envoy's way), this does too. */
  violateStream(stream: Http2Stream, code: number, detail: string): void {
    if (this.options.announceViolations) this.streamError(stream, code, detail)
    else this.violate(code, detail, stream.id)
  }

  private interruptBlock(): void {
    const { block } = this
    if (!block.isOpen) return
    block.isOpen = false
    this.role.onInterrupted(block.streamId)
  }

  private goaway(lastStreamId: number, code: number, detail: string): void {
    this.role.note('goaway_sent')
    this.outbox.goaway(lastStreamId, code, detail)
  }

  flood(what: FloodEvent): void {
    if (this.dead) return
    this.interruptBlock()
    this.role.note(what)
    this.outbox.goaway(this.lastPeerStream, errorCode.enhanceYourCalm, what)
    this.lose('protocol-error', `http2.${what}`)
    this.role.turnAway()
  }

  /** The connection is gone: every stream ends, the newest first as with Envoy; that of `streamId` for a reason of its own. */
  lose(reason: ResetReason, detail: string, streamId = 0, ofStream = detail): void {
    if (this.dead) return
    this.interruptBlock()
    this.dead = true
    this.reader.stop()
    this.block.release()
    this.lost = { streams: this.streams.all(), reason, detail, streamId, ofStream }
    this.streams.clear()
    if (this.lost.streams.length <= maxEndedAtOnce || !this.role.endsLater()) this.endLost(null)
  }

  /** Ends streams of a lost connection until the deadline is over; whether those were all. */
  endLost(deadline: Deadline | null): boolean {
    const { lost } = this
    if (lost === null) return true
    const { streams, reason, detail, streamId, ofStream } = lost
    do {
      const stream = streams.pop()
      if (stream === undefined) return true
      stream.state = 'closed'
      this.role.note('stream_closed')
      this.outbox.forget(stream)
      const { user } = stream
      stream.user = null
      user?.onReset(reason, stream.id === streamId ? ofStream : detail)
    } while (deadline === null || !deadline.isOver())
    return streams.length === 0
  }

  /** A stream error that the peer made (section 5.4.2). */
  streamError(stream: Http2Stream, code: number, detail: string): void {
    if (!this.streams.has(stream.id)) return
    const { user } = stream
    this.resetStream(stream, code)
    user?.onReset('protocol-error', detail)
    this.noteReset()
  }

  /** The peer gave a stream up. */
  notePeerReset(stream: Http2Stream): void {
    if (!stream.isAnswered && this.now() - stream.openedMs < this.options.budget.prematureResetMs) this.noteReset()
  }

  /** The peer made us refuse or end a stream. */
  noteReset(): void {
    const flood = this.budget.prematureReset()
    if (flood !== null) this.flood(flood)
  }

  /** Ends a stream from our side. */
  resetStream(stream: Http2Stream, code: number): void {
    if (this.dead || !this.streams.has(stream.id)) return
    if (stream.state === 'closed') {
      // Both sides have ended; only a paused reader had not taken all.
      this.close(stream, 'end')
      return
    }
    this.role.note('tx_reset')
    this.outbox.resetStream(stream.id, code)
    this.close(stream, 'local-reset')
  }

  /** RST_STREAM for an identifier that has no stream here. */
  refuse(streamId: number, code: number): void {
    this.closed.note(streamId, 'local-reset')
    this.role.note('tx_reset')
    this.outbox.resetStream(streamId, code)
  }

  private close(stream: Http2Stream, by: 'end' | 'local-reset' | 'remote-reset'): void {
    if (!this.streams.delete(stream.id)) return
    this.role.note('stream_closed')
    stream.state = 'closed'
    stream.user = null
    this.outbox.forget(stream)
    this.closed.note(stream.id, by)
    this.inbox.forget(stream)
    if (this.dead) return
    this.closeIfDrained()
    this.role.onStreamClosed()
  }

  // Draining

  /**
   * Ends the connection without losing a request: says that it is about to end, some time later which streams are still
   * taken, and closes when those are done. (A PING would tell when the client knows; some clients take none after GOAWAY.)
   */
  drain(): void {
    if (this.dead || this.draining !== 'no') return
    if (!this.role.isServer) {
      this.lastGoaway()
      return
    }
    this.draining = 'notice'
    // Counted is the last one only, as Envoy does.
    this.outbox.goaway(maxStreamId, errorCode.noError, '')
    this.liveness.beginDrain()
  }

  private lastGoaway(): void {
    this.draining = 'goaway'
    // A client's says that it takes no streams, of which there are none; some servers give up those that are open.
    if (this.role.isServer) this.goaway(this.lastPeerStream, errorCode.noError, '')
    this.closeIfDrained()
  }

  private closeIfDrained(): void {
    if (this.draining !== 'goaway' || this.streams.size > 0 || this.dead) return
    // Counted are those that take a peer's requests from it.
    if (!this.role.isServer) this.outbox.goaway(this.lastPeerStream, errorCode.noError, '')
    this.dead = true
    this.reader.stop()
    this.role.closeAfterWrite()
  }

  /** Looks at what time brings about; call it about every second while the connection lives. */
  tick(): void {
    if (this.dead) return
    const { liveness } = this
    for (const stream of this.outbox.stalled(this.streams.all(), this.now(), this.options)) {
      const { user } = stream
      this.role.note('tx_flush_timeout')
      this.resetStream(stream, errorCode.internalError)
      user?.onReset('local-reset', 'flush timeout')
    }
    this.inbox.tick()
    if (!this.control.settingsAcked && liveness.settingsOverdue) {
      this.fail(errorCode.settingsTimeout, 'settings not acknowledged')
      return
    }
    if (this.draining === 'notice' && liveness.drainNoticeOver) this.lastGoaway()
    switch (liveness.check()) {
      case 'ping':
        this.outbox.ping(false, keepalivePing, 0)
        break
      case 'lost':
        this.role.note('keepalive_timeout')
        this.goaway(this.lastPeerStream, errorCode.noError, 'keepalive timeout')
        this.lose('connection-closed', 'keepalive timeout')
        this.role.closeAfterWrite()
        break
    }
  }

  // Streams

  open(id: number, user: StreamUser | null): Http2Stream {
    const stream = new Http2Stream(id, user, this.peer.initialWindowSize, this.inbox.streamWindow, this.now())
    this.streams.add(stream)
    this.role.note('stream_opened')
    this.budget.streamOpened()
    return stream
  }

  private localEnd(stream: Http2Stream): void {
    if (!isLocalOpen(stream.state)) return
    this.outbox.noteRead(stream)
    stream.state = afterLocalEnd(stream.state)
    if (stream.state === 'closed') this.close(stream, 'end')
    else if (this.role.isServer && !stream.isTunnel) {
      this.inbox.discardRest(stream)
    }
  }

  /** The peer's END_STREAM is there, or is what is told next. */
  remoteEnd(stream: Http2Stream): void {
    stream.state = afterRemoteEnd(stream.state)
  }

  /** After the user has heard of the end. */
  settle(stream: Http2Stream): void {
    if (stream.state === 'closed') {
      this.close(stream, 'end')
    } else if (!this.role.isServer && !stream.isTunnel && !isRemoteOpen(stream.state)) {
      // The answer is complete before the request: the rest of it is not sent.
      this.resetStream(stream, errorCode.cancel)
    }
  }

  // ControlOwner

  get isServer(): boolean {
    return this.role.isServer
  }

  resetByPeer(stream: Http2Stream): void {
    this.role.note('rx_reset')
    this.close(stream, 'remote-reset')
  }

  /** The peer has said that it will not look at the stream, which needs no word of ours. */
  abandon(stream: Http2Stream): void {
    this.close(stream, 'remote-reset')
  }

  onGoaway(lastStreamId: number, code: number): void {
    this.role.onGoaway(lastStreamId, code)
  }

  onPeerSettings(): void {
    this.role.onSettings()
  }

  onOwnSettings(): void {
    this.decoder.setLimit(this.options.hpackTableSize)
    this.inbox.onSettingsAck()
  }

  // InboxOwner

  mayHaveData(stream: Http2Stream): boolean {
    return this.role.mayHaveData(stream)
  }

  // FrameHandler

  onFrameSizeError(detail: string): void {
    this.reader.stop()
    this.fail(errorCode.frameSizeError, detail)
  }

  onPaddingError(): void {
    this.reader.stop()
    this.fail(errorCode.protocolError, 'padding longer than the frame')
  }

  onDataFrame(flags: number, streamId: number, length: number, dataLength: number): void {
    if (!this.outOfOrder(frameType.data, streamId)) this.inbox.frame(flags, streamId, length, dataLength)
  }

  onDataPiece(bytes: Buffer, start: number, end: number, last: boolean): void {
    if (!this.dead) this.inbox.piece(bytes, start, end, last)
  }

  onFrame(type: number, flags: number, streamId: number, bytes: Buffer, start: number, end: number): void {
    if (this.outOfOrder(type, streamId)) return
    switch (type) {
      case frameType.headers:
        this.onHeaders(flags, streamId, bytes, start, end)
        break
      case frameType.continuation:
        this.onContinuation(flags, bytes, start, end)
        break
      default:
        this.control.frame(type, flags, streamId, bytes, start, end)
    }
  }

  /** Whether the frame may not come now: not first, or inside a header block. */
  private outOfOrder(type: number, streamId: number): boolean {
    if (!this.control.sawSettings && type !== frameType.settings) {
      this.fail(errorCode.protocolError, 'the first frame is not SETTINGS')
      return true
    }
    if (this.block.isOpen !== (type === frameType.continuation) || (this.block.isOpen && this.block.streamId !== streamId)) {
      this.fail(errorCode.protocolError, 'header block interrupted, or continued without one')
      return true
    }
    return false
  }

  /** True: within the budget. */
  private counted(flood: FloodEvent | null): boolean {
    if (flood === null) return true
    this.flood(flood)
    return false
  }

  isIdle(streamId: number): boolean {
    const ours = (streamId & 1) === (this.nextStream & 1)
    return ours ? streamId >= this.nextStream : streamId > this.lastPeerStream
  }

  private onHeaders(flags: number, streamId: number, bytes: Buffer, start: number, end: number): void {
    if (streamId === 0) {
      this.violate(errorCode.protocolError, 'HEADERS on stream 0')
      return
    }
    const problem = this.block.begin(flags, streamId, bytes, start, end)
    if (problem !== errorCode.noError) {
      this.block.isOpen = false
      this.fail(problem, 'HEADERS frame too short for its padding or priority')
      return
    }
    const { block } = this
    if (!this.counted(this.budget.payloadReceived(block.fragmentEnd === block.fragmentStart && !block.endStream))) return
    if ((flags & flag.endHeaders) !== 0) {
      block.isOpen = false
      this.finishBlock(bytes, block.fragmentStart, block.fragmentEnd)
    } else this.collect(bytes, block.fragmentStart, block.fragmentEnd)
  }

  private onContinuation(flags: number, bytes: Buffer, start: number, end: number): void {
    const { block } = this
    if (!this.counted(this.budget.payloadReceived(start === end))) return
    if (!block.continued()) {
      this.flood('header_block_flood')
      return
    }
    if (!this.collect(bytes, start, end)) return
    if ((flags & flag.endHeaders) === 0) return
    block.isOpen = false
    this.finishBlock(block.buffer, 0, block.length)
    block.release()
  }

  private collect(bytes: Buffer, start: number, end: number): boolean {
    if (this.block.collect(bytes, start, end)) return true
    this.flood('header_block_flood')
    return false
  }

  private finishBlock(bytes: Buffer, start: number, end: number): void {
    const { block } = this
    this.role.onHeaderBlock(block, this.streams.get(block.streamId), bytes, start, end)
  }

  /** Decodes a block into a table; false: the connection has failed. */
  decode(part: MessagePart, table: HeaderTable, bytes: Buffer, start: number, end: number): boolean {
    this.fields.begin(part, table)
    if (this.decoder.decode(bytes, start, end, this.fields)) return true
    this.fail(errorCode.compressionError, 'header block can not be decoded')
    return false
  }

  /** Decodes a block that nobody wants, for what it does to the dynamic table. */
  dropBlock(bytes: Buffer, start: number, end: number): boolean {
    this.scratch.clear()
    return this.decode('trailers', this.scratch, bytes, start, end)
  }

  /** A malformed message (section 8.1.1). */
  malformed(stream: Http2Stream, detail: string): void {
    this.role.note('rx_messaging_error')
    if (this.options.streamErrorOnInvalidMessage) this.streamError(stream, errorCode.protocolError, detail)
    else this.violate(errorCode.protocolError, detail, stream.id, detail)
  }

  /** A head or trailers beyond our limits, which the peer could not know: as Envoy, nobody is blamed for breaking the protocol. */
  refuseTooLarge(stream: Http2Stream, excess: string): void {
    const { user } = stream
    this.role.note('header_overflow')
    this.resetStream(stream, errorCode.internalError)
    user?.onReset(this.role.isServer ? 'refused-stream' : 'remote-reset', excess)
    this.noteReset()
  }

  /** Trailers of either direction: they end the stream. */
  trailers(block: HeaderBlock, stream: Http2Stream, table: HeaderTable, bytes: Buffer, start: number, end: number): void {
    if (this.role.isServer) this.role.note('trailers')
    if (!this.decode('trailers', table, bytes, start, end)) return
    const { fields } = this
    if (!block.endStream) this.malformed(stream, violation('trailers that do not end the stream'))
    else if (fields.malformed !== '') this.malformed(stream, fields.malformed)
    else if (fields.full) this.refuseTooLarge(stream, fields.excess)
    else if (!stream.hasLength(fields.contentLength)) {
      this.malformed(stream, violation('body does not have the announced length'))
    } else {
      this.remoteEnd(stream)
      if (stream.isPaused || stream.hasWaiting) {
        stream.waitingTrailers = table
        return
      }
      stream.user?.onTrailers(table)
      this.settle(stream)
    }
  }
}

interface LostStreams {
  /** The newest last. */
  readonly streams: Http2Stream[]
  readonly reason: ResetReason
  readonly detail: string
  /** One that hears something of its own. */
  readonly streamId: number
  readonly ofStream: string
}

/** Streams of a lost connection that end with it; where there are more, all of them end a little later. */
const maxEndedAtOnce = 16
/** What Envoy says of streams that end because their connection's bytes are none of HTTP/2. */
const codecError = 'codec_error:The_user_callback_function_failed'
/** The same of the stream that it is about. */
const unknownError = 'http2.unknown.nghttp2.error'
const keepalivePing = Buffer.from('weft-you')
