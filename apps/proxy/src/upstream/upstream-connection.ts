import type { Socket } from 'node:net'
import { Http1ClientConnection, type Http1ClientEvents } from '@weft/http/h1/client-connection'
import type { ClientStream, IncomingResponse } from '@weft/http/stream'
import { monotonicMs } from '../transport/clock.ts'
import type { Connection, ConnectionHandler } from '../transport/connection.ts'
import { nextConnectionId } from '../transport/connection-id.ts'
import type { TlsInfo } from '../transport/connection-info.ts'
import { meshAlpn } from '../transport/mesh-alpn.ts'
import { socketCalls } from '../transport/socket-calls.ts'
import { Timeout } from '../transport/timer-wheel.ts'
import { clientTlsInfo } from '../transport/tls-info.ts'
import type { Endpoint } from './endpoint.ts'
import { cell } from './endpoint-slab.ts'
import type { Http1Pool } from './http1-pool.ts'
import { describeConnectFailure, type Opened, openSocket } from './open-socket.ts'
import { noteConnected } from './outcome.ts'
import type { PooledConnection } from './pool.ts'

/** One HTTP/1.1 connection to an endpoint, carrying one exchange at a time. */
export class UpstreamConnection implements PooledConnection, ConnectionHandler, Http1ClientEvents {
  readonly id = nextConnectionId()
  readonly protocol = 'HTTP/1.1'
  tls: TlsInfo | null = null
  readonly pool: Http1Pool
  readonly endpoint: Endpoint
  private readonly codec: Http1ClientConnection
  private connection: Connection
  readonly connectStartMs: number
  connectEndMs = -1
  private readonly connectTimer: Timeout
  private idleTimer: Timeout | null = null
  private idleSinceMs = 0
  /** Whether the handshakes are done. */
  connected = false
  busy = false
  requests = 0
  private localClose = false
  /** The peer ended it first, whoever closed behind that. */
  private remoteClose = false
  requestTaken = false
  private gone = false
  private failure = 'remote closed'
  private connectTimedOut = false

  /** `opened`: its handshakes are done; else it begins them. */
  constructor(pool: Http1Pool, endpoint: Endpoint, opened: Opened | null = null) {
    this.pool = pool
    this.endpoint = endpoint
    this.connectStartMs = opened?.startedMs ?? performance.now()
    const { cluster } = pool
    this.connectTimer = new Timeout(() => {
      this.connectTimedOut = true
      cluster.stats.connectTimeout.inc()
      this.failure = 'connection timeout'
      this.localClose = true
      this.connection.destroy()
    })
    this.connection = opened?.connection ?? this.open()
    this.codec = new Http1ClientConnection(this.connection, cluster.http1Options, this)
    if (opened === null) pool.services.timers.arm(this.connectTimer, cluster.connectTimeoutMs)
    else {
      this.connection.handler = this
      this.noteConnected()
    }
  }

  private open(): Connection {
    const { cluster, services, requestNames } = this.pool
    const offer = (configured: readonly string[]) => configured.filter((name) => name !== meshAlpn)
    return openSocket(cluster, this.endpoint, services, this, requestNames, offer, {
      onConnected: () => this.onConnected(),
      onFailure: (text) => {
        this.failure = text
      },
    })
  }

  private onConnected(): void {
    if (this.gone) return
    const { pool } = this
    pool.services.timers.cancel(this.connectTimer)
    this.noteConnected()
    if (this.busy) pool.cluster.stats.requestTotal.inc()
    this.codec.writable()
    if (!this.busy) pool.onReusable(this)
  }

  private noteConnected(): void {
    this.connected = true
    this.tls = clientTlsInfo(this.connection.socket)
    this.connectEndMs = performance.now()
    noteConnected(this.endpoint, false)
    this.pool.cluster.stats.connectMs.record(Math.round(this.connectEndMs - this.connectStartMs))
  }

  /** Takes the connection for one exchange. */
  begin(receiver: IncomingResponse): ClientStream {
    this.busy = true
    this.requests++
    // A request that waits for the handshake counts when it is done.
    if (this.connected) this.pool.cluster.stats.requestTotal.inc()
    const { maxRequests } = this.pool.cluster
    if (maxRequests > 0 && this.requests >= maxRequests) {
      this.pool.cluster.stats.maxRequests.inc()
      this.codec.closeAfterResponse()
    }
    this.codec.begin(receiver)
    return this.codec
  }

  /** Closes when no exchange is on it. */
  closeIfIdle(): void {
    if (!this.busy) this.closeLocally()
  }

  private closeLocally(): void {
    this.localClose = true
    this.connection.destroy()
  }

  // Http1ClientEvents

  reusable(): void {
    this.busy = false
    if (this.gone) return
    this.idleSinceMs = monotonicMs()
    const { idleTimeoutMs } = this.pool.cluster
    if (idleTimeoutMs > 0 && this.idleTimer === null) {
      this.idleTimer = new Timeout(() => this.onIdleTimer())
      this.pool.services.timers.arm(this.idleTimer, idleTimeoutMs)
    }
    this.pool.onReusable(this)
  }

  /** One timer a connection, looked at late: arming it for every exchange would cost more than the exchange's own timers. */
  private onIdleTimer(): void {
    const { idleTimeoutMs, stats } = this.pool.cluster
    const { timers } = this.pool.services
    const waited = performance.now() - this.idleSinceMs
    if (this.busy) timers.arm(this.idleTimer!, idleTimeoutMs)
    else if (waited < idleTimeoutMs) timers.arm(this.idleTimer!, idleTimeoutMs - waited)
    else {
      stats.idleTimeout.inc()
      this.closeLocally()
    }
  }

  close(): void {
    this.localClose = true
    this.connection.flushAndDestroy()
  }

  surplus(): void {
    this.pool.cluster.stats.protocolError.inc()
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
    this.remoteClose = true
    if (this.codec.isIdle) {
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
    if (this.gone) return
    this.gone = true
    const { pool, busy } = this
    const { stats } = pool.cluster
    pool.services.timers.cancel(this.connectTimer)
    if (this.idleTimer !== null) pool.services.timers.cancel(this.idleTimer)
    stats.connectionLength.record(Math.round(performance.now() - this.connectStartMs))
    stats.connectionDestroy.inc()
    const local = this.localClose && !this.remoteClose
    if (local) stats.destroyLocal.inc()
    else stats.destroyRemote.inc()
    if (busy && this.connected) {
      stats.destroyWithRequest.inc()
      if (local) stats.destroyLocalWithRequest.inc()
      else stats.destroyRemoteWithRequest.inc()
    }
    if (!this.connected) {
      stats.connectFail.inc()
      pool.slab.add(this.endpoint.slot, cell.connectFailures, 1)
    }
    pool.onClosed(this)
    if (!busy) return
    // A reset behind the end of an idle connection is told as EPIPE: by this one the peer gave up what it had begun.
    if (error !== null && 'code' in error && error.code === 'ECONNRESET') this.requestTaken = true
    if (this.connected) this.codec.connectionLost('connection-closed', this.failure)
    else
      this.codec.connectionLost(
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
