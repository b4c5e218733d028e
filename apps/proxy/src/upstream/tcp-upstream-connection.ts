import type { RequestHead } from '@weft/http/message'
import type { ClientStream, IncomingResponse } from '@weft/http/stream'
import { meshAlpn } from '../transport/mesh-alpn.ts'
import type { PooledConnection } from './pool.ts'
import { type LinkPlace, type LinkUser, UpstreamLink } from './upstream-link.ts'

/** The pool of a bare connection. */
export interface TcpConnectionOwner {
  onClosed(connection: TcpUpstreamConnection): void
}

/**
 * One bare connection, for one request. When it stands the request is answered by 200; from then on the two bodies are the
 * connection's bytes, and the end of one is half a close.
 */
export class TcpUpstreamConnection implements PooledConnection, ClientStream, LinkUser {
  readonly protocol = ''
  readonly link: UpstreamLink
  requests = 0
  private readonly owner: TcpConnectionOwner
  private readonly place: LinkPlace
  private receiver: IncomingResponse | null = null

  constructor(owner: TcpConnectionOwner, place: LinkPlace) {
    this.owner = owner
    this.place = place
    this.link = new UpstreamLink(place, this, (configured) => configured.filter((name) => name !== meshAlpn))
  }

  get connected(): boolean {
    return this.link.connected
  }

  onConnected(): void {
    const { receiver } = this
    this.place.endpoint.cluster.stats.requestTotal.inc()
    if (receiver === null) return
    const { response } = receiver
    response.clear()
    response.status = 200
    receiver.onResponseHead(false)
    this.receiver?.onRequestWritable()
  }

  begin(receiver: IncomingResponse): ClientStream {
    this.requests++
    this.receiver = receiver
    return this
  }

  // ClientStream

  get unanswered(): boolean {
    return !this.link.connected
  }

  sendHead(_head: RequestHead, endStream: boolean): void {
    if (endStream) this.link.connection.endWriting()
  }

  sendData(buffer: Buffer, start: number, end: number, endStream: boolean): boolean {
    const { connection } = this.link
    const more = end === start || connection.write(buffer, start, end)
    if (endStream) connection.endWriting()
    return more
  }

  sendTrailers(): void {
    this.link.connection.endWriting()
  }

  reset(): void {
    this.receiver = null
    this.close()
  }

  /** Ends now; who is on it hears of it. */
  close(): void {
    this.link.localClose = true
    this.link.connection.flushAndDestroy()
  }

  pauseResponse(): void {
    this.link.connection.pause()
  }

  resumeResponse(): void {
    this.link.connection.resume()
  }

  // ConnectionHandler

  onBytes(bytes: Buffer, start: number, end: number): void {
    this.receiver?.onResponseData(bytes, start, end, false)
  }

  onEnd(): void {
    const { receiver } = this
    this.receiver = null
    receiver?.onResponseData(empty, 0, 0, true)
    // What the client still says is for nobody: its request ends with the answer.
    this.link.connection.closeWhenFlushed()
  }

  onWritable(): void {
    this.receiver?.onRequestWritable()
  }

  onClose(error: Error | null): void {
    const { link, receiver } = this
    this.receiver = null
    if (!link.countEnd(false)) return
    this.owner.onClosed(this)
    receiver?.onResponseReset(link.lossReason, link.describeLoss(error))
  }
}

const empty = Buffer.alloc(0)
