import type { AccessLog } from '../../../observe/access-log/access-log.ts'
import type { FormatContext } from '../../../observe/format/context.ts'
import type { Counter, Gauge } from '../../../observe/stats.ts'
import { type SessionEnd, StreamRecord } from '../../../observe/stream-record.ts'
import { withJitter } from '../../../plan/jitter.ts'
import type { Connection, ConnectionHandler, ConnectionStats } from '../../../transport/connection.ts'
import { nextConnectionId } from '../../../transport/connection-id.ts'
import type { ConnectionInfo } from '../../../transport/connection-info.ts'
import type { Tlv } from '../../../transport/proxy-protocol.ts'
import { Timeout } from '../../../transport/timer-wheel.ts'
import type { Cluster } from '../../../upstream/cluster.ts'
import type { Endpoint } from '../../../upstream/endpoint.ts'
import type { MetadataCriteria } from '../../../upstream/load-balancers/metadata-criteria.ts'
import { noteLocalFailure } from '../../../upstream/outcome.ts'
import { connectionTimeout, toldFailure } from '../../../upstream/upstream-link.ts'
import type { ExchangeCounters } from '../../istio/peer-exchange.ts'
import type { AcceptedInfo, ConnectionServices, NetworkSession, Refusal } from '../filter.ts'
import { clusterOverride } from './cluster-override.ts'
import { type ConnectionHash, connectionPick } from './connection-pick.ts'
import { DirectUpstream } from './direct-upstream.ts'
import { ExchangingUpstream } from './exchanging-upstream.ts'
import type { SessionUpstream, SessionUpstreamEvents } from './session-upstream.ts'
import type { TunnelPlan } from './tunnel.ts'
import { TunnelUpstream } from './tunnel-upstream.ts'

/** One of a tcp_proxy's clusters. */
export interface ClusterShare {
  name: string
  weight: number
  metadataMatch: MetadataCriteria | null
}

/** A tcp_proxy, compiled. */
export interface TcpProxyPlan {
  clusters: readonly ClusterShare[]
  totalWeight: number
  hash: ConnectionHash | null
  /** For a cluster that a filter before this one named. */
  metadataMatch: MetadataCriteria | null
  /** 0: never. */
  idleMs: number
  /** 0: any. */
  maxDurationMs: number
  /** By how much of itself the longest duration may be longer, at random. */
  durationJitter: number
  maxConnectAttempts: number
  /** How long (ms) the next attempt waits; null: not at all. */
  backOff: { readonly baseMs: number; readonly maxMs: number } | null
  /** A session of a listener that drains ends with the next bytes. */
  closesOnDrain: boolean
  /** Sessions go through HTTP; null: straight to the endpoint. */
  tunnel: TunnelPlan | null
  /** What the endpoint is told of a session beside what the client's own PROXY header says. */
  tlvs: (session: FormatContext, own: readonly Tlv[] | undefined) => readonly Tlv[] | undefined
  accessLog: AccessLog | null
  /** Logs are also written as a session goes on, at this interval; 0: not. */
  logIntervalMs: number
  logOnStart: boolean
  logOnConnected: boolean
  /** Made when a cluster asks for the exchange. */
  exchangeCounters: () => ExchangeCounters
  stats: ConnectionStats & {
    total: Counter
    noRoute: Counter
    idleTimeout: Counter
    maxDuration: Counter
    drainClose: Counter
    flushTotal: Counter
    flushActive: Gauge
  }
}

