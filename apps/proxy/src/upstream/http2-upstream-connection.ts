import { Http2ClientConnection, type Http2ClientEvents } from '@weft/http/h2/client-connection'
import type { CodecEvent } from '@weft/http/h2/codec-event'
import { tickMsOf } from '@weft/http/h2/liveness'
import type { ClientStream, IncomingResponse } from '@weft/http/stream'
import { meshHttp2Options } from '../plan/http2-options.ts'
import { monotonicMs } from '../transport/clock.ts'
import { CoalescingOutput } from '../transport/coalescing-output.ts'
import type { Connection, ConnectionHandler } from '../transport/connection.ts'
import { nextConnectionId } from '../transport/connection-id.ts'
import type { TlsInfo } from '../transport/connection-info.ts'
import { meshAlpn } from '../transport/mesh-alpn.ts'
import { Timeout } from '../transport/timer-wheel.ts'
import { clientTlsInfo } from '../transport/tls-info.ts'
import type { Endpoint } from './endpoint.ts'
import { cell } from './endpoint-slab.ts'
import type { Http2Pool } from './http2-pool.ts'
import { describeConnectFailure, type Opened, openSocket } from './open-socket.ts'
import { noteConnected } from './outcome.ts'
import type { PooledConnection } from './pool.ts'

/** One HTTP/2 connection to an endpoint, carrying many requests at once. */
export class Http2UpstreamConnection implements PooledConnection, ConnectionHandler, Http2ClientEvents {
  readonly id = nextConnectionId()
  readonly protocol = 'HTTP/2'
  tls: TlsInfo | null = null
  connected = false
  requests = 0
  private readonly pool: Http2Pool
  private readonly endpoint: Endpoint
  private readonly codec: Http2ClientConnection
  private readonly connection: Connection
  private readonly output: CoalescingOutput
  private readonly startedMs: number
  private readonly connectTimer: Timeout
  private readonly ticker: Timeout
  private readonly tickMs: number
  private idleSinceMs = 0
  private waitingForHandshake = 0
  private localClose = false
  private gone = false
  private failure = 'remote closed'
  private connectTimedOut = false

  /**
   * `presumedStreams`: how many streams the peer is thought to allow until it has said. `opened`: the handshakes are done;
   * else it begins them.
   */
  constructor(pool: Http2Pool, endpoint: Endpoint, presumedStreams: number, opened: Opened | null = null) {
    this.pool = pool
    this.endpoint = endpoint
    this.startedMs = opened?.startedMs ?? performance.now()
    const { cluster, services } = pool
    this.connectTimer = new Timeout(() => {
      this.connectTimedOut = true
      cluster.stats.connectTimeout.inc()
      this.failure = 'connection timeout'
      this.destroy()
    })
    this.connection = opened?.connection ?? this.open()
    this.output = new CoalescingOutput(this.connection)
    const { http2 } = cluster.plan
    const toSidecar = cluster.tlsOf(endpoint)?.alpn.includes(meshAlpn) === true
    this.codec = new Http2ClientConnection(this.output, toSidecar ? meshHttp2Options(http2) : http2, this)
    this.codec.presumedStreams = presumedStreams
    this.codec.start()
    this.ticker = new Timeout(() => this.tick())
    // Idle times of seconds are held within a quarter.
    const { idleTimeoutMs } = cluster
    this.tickMs = Math.min(tickMsOf(cluster.plan.http2), idleTimeoutMs > 0 ? Math.max(20, idleTimeoutMs / 4) : 1000)
    services.timers.arm(this.ticker, this.tickMs)
    if (opened === null) services.timers.arm(this.connectTimer, cluster.connectTimeoutMs)
    else {
      this.connection.handler = this
      this.onConnected()
    }
  }

  private open(): Connection {
    const { cluster, services, requestNames } = this.pool
    const offer = (configured: readonly string[]): readonly string[] => (configured.length > 0 ? configured : ['h2'])
    return openSocket(cluster, this.endpoint, services, this, requestNames, offer, {
      onConnected: () => this.onConnected(),
      onFailure: (text) => {
        this.failure = text
      },
    })
  }

  private onConnected(): void {
    if (this.gone) return
    this.connected = true
    this.tls = clientTlsInfo(this.connection.socket)
    const { stats } = this.pool.cluster
    this.pool.services.timers.cancel(this.connectTimer)
    noteConnected(this.endpoint, false)
    stats.connectMs.record(Math.round(performance.now() - this.startedMs))
    stats.requestTotal.add(this.waitingForHandshake)
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
    const { maxRequests } = this.pool.cluster
    return maxRequests > 0 && this.requests >= maxRequests
  }

  begin(receiver: IncomingResponse): ClientStream {
    const { stats } = this.pool.cluster
    this.requests++
    // A request that waits for the handshake counts when it is done.
    if (this.connected) stats.requestTotal.inc()
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
    this.localClose = true
    this.connection.destroy()
  }

  private tick(): void {
    if (this.gone) return
    const { services, cluster } = this.pool
    this.codec.tick()
    if (!this.codec.isOpen && this.isIdle) return
    if (this.connected && this.isIdle && cluster.idleTimeoutMs > 0) {
      if (performance.now() - this.idleSinceMs >= cluster.idleTimeoutMs) {
        cluster.stats.idleTimeout.inc()
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
    this.pool.onRoom(this)
  }

  goaway(): void {
    this.pool.cluster.stats.closeNotify.inc()
    this.pool.serveWaiting()
  }

  failed(): void {}

  noted(event: CodecEvent): void {
    const { stats } = this.pool.cluster
    stats.http2.note(event)
    if (event === 'tx_reset') stats.txReset.inc()
    if (event === 'rx_messaging_error') stats.protocolError.inc()
  }

  closeAfterWrite(): void {
    this.output.flush()
    this.localClose = true
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
    if (this.gone) return
    this.gone = true
    const { pool } = this
    const { stats } = pool.cluster
    const active = this.codec.openStreams > 0
    pool.services.timers.cancel(this.connectTimer)
    pool.services.timers.cancel(this.ticker)
    stats.connectionLength.record(Math.round(performance.now() - this.startedMs))
    stats.connectionDestroy.inc()
    if (this.localClose) stats.destroyLocal.inc()
    else stats.destroyRemote.inc()
    if (active && this.connected) {
      stats.destroyWithRequest.inc()
      if (this.localClose) stats.destroyLocalWithRequest.inc()
      else stats.destroyRemoteWithRequest.inc()
    }
    if (!this.connected) {
      stats.connectFail.inc()
      pool.slab.add(this.endpoint.slot, cell.connectFailures, 1)
    }
    pool.onClosed(this)
    if (this.connected) this.codec.connectionLost('connection-closed', this.failure)
    else {
      const why = this.connectTimedOut ? 'connection timeout' : describeConnectFailure(error, this.failure)
      this.codec.connectionLost('connect-failure', why)
    }
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
