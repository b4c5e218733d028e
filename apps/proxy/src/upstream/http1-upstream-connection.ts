import type { Socket } from 'node:net'
import { Http1ClientConnection, type Http1ClientEvents, type Http1End } from '@weft/http/h1/client-connection'
import type { ClientStream, IncomingResponse } from '@weft/http/stream'
import { monotonicMs } from '../transport/clock.ts'
import type { Connection } from '../transport/connection.ts'
import { meshAlpn } from '../transport/mesh-alpn.ts'
import { socketCalls } from '../transport/socket-calls.ts'
import { Timeout } from '../transport/timer-wheel.ts'
import type { PooledConnection } from './pool.ts'
import type { UpstreamCluster } from './upstream-cluster.ts'
import { type LinkPlace, type LinkUser, UpstreamLink } from './upstream-link.ts'

/** The pool of a connection of HTTP/1.1. */
export interface Http1ConnectionOwner {
  /** No exchange is on it. */
  onReusable(connection: Http1UpstreamConnection): void
  onClosed(connection: Http1UpstreamConnection): void
}

/** One HTTP/1.1 connection to an endpoint, carrying one exchange at a time. */
export class Http1UpstreamConnection implements PooledConnection, LinkUser, Http1ClientEvents {
  readonly protocol = 'HTTP/1.1'
  readonly link: UpstreamLink
  private readonly owner: Http1ConnectionOwner
  private readonly cluster: UpstreamCluster
  private readonly connection: Connection
  private readonly codec: Http1ClientConnection
  private idleTimer: Timeout | null = null
  private idleSinceMs = 0
  busy = false
  requests = 0
  requestTaken = false
  private gone = false

  /** `opened`: its handshakes are done; null: it begins them. */
  constructor(owner: Http1ConnectionOwner, place: LinkPlace, opened: UpstreamLink | null) {
    this.owner = owner
    this.cluster = place.endpoint.cluster
    this.link = opened ?? new UpstreamLink(place, this, (configured) => configured.filter((name) => name !== meshAlpn))
    this.connection = this.link.connection
    this.codec = new Http1ClientConnection(this.connection, this.cluster.http1Options, this)
    opened?.handTo(this)
  }

  get connected(): boolean {
    return this.link.connected
  }

  onConnected(): void {
    if (this.busy) this.cluster.stats.requestTotal.inc()
    this.codec.writable()
    if (!this.busy) this.reusable()
  }

  /** Takes the connection for one exchange. */
  begin(receiver: IncomingResponse, takesNothing = false): ClientStream {
    const { stats, maxRequests } = this.cluster
    this.connection.readsLittle = takesNothing
    this.busy = true
    this.requests++
    // A request that waits for the handshake counts when it is done.
    if (this.link.connected) stats.requestTotal.inc()
    if (maxRequests > 0 && this.requests >= maxRequests) {
      stats.maxRequests.inc()
      this.codec.closeAfterResponse()
    }
    this.codec.begin(receiver)
    return this.codec
  }

  /** Closes when no exchange is on it. */
  closeIfIdle(): void {
    if (!this.busy) this.link.destroy()
  }

  // Http1ClientEvents

  reusable(): void {
    this.busy = false
    if (this.gone) return
    this.idleSinceMs = monotonicMs()
    const { idleTimeoutMs, services } = this.cluster
    if (idleTimeoutMs > 0 && this.idleTimer === null) {
      this.idleTimer = new Timeout(() => this.onIdleTimer())
      services.timers.arm(this.idleTimer, idleTimeoutMs)
    }
    this.owner.onReusable(this)
  }

  /** One timer a connection, looked at late: arming it for every exchange would cost more than the exchange's own timers. */
  private onIdleTimer(): void {
    const { idleTimeoutMs, stats, services } = this.cluster
    const waited = performance.now() - this.idleSinceMs
    if (this.busy) services.timers.arm(this.idleTimer!, idleTimeoutMs)
    else if (waited < idleTimeoutMs) services.timers.arm(this.idleTimer!, idleTimeoutMs - waited)
    else {
      stats.idleTimeout.inc()
      this.link.destroy()
    }
  }

  close(end: Http1End): void {
    if (end !== 'broken') this.busy = false
    if (end === 'announced') this.cluster.stats.closeNotify.inc()
    this.link.localClose = true
    this.connection.flushAndDestroy()
  }

  withdraw(): boolean {
    if (this.link.connected || !this.connection.takeBack()) return false
    this.cluster.stats.requestCancelled.inc()
    this.busy = false
    this.requests--
    return true
  }

  surplus(): void {
    this.cluster.stats.protocolError.inc()
  }

  endWriting(): void {
    this.connection.endWriting()
  }

  pause(): void {
    this.connection.pause()
  }

  resume(): void {
    this.connection.resume()
  }

  // ConnectionHandler

  onBytes(bytes: Buffer, start: number, end: number): void {
    this.codec.receive(bytes, start, end)
  }

  onEnd(): void {
    this.link.remoteEnd = true
    if (this.codec.isIdle || !this.link.connected) {
      this.connection.destroy()
      return
    }
    if (this.requests > 1 && this.busy) this.requestTaken = tookAll(this.connection.socket)
    this.codec.receiveEnd()
  }

  onWritable(): void {
    this.codec.writable()
  }

  onClose(error: Error | null): void {
    const { link, busy } = this
    if (!link.countEnd(busy)) return
    this.gone = true
    if (this.idleTimer !== null) this.cluster.services.timers.cancel(this.idleTimer)
    this.owner.onClosed(this)
    if (!busy) return
    // A reset behind the end of an idle connection is told as EPIPE: by this one the peer gave up what it had begun.
    if (error !== null && 'code' in error && error.code === 'ECONNRESET') this.requestTaken = true
    this.codec.connectionLost(link.lossReason, link.describeLoss(error))
  }
}

/**
 * Whether an upstream that ends a connection has got all that was sent to it before. One that had closed already answers by a
 * reset, and acknowledges nothing: then nobody has seen the request.
 */
function tookAll(socket: Socket): boolean {
  try {
    return socketCalls().hasUnacknowledged(socket) === false
  } catch {
    return false
  }
}