/** One TCP session: bytes from the client to an endpoint and back, with back-pressure both ways. */
export class TcpSession implements ConnectionHandler, NetworkSession, FormatContext {
  readonly request = null
  readonly response = null
  readonly responseTrailers = null
  readonly routeMetadata = null
  logType = 'TcpConnectionEnd'
  readonly context: FormatContext = this
  readonly info = new StreamRecord()
  readonly connection: ConnectionInfo
  private readonly plan: TcpProxyPlan
  private readonly downstream: Connection
  private readonly accepted: AcceptedInfo
  private readonly services: ConnectionServices
  private readonly onGone: (session: NetworkSession) => void
  private upstream: SessionUpstream | null = null
  private readonly upstreamEvents: SessionUpstreamEvents = {
    onConnected: () => this.onConnected(),
    onBytes: (bytes, start, end) => this.fromUpstream(bytes, start, end),
    onEnd: () => this.onUpstreamEnd(),
    onWritable: () => this.downstream.resume(),
    onClose: (failure, reset) => this.upstreamClosed(failure, reset === true),
  }
  private connected = false
  /** Whether the client may be written to, which the first bytes from upstream ask. */
  private mayWrite: boolean
  private cluster: Cluster | null = null
  private share: ClusterShare | null = null
  private endpoint: Endpoint | null = null
  private attempts = 0
  private ended = false
  /** The client has left, and what it sent has not. */
  private flushing = false
  private downstreamEnded = false
  private readonly end: SessionEnd = { downstream: 'Normal', upstream: 'Normal', upstreamReason: '' }
  private upstreamEnded = false
  private lastActivityMs = performance.now()
  private readonly idleTimer: Timeout
  private logTimer: Timeout | null = null
  /** Waits for the next attempt to connect. */
  private retryTimer: Timeout | null = null
  /** 0: any. */
  private readonly maxDurationMs: number
  private draining = false
  /** It ends because of that. */
  private closing = false

  constructor(
    plan: TcpProxyPlan,
    downstream: Connection,
    accepted: AcceptedInfo,
    services: ConnectionServices,
    onGone: (session: NetworkSession) => void,
  ) {
    this.plan = plan
    this.downstream = downstream
    this.accepted = accepted
    this.services = services
    this.onGone = onGone
    this.mayWrite = accepted.mayWrite === undefined
    this.connection = { id: nextConnectionId(), ...accepted }
    this.idleTimer = new Timeout(() => this.onIdle())
    this.maxDurationMs = withJitter(plan.maxDurationMs, plan.durationJitter)
    const { info } = this
    info.reset(performance.now())
    info.filterChain = accepted.filterChainName
    info.sessionEnd = this.end
    info.downstreamRemoteAddress = accepted.remoteAddress
    info.downstreamRemotePort = accepted.remotePort
    this.accepted.tlvs = plan.tlvs(this, accepted.tlvs)
    downstream.handler = this
    plan.stats.total.inc()
    // Nothing is read before there is somewhere to write it.
    downstream.pause()
    if (accepted.refusal !== undefined) {
      this.refuse(accepted.refusal)
      return
    }
    if (plan.idleMs > 0 || this.maxDurationMs > 0) services.timers.arm(this.idleTimer, this.nextLook())
    if (plan.logIntervalMs > 0 && plan.accessLog !== null) this.logAtIntervals(plan.logIntervalMs)
    if (plan.logOnStart) this.log('TcpConnectionStart')
    this.connect()
  }

  // FormatContext

  get metadataOrNull(): Readonly<Record<string, Record<string, unknown>>> | null {
    return this.accepted.metadata ?? null
  }

  get filterState(): ReadonlyMap<string, unknown> {
    return this.accepted.filterState ?? noFilterState
  }

  get clusterMetadata(): Readonly<Record<string, unknown>> | null {
    return this.cluster?.source.metadata?.filterMetadata ?? null
  }

  private log(type: string): void {
    this.logType = type
    this.plan.accessLog?.(this)
    this.logType = 'TcpConnectionEnd'
  }

  private logAtIntervals(intervalMs: number): void {
    const timer = new Timeout(() => {
      this.log('TcpPeriodic')
      this.services.timers.arm(timer, intervalMs)
    })
    this.logTimer = timer
    this.services.timers.arm(timer, intervalMs)
  }

  private chooseCluster(): ClusterShare {
    const { clusters, totalWeight, metadataMatch } = this.plan
    const named = this.accepted.filterState?.get(clusterOverride)
    if (typeof named === 'string') return { name: named, weight: 1, metadataMatch }
    if (clusters.length === 1) return clusters[0]!
    let point = Math.random() * totalWeight
    for (const share of clusters) {
      point -= share.weight
      if (point < 0) return share
    }
    return clusters[clusters.length - 1]!
  }

