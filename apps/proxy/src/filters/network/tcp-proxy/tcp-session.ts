import net from 'node:net'
import tls from 'node:tls'
import type { AccessLog } from '../../../observe/access-log/access-log.ts'
import type { FormatContext } from '../../../observe/format/context.ts'
import type { Counter } from '../../../observe/stats.ts'
import { StreamRecord } from '../../../observe/stream-record.ts'
import { Connection, type ConnectionHandler, type ConnectionStats, connectPlain } from '../../../transport/connection.ts'
import { nextConnectionId } from '../../../transport/connection-id.ts'
import { Timeout } from '../../../transport/timer-wheel.ts'
import type { Cluster } from '../../../upstream/cluster.ts'
import type { Endpoint } from '../../../upstream/endpoint.ts'
import { cell } from '../../../upstream/endpoint-slab.ts'
import type { ConnectionInfo } from '../../http/filter.ts'
import type { NetworkSession } from '../filter.ts'
import type { AcceptedInfo, HcmServices } from '../http-connection-manager/downstream-connection.ts'

/** A tcp_proxy, compiled. */
export interface TcpProxyPlan {
  clusters: readonly { name: string; weight: number }[]
  idleMs: number
  maxDurationMs: number
  maxConnectAttempts: number
  accessLog: AccessLog | null
  stats: ConnectionStats & { total: Counter; noRoute: Counter; idleTimeout: Counter; maxDuration: Counter }
}

/** One TCP session: bytes from the client to an endpoint and back, with back-pressure both ways. */
export class TcpSession implements ConnectionHandler, NetworkSession, FormatContext {
  readonly request = null
  readonly response = null
  readonly responseTrailers = null
  readonly metadataOrNull = null
  readonly routeMetadata = null
  readonly filterState: ReadonlyMap<string, unknown> = new Map()
  readonly info = new StreamRecord()
  readonly connection: ConnectionInfo
  private readonly plan: TcpProxyPlan
  private readonly downstream: Connection
  private readonly services: HcmServices
  private readonly onGone: (session: NetworkSession) => void
  private upstream: Connection | null = null
  private connected = false
  private cluster: Cluster | null = null
  private endpoint: Endpoint | null = null
  private attempts = 0
  private ended = false
  private downstreamEnded = false
  private lastActivityMs = performance.now()
  private connectTimer: Timeout | null = null
  private readonly idleTimer: Timeout

  constructor(
    plan: TcpProxyPlan,
    downstream: Connection,
    accepted: AcceptedInfo,
    services: HcmServices,
    onGone: (session: NetworkSession) => void,
  ) {
    this.plan = plan
    this.downstream = downstream
    this.services = services
    this.onGone = onGone
    this.connection = { id: nextConnectionId(), ...accepted }
    this.idleTimer = new Timeout(() => this.onIdle())
    const { info } = this
    info.reset(performance.now())
    info.filterChain = accepted.filterChainName
    info.downstreamRemoteAddress = accepted.remoteAddress
    info.downstreamRemotePort = accepted.remotePort
    downstream.handler = this
    plan.stats.total.inc()
    // Nothing is read before there is somewhere to write it.
    downstream.pause()
    if (accepted.refusal !== undefined) {
      info.terminationDetails = accepted.refusal
      downstream.destroy()
      return
    }
    if (plan.idleMs > 0 || plan.maxDurationMs > 0) services.timers.arm(this.idleTimer, this.nextLook())
    this.connect()
  }

  get clusterMetadata(): Readonly<Record<string, unknown>> | null {
    return this.cluster?.source.metadata?.filterMetadata ?? null
  }

  private chooseCluster(): string {
    const { clusters } = this.plan
    if (clusters.length === 1) return clusters[0]!.name
    let point = Math.random() * clusters.reduce((sum, { weight }) => sum + weight, 0)
    for (const { name, weight } of clusters) {
      point -= weight
      if (point < 0) return name
    }
    return clusters[clusters.length - 1]!.name
  }

  private connect(): void {
    const { info, services } = this
    this.attempts++
    info.attemptCount = this.attempts
    const cluster = this.cluster ?? services.cluster(this.chooseCluster())
    if (cluster === undefined) {
      this.plan.stats.noRoute.inc()
      this.fail('NC')
      return
    }
    this.cluster = cluster
    info.clusterName = cluster.name
    const endpoint = cluster.pick()
    if (endpoint === null) {
      this.fail('UH')
      return
    }
    if (!cluster.breakers[0].take('connections')) {
      cluster.stats.connectionOverflow.inc()
      this.fail('UO')
      return
    }
    this.endpoint = endpoint
    info.upstreamEndpoint = endpoint
    cluster.stats.connectionTotal.inc()
    cluster.stats.connectionActive.inc()
    cluster.slab.add(endpoint.slot, cell.activeConnections, 1)
    this.connectTimer = new Timeout(() => {
      cluster.stats.connectTimeout.inc()
      this.upstream?.destroy()
    })
    services.timers.arm(this.connectTimer, cluster.connectTimeoutMs)
    this.upstream = this.open(cluster, endpoint)
  }

