import type { ClosePace } from '@weft/http/h1/server-connection'
import type { RequestHead } from '@weft/http/message'
import { StreamRecord } from '../../../observe/stream-record.ts'
import { withJitter } from '../../../plan/jitter.ts'
import type { RouteTable } from '../../../routing/route-table.ts'
import type { ProcessState } from '../../../shared/process-state.ts'
import { monotonicMs } from '../../../transport/clock.ts'
import type { Connection, ConnectionHandler } from '../../../transport/connection.ts'
import { nextConnectionId } from '../../../transport/connection-id.ts'
import type { ConnectionInfo, TlsInfo } from '../../../transport/connection-info.ts'
import type { Destination } from '../../../transport/socket-calls.ts'
import { Timeout, type TimerWheel } from '../../../transport/timer-wheel.ts'
import type { Cluster } from '../../../upstream/cluster.ts'
import type { AcceptedInfo, ConnectionServices } from '../filter.ts'
import { type DownstreamProtocol, protocolOf } from './downstream-protocol.ts'
import type { ExchangePool, PooledDownstream } from './exchange-pool.ts'
import type { HcmPlan } from './hcm-plan.ts'
import { Http1Session } from './http1-session.ts'
import { Http2Session } from './http2-session.ts'
import { scaledLookMs } from './stream-deadlines.ts'

const noBytes = Buffer.alloc(0)

/** Of a connection that is ended with its listener (Envoy's words). */
const purged = 'downstream_local_disconnect(purging_socket_that_have_not_progressed_to_connections)'
/** Of one that ends with its last request (its words too). */
const drained = 'deferred_close_on_drained_connection'

/** A downstream connection, whose first bytes may have to say which HTTP is spoken on it. */
export class DownstreamConnection implements ConnectionHandler, PooledDownstream {
  readonly id = nextConnectionId()
  plan: HcmPlan
  /** Of the plan. */
  exchanges: ExchangePool
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localAddress: string
  readonly localPort: number
  readonly directLocal: Destination | undefined
  readonly directRemote: Destination | undefined
  readonly tls: TlsInfo | null
  readonly serverName: string
  readonly carrier: ConnectionInfo['carrier']
  readonly listenerName: string
  readonly tlvs: AcceptedInfo['tlvs']
  readonly fingerprints: ConnectionInfo['fingerprints']
  readonly listenerMetadata: ConnectionInfo['listenerMetadata']
  readonly listenerDirection: ConnectionInfo['listenerDirection']
  readonly filterChainName: string
  readonly filterState: ReadonlyMap<string, unknown> | undefined
  readonly filterChainMetadata: ConnectionInfo['filterChainMetadata']
  private readonly services: ConnectionServices
  private readonly stats: HcmPlan['stats']
  private readonly connection: Connection
  /** null: not known yet, `first` keeps the bytes so far. */
  private protocol: DownstreamProtocol | null = null
  private first: Buffer = noBytes
  private readonly startedMs = performance.now()
  /** How old it may become (ms; 0: any age). */
  private readonly maxAgeMs: number
  private idleSinceMs = this.startedMs
  private idleTimer: Timeout | null = null
  private requests = 0
  /** It was found too old. */
  private countedOld = false
  /** The request that came last is the last one. */
  private isLast = false
  private draining = false
  private drainTimer: Timeout | null = null
  /** The time that clients were given to turn away is over. */
  private drained = false
  private localClose = false
  /** What its requests hear of its end. */
  private loss = 'connection closed'
  /** The peer left while a request was under way. */
  private endedActive = false
  private brokeProtocol = false
  /** What was read at first is not dealt with yet. */
  private isFirstRead = true
  /** What was read at first broke the protocol: the connection is of none. */
  private spokeBadly = false
  /** The client ended it by RST. */
  private wasReset = false
  /** Why we end it, in Envoy's words. */
  private closeReason = ''
  private readonly onGone: (connection: DownstreamConnection) => void