  private connect(): void {
    const { info, services, plan } = this
    this.attempts++
    this.share ??= this.chooseCluster()
    const cluster = this.cluster ?? services.cluster(this.share.name)
    if (cluster === undefined) {
      plan.stats.noRoute.inc()
      this.fail('NC', initFailure.noRoute)
      return
    }
    this.cluster = cluster
    info.clusterName = cluster.name
    info.clusterStatName = cluster.plan.statName
    const breaker = cluster.breakers[0]
    if (!breaker.take('connections')) {
      cluster.stats.connectionOverflow.inc()
      this.fail('UO', initFailure.overflow)
      return
    }
    const endpoint = cluster.pick(connectionPick(this.accepted, plan.hash, this.share.metadataMatch))
    if (endpoint === null) {
      breaker.release('connections')
      this.fail('UH', initFailure.noHost)
      return
    }
    this.endpoint = endpoint
    info.attemptCount = this.attempts
    if (plan.tunnel === null && !breaker.take('pending')) {
      breaker.release('connections')
      cluster.stats.pendingOverflow.inc()
      // At once all other attempts would find the same.
      if (plan.backOff === null) {
        cluster.stats.pendingOverflow.add(plan.maxConnectAttempts - this.attempts)
        this.attempts = plan.maxConnectAttempts
        info.attemptCount = this.attempts
      }
      this.attemptFailed()
      return
    }
    info.upstreamEndpoint = endpoint
    if (plan.tunnel === null) {
      const place = { endpoint, breaker, names: null, client: this.accepted, isSession: true }
      const { peerExchange } = cluster.plan
      if (peerExchange === null) this.upstream = new DirectUpstream(place, this.upstreamEvents)
      else {
        this.accepted.filterState ??= new Map()
        this.upstream = new ExchangingUpstream(
          peerExchange,
          plan.exchangeCounters(),
          place,
          this.accepted.filterState,
          this.upstreamEvents,
        )
      }
      return
    }
    // The tunnel's pool counts connections itself.
    breaker.release('connections')
    this.accepted.filterState ??= new Map()
    const tunnel = new TunnelUpstream(plan.tunnel, cluster, endpoint, this, this.accepted.filterState, this.upstreamEvents)
    this.upstream = tunnel
    if (!tunnel.open()) this.upstreamClosed('', false)
  }

  private onConnected(): void {
    const { upstream, info, plan } = this
    if (this.ended || upstream === null) return
    this.connected = true
    info.upstreamConnection = upstream.info
    if (plan.logOnConnected) this.log('TcpUpstreamConnected')
    if (this.downstreamEnded) upstream.endWriting()
    this.downstream.resume()
  }

  private fromUpstream(bytes: Buffer, start: number, end: number): void {
    if (this.closing) return
    this.lastActivityMs = performance.now()
    if (!this.mayWrite) {
      if (this.accepted.mayWrite?.() === false) return
      this.mayWrite = true
    }
    this.info.bytesSent += end - start
    if (!this.downstream.write(bytes, start, end)) this.upstream?.pause()
    this.endIfDraining()
  }

  private onUpstreamEnd(): void {
    this.upstreamEnded = true
    if (this.downstreamEnded) this.downstream.closeAfterWrite()
    else this.downstream.endWriting()
  }

  private upstreamClosed(failure: string, reset: boolean): void {
    this.upstream = null
    if (this.flushing) this.plan.stats.flushActive.dec()
    if (this.ended) return
    if (!this.connected) this.connectFailed(failure)
    else if (reset) {
      // As with Envoy the client is told in the same way.
      this.info.addResponseFlag('UR')
      this.end.upstream = 'RemoteReset'
      this.end.downstream = 'LocalReset'
      this.downstream.resetNow()
    } else this.downstream.closeAfterWrite()
  }

  private connectFailed(failure: string): void {
    const { endpoint, info } = this
    const late = failure === connectionTimeout
    if (endpoint !== null) noteLocalFailure(endpoint, late ? 504 : 503)
    info.upstreamFailure = toldFailure(failure)
    // It stays, whatever becomes of the next attempt.
    info.addResponseFlag('UF')
    this.attemptFailed()
  }

  private attemptFailed(): void {
    if (this.attempts < this.plan.maxConnectAttempts) {
      this.connectAgain()
      return
    }
    this.cluster?.stats.connectAttemptsExceeded.inc()
    this.fail('URX', initFailure.connect)
  }

  private connectAgain(): void {
    const { backOff } = this.plan
    if (backOff === null) {
      this.connect()
      return
    }
    this.retryTimer ??= new Timeout(() => this.connect())
    const bound = Math.min(backOff.maxMs, backOff.baseMs * 2 ** Math.min(this.attempts - 1, 30))
    this.services.timers.arm(this.retryTimer, Math.floor(Math.random() * bound))
  }

