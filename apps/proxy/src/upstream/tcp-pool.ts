import type { RequestHead } from '@weft/http/message'
import type { ClientStream, IncomingResponse } from '@weft/http/stream'
import type { Connection, ConnectionHandler } from '../transport/connection.ts'
import { nextConnectionId } from '../transport/connection-id.ts'
import type { TlsInfo } from '../transport/connection-info.ts'
import { meshAlpn } from '../transport/mesh-alpn.ts'
import { Timeout } from '../transport/timer-wheel.ts'
import { clientTlsInfo } from '../transport/tls-info.ts'
import type { RequestNames } from '../transport/upstream-tls.ts'
import type { WorkerServices } from '../worker-services.ts'
import type { CircuitBreaker } from './circuit-breaker.ts'
import type { Cluster } from './cluster.ts'
import type { Endpoint } from './endpoint.ts'
import { cell, type EndpointSlab } from './endpoint-slab.ts'
import { describeConnectFailure, openSocket } from './open-socket.ts'
import { noteConnected } from './outcome.ts'
import { PendingRequests } from './pending-requests.ts'
import type { PooledConnection, UpstreamPool } from './pool.ts'

/** The bare connections of this worker to one endpoint, each for the one CONNECT (or POST) that ends here and goes on as its body's bytes. */
export class TcpPool implements UpstreamPool {
  readonly cluster: Cluster
  readonly services: WorkerServices
  readonly slab: EndpointSlab
  requestNames: RequestNames | null = null
  private readonly endpoint: Endpoint
  private readonly breaker: CircuitBreaker
  private readonly waiting: PendingRequests
  private readonly all = new Set<TcpUpstream>()

  constructor(cluster: Cluster, endpoint: Endpoint, services: WorkerServices, slab: EndpointSlab, breaker: CircuitBreaker) {
    this.cluster = cluster
    this.endpoint = endpoint
    this.services = services
    this.slab = slab
    this.breaker = breaker
    this.waiting = new PendingRequests(cluster.stats, breaker)
  }

  get size(): number {
    return this.all.size
  }

  acquire(): PooledConnection | 'overflow' {
    const { waiting } = this
    if (!waiting.enter()) return 'overflow'
    waiting.pass()
    if (this.breaker.takeConnection(this.endpoint.slot)) return this.connect()
    // Nobody knows how long those that there are may last: there is nothing to wait for.
    this.cluster.stats.connectionOverflow.inc()
    return 'overflow'
  }

  private connect(): TcpUpstream {
    const { stats } = this.cluster
    stats.connectionTotal.inc()
    stats.connectionActive.inc()
    this.slab.add(this.endpoint.slot, cell.activeConnections, 1)
    this.slab.add(this.endpoint.slot, cell.connectionsTotal, 1)
    const connection = new TcpUpstream(this, this.endpoint)
    this.all.add(connection)
    return connection
  }

  /** Nobody waits. */
  forget(): void {}

  onClosed(connection: TcpUpstream): void {
    this.all.delete(connection)
    this.cluster.stats.connectionActive.dec()
    this.slab.add(this.endpoint.slot, cell.activeConnections, -1)
    this.breaker.release('connections')
  }

  /** None is ever idle. */
  drain(): void {}

  closeAll(): void {
    for (const connection of [...this.all]) connection.close()
  }
}

/**
 * One such connection. When it stands the request is answered by 200; from then on the two bodies are the connection's bytes,
 * and the end of one is half a close.
 */
class TcpUpstream implements PooledConnection, ClientStream, ConnectionHandler {
  readonly id = nextConnectionId()
  readonly protocol = ''
  tls: TlsInfo | null = null
  connected = false
  requests = 0
  private readonly pool: TcpPool
  private readonly endpoint: Endpoint
  private readonly connection: Connection
  private readonly startedMs = performance.now()
  private readonly connectTimer: Timeout
  private connectTimedOut = false
  private failure = 'remote closed'
  private receiver: IncomingResponse | null = null
  private localClose = false

  constructor(pool: TcpPool, endpoint: Endpoint) {
    this.pool = pool
    this.endpoint = endpoint
    const { cluster, services } = pool
    this.connectTimer = new Timeout(() => {
      this.connectTimedOut = true
      cluster.stats.connectTimeout.inc()
      this.localClose = true
      this.connection.destroy()
    })
    services.timers.arm(this.connectTimer, cluster.connectTimeoutMs)
    const offer = (configured: readonly string[]) => configured.filter((name) => name !== meshAlpn)
    this.connection = openSocket(cluster, endpoint, services, this, this.pool.requestNames, offer, {
      onConnected: () => this.onConnected(),
      onFailure: (text) => {
        this.failure = text
      },
    })
  }

  private onConnected(): void {
    const { pool, receiver } = this
    const { stats } = pool.cluster
    this.connected = true
    this.tls = clientTlsInfo(this.connection.socket)
    pool.services.timers.cancel(this.connectTimer)
    noteConnected(this.endpoint, false)
    stats.connectMs.record(Math.round(performance.now() - this.startedMs))
    stats.requestTotal.inc()
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
    return !this.connected
  }

  sendHead(_head: RequestHead, endStream: boolean): void {
    if (endStream) this.connection.endWriting()
  }

  sendData(buffer: Buffer, start: number, end: number, endStream: boolean): boolean {
    const more = end === start || this.connection.write(buffer, start, end)
    if (endStream) this.connection.endWriting()
    return more
  }

  sendTrailers(): void {
    this.connection.endWriting()
  }

  reset(): void {
    this.receiver = null
    this.close()
  }

  /** Ends now; who is on it hears of it. */
  close(): void {
    this.localClose = true
    this.connection.flushAndDestroy()
  }

  pauseResponse(): void {
    this.connection.pause()
  }

  resumeResponse(): void {
    this.connection.resume()
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
    this.connection.closeWhenFlushed()
  }

  onWritable(): void {
    this.receiver?.onRequestWritable()
  }

  onClose(error: Error | null): void {
    const { pool, receiver, endpoint } = this
    const { stats } = pool.cluster
    this.receiver = null
    pool.services.timers.cancel(this.connectTimer)
    stats.connectionLength.record(Math.round(performance.now() - this.startedMs))
    stats.connectionDestroy.inc()
    if (this.localClose) stats.destroyLocal.inc()
    else stats.destroyRemote.inc()
    if (!this.connected) {
      stats.connectFail.inc()
      pool.slab.add(endpoint.slot, cell.connectFailures, 1)
    }
    pool.onClosed(this)
    if (this.connected) receiver?.onResponseReset('connection-closed', this.failure)
    else
      receiver?.onResponseReset(
        'connect-failure',
        this.connectTimedOut ? 'connection timeout' : describeConnectFailure(error, this.failure),
      )
  }

  // ConnectionInfo

  get remoteAddress(): string {
    return this.endpoint.address.type === 'ip' ? this.endpoint.address.host : this.endpoint.address.path
  }
  get remotePort(): number {
    return this.endpoint.address.type === 'ip' ? this.endpoint.address.port : 0
  }
  get localAddress(): string {
    return this.connection.socket.localAddress ?? ''
  }
  get localPort(): number {
    return this.connection.socket.localPort ?? 0
  }
  get serverName(): string {
    return ''
  }
}

const empty = Buffer.alloc(0)
