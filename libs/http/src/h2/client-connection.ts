import { names } from '../header-name.ts'
import { HeaderTable } from '../header-table.ts'
import type { RequestHead } from '../message.ts'
import type { ByteSink, ClientStream, IncomingResponse, ResetReason } from '../stream.ts'
import type { CodecEvent } from './codec-event.ts'
import { type ConnectionRole, Http2Connection } from './connection.ts'
import { errorCode, errorCodeName } from './error-code.ts'
import { clientPreface, maxStreamId } from './frame.ts'
import type { HeaderBlock } from './header-block.ts'
import { HpackEncoder } from './hpack/encoder.ts'
import { unknownLength, violation } from './message-fields.ts'
import type { Http2Options } from './options.ts'
import type { Http2Stream, StreamUser } from './stream.ts'
import { isRemoteOpen } from './stream-states.ts'
import { keyOf, toSwitching } from './websocket.ts'

export interface Http2ClientEvents {
  /** There may be room for another stream: one is closed, or the peer allows more. */
  room(): void
  /** The peer takes no new streams (GOAWAY): open another connection for the next request. */
  goaway(code: number): void
  /** Close once what was written has left. */
  closeAfterWrite(): void
  /** The peer broke the protocol, and the connection ends with it. */
  failed(detail: string): void
  /** Something happened that is worth counting. */
  noted(event: CodecEvent): void
}

/**
 * The client side of HTTP/2 without a socket: `begin` opens a stream for a request, `canOpen` tells whether one may be
 * opened now. `start` comes first; requests may follow at once.
 */
export class Http2ClientConnection implements ConnectionRole {
  readonly isServer = false
  private readonly events: Http2ClientEvents
  private readonly core: Http2Connection
  private readonly options: Http2Options
  private goneAway = false
  /** Streams to open before the peer has said how many it takes (RFC 9113 section 6.5.2: no less than 100 is usual). */
  presumedStreams = 100

  constructor(sink: ByteSink, options: Http2Options, events: Http2ClientEvents, now: () => number = () => performance.now()) {
    this.options = options
    this.events = events
    this.core = new Http2Connection(sink, options, this, now)
  }

  /** Sends the preface and our settings. */
  start(): void {
    this.core.outbox.raw(clientPreface)
    this.core.start()
  }

  get openStreams(): number {
    return this.core.streams.size
  }

  /** How many streams may be open at once; before the peer has said, as many as it is thought to take. */
  get maxStreams(): number {
    const { core, options } = this
    const peers = core.isGreeted ? core.peer.maxConcurrentStreams : this.presumedStreams
    return Math.min(options.maxConcurrentStreams, peers)
  }

  /** What the peer allows; null: it has not said anything yet. */
  get peerMaxStreams(): number | null {
    return this.core.isGreeted ? this.core.peer.maxConcurrentStreams : null
  }

  /** Whether a request may begin now. */
  get canOpen(): boolean {
    return this.isOpen && this.core.streams.size < this.maxStreams
  }

  /** Whether requests may begin here at all: not draining, not gone away, numbers left. */
  get isOpen(): boolean {
    const { core } = this
    return !this.goneAway && core.draining === 'no' && !core.isDead && core.nextStream <= maxStreamId
  }

  /** Whether the peer takes WebSockets and other upgrades (RFC 8441). */
  get takesUpgrades(): boolean {
    return this.core.peer.enableConnectProtocol
  }

  /** Opens a stream. Only where `canOpen`. */
  begin(receiver: IncomingResponse): Http2ClientStream {
    const { core } = this
    const request = new Http2ClientStream(core, receiver)
    const stream = core.open(core.nextStream, request)
    core.nextStream += 2
    request.take(stream)
    return request
  }

  receive(bytes: Buffer, start: number, end: number): void {
    this.core.receive(bytes, start, end)
  }

  writable(): void {
    this.core.writable()
  }

  /** The peer sends no more. */
  receiveEnd(): void {
    this.connectionLost('connection-closed', 'remote closed')
  }

