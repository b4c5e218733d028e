import { Http2ClientConnection, type Http2ClientEvents } from '@weft/http/h2/client-connection'
import type { CodecEvent } from '@weft/http/h2/codec-event'
import { tickMsOf } from '@weft/http/h2/liveness'
import type { ClientStream, IncomingResponse } from '@weft/http/stream'
import { meshHttp2Options } from '../plan/http2-options.ts'
import { monotonicMs } from '../transport/clock.ts'
import { CoalescingOutput } from '../transport/coalescing-output.ts'
import type { Connection } from '../transport/connection.ts'
import { meshAlpn } from '../transport/mesh-alpn.ts'
import { Timeout } from '../transport/timer-wheel.ts'
import type { PooledConnection } from './pool.ts'
import type { UpstreamCluster } from './upstream-cluster.ts'
import { type LinkPlace, type LinkUser, UpstreamLink } from './upstream-link.ts'

/** The pool of a connection of HTTP/2. */
export interface Http2ConnectionOwner {
  /** There may be room for another stream. */
  onRoom(connection: Http2UpstreamConnection): void
  /** It takes no more. */
  onGoaway(): void
  onClosed(connection: Http2UpstreamConnection): void
}

/** One HTTP/2 connection to an endpoint, carrying many requests at once. */
export class Http2UpstreamConnection implements PooledConnection, LinkUser, Http2ClientEvents {
  readonly protocol = 'HTTP/2'
  readonly link: UpstreamLink
  requests = 0
  private readonly owner: Http2ConnectionOwner
  private readonly cluster: UpstreamCluster
  private readonly codec: Http2ClientConnection
  private readonly connection: Connection
  private readonly output: CoalescingOutput
  private readonly ticker: Timeout
  private readonly tickMs: number
  private idleSinceMs = 0
  private waitingForHandshake = 0
  private gone = false

  /**
   * `presumedStreams`: how many streams the peer is thought to allow until it has said. `opened`: the handshakes are done;
   * null: it begins them.
   */
  constructor(owner: Http2ConnectionOwner, place: LinkPlace, presumedStreams: number, opened: UpstreamLink | null) {
    const { endpoint } = place
    const { cluster } = endpoint
    this.owner = owner
    this.cluster = cluster
    this.link = opened ?? new UpstreamLink(place, this, (configured) => (configured.length > 0 ? configured : ['h2']))
    this.connection = this.link.connection
    this.output = new CoalescingOutput(this.connection)
    const { http2 } = cluster.plan
    const toSidecar = cluster.tlsOf(endpoint)?.alpn.includes(meshAlpn) === true
    this.codec = new Http2ClientConnection(this.output, toSidecar ? meshHttp2Options(http2) : http2, this)
    cluster.stats.http2.connectionBegins()
    this.codec.presumedStreams = presumedStreams
    this.codec.start()
    this.ticker = new Timeout(() => this.tick())
    // Idle times of seconds are held within a quarter.
    const { idleTimeoutMs } = cluster
    this.tickMs = Math.min(tickMsOf(http2), idleTimeoutMs > 0 ? Math.max(20, idleTimeoutMs / 4) : 1000)
    cluster.services.timers.arm(this.ticker, this.tickMs)
    if (opened === null) return
    opened.handTo(this)
    this.onConnected()
  }

  get connected(): boolean {
    return this.link.connected
  }

  onConnected(): void {
    this.cluster.stats.requestTotal.add(this.waitingForHandshake)
    this.waitingForHandshake = 0
    this.idleSinceMs = monotonicMs()
    this.codec.writable()
  }

  /** Whether a request may begin on it now. */
  get hasRoom(): boolean {
    return !this.gone && !this.isUsedUp && this.codec.canOpen
  }

  /** Whether it takes requests, now or when others have ended. */
  get isOpen(): boolean {
    return !this.gone && !this.isUsedUp && this.codec.isOpen
  }

  get peerMaxStreams(): number | null {
    return this.codec.peerMaxStreams
  }

  get isIdle(): boolean {
    return this.codec.openStreams === 0
  }

  private get isUsedUp(): boolean {
    const { maxRequests } = this.cluster
    return maxRequests > 0 && this.requests >= maxRequests
  }

  begin(receiver: IncomingResponse): ClientStream {
    const { stats } = this.cluster
    this.requests++
    // A request that waits for the handshake counts when it is done.
    if (this.link.connected) stats.requestTotal.inc()
    else this.waitingForHandshake++
    const stream = this.codec.begin(receiver)
    if (this.isUsedUp) {
      stats.maxRequests.inc()
      this.codec.drain()
    }
    return stream
  }

  /** No new requests; closes when those under way are done. */
  drain(): void {
    this.codec.drain()
  }

  /** Ends now, whatever is on it. */
  destroy(): void {
    this.link.destroy()
  }

  private tick(): void {
    if (this.gone) return
    const { services, idleTimeoutMs, stats } = this.cluster
    this.codec.tick()
    if (!this.codec.isOpen && this.isIdle) return
    if (this.link.connected && this.isIdle && idleTimeoutMs > 0) {
      if (performance.now() - this.idleSinceMs >= idleTimeoutMs) {
        stats.idleTimeout.inc()
        this.drain()
        return
      }
    }
    services.timers.arm(this.ticker, this.tickMs)
  }

  // Http2ClientEvents

  room(): void {
    if (this.gone) return
    if (this.isIdle) this.idleSinceMs = monotonicMs()
    this.owner.onRoom(this)
  }

  goaway(): void {
    this.cluster.stats.closeNotify.inc()
    this.owner.onGoaway()
  }

  failed(): void {
    const { stats } = this.cluster
    stats.protocolError.inc()
    // It is we who give up those that are open.
    stats.txReset.add(this.codec.openStreams)
  }

  noted(event: CodecEvent): void {
    const { stats } = this.cluster
    stats.http2.note(event)
    if (event === 'tx_reset') stats.txReset.inc()
  }

  closeAfterWrite(): void {
    this.output.flush()
    this.link.localClose = true
    this.connection.closeWhenFlushed()
  }

  // ConnectionHandler

  onBytes(bytes: Buffer, start: number, end: number): void {
    this.codec.receive(bytes, start, end)
  }

  onEnd(): void {
    this.connection.destroy()
  }

  onWritable(): void {
    this.codec.writable()
  }

  onClose(error: Error | null): void {
    const { link, codec } = this
    if (!link.countEnd(codec.openStreams > 0)) return
    this.gone = true
    this.cluster.services.timers.cancel(this.ticker)
    this.owner.onClosed(this)
    codec.connectionLost(link.lossReason, link.describeLoss(error))
  }
}
