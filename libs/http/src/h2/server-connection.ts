import { HeaderTable } from '../header-table.ts'
import type { RequestHead, ResponseHead } from '../message.ts'
import type { ByteSink, IncomingRequest, ResetReason, ServerStream } from '../stream.ts'
import { type PeerStanding, provenBy } from './abuse-budget.ts'
import type { CodecEvent } from './codec-event.ts'
import { type ConnectionRole, Http2Connection } from './connection.ts'
import { errorCode } from './error-code.ts'
import { clientPreface } from './frame.ts'
import type { Deadline } from './frame-reader.ts'
import type { HeaderBlock } from './header-block.ts'
import { HpackEncoder } from './hpack/encoder.ts'
import { violation } from './message-fields.ts'
import type { Http2Options } from './options.ts'
import type { Http2Stream, StreamUser } from './stream.ts'
import { isLocalOpen, isRemoteOpen } from './stream-states.ts'
import { dropAccept, toUpgrade } from './websocket.ts'

/** What `failed` is told of who does not speak HTTP/2 at all. */
export const badPreface = 'invalid connection preface'

export interface Http2ServerEvents {
  /** A request begins: gives who takes it. */
  begin(stream: Http2ServerStream): IncomingRequest
  /**
   * Something goes on by `goOn`, which is to be called soon: requests that do not begin yet, or a lost connection's streams of which
   * there are too many to end at once. Requests of a peer of which little is known wait until the bytes that are there have been taken,
   * and those of one that often gives its requests up (rapid reset), does not read its answers, or all but the first few of a new one,
   * until some time later: what is given up until then costs next to nothing. Absent: all requests begin with their heads.
   */
  waiting?(): void
  /** Close once what was written has left. */
  closeAfterWrite(): void
  /** The same with a client that overdid it: what more it sends is better not read at all. Absent: `closeAfterWrite`. */
  turnAway?(): void
  /** No stream is open any more. */
  idle(): void
  /** The peer broke the protocol, and the connection ends with it. */
  failed(detail: string): void
  /** Something happened that is worth counting. */
  noted(event: CodecEvent): void
}

/**
 * The server side of HTTP/2 without a socket: bytes in by `receive`, requests out to what `begin` gives, answers in by each
 * stream's ServerStream methods, bytes out to the sink. It speaks when the client's preface is there.
 */
export class Http2ServerConnection implements ConnectionRole {
  readonly isServer = true
  private readonly events: Http2ServerEvents
  private readonly core: Http2Connection
  private readonly options: Http2Options
  private prefaceLeft = clientPreface.length
  private idleTold = true
  /** Requests whose heads are there and which have not begun. */
  private readonly waiting: Http2ServerStream[] = []

  constructor(sink: ByteSink, options: Http2Options, events: Http2ServerEvents, now: () => number = () => performance.now()) {
    this.options = options
    this.events = events
    this.core = new Http2Connection(sink, options, this, now)
  }

  /** Whether no request is under way. */
  get isIdle(): boolean {
    return this.core.streams.size === 0
  }

  get openStreams(): number {
    return this.core.streams.size
  }

  get isDraining(): boolean {
    return this.core.draining !== 'no'
  }

  /**
   * Bytes from the peer; they are not used after the call. Gives the position behind what was taken: where the deadline was
   * over before `end`, the rest is to be given again.
   */
  receive(bytes: Buffer, start: number, end: number, deadline: Deadline | null = null): number {
    let at = start
    while (this.prefaceLeft > 0 && at < end) {
      if (bytes[at] !== clientPreface[clientPreface.length - this.prefaceLeft]) {
        // Whatever it is, it is not HTTP/2: there is nobody to tell (section 3.4).
        this.prefaceLeft = 0
        this.events.failed(badPreface)
        this.core.lose('protocol-error', badPreface)
        this.events.closeAfterWrite()
        return end
      }
      at++
      if (--this.prefaceLeft === 0) this.core.start()
    }
    const { core, waiting } = this
    const inTurns = waiting.length > 0
    const taken = core.receive(bytes, at, end, deadline)
    if (waiting.length > 0 && (inTurns || this.begunIsEnough || !this.beginWaiting(deadline))) this.events.waiting?.()
    return taken
  }