  /** The connection is gone, or never came to be. */
  connectionLost(reason: ResetReason, detail: string): void {
    this.core.lose(reason, detail)
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

  mayHaveData(stream: Http2Stream): boolean {
    return stream.user instanceof Http2ClientStream && stream.user.hasHead
  }

  onGoaway(lastStreamId: number, code: number): void {
    const { core } = this
    const first = !this.goneAway
    this.goneAway = true
    for (const stream of core.streams.all()) {
      if (stream.id <= lastStreamId) continue
      const { user } = stream
      core.abandon(stream)
      user?.onReset('refused-stream', `goaway ${errorCodeName(code)}`)
    }
    if (first) this.events.goaway(code)
    if (core.streams.size === 0) core.drain()
  }

  onSettings(): void {
    if (this.canOpen) this.events.room()
  }

  onStreamClosed(): void {
    if (this.goneAway && this.core.streams.size === 0) this.core.drain()
    else if (this.canOpen) this.events.room()
  }

  closeAfterWrite(): void {
    this.events.closeAfterWrite()
  }

  turnAway(): void {
    this.events.closeAfterWrite()
  }

  endsLater(): boolean {
    return false
  }

  onFailure(detail: string): void {
    this.events.failed(detail)
  }

  note(event: CodecEvent): void {
    this.events.noted(event)
  }

  onInterrupted(): void {}

  onHeaderBlock(block: HeaderBlock, stream: Http2Stream | null, bytes: Buffer, start: number, end: number): void {
    const { core } = this
    const { streamId, endStream } = block
    if (stream === null) {
      if ((streamId & 1) === 0 || streamId >= core.nextStream) core.fail(errorCode.protocolError, 'HEADERS on an idle stream')
      else core.dropBlock(bytes, start, end)
      return
    }
    const { user } = stream
    if (!isRemoteOpen(stream.state) || !(user instanceof Http2ClientStream)) {
      if (core.dropBlock(bytes, start, end)) core.streamError(stream, errorCode.streamClosed, 'HEADERS after the end')
      return
    }
    if (user.hasHead) {
      core.trailers(block, stream, user.trailersTable(), bytes, start, end)
      return
    }
    const { response } = user.receiver
    response.clear()
    if (!core.decode('response', response.headers, bytes, start, end)) return
    const { fields } = core
    if (fields.full && fields.malformed === '') {
      core.refuseTooLarge(stream, fields.excess)
      return
    }
    const problem = fields.finishResponse(response)
    if (problem !== '') {
      core.malformed(stream, problem)
      return
    }
    if (response.status < 200) {
      if (endStream) core.malformed(stream, violation('an interim response that ends the stream'))
      else user.receiver.onInterim(response)
      return
    }
    if (user.isHead || response.status === 204 || response.status === 304) stream.expectedLength = 0
    else stream.expectedLength = fields.contentLength
    if (endStream && stream.expectedLength > 0) {
      core.malformed(stream, violation('body does not have the announced length'))
      return
    }
    user.gotHead(response.status)
    if (endStream) core.remoteEnd(stream)
    user.receiver.onResponseHead(endStream)
    if (endStream) core.settle(stream)
  }
}

/** One request's stream, as who sends it sees it. */
export class Http2ClientStream implements ClientStream, StreamUser {
  readonly receiver: IncomingResponse
  hasHead = false
  isHead = false
  private readonly core: Http2Connection
  private stream: Http2Stream | null = null
  private isConnect = false
  private upgrade = ''
  private webSocketKey = ''

  constructor(core: Http2Connection, receiver: IncomingResponse) {
    this.core = core
    this.receiver = receiver
  }

  /** For the connection. */
  take(stream: Http2Stream): void {
    this.stream = stream
  }

  /** For the connection: the final head is there. */
  gotHead(status: number): void {
    this.hasHead = true
    if (!this.isConnect || status >= 300 || this.stream === null) return
    this.stream.isTunnel = true
    this.stream.expectedLength = unknownLength
    if (this.upgrade === '') return
    this.receiver.response.status = 101
    toSwitching(this.receiver.response.headers, this.upgrade, this.webSocketKey)
  }

  trailersTable(): HeaderTable {
    const table = this.receiver.responseTrailers
    if (table === undefined) return new HeaderTable()
    table.clear()
    return table
  }

  get unanswered(): boolean {
    return !this.hasHead
  }

  // StreamUser

  onData(buffer: Buffer, start: number, end: number, endStream: boolean): void {
    this.receiver.onResponseData(buffer, start, end, endStream)
  }

  onTrailers(trailers: HeaderTable): void {
    this.receiver.onResponseTrailers(trailers)
  }

  onReset(reason: ResetReason, detail: string): void {
    if (this.stream === null) return
    this.stream = null
    this.receiver.onResponseReset(reason, detail)
  }

  onWritable(): void {
    this.receiver.onRequestWritable()
  }

  // ClientStream

  sendHead(head: RequestHead, endStream: boolean): void {
    const { stream, core } = this
    if (stream === null || core.isDead) return
    const { headers } = head
    const { outbox } = core
    const { hpack } = outbox
    this.isHead = head.method === 'HEAD'
    this.upgrade = head.upgrades ? (headers.get(names.upgrade) ?? '') : ''
    const connect = head.method === 'CONNECT'
    this.isConnect = connect || this.upgrade !== ''
    if (this.upgrade.toLowerCase() === 'websocket') this.webSocketKey = keyOf(headers)
    const out = outbox.beginHeaders(
      HpackEncoder.bound(headers) + head.method.length + head.path.length + head.authority.length + this.upgrade.length + 32,
    )
    let at = hpack.begin(out, outbox.blockStart)
    at = hpack.method(this.isConnect ? 'CONNECT' : head.method, out, at)
    if (!connect) {
      at = hpack.scheme(head.scheme, out, at)
      at = hpack.path(head.path, out, at)
    }
    if (head.authority !== '') at = hpack.authority(head.authority, out, at)
    if (this.upgrade !== '') at = hpack.protocol(this.upgrade, out, at)
    outbox.endHeaders(stream, out, hpack.fields(headers, out, at), endStream)
  }

  sendData(buffer: Buffer, start: number, end: number, endStream: boolean): boolean {
    const { stream, core } = this
    if (stream === null || core.isDead || stream.state === 'closed') return true
    return core.outbox.data(stream, buffer, start, end, endStream)
  }

  sendTrailers(trailers: HeaderTable): void {
    const { stream, core } = this
    if (stream === null || core.isDead || stream.state === 'closed') return
    core.outbox.trailers(stream, trailers)
  }

  reset(): void {
    const { stream } = this
    this.stream = null
    if (stream !== null) this.core.resetStream(stream, errorCode.cancel)
  }

  pauseResponse(): void {
    if (this.stream !== null) this.core.inbox.pause(this.stream)
  }

  resumeResponse(): void {
    if (this.stream !== null) this.core.inbox.resume(this.stream)
  }
}
