import tls from 'node:tls'
import type { Connection, ConnectionHandler } from '../transport/connection.ts'
import { isHttp2Alpn } from '../transport/mesh-alpn.ts'
import { Timeout } from '../transport/timer-wheel.ts'
import type { RequestNames } from '../transport/upstream-tls.ts'
import type { WorkerServices } from '../worker-services.ts'
import type { CircuitBreaker } from './circuit-breaker.ts'
import type { Cluster } from './cluster.ts'
import type { Endpoint } from './endpoint.ts'
import { cell, type EndpointSlab } from './endpoint-slab.ts'
import { Http1Pool } from './http1-pool.ts'
import { Http2Pool } from './http2-pool.ts'
import { describeConnectFailure, openSocket } from './open-socket.ts'
import { PendingRequests } from './pending-requests.ts'
import type { PooledConnection, PoolOwner, PoolWaiter, UpstreamPool } from './pool.ts'

/**
 * The connections of this worker to one endpoint that is asked in the TLS handshake (ALPN) which HTTP it takes. Requests
 * wait for the handshake; then the connection goes to the pool of its HTTP. An endpoint may answer otherwise another time.
 */
export class NegotiatedPool implements UpstreamPool, PoolOwner {
  readonly cluster: Cluster
  readonly services: WorkerServices
  readonly endpoint: Endpoint
  readonly slab: EndpointSlab
  readonly waiting: PendingRequests
  requestNames: RequestNames | null = null
  private readonly breaker: CircuitBreaker
  private readonly http1: Http1Pool
  private readonly http2: Http2Pool
  private readonly opening = new Set<Negotiation>()
  /** How many requests a connection under way is for: as the endpoint's last one was. */
  private worth = presumedStreams

  constructor(cluster: Cluster, endpoint: Endpoint, services: WorkerServices, slab: EndpointSlab, breaker: CircuitBreaker) {
    this.cluster = cluster
    this.endpoint = endpoint
    this.services = services
    this.slab = slab
    this.breaker = breaker
    this.waiting = new PendingRequests(cluster.stats, breaker)
    this.http1 = new Http1Pool(cluster, endpoint, services, slab, breaker, this)
    this.http2 = new Http2Pool(cluster, endpoint, services, slab, breaker, this)
  }

  get size(): number {
    return this.http1.size + this.http2.size + this.opening.size
  }

  acquire(waiter: PoolWaiter): PooledConnection | null | 'overflow' {
    const free = this.http2.free() ?? this.http1.free()
    if (free !== null) return free
    if (!this.waiting.enter()) return 'overflow'
    this.waiting.wait(waiter)
    this.grow()
    return null
  }

  grow(): void {
    while (this.waiting.length > this.opening.size * this.worth) {
      if (!this.breaker.takeConnection(this.endpoint.slot)) {
        this.cluster.stats.connectionOverflow.inc()
        // An endpoint without any connection gets one over the limit, or its requests could wait for ever.
        if (this.size > 0) return
        this.breaker.force('connections')
      }
      this.open()
    }
  }

  private open(): void {
    const { stats } = this.cluster
    stats.connectionTotal.inc()
    stats.connectionActive.inc()
    this.slab.add(this.endpoint.slot, cell.activeConnections, 1)
    this.slab.add(this.endpoint.slot, cell.connectionsTotal, 1)
    this.opening.add(new Negotiation(this))
  }

  /** For a negotiation: the endpoint has said which HTTP it is. */
  onDecided(negotiation: Negotiation, connection: Connection, startedMs: number, http2: boolean): void {
    this.opening.delete(negotiation)
    this.worth = http2 ? presumedStreams : 1
    const pool = http2 ? this.http2 : this.http1
    pool.adopt({ connection, startedMs })
    this.grow()
  }

  /** For a negotiation: it has failed, and with it what waited, as with Envoy. */
  onFailed(negotiation: Negotiation, why: string): void {
    const { stats } = this.cluster
    this.opening.delete(negotiation)
    stats.connectionActive.dec()
    stats.connectionDestroy.inc()
    stats.connectFail.inc()
    this.slab.add(this.endpoint.slot, cell.activeConnections, -1)
    this.slab.add(this.endpoint.slot, cell.connectFailures, 1)
    this.breaker.release('connections')
    for (let left = this.waiting.length; left > 0; left--) this.waiting.shift()?.onResponseReset('connect-failure', why)
  }

  forget(waiter: PoolWaiter): void {
    this.waiting.remove(waiter)
  }

  drain(): void {
    this.http1.drain()
    this.http2.drain()
  }

  closeAll(): void {
    for (const one of [...this.opening]) one.abandon()
    this.http1.closeAll()
    this.http2.closeAll()
  }
}

/** A connection whose handshakes are under way. */
class Negotiation implements ConnectionHandler {
  private readonly pool: NegotiatedPool
  private readonly connection: Connection
  private readonly connectTimer: Timeout
  private readonly startedMs = performance.now()
  private failure = 'remote closed'
  private timedOut = false

  constructor(pool: NegotiatedPool) {
    this.pool = pool
    const { cluster, endpoint, services } = pool
    this.connectTimer = new Timeout(() => {
      this.timedOut = true
      cluster.stats.connectTimeout.inc()
      this.connection.destroy()
    })
    const offer = (configured: readonly string[]): readonly string[] => (configured.length > 0 ? configured : ['h2', 'http/1.1'])
    this.connection = openSocket(cluster, endpoint, services, this, pool.requestNames, offer, {
      onConnected: () => this.onConnected(),
      onFailure: (text) => {
        this.failure = text
      },
    })
    services.timers.arm(this.connectTimer, cluster.connectTimeoutMs)
  }

  private onConnected(): void {
    const { pool, connection } = this
    pool.services.timers.cancel(this.connectTimer)
    const { socket } = connection
    const http2 = socket instanceof tls.TLSSocket && isHttp2Alpn(socket.alpnProtocol)
    pool.onDecided(this, connection, this.startedMs, http2)
  }

  abandon(): void {
    this.connection.destroy()
  }

  // ConnectionHandler; once the handshakes are done the connection has another.

  onBytes(): void {}

  onEnd(): void {
    this.connection.destroy()
  }

  onWritable(): void {}

  onClose(error: Error | null): void {
    const { pool } = this
    pool.services.timers.cancel(this.connectTimer)
    pool.onFailed(this, this.timedOut ? 'connection timeout' : describeConnectFailure(error, this.failure))
  }
}

/** Streams that an endpoint is thought to take until it has said how many. */
const presumedStreams = 100