  constructor(
    plan: HcmPlan,
    exchanges: ExchangePool,
    services: ConnectionServices,
    connection: Connection,
    info: AcceptedInfo,
    onGone: (connection: DownstreamConnection) => void,
  ) {
    this.plan = plan
    this.exchanges = exchanges
    this.maxAgeMs = withJitter(plan.maxConnectionMs, plan.maxConnectionJitter)
    this.services = services
    this.connection = connection
    this.onGone = onGone
    this.remoteAddress = info.remoteAddress
    this.remotePort = info.remotePort
    this.localAddress = info.localAddress
    this.localPort = info.localPort
    this.directLocal = info.directLocal
    this.directRemote = info.directRemote
    this.tls = info.tls
    this.serverName = info.serverName
    this.carrier = info.carrier
    this.listenerName = info.listenerName
    this.tlvs = info.tlvs
    this.fingerprints = info.fingerprints
    this.listenerMetadata = info.listenerMetadata
    this.listenerDirection = info.listenerDirection
    this.filterChainName = info.filterChainName
    this.filterState = info.filterState
    this.filterChainMetadata = info.filterChainMetadata
    const { stats } = plan
    this.stats = stats
    stats.connectionTotal.inc()
    stats.connectionActive.inc()
    if (info.tls !== null) {
      stats.connectionSslTotal.inc()
      stats.connectionSslActive.inc()
    }
    connection.countIn(stats)
    connection.handler = this
    this.armIdle()
    if (info.refusal !== undefined) this.destroy()
  }

  /** Finds the protocol by these bytes, the first there are. */
  private decide(bytes: Buffer, start: number, end: number): DownstreamProtocol | null {
    const name = protocolOf(this.plan.codec, this.tls, bytes, start, end)
    const { stats } = this
    switch (name) {
      case 'more':
        return null
      case 'http1':
        stats.connectionHttp1Total.inc()
        stats.connectionHttp1Active.inc()
        this.protocol = new Http1Session(this, this.connection)
        break
      case 'http2':
        stats.connectionHttp2Total.inc()
        stats.connectionHttp2Active.inc()
        this.protocol = new Http2Session(this, this.connection)
        break
    }
    return this.protocol
  }

  get isHttp2(): boolean {
    return this.protocol?.name === 'http2'
  }

  private get isIdle(): boolean {
    return this.protocol === null || this.protocol.isIdle
  }

  /** It never spoke. */
  private get isUnused(): boolean {
    return this.requests === 0 && this.isIdle
  }

  get timers(): TimerWheel {
    return this.services.timers
  }

  routeTable(request: RequestHead): RouteTable | null {
    const { routes } = this.plan
    if (routes.type === 'inline') return routes.table
    return routes.type === 'rds' ? this.services.routeTable(routes.name) : routes.tables.tableOf(request)
  }

  cluster(name: string): Cluster | undefined {
    return this.services.cluster(name)
  }

  /**
   * Clients should turn away: the response says so, and the connection goes on for a while, so that a request that was sent
   * before the client knew is served.
   */
  wantsEnd(): boolean {
    if (!this.draining && !this.services.processState.healthCheckFailed) return false
    if (this.drainTimer === null) {
      this.plan.stats.drainClose.inc()
      this.startDrain()
    }
    return true
  }

  private startDrain(): void {
    if (this.drainTimer !== null) return
    this.drainTimer = new Timeout(() => {
      this.drained = true
      if (!this.isIdle) return
      // One with streams says that it ends, and then does.
      if (this.isHttp2) this.protocol?.drain()
      else this.closeUnasked()
    })
    this.services.timers.arm(this.drainTimer, withJitter(this.plan.drainTimeoutMs, this.plan.drainJitter))
    this.protocol?.drain()
  }

  wantsClose(): ClosePace | null {
    const pace = this.isUsedUp() ? 'now' : this.drained || this.isDropped() ? 'late' : null
    if (pace !== null) this.protocol?.drain()
    return pace
  }

  get processState(): ProcessState {
    return this.services.processState
  }

  /** A process that is short of something keeps no connections between requests. */
  private isDropped(): boolean {
    if (!this.services.processState.draws('disable_http_keepalive')) return false
    this.plan.stats.overloadDisableKeepalive.inc()
    return true
  }

  private isUsedUp(): boolean {
    return this.hasMostRequests() || this.isLast
  }

  private hasMostRequests(): boolean {
    const { maxRequestsPerConnection: max } = this.plan
    return max > 0 && this.requests >= max
  }