  private open(cluster: Cluster, endpoint: Endpoint): Connection {
    const { timers } = this.services
    const { address } = endpoint
    const target: net.NetConnectOpts = address.type === 'ip' ? { host: address.host, port: address.port } : { path: address.path }
    const handler: ConnectionHandler = {
      onBytes: (bytes, start, end) => this.fromUpstream(bytes, start, end),
      onEnd: () => this.downstream.endWriting(),
      onWritable: () => this.downstream.resume(),
      onClose: () => this.upstreamClosed(),
    }
    const security = cluster.tlsOf(endpoint)?.connectOptions(endpoint.hostname, '') ?? null
    if (security === null) {
      return connectPlain(target, (socket) => {
        socket.once('connect', () => this.onConnected())
        return new Connection(socket, handler, timers, cluster.stats)
      })
    }
    if (security === 'not-ready') {
      const socket = new net.Socket()
      queueMicrotask(() => socket.destroy())
      return new Connection(socket, handler, timers, null)
    }
    const socket = tls.connect({ ...security, ...target })
    socket.setNoDelay(true)
    socket.once('secureConnect', () => this.onConnected())
    const connection = new Connection(socket, handler, timers, cluster.stats)
    connection.readByEvents()
    return connection
  }

  private onConnected(): void {
    if (this.ended) return
    this.connected = true
    if (this.connectTimer !== null) this.services.timers.cancel(this.connectTimer)
    if (this.downstreamEnded) this.upstream?.endWriting()
    this.downstream.resume()
  }

  private fromUpstream(bytes: Buffer, start: number, end: number): void {
    this.lastActivityMs = performance.now()
    this.info.bytesSent += end - start
    if (!this.downstream.write(bytes, start, end)) this.upstream?.pause()
  }

  private upstreamClosed(): void {
    const { cluster, endpoint } = this
    this.upstream = null
    if (cluster !== null && endpoint !== null) {
      cluster.stats.connectionActive.dec()
      cluster.slab.add(endpoint.slot, cell.activeConnections, -1)
      cluster.breakers[0].release('connections')
    }
    this.endpoint = null
    if (this.connectTimer !== null) this.services.timers.cancel(this.connectTimer)
    if (this.ended) return
    if (!this.connected) {
      cluster?.stats.connectFail.inc()
      if (this.attempts < this.plan.maxConnectAttempts) {
        this.connect()
        return
      }
      this.fail('UF')
      return
    }
    this.downstream.closeAfterWrite()
  }

  private fail(flag: string): void {
    this.info.addResponseFlag(flag)
    this.downstream.destroy()
  }

  private nextLook(): number {
    const { idleMs, maxDurationMs } = this.plan
    const now = performance.now()
    const idle = idleMs > 0 ? this.lastActivityMs + idleMs - now : Number.POSITIVE_INFINITY
    const end = maxDurationMs > 0 ? this.info.startMs + maxDurationMs - now : Number.POSITIVE_INFINITY
    return Math.max(1, Math.min(idle, end))
  }

  private onIdle(): void {
    const { idleMs, maxDurationMs, stats } = this.plan
    const now = performance.now()
    if (maxDurationMs > 0 && now >= this.info.startMs + maxDurationMs) {
      stats.maxDuration.inc()
      this.info.addResponseFlag('DT')
      this.destroy()
    } else if (idleMs > 0 && now >= this.lastActivityMs + idleMs) {
      stats.idleTimeout.inc()
      this.info.addResponseFlag('SI')
      this.destroy()
    } else this.services.timers.arm(this.idleTimer, this.nextLook())
  }

  // NetworkSession

  drain(): void {}

  destroy(): void {
    this.downstream.destroy()
  }

  // ConnectionHandler, downstream

  onBytes(bytes: Buffer, start: number, end: number): void {
    this.lastActivityMs = performance.now()
    this.info.bytesReceived += end - start
    if (this.upstream !== null && !this.upstream.write(bytes, start, end)) this.downstream.pause()
  }

  onEnd(): void {
    this.downstreamEnded = true
    if (this.connected) this.upstream?.endWriting()
  }

  onWritable(): void {
    this.upstream?.resume()
  }

  onClose(): void {
    if (this.ended) return
    this.ended = true
    this.services.timers.cancel(this.idleTimer)
    this.info.endMs = performance.now()
    this.upstream?.closeWhenFlushed()
    this.plan.accessLog?.(this)
    this.onGone(this)
  }
}
