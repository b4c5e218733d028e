import type { RequestNames } from '../transport/upstream-tls.ts'
import type { WorkerServices } from '../worker-services.ts'
import type { CircuitBreaker } from './circuit-breaker.ts'
import type { Cluster } from './cluster.ts'
import type { Endpoint } from './endpoint.ts'
import { cell, type EndpointSlab } from './endpoint-slab.ts'
import type { Opened } from './open-socket.ts'
import { PendingRequests } from './pending-requests.ts'
import type { PoolOwner, PoolWaiter, UpstreamPool } from './pool.ts'
import { UpstreamConnection } from './upstream-connection.ts'

/**
 * The HTTP/1.1 connections of this worker to one endpoint. A request takes the connection that became free last, or a
 * new one (it may write before the handshake ends); at the cluster's connection limit it waits in a bounded queue.
 */
export class Http1Pool implements UpstreamPool {
  readonly cluster: Cluster
  readonly services: WorkerServices
  readonly slab: EndpointSlab
  private readonly endpoint: Endpoint
  private readonly breaker: CircuitBreaker
  private readonly idle: UpstreamConnection[] = []
  private readonly all = new Set<UpstreamConnection>()
  private readonly waiting: PendingRequests
  private readonly owner: PoolOwner | null
  requestNames: RequestNames | null = null
  private draining = false

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

  /** A connection for `waiter` now; null: it waits and hears by `onPoolReady`; 'overflow': no room to wait. */
  acquire(waiter: PoolWaiter): UpstreamConnection | null | 'overflow' {
    const idle = this.free()
    if (idle !== null) return idle
    const { waiting } = this
    if (!waiting.enter()) return 'overflow'
    if (!this.breaker.takeConnection(this.endpoint.slot)) {
      this.cluster.stats.connectionOverflow.inc()
      // An endpoint without any connection gets one over the limit, or its requests could wait for ever.
      if (this.all.size > 0) {
        waiting.wait(waiter)
        return null
      }
      this.breaker.force('connections')
    }
    waiting.pass()
    return this.connect()
  }

  /** A connection that nothing is on. */
  free(): UpstreamConnection | null {
    return this.idle.pop() ?? null
  }

  /** Requests still wait: each time one of them got a connection, another new one is asked for. */
  private growForWaiting(): void {
    if (this.waiting.length === 0) return
    if (this.owner !== null) {
      this.owner.grow()
      return
    }
    if (!this.breaker.takeConnection(this.endpoint.slot)) {
      this.cluster.stats.connectionOverflow.inc()
      return
    }
    this.waiting.shift()?.onPoolReady(this.connect())
  }

  private connect(): UpstreamConnection {
    const { stats } = this.cluster
    stats.connectionTotal.inc()
    stats.connectionActive.inc()
    stats.connectionHttp1.inc()
    this.slab.add(this.endpoint.slot, cell.activeConnections, 1)
    this.slab.add(this.endpoint.slot, cell.connectionsTotal, 1)
    const connection = new UpstreamConnection(this, this.endpoint)
    this.all.add(connection)
    return connection
  }

  /** Takes over a connection whose handshakes are done; a request that waits gets it. */
  adopt(opened: Opened): void {
    this.cluster.stats.connectionHttp1.inc()
    const connection = new UpstreamConnection(this, this.endpoint, opened)
    this.all.add(connection)
    this.onReusable(connection)
  }

  /** The waiter gave up. */
  forget(waiter: PoolWaiter): void {
    this.waiting.remove(waiter)
  }

  onReusable(connection: UpstreamConnection): void {
    const next = this.waiting.shift()
    if (next !== undefined) {
      next.onPoolReady(connection)
      this.growForWaiting()
      return
    }
    if (this.draining || this.endpoint.removed) connection.closeIfIdle()
    else this.idle.push(connection)
  }

  onClosed(connection: UpstreamConnection): void {
    this.all.delete(connection)
    const at = this.idle.indexOf(connection)
    if (at >= 0) this.idle.splice(at, 1)
    this.cluster.stats.connectionActive.dec()
    this.slab.add(this.endpoint.slot, cell.activeConnections, -1)
    this.breaker.release('connections')
    if (this.owner !== null) this.owner.grow()
    else if (this.waiting.length > 0 && this.all.size === 0) {
      // Those that waited for this connection get a new one each, as far as the limit lets.
      if (!this.breaker.take('connections')) this.breaker.force('connections')
      this.waiting.shift()?.onPoolReady(this.connect())
    }
  }

  /** Closes what is idle now and the rest as it gets free. */
  drain(): void {
    this.draining = true
    for (const connection of this.idle.splice(0)) connection.closeIfIdle()
  }

  /** Ends every connection now, with what is on it. */
  closeAll(): void {
    for (const connection of [...this.all]) connection.close()
  }

  get size(): number {
    return this.all.size
  }
}