  private isOld(): boolean {
    const { maxAgeMs } = this
    return maxAgeMs > 0 && performance.now() - this.startedMs >= this.processState.scaled('connection-max', maxAgeMs)
  }

  /**
   * Ends the connection with its next response. An idle one is not closed at once: the client may have sent a request that
   * has not come yet; its owner destroys what is left after the drain time.
   */
  drain(): void {
    this.draining = true
    this.protocol?.drain()
  }

  /** Requests to come meet this plan, such as its rules on who may do what; one under way ends by the plan that it began with. */
  continueUnder(plan: HcmPlan, exchanges: ExchangePool): void {
    this.plan = plan
    this.exchanges = exchanges
  }

  onProtocolError(reason: string): void {
    this.brokeProtocol = true
    this.spokeBadly = this.isFirstRead
    this.closeReason = `codec_error:${reason.replaceAll(' ', '_')}`
    // Requests of HTTP/2 end with the error, whenever the connection does.
    if (!this.isHttp2 || this.protocol?.activeExchanges === 0) return
    this.stats.destroyActive.inc()
    this.stats.destroyLocalActive.inc()
  }

  noted(): StreamRecord {
    const record = new StreamRecord()
    if (this.protocol !== null && !this.spokeBadly) record.protocol = this.isHttp2 ? 'HTTP/2' : 'HTTP/1.1'
    record.bytesReceived = this.connection.bytesRead
    record.bytesSent = this.connection.bytesWritten
    if (this.brokeProtocol) record.addResponseFlag('DPE')
    record.localCloseReason = this.closeReason
    if (this.wasReset) record.sessionEnd = { downstream: 'RemoteReset', upstream: 'Normal', upstreamReason: '' }
    return record
  }

  /** Ends the connection now, whatever is on it. */
  destroy(): void {
    this.localClose = true
    this.loss = purged
    this.connection.destroy()
  }

  /** Ends a connection whose client is at rest, or does wrong: it hears so at once, and counts if it does not close until the time is up. */
  closeUnasked(): void {
    this.localClose = true
    this.closeReason ||= drained
    this.stopIdle()
    const { delayedCloseMs } = this.plan
    if (delayedCloseMs === 0) this.connection.closeAfterWrite()
    else this.connection.closeAfterWrite(delayedCloseMs, () => this.onLate())
  }

  /** One timer a connection, looked at late, instead of one armed for each pause. */
  private armIdle(): void {
    const { plan } = this
    const limits = [plan.connectionIdleMs, this.maxAgeMs].filter((limit) => limit > 0)
    if (limits.length === 0) return
    this.idleTimer = new Timeout(() => this.onIdleTimer())
    this.services.timers.arm(this.idleTimer, Math.min(...limits, this.lookMs))
  }

  private stopIdle(): void {
    if (this.idleTimer !== null) this.services.timers.cancel(this.idleTimer)
  }

  /** How often to look whether limits have got shorter; Infinity: they don't. */
  private get lookMs(): number {
    const { processState } = this
    const shrinks = processState.isScaled('connection-idle') || processState.isScaled('connection-max')
    return shrinks ? scaledLookMs : Number.POSITIVE_INFINITY
  }

  private onIdleTimer(): void {
    const { plan } = this
    const now = performance.now()
    const idle = this.isIdle
    if (!this.countedOld && this.isOld()) {
      this.countedOld = true
      plan.stats.maxDuration.inc()
      if (this.isHttp2 || this.isUnused || !plan.endsOldWithResponse) {
        this.endSoon('duration_timeout')
        return
      }
    }
    const idleMs = this.processState.scaled('connection-idle', plan.connectionIdleMs)
    const idleAt = idle ? this.idleSinceMs + idleMs : now + idleMs
    if (idle && idleMs > 0 && now >= idleAt) {
      plan.stats.idleTimeout.inc()
      this.endSoon('on_idle_timeout')
      return
    }
    const endAt = this.maxAgeMs > 0 && !this.countedOld ? this.startedMs + this.maxAgeMs : Number.POSITIVE_INFINITY
    const next = Math.min(idleMs > 0 ? idleAt : Number.POSITIVE_INFINITY, endAt)
    if (next === Number.POSITIVE_INFINITY) return
    this.services.timers.arm(this.idleTimer!, Math.max(1, Math.min(next - now, this.lookMs)))
  }