  /** Whether what waits has to wait for a turn: of a new peer, which has not read anything yet, only a few requests are begun at once. */
  private get begunIsEnough(): boolean {
    const { core } = this
    const { standing } = core.budget
    if (standing === 'new') return core.streams.size - this.waiting.length >= maxBegunAtOnce
    return standing === 'fickle' || core.outbox.isStuck
  }

  /** How the peer is to be treated: one that asks for more at once than may begin at once is like a fickle one until those have begun. */
  get standing(): PeerStanding {
    return this.waiting.length > 0 ? 'fickle' : this.core.budget.standing
  }

  /** Goes on with what `waiting` told of until the deadline is over; whether that was all. */
  goOn(deadline: Deadline): boolean {
    return this.core.isDead ? this.core.endLost(deadline) : this.beginWaiting(deadline)
  }

  /** Begins requests that wait, until the deadline is over, and of a peer that is not steady a few; whether that was all. */
  private beginWaiting(deadline: Deadline | null): boolean {
    const { waiting } = this
    let left = this.core.budget.standing === 'steady' ? waiting.length : maxBegunAtOnce
    let at = 0
    while (at < waiting.length && left > 0 && (deadline === null || !deadline.isOver())) if (waiting[at++]!.beginLate()) left--
    waiting.splice(0, at)
    return waiting.length === 0
  }

  /** The sink has room again. */
  writable(): void {
    this.core.writable()
  }

  /** The peer sends no more. */
  receiveEnd(): void {
    this.connectionLost('remote closed')
  }

  /** The connection is gone. */
  connectionLost(detail: string): void {
    this.core.lose('connection-closed', detail)
  }

  /** No new requests; the connection closes when those under way are done. */
  drain(): void {
    this.core.drain()
  }

  /** Time passes: call about every second. */
  tick(): void {
    this.core.tick()
  }

  // ConnectionRole

  mayHaveData(): boolean {
    return true
  }

  onGoaway(): void {}

  onFailure(detail: string): void {
    this.events.failed(detail)
  }

  endsLater(): boolean {
    if (this.events.waiting === undefined) return false
    this.events.waiting()
    return true
  }

  note(event: CodecEvent): void {
    this.events.noted(event)
  }

  onSettings(): void {}

  onStreamClosed(): void {
    if (this.core.streams.size > 0 || this.idleTold) return
    this.idleTold = true
    this.events.idle()
  }

  closeAfterWrite(): void {
    this.events.closeAfterWrite()
  }

  turnAway(): void {
    if (this.events.turnAway === undefined) this.events.closeAfterWrite()
    else this.events.turnAway()
  }

  onHeaderBlock(block: HeaderBlock, stream: Http2Stream | null, bytes: Buffer, start: number, end: number): void {
    const { core } = this
    if (stream !== null) {
      if (isRemoteOpen(stream.state)) {
        const table = stream.user instanceof Http2ServerStream ? stream.user.trailersTable() : new HeaderTable()
        core.trailers(block, stream, table, bytes, start, end)
      } else core.violate(errorCode.streamClosed, 'HEADERS after the end', stream.id)
      return
    }
    const id = block.streamId
    if ((id & 1) === 0) {
      core.violate(errorCode.protocolError, 'a client opened a stream of even number')
      return
    }
    if (block.dependsOnItself) {
      core.violate(errorCode.protocolError, 'stream depends on itself')
      return
    }
    if (id <= core.lastPeerStream) {
      this.onLateBlock(id, bytes, start, end)
      return
    }
    if (core.draining === 'goaway') {
      // The peer has been told that these are not taken.
      core.dropBlock(bytes, start, end)
      return
    }
    core.lastPeerStream = id
    if (core.streams.size >= this.options.maxConcurrentStreams) {
      if (!core.dropBlock(bytes, start, end)) return
      this.note('stream_refused_errors')
      core.refuse(id, errorCode.refusedStream)
      core.noteReset()
      return
    }
    this.openStream(block, bytes, start, end)
  }