  private fail(flag: string, why: number): void {
    this.info.addResponseFlag(flag)
    this.close(`tcp_initializion_failure:${why}`)
  }

  /** Ends the session of our own accord. */
  private close(reason: string): void {
    this.info.localCloseReason = reason
    if (this.connected) this.end.upstreamReason = reason
    this.downstream.destroy()
  }

  private nextLook(): number {
    const { plan, maxDurationMs } = this
    const { idleMs } = plan
    const now = performance.now()
    const idle = idleMs > 0 ? this.lastActivityMs + idleMs - now : Number.POSITIVE_INFINITY
    const end = maxDurationMs > 0 ? this.info.startMs + maxDurationMs - now : Number.POSITIVE_INFINITY
    return Math.max(1, Math.min(idle, end))
  }

  private onIdle(): void {
    const { plan, maxDurationMs } = this
    const { idleMs, stats } = plan
    const now = performance.now()
    if (maxDurationMs > 0 && now >= this.info.startMs + maxDurationMs) {
      stats.maxDuration.inc()
      this.info.addResponseFlag('DT')
      this.close('max_connection_duration_reached')
    } else if (idleMs > 0 && now >= this.lastActivityMs + idleMs) {
      stats.idleTimeout.inc()
      this.close('tcp_session_idle_timeout')
    } else this.services.timers.arm(this.idleTimer, this.nextLook())
  }

  // NetworkSession

  drain(): void {
    this.draining = true
  }

  private endIfDraining(): void {
    if (!this.plan.closesOnDrain || this.closing || this.downstream.isClosed) return
    if (!this.draining && !this.services.processState.healthCheckFailed) return
    this.closing = true
    this.plan.stats.drainClose.inc()
    this.downstream.closeAfterWrite()
  }

  noted(): StreamRecord {
    return this.info
  }

  destroy(): void {
    this.downstream.destroy()
  }

  refuse({ details, flag = '', codeDetails = '', closeReason = '' }: Refusal): void {
    const { info } = this
    info.terminationDetails = details
    info.responseCodeDetails = codeDetails
    if (flag !== '') info.addResponseFlag(flag)
    // What came was held before the filter that refuses.
    info.bytesReceived = this.downstream.bytesRead
    this.close(closeReason)
  }

  // ConnectionHandler, downstream

  onBytes(bytes: Buffer, start: number, end: number): void {
    this.lastActivityMs = performance.now()
    this.info.bytesReceived += end - start
    if (this.upstream !== null && !this.upstream.write(bytes, start, end)) this.downstream.pause()
    this.endIfDraining()
  }

  onEnd(): void {
    this.downstreamEnded = true
    if (!this.connected) return
    // Both ends have been told: what is left is ours to close, as the counters of both tell.
    if (this.upstreamEnded) this.downstream.closeAfterWrite()
    else this.upstream?.endWriting()
  }

  onWritable(): void {
    this.upstream?.resume()
  }

  onClose(error: Error | null): void {
    if (this.ended) return
    this.ended = true
    const reset = error !== null && 'code' in error && error.code === 'ECONNRESET'
    if (reset) this.end.downstream = 'RemoteReset'
    const { timers } = this.services
    timers.cancel(this.idleTimer)
    if (this.logTimer !== null) timers.cancel(this.logTimer)
    if (this.retryTimer !== null) timers.cancel(this.retryTimer)
    this.info.endMs = performance.now()
    if (reset) this.upstream?.resetNow()
    else this.flushUpstream()
    // The listener's log is told first, as with Envoy.
    this.onGone(this)
    this.plan.accessLog?.(this)
  }

  /** What the client sent before it left still goes to the endpoint. */
  private flushUpstream(): void {
    const { upstream, plan } = this
    if (upstream === null) return
    if (this.connected && upstream.buffered > 0) {
      this.flushing = true
      plan.stats.flushTotal.inc()
      plan.stats.flushActive.inc()
    }
    upstream.closeWhenFlushed()
  }
}

/** Why a session comes to no endpoint, as Envoy numbers it. */
const initFailure = { connect: 0, noHost: 1, overflow: 2, noRoute: 3 } as const

const noFilterState: ReadonlyMap<string, unknown> = new Map()
