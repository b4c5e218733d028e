import type { WorkerServices } from '../worker-services.ts'
import type { CircuitBreaker } from './circuit-breaker.ts'
import type { Cluster } from './cluster.ts'
import type { Endpoint } from './endpoint.ts'
import { cell, type EndpointSlab } from './endpoint-slab.ts'
import type { PoolWaiter, UpstreamPool } from './pool.ts'
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
  private readonly waiting: PoolWaiter[] = []
  requestServerName = ''
  private draining = false

  constructor(cluster: Cluster, endpoint: Endpoint, services: WorkerServices, slab: EndpointSlab, breaker: CircuitBreaker) {
    this.cluster = cluster
    this.endpoint = endpoint
    this.services = services
    this.slab = slab
    this.breaker = breaker
  }

  /** A connection for `waiter` now; null: it waits and hears by `onPoolReady`; 'overflow': no room to wait. */
  acquire(waiter: PoolWaiter, fresh = false): UpstreamConnection | null | 'overflow' {
    if (!fresh) {
      const idle = this.idle.pop()
      if (idle !== undefined) return idle
    }
    const { stats } = this.cluster
    if (!this.breaker.take('pending')) {
      stats.pendingOverflow.inc()
      return 'overflow'
    }
    stats.pendingTotal.inc()
    if (!this.breaker.takeConnection(this.endpoint.slot)) {
      stats.connectionOverflow.inc()
      // An endpoint without any connection gets one over the limit, or its requests could wait for ever.
      if (this.all.size > 0) {
        this.waiting.push(waiter)
        stats.pendingActive.inc()
        return null
      }
      this.breaker.force('connections')
    }
    this.breaker.release('pending')
    return this.connect()
  }

  /** Requests still wait: each time one of them got a connection, another new one is asked for. */
  private growForWaiting(): void {
    if (this.waiting.length === 0) return
    if (!this.breaker.takeConnection(this.endpoint.slot)) {
      this.cluster.stats.connectionOverflow.inc()
      return
    }
    const next = this.waiting.shift()!
    this.cluster.stats.pendingActive.dec()
    this.breaker.release('pending')
    next.onPoolReady(this.connect())
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

  /** The waiter gave up. */
  forget(waiter: PoolWaiter): void {
    const at = this.waiting.indexOf(waiter)
    if (at < 0) return
    this.waiting.splice(at, 1)
    this.cluster.stats.pendingActive.dec()
    this.breaker.release('pending')
  }

  onReusable(connection: UpstreamConnection): void {
    const next = this.waiting.shift()
    if (next !== undefined) {
      this.cluster.stats.pendingActive.dec()
      this.breaker.release('pending')
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
    if (this.waiting.length > 0 && this.all.size === 0) {
      // Those that waited for this connection get a new one each, as far as the limit lets.
      const next = this.waiting.shift()!
      this.cluster.stats.pendingActive.dec()
      this.breaker.release('pending')
      if (!this.breaker.take('connections')) this.breaker.force('connections')
      next.onPoolReady(this.connect())
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