  /** A request all the same, though nothing of it is known: as with Envoy it is told of, and the last that was looked at. */
  onInterrupted(streamId: number): void {
    const { core } = this
    if ((streamId & 1) === 0 || streamId <= core.lastPeerStream || core.draining === 'goaway') return
    core.lastPeerStream = streamId
    const answer = new Http2ServerStream(core)
    answer.begin(core.open(streamId, answer), this.events).request.version = 20
  }

  /** A block of a stream that is closed, or was passed over. */
  private onLateBlock(id: number, bytes: Buffer, start: number, end: number): void {
    const { core } = this
    const by = core.closed.endOf(id)
    if (by === 'local-reset') core.dropBlock(bytes, start, end)
    else if (by === null) core.fail(errorCode.protocolError, 'stream identifiers go up only')
    else core.fail(errorCode.streamClosed, 'HEADERS on a closed stream')
  }

  private openStream(block: HeaderBlock, bytes: Buffer, start: number, end: number): void {
    const { core } = this
    const { endStream } = block
    const answer = new Http2ServerStream(core)
    const stream = core.open(block.streamId, answer)
    this.idleTold = false
    const receiver = answer.begin(stream, this.events)
    const { request } = receiver
    request.version = 20
    if (!core.decode('request', request.headers, bytes, start, end)) return
    const { fields } = core
    if (fields.full && fields.malformed === '') {
      forgetHead(request)
      core.refuseTooLarge(stream, fields.excess)
      return
    }
    const problem = fields.finishRequest(request, this.options.allowConnect)
    if (problem !== '') {
      core.malformed(stream, problem)
      return
    }
    stream.expectedLength = fields.contentLength
    if (endStream && fields.contentLength > 0) {
      forgetHead(request)
      core.malformed(stream, violation('body does not have the announced length'))
      return
    }
    if (fields.protocol !== '') {
      answer.upgrade = fields.protocol
      answer.madeKey = toUpgrade(request, fields.protocol)
    }
    answer.isConnect = request.method === 'CONNECT' || answer.upgrade !== ''
    if (endStream) core.remoteEnd(stream)
    const { standing } = core.budget
    if (this.events.waiting !== undefined && (standing !== 'steady' || core.outbox.isStuck)) {
      answer.wait(endStream)
      this.waiting.push(answer)
      if (standing === 'new' && this.waiting.length > maxWaiting) this.waiting.shift()?.beginLate()
    } else receiver.onRequestHead(endStream)
  }
}

/** As with Envoy, who is asked hears nothing of a head that was not taken. */
function forgetHead(request: RequestHead): void {
  request.clear()
  request.version = 20
}

/** One request's stream, as who answers it sees it. */
export class Http2ServerStream implements ServerStream, StreamUser {
  /** The protocol of an extended CONNECT. */
  upgrade = ''
  /** The client of a WebSocket brought no key. */
  madeKey = false
  /** CONNECT, plain or extended: an accepted one is a tunnel. */
  isConnect = false
  private readonly core: Http2Connection
  private stream: Http2Stream | null = null
  private receiver: IncomingRequest | null = null
  private headEnds = false

  constructor(core: Http2Connection) {
    this.core = core
  }

  /** For the connection: takes the stream and asks who takes its request. */
  begin(stream: Http2Stream, events: Http2ServerEvents): IncomingRequest {
    this.stream = stream
    this.receiver = events.begin(this)
    this.receiver.request.clear()
    return this.receiver
  }

  get id(): number {
    return this.stream?.id ?? 0
  }

  /** For the connection: the request, whose head is there, does not begin yet. */
  wait(endStream: boolean): void {
    this.headEnds = endStream
    if (this.stream !== null) this.core.inbox.pause(this.stream)
  }

  /** For the connection: the request begins now, unless it was given up; whether it does. */
  beginLate(): boolean {
    const { stream, receiver, core } = this
    if (stream === null || receiver === null) return false
    // Who takes the request may want its body later still.
    stream.isPaused = false
    receiver.onRequestHead(this.headEnds)
    if (stream.isPaused || stream.state === 'closed') return true
    core.inbox.pause(stream)
    core.inbox.resume(stream)
    return true
  }