  /** A connection that never spoke is closed; another gets the drain time, in which a request under way to us is still served. */
  private endSoon(reason: string): void {
    if (this.isUnused) {
      this.localClose = true
      if (this.isHttp2) this.protocol?.drain()
      else {
        this.closeReason = reason
        this.connection.closeWhenFlushed()
      }
      return
    }
    this.draining = true
    this.startDrain()
  }

  /** For the protocol: a request begins. */
  onExchangeBegin(): void {
    this.requests++
    // A request that comes to an old connection is the last one; of HTTP/2 those that are old are drained by the clock.
    if (this.plan.endsOldWithResponse && !this.isHttp2 && this.isOld()) this.isLast = true
    if (!this.hasMostRequests()) return
    this.plan.stats.maxRequests.inc()
    // A client of HTTP/2 may know before its answer is there.
    if (this.isHttp2) this.protocol?.drain()
  }

  onExchangeEnd(): void {
    this.idleSinceMs = monotonicMs()
  }

  /** For the protocol: the connection ends with what is written. */
  closeAfterWrite(how: ClosePace): void {
    const { delayedCloseMs } = this.plan
    this.closeReason ||= drained
    if (how === 'now' || delayedCloseMs === 0) {
      this.localClose = true
      this.connection.closeAfterWrite()
      return
    }
    // A client that closes in time is the one who did.
    this.stopIdle()
    this.connection.lingerAfterWrite(delayedCloseMs, () => this.onLate())
  }

  private onLate(): void {
    this.localClose = true
    this.closeReason = 'triggered_delayed_close_timeout'
    this.stats.delayedCloseTimeout.inc()
  }

  /** For the protocol: the same, with a client that overdid it. */
  turnAway(): void {
    this.localClose = true
    this.connection.turnAway()
  }

  // ConnectionHandler

  onBytes(bytes: Buffer, start: number, end: number): void {
    if (this.protocol !== null) {
      this.isFirstRead = false
      this.protocol.receive(bytes, start, end)
      return
    }
    const first = this.first.length === 0 ? bytes.subarray(start, end) : Buffer.concat([this.first, bytes.subarray(start, end)])
    const protocol = this.decide(first, 0, first.length)
    if (protocol === null) {
      this.first = Buffer.from(first)
      return
    }
    this.first = noBytes
    protocol.receive(first, 0, first.length)
    this.isFirstRead = protocol.isBehind
  }

  onEnd(): void {
    this.endedActive = this.protocol !== null && this.protocol.activeExchanges > 0
    if (this.protocol?.receiveEnd() !== true) this.connection.closeWhenFlushed()
  }

  onWritable(): void {
    this.protocol?.writable()
  }

  onClose(error: Error | null): void {
    const { stats, protocol } = this
    this.wasReset = error !== null && 'code' in error && error.code === 'ECONNRESET'
    const active = this.endedActive || (protocol !== null && protocol.activeExchanges > 0)
    stats.connectionActive.dec()
    if (protocol?.name === 'http1') stats.connectionHttp1Active.dec()
    else if (protocol?.name === 'http2') stats.connectionHttp2Active.dec()
    if (this.tls !== null) stats.connectionSslActive.dec()
    stats.connectionDestroy.inc()
    if (this.localClose) stats.destroyLocal.inc()
    else stats.destroyRemote.inc()
    if (active) {
      stats.destroyActive.inc()
      if (this.localClose) stats.destroyLocalActive.inc()
      else stats.destroyRemoteActive.inc()
    }
    stats.connectionLength.record(Math.round(performance.now() - this.startedMs))
    protocol?.lost(this.loss)
    this.stopIdle()
    if (this.drainTimer !== null) this.services.timers.cancel(this.drainTimer)
    this.onGone(this)
  }
}

/** Counts a connection that ended before its TLS handshake was done; `byUs`: because that took too long. */
export function countMissed({ stats }: HcmPlan, durationMs: number, byUs: boolean): void {
  stats.connectionTotal.inc()
  stats.connectionSslTotal.inc()
  stats.connectionDestroy.inc()
  if (byUs) stats.destroyLocal.inc()
  else stats.destroyRemote.inc()
  stats.connectionLength.record(Math.round(durationMs))
}
