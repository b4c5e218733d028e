import { type Http1ConnectionOwner, Http1UpstreamConnection } from './http1-upstream-connection.ts'
import { PendingRequests, type PoolOwner } from './pending-requests.ts'
import type { PoolWaiter, UpstreamPool } from './pool.ts'
import type { LinkPlace, UpstreamLink } from './upstream-link.ts'

/**
 * The HTTP/1.1 connections of this worker to one endpoint. A request takes the connection that became free last, or a
 * new one (it may write before the handshake ends); at the cluster's connection limit it waits in a bounded queue.
 */
export class Http1Pool implements UpstreamPool, Http1ConnectionOwner {
  private readonly place: LinkPlace
  private readonly owner: PoolOwner | null
  private readonly waiting: PendingRequests
  private readonly idle: Http1UpstreamConnection[] = []
  private readonly all = new Set<Http1UpstreamConnection>()
  private draining = false

  /** `owner`: opens the connections, which this pool then adopts. */
  constructor(place: LinkPlace, owner: PoolOwner | null = null) {
    this.place = place
    this.owner = owner
    this.waiting = owner?.waiting ?? new PendingRequests(place.endpoint.cluster.stats, place.breaker)
  }

  get size(): number {
    return this.all.size
  }

  acquire(waiter: PoolWaiter): Http1UpstreamConnection | null | 'overflow' {
    const idle = this.free()
    if (idle !== null) return idle
    const verdict = this.waiting.admit(waiter, this.place.endpoint.slot, this.all.size > 0)
    return verdict === 'connect' ? this.connect() : verdict
  }

  /** A connection that nothing is on. */
  free(): Http1UpstreamConnection | null {
    return this.idle.pop() ?? null
  }

  /** Requests still wait: each time one of them got a connection, another new one is asked for. */
  private growForWaiting(): void {
    if (this.waiting.length === 0) return
    if (this.owner !== null) {
      this.owner.grow()
      return
    }
    const { endpoint, breaker } = this.place
    if (!breaker.takeConnection(endpoint.slot)) {
      endpoint.cluster.stats.connectionOverflow.inc()
      return
    }
    this.waiting.shift()?.onPoolReady(this.connect())
  }

  private connect(opened: UpstreamLink | null = null): Http1UpstreamConnection {
    this.place.endpoint.cluster.stats.beginHttp1()
    const connection = new Http1UpstreamConnection(this, this.place, opened)
    this.all.add(connection)
    return connection
  }

  /** Takes over a connection whose handshakes are done; a request that waits gets it. */
  adopt(opened: UpstreamLink): void {
    this.onReusable(this.connect(opened))
  }

  forget(waiter: PoolWaiter): void {
    this.waiting.remove(waiter)
  }

  onReusable(connection: Http1UpstreamConnection): void {
    const next = this.waiting.shift()
    if (next !== undefined) {
      next.onPoolReady(connection)
      this.growForWaiting()
      return
    }
    if (this.draining || this.place.endpoint.removed) connection.closeIfIdle()
    else this.idle.push(connection)
  }

  onClosed(connection: Http1UpstreamConnection): void {
    this.all.delete(connection)
    const at = this.idle.indexOf(connection)
    if (at >= 0) this.idle.splice(at, 1)
    if (this.owner !== null) this.owner.grow()
    else if (this.waiting.length > 0 && this.all.size === 0) {
      // Those that waited for this connection get a new one each, as far as the limit lets.
      const { breaker } = this.place
      if (!breaker.take('connections')) breaker.force('connections')
      this.waiting.shift()?.onPoolReady(this.connect())
    }
  }

  drain(): void {
    this.draining = true
    for (const connection of this.idle.splice(0)) connection.closeIfIdle()
  }

  closeAll(): void {
    for (const connection of [...this.all]) connection.close('broken')
  }
}
