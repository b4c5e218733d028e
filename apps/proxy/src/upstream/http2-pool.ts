import { type Http2ConnectionOwner, Http2UpstreamConnection } from './http2-upstream-connection.ts'
import { PendingRequests, type PoolOwner } from './pending-requests.ts'
import type { PooledConnection, PoolWaiter, UpstreamPool } from './pool.ts'
import type { LinkPlace, UpstreamLink } from './upstream-link.ts'

/**
 * The HTTP/2 connections of this worker to one endpoint: one as long as it has room for another stream, more when it has
 * not and the cluster allows more connections; then requests wait in a bounded queue.
 */
export class Http2Pool implements UpstreamPool, Http2ConnectionOwner {
  private readonly place: LinkPlace
  private readonly owner: PoolOwner | null
  private readonly waiting: PendingRequests
  private readonly all = new Set<Http2UpstreamConnection>()
  private draining = false
  /** What the endpoint's last connection allowed: a new one is thought to allow as many until it has said. */
  private presumedStreams = 100

  /** `owner`: opens the connections, which this pool then adopts. */
  constructor(place: LinkPlace, owner: PoolOwner | null = null) {
    this.place = place
    this.owner = owner
    this.waiting = owner?.waiting ?? new PendingRequests(place.endpoint.cluster.stats, place.breaker)
  }

  get size(): number {
    return this.all.size
  }

  acquire(waiter: PoolWaiter): PooledConnection | null | 'overflow' {
    const free = this.free()
    if (free !== null) return free
    const verdict = this.waiting.admit(waiter, this.place.endpoint.slot, this.hasOpen())
    return verdict === 'connect' ? this.connect() : verdict
  }

  /** A connection with room for another stream. */
  free(): Http2UpstreamConnection | null {
    for (const connection of this.all) if (connection.hasRoom) return connection
    return null
  }

  /** Whether some connection will have room sooner or later. */
  private hasOpen(): boolean {
    for (const connection of this.all) if (connection.isOpen) return true
    return false
  }

  private connect(opened: UpstreamLink | null = null): Http2UpstreamConnection {
    this.place.endpoint.cluster.stats.connectionHttp2.inc()
    const connection = new Http2UpstreamConnection(this, this.place, this.presumedStreams, opened)
    this.all.add(connection)
    return connection
  }

  /** Takes over a connection whose handshakes are done; requests that wait get it. */
  adopt(opened: UpstreamLink): void {
    this.onRoom(this.connect(opened))
  }

  forget(waiter: PoolWaiter): void {
    this.waiting.remove(waiter)
  }

  /** Those that wait take the room, in order. */
  onRoom(connection: Http2UpstreamConnection): void {
    this.presumedStreams = Math.max(1, connection.peerMaxStreams ?? this.presumedStreams)
    while (this.waiting.length > 0 && connection.hasRoom) this.waiting.shift()?.onPoolReady(connection)
    if (connection.isIdle && (this.draining || this.place.endpoint.removed)) connection.drain()
  }

  onClosed(connection: Http2UpstreamConnection): void {
    this.all.delete(connection)
    this.serveWaiting()
  }

  onGoaway(): void {
    this.serveWaiting()
  }

  /** A connection takes no more: those that waited for it get another. */
  private serveWaiting(): void {
    if (this.waiting.length === 0 || this.hasOpen()) return
    if (this.owner !== null) {
      this.owner.grow()
      return
    }
    const { breaker } = this.place
    if (!breaker.take('connections')) breaker.force('connections')
    this.onRoom(this.connect())
  }

  drain(): void {
    this.draining = true
    for (const connection of [...this.all]) connection.drain()
  }

  closeAll(): void {
    for (const connection of [...this.all]) connection.destroy()
  }
}
