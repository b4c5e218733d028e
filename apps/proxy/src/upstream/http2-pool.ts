import type { RequestNames } from '../transport/upstream-tls.ts'
import type { WorkerServices } from '../worker-services.ts'
import type { CircuitBreaker } from './circuit-breaker.ts'
import type { Cluster } from './cluster.ts'
import type { Endpoint } from './endpoint.ts'
import { cell, type EndpointSlab } from './endpoint-slab.ts'
import { Http2UpstreamConnection } from './http2-upstream-connection.ts'
import type { Opened } from './open-socket.ts'
import { PendingRequests } from './pending-requests.ts'
import type { PooledConnection, PoolOwner, PoolWaiter, UpstreamPool } from './pool.ts'

/**
 * The HTTP/2 connections of this worker to one endpoint: one as long as it has room for another stream, more when it has
 * not and the cluster allows more connections; then requests wait in a bounded queue.
 */
export class Http2Pool implements UpstreamPool {
  readonly cluster: Cluster
  readonly services: WorkerServices
  readonly slab: EndpointSlab
  requestNames: RequestNames | null = null
  private readonly endpoint: Endpoint
  private readonly breaker: CircuitBreaker
  private readonly all = new Set<Http2UpstreamConnection>()
  private readonly waiting: PendingRequests
  private readonly owner: PoolOwner | null
  private draining = false
  /** What the endpoint's last connection allowed: a new one is thought to allow as many until it has said. */
  private presumedStreams = 100

  /** `owner`: opens the connections, which this pool then adopts. */
  constructor(
    cluster: Cluster,
    endpoint: Endpoint,
    services: WorkerServices,
    slab: EndpointSlab,
    breaker: CircuitBreaker,
    owner: PoolOwner | null = null,
  ) {
    this.owner = owner
    this.waiting = owner?.waiting ?? new PendingRequests(cluster.stats, breaker)
    this.cluster = cluster
    this.endpoint = endpoint
    this.services = services
    this.slab = slab
    this.breaker = breaker
  }

  get size(): number {
    return this.all.size
  }

  acquire(waiter: PoolWaiter): PooledConnection | null | 'overflow' {
    return this.free() ?? this.acquireNew(waiter)
  }

  /** A connection with room for another stream. */
  free(): Http2UpstreamConnection | null {
    for (const connection of this.all) if (connection.hasRoom) return connection
    return null
  }

  private acquireNew(waiter: PoolWaiter): PooledConnection | null | 'overflow' {
    const { waiting } = this
    if (!waiting.enter()) return 'overflow'
    if (!this.breaker.takeConnection(this.endpoint.slot)) {
      this.cluster.stats.connectionOverflow.inc()
      // An endpoint without any connection gets one over the limit, or its requests could wait for ever.
      if (this.hasOpen()) {
        waiting.wait(waiter)
        return null
      }
      this.breaker.force('connections')
    }
    waiting.pass()
    return this.connect()
  }

  /** Whether some connection will have room sooner or later. */
  hasOpen(): boolean {
    for (const connection of this.all) if (connection.isOpen) return true
    return false
  }

  private connect(): Http2UpstreamConnection {
    const { stats } = this.cluster
    stats.connectionTotal.inc()
    stats.connectionActive.inc()
    stats.connectionHttp2.inc()
    this.slab.add(this.endpoint.slot, cell.activeConnections, 1)
    this.slab.add(this.endpoint.slot, cell.connectionsTotal, 1)
    const connection = new Http2UpstreamConnection(this, this.endpoint, this.presumedStreams)
    this.all.add(connection)
    return connection
  }

  /** Takes over a connection whose handshakes are done; requests that wait get it. */
  adopt(opened: Opened): void {
    this.cluster.stats.connectionHttp2.inc()
    const connection = new Http2UpstreamConnection(this, this.endpoint, this.presumedStreams, opened)
    this.all.add(connection)
    this.onRoom(connection)
  }

  forget(waiter: PoolWaiter): void {
    this.waiting.remove(waiter)
  }

  /** A connection has room for a stream: those that wait take it, in order. */
  onRoom(connection: Http2UpstreamConnection): void {
    this.presumedStreams = Math.max(1, connection.peerMaxStreams ?? this.presumedStreams)
    while (this.waiting.length > 0 && connection.hasRoom) this.waiting.shift()?.onPoolReady(connection)
    if (connection.isIdle && (this.draining || this.endpoint.removed)) connection.drain()
  }

  onClosed(connection: Http2UpstreamConnection): void {
    this.all.delete(connection)
    this.cluster.stats.connectionActive.dec()
    this.slab.add(this.endpoint.slot, cell.activeConnections, -1)
    this.breaker.release('connections')
    this.serveWaiting()
  }

  /** A connection takes no more: those that waited for it get another. */
  serveWaiting(): void {
    if (this.waiting.length === 0 || this.hasOpen()) return
    if (this.owner !== null) {
      this.owner.grow()
      return
    }
    if (!this.breaker.take('connections')) this.breaker.force('connections')
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