  trailersTable(): HeaderTable {
    const table = this.receiver?.requestTrailers
    if (table === undefined) return new HeaderTable()
    table.clear()
    return table
  }

  // StreamUser

  onData(buffer: Buffer, start: number, end: number, endStream: boolean): void {
    this.receiver?.onRequestData(buffer, start, end, endStream)
  }

  onTrailers(trailers: HeaderTable): void {
    this.receiver?.onRequestTrailers(trailers)
  }

  onReset(reason: ResetReason, detail: string): void {
    const { receiver } = this
    this.receiver = null
    this.stream = null
    receiver?.onRequestReset(reason, detail)
  }

  onWritable(): void {
    this.receiver?.onResponseWritable()
  }

  // ServerStream

  sendInterim(head: ResponseHead): void {
    if (head.status !== 101) this.head(head.status, head.headers, false)
  }

  sendContinue(): void {
    this.head(100, noHeaders, false)
  }

  sendHead(head: ResponseHead, endStream: boolean): void {
    const { stream } = this
    if (stream === null) return
    let { status } = head
    if (this.isConnect && (status === 101 || (this.upgrade === '' && status >= 200 && status < 300))) {
      stream.isTunnel = true
      if (this.upgrade !== '') {
        status = 200
        if (this.madeKey) dropAccept(head.headers)
      }
    }
    stream.isAnswered = true
    if (endStream) this.finished()
    this.head(status, head.headers, endStream, stream)
  }

  private head(status: number, headers: HeaderTable, endStream: boolean, stream = this.stream): void {
    const { core } = this
    if (stream === null || core.isDead || stream.state === 'closed') return
    const { outbox } = core
    const { hpack } = outbox
    const out = outbox.beginHeaders(HpackEncoder.bound(headers))
    let at = hpack.begin(out, outbox.blockStart)
    at = hpack.status(status, out, at)
    outbox.endHeaders(stream, out, hpack.fields(headers, out, at), endStream)
  }

  sendData(buffer: Buffer, start: number, end: number, endStream: boolean): boolean {
    const { stream, core } = this
    if (stream === null) return true
    if (endStream) this.finished()
    return core.isDead || stream.state === 'closed' || core.outbox.data(stream, buffer, start, end, endStream)
  }

  get takesNothing(): boolean {
    return this.stream !== null && this.core.outbox.windowFor(this.stream) <= 0
  }

  sendTrailers(trailers: HeaderTable): void {
    const { stream, core } = this
    if (stream === null) return
    this.finished()
    if (!core.isDead && stream.state !== 'closed') core.outbox.trailers(stream, trailers)
  }

  /** The answer is complete: but for CONNECT, who made it hears no more. */
  private finished(): void {
    const { stream } = this
    if (stream === null || this.isConnect) return
    this.receiver = null
    this.stream = null
    // What still comes of the request is thrown away.
    this.core.inbox.resume(stream)
  }

  reset(): void {
    const { stream } = this
    this.receiver = null
    this.stream = null
    if (stream === null) return
    if (stream.endQueued) {
      // What waits is sent to its end, and the rest of the request thrown away.
      stream.isTunnel = false
      this.core.inbox.resume(stream)
      return
    }
    // Behind a complete answer nobody is to blame.
    const blame = this.isConnect ? errorCode.connectError : errorCode.internalError
    this.core.resetStream(stream, isLocalOpen(stream.state) ? blame : errorCode.noError)
  }

  closeAfterResponse(): void {}

  announceClose(): void {}

  limitFlush(ms: number): void {
    if (this.stream !== null) this.stream.flushMs = ms
  }

  declineUpgrade(): void {}

  pauseRequest(): void {
    if (this.stream !== null) this.core.inbox.pause(this.stream)
  }

  resumeRequest(): void {
    if (this.stream !== null) this.core.inbox.resume(this.stream)
  }
}

/** Requests of a new peer that wait for the end of its bytes: with many more, streams would be refused that might be answered already. */
const maxWaiting = 128
/** Requests of a peer that is not steady which begin at once: as many as make it a steady one when they are answered. */
const maxBegunAtOnce = provenBy
const noHeaders = new HeaderTable()
