import { headerName, names, singleInResponses } from '@weft/http/header-name'
import type { HeaderTable } from '@weft/http/header-table'
import type { RequestHead, ResponseHead } from '@weft/http/message'
import type { ClientStream, ResetReason } from '@weft/http/stream'
import type { Span } from '../../../observe/tracing/span.ts'
import { tlsRedirect } from '../../../routing/redirect.ts'
import { askedWait, type RetryPlan, retriableReset, retriableResponse, retryPlanFor } from '../../../routing/retry-policy.ts'
import { type ClusterChoice, type ClusterSelector, type ForwardPlan, selectCluster } from '../../../routing/route-action.ts'
import type { FilterConfigs, RouteOutcome, RoutePlan } from '../../../routing/route-table.ts'
import type { VirtualCluster } from '../../../routing/virtual-clusters.ts'
import { monotonicMs } from '../../../transport/clock.ts'
import { writeProxyHeader } from '../../../transport/proxy-protocol.ts'
import { Timeout } from '../../../transport/timer-wheel.ts'
import type { CircuitBreaker } from '../../../upstream/circuit-breaker.ts'
import type { Cluster } from '../../../upstream/cluster.ts'
import { canaryName } from '../../../upstream/cluster-stats.ts'
import type { Endpoint } from '../../../upstream/endpoint.ts'
import { poolOf, tcpPoolOf } from '../../../upstream/endpoint-pools.ts'
import { cell } from '../../../upstream/endpoint-slab.ts'
import { httpStatusOf } from '../../../upstream/grpc-status.ts'
import { Hash64 } from '../../../upstream/load-balancers/hash64.ts'
import { noteLocalFailure, noteStatus } from '../../../upstream/outcome.ts'
import type { PooledConnection, PoolWaiter, UpstreamPool } from '../../../upstream/pool.ts'
import type { UpstreamCluster } from '../../../upstream/upstream-cluster.ts'
import type { Exchange } from '../../network/http-connection-manager/exchange.ts'
import { HedgedTry, type HedgeOwner } from './hedge.ts'
import { turnRequest } from './internal-redirect.ts'
import { Mirrors } from './mirror.ts'
import { finishRequestHead, type RequestWishes, replaceHost, tellExpected, wishesOf } from './request-head.ts'
import { RequestPick } from './request-pick.ts'
import { describeBreak, describeReset, resetWord } from './reset-reasons.ts'
import { malformedHeader } from './router-options.ts'

const attemptCount = headerName('x-envoy-attempt-count')
const serviceTime = headerName('x-envoy-upstream-service-time')
const timeoutRetry = headerName('x-envoy-is-timeout-retry')
const hedgeHeader = headerName('x-envoy-hedge-on-per-try-timeout')
const overloaded = headerName('x-envoy-overloaded')
const canary = headerName('x-envoy-upstream-canary')
const setCookie = headerName('set-cookie')
const immediateFailure = headerName('x-envoy-immediate-health-check-fail')
const none: readonly string[] = []
const never = Number.POSITIVE_INFINITY

/** Methods that may be sent twice (RFC 9110 section 9.2.2). */
const idempotent = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE'])

/**
 * The end of every filter chain: answers redirects and direct responses, and sends the rest to an endpoint of the route's
 * cluster, with time limits and retries. One for each exchange, used again with it.
 */
export class Router implements PoolWaiter, HedgeOwner {
  private readonly exchange: Exchange
  private forward: ForwardPlan | null = null
  private choice: ClusterChoice | null = null
  private cluster: Cluster | null = null
  private breaker: CircuitBreaker | null = null
  private endpoint: Endpoint | null = null
  private connection: PooledConnection | null = null
  /** The request on that connection; set and cleared with it. */
  private stream: ClientStream | null = null
  private waitingFor: Endpoint | null = null
  private waitingIn: UpstreamPool | null = null
  private retry: RetryPlan | null = null
  private retriesLeft = 0
  private retryHeld = false
  private retryTimer: Timeout | null = null
  private raceRetried = false
  /** The time of the last try was up. */
  private tryTimedOut = false
  /** A try whose time is up goes on beside the next one. */
  private hedges = false
  /** The try that is under way, where tries may race, and those before it that still are. */
  private current: HedgedTry | null = null
  private older: HedgedTry[] = noTries
  private readonly pick: RequestPick
  /** The request so far, for another try or until there is a connection. */
  private kept: Buffer[] = noBuffers
  private keptBytes = 0
  private keepBody = false
  private bodyEnded = false
  private bodyTrailers: HeaderTable | null = null
  private mirrors: Mirrors | null = null
  /** Of the try, where tries are traced, and why it had no answer. */
  private span: Span | null = null
  private resetReason = ''
  private virtualCluster: VirtualCluster | null = null
  private wishes: RequestWishes | null = null
  /** When the try has taken as long as it may. */
  private streamDeadline = never
  private timeoutMs = 0
  private perTryMs = 0
  private routeDeadline = never
  private tryDeadline = never
  /** How long a try may say nothing (0: any time), and when it last did. */
  private tryIdleMs = 0
  private tryActiveMs = 0
  private responding = false
  /** Upstream has sent a 1xx answer. */
  private interim = false
  private reused = false
  private pausedResponse = false
  started = false

  constructor(exchange: Exchange) {
    this.exchange = exchange
    this.pick = new RequestPick(exchange)
  }

  get response(): ResponseHead {
    return this.exchange.response
  }

  get clusterMetadata(): Readonly<Record<string, unknown>> | null {
    return this.cluster?.source.metadata?.filterMetadata ?? null
  }

  /** The cluster chosen; empty when the route names none. */
  get clusterName(): string {
    return this.choice?.name ?? ''
  }

  /** Filter overrides of the weighted choice. */
  get choiceConfigs(): FilterConfigs | null {
    return this.choice?.filterConfigs ?? null
  }

  get nextDeadline(): number {
    return Math.min(this.routeDeadline, this.tryDeadline, this.tryIdleDeadline, this.streamDeadline)
  }

  private get tryIdleDeadline(): number {
    return this.tryIdleMs > 0 && this.stream !== null ? this.tryActiveMs + this.tryIdleMs : never
  }

  /** A route was chosen (anew): chooses the cluster of a weighted one. */
  prepare(route: RoutePlan | null): void {
    this.started = false
    this.forward = route !== null && route.outcome.type === 'forward' ? route.outcome.forward : null
    const selector = this.forward?.cluster
    this.choice =
      selector === undefined
        ? null
        : selector.type === 'one'
          ? selector.choice
          : selectCluster(selector, this.exchange.request, this.draw(selector))
    this.cluster = null
    this.mirrors = null
    this.virtualCluster = null
    this.wishes = null
    if (this.choice !== null && this.exchange.info.clusterName !== this.choice.name) {
      const known = this.exchange.downstream.cluster(this.choice.name)
      this.exchange.info.clusterName = known === undefined ? '' : known.name
      this.exchange.info.clusterStatName = known === undefined ? '' : known.plan.statName
    }
    this.endpoint = null
    this.connection = null
    this.stream = null
    this.waitingFor = null
    this.retry = null
    this.retryHeld = false
    this.raceRetried = false
    this.tryTimedOut = false
    this.hedges = false
    this.tryIdleMs = 0
    this.current = null
    this.pick.begin(this.forward, this.choice, null)
    if (this.kept !== noBuffers) this.kept = noBuffers
    this.keptBytes = 0
    this.bodyEnded = false
    this.bodyTrailers = null
    this.routeDeadline = never
    this.tryDeadline = never
    this.streamDeadline = never
    this.responding = false
    this.interim = false
    this.pausedResponse = false
  }

  /** Where among the weights a request falls (0 ≤ x < 1): by chance, or by its hash where the route says so. */
  private draw(selector: ClusterSelector): number {
    if (selector.type !== 'weighted' || !selector.byHash) return Math.random()
    this.pick.begin(this.forward, null, null)
    const hash = new Hash64()
    const steps = Math.min(selector.total, 2 ** 31)
    return this.pick.hashInto(hash) ? (hash.modulo(steps) + 0.5) / steps : Math.random()
  }

  /** All filters have passed the request's head. */
  start(endStream: boolean): void {
    const { exchange, forward, choice } = this
    this.started = true
    this.bodyEnded = endStream
    const { route, info, plan } = exchange
    plan.stats.total.inc()
    if (route === null) {
      plan.stats.noRoute.inc()
      exchange.reply(404, '', { details: 'route_not_found', flags: ['NR'] })
      return
    }
    const secure = tlsRedirect(route.host, exchange.request, exchange.internal)
    if (secure !== null) {
      info.clusterName = ''
      info.clusterStatName = ''
      plan.stats.directResponse.inc()
      exchange.reply(301, '', { details: 'direct_response', headers: [['location', secure]] })
      return
    }
    if (forward === null) {
      this.answer(route)
      return
    }
    const { strictHeaders } = plan.router
    const malformed = strictHeaders.length === 0 ? null : malformedHeader(exchange.request.headers, strictHeaders)
    if (malformed !== null) {
      const [name, value] = malformed
      const details = `request_headers_failed_strict_check{${name}}`
      exchange.reply(400, `invalid header '${name}' with value '${value}'`, { details, flags: ['IH'] })
      return
    }
    const cluster = choice === null ? undefined : exchange.downstream.cluster(choice.name)
    if (choice === null || cluster === undefined) {
      plan.stats.noCluster.inc()
      info.clusterName = ''
      exchange.reply(forward.notFoundStatus, '', { details: 'cluster_not_found', flags: ['NC'] })
      return
    }
    this.cluster = cluster
    this.breaker = cluster.breakers[forward.priority]
    this.countApart(route)
    this.wishes = wishesOf(exchange.request)
    const { runtime } = cluster.plan
    const maintenance = runtime.number(cluster.maintenanceKey, 0)
    if (maintenance > 0 && runtime.random() * 100 < maintenance) {
      cluster.stats.maintenance.inc()
      this.charge(503)
      exchange.reply(503, 'maintenance mode', {
        details: 'maintenance_mode',
        flags: ['UO'],
        headers: this.overloadHeaders,
      })
      return
    }
    if (cluster.dropShare > 0 && this.dropped(cluster)) return
    const retry = retryPlanFor(forward.retry, exchange.request)
    this.retry = retry
    this.pick.begin(forward, choice, retry)
    this.tryIdleMs = retry?.perTryIdleTimeoutMs ?? 0
    this.hedges = retry !== null && hedgesOf(forward, exchange.request)
    this.retriesLeft = retry === null ? 0 : retry.retries
    this.keepBody = !endStream && (retry !== null || forward.internalRedirect !== null)
    const times = finishRequestHead(exchange, forward, choice, route, retry, this.hedges)
    this.timeoutMs = times.timeoutMs
    this.perTryMs = times.perTryMs
    if (forward.mirrors.length > 0) this.mirrors = Mirrors.of(exchange, forward.mirrors, times.timeoutMs)
    if (endStream) this.mirrors?.send()
    info.attemptCount = 1
    if (endStream) this.armTimeout()
    this.attempt()
  }

  private get overloadHeaders(): [string, string][] {
    return this.exchange.plan.router.suppressHeaders ? [] : [[overloaded.name, 'true']]
  }

  /** Finds what the request's virtual host counts it as. */
  private countApart(route: RoutePlan): void {
    const { exchange } = this
    const found = route.host.virtualClusters?.find((one) => one.matches(exchange.request))
    if (found === undefined) return
    found.use(exchange.plan.stats.store)
    this.virtualCluster = found
    exchange.info.virtualCluster = found.name
  }

  /** Counts an answer for the cluster. */
  private charge(status: number, byCanary = false): void {
    const { plan, internal } = this.exchange
    if (!plan.router.countStatuses) return
    const stats = this.cluster?.stats
    stats?.response(status, internal)
    this.virtualCluster?.response(status)
    const apart = this.wishes?.statName ?? ''
    if (apart !== '') stats?.responseApart(apart, status, internal)
    if (!byCanary) return
    stats?.responseApart(canaryName, status, internal)
    if (apart !== '') stats?.responseApart(apart + canaryName, status, internal)
  }

  /** Whether the request is one of those that the cluster's control plane has dropped; then it is answered. */
  private dropped(cluster: Cluster): boolean {
    const all = cluster.dropShare >= 1
    if (!all && cluster.plan.runtime.random() >= cluster.dropShare) return false
    this.charge(503)
    this.exchange.reply(503, all ? 'unconditional drop overload' : 'drop overload', {
      details: all ? 'unconditional_drop_overload' : 'drop_overload',
      flags: [all ? 'UDO' : 'DO'],
      headers: [[all ? 'x-envoy-unconditional-drop-overload' : 'x-envoy-drop-overload', 'true']],
    })
    return true
  }

  private answer(route: RoutePlan): void {
    const { exchange } = this
    const { outcome } = route
    const { stats } = exchange.plan
    const edit = () => {
      for (const edits of route.edits) edits.onResponse(exchange, exchange.response.headers)
    }
    switch (outcome.type) {
      case 'direct':
        stats.directResponse.inc()
        for (const edits of route.edits) edits.onRequest(exchange, exchange.request)
        this.answerDirectly(outcome, edit)
        break
      case 'redirect': {
        stats.directResponse.inc()
        const location = outcome.redirect.location(exchange.request, exchange)
        outcome.redirect.rewrite?.(exchange.request, exchange)
        exchange.reply(outcome.redirect.status, '', { details: 'direct_response', headers: [['location', location]] }, edit)
        break
      }
      default:
        stats.noRoute.inc()
        exchange.reply(404, '', { details: 'route_not_found', flags: ['NR'] })
    }
  }

  private answerDirectly(outcome: Extract<RouteOutcome, { type: 'direct' }>, edit: () => void): void {
    const { exchange } = this
    const { status, body, format } = outcome
    const { scheme, authority, path } = exchange.request
    const created = status === 201 || (status >= 300 && status < 400)
    exchange.info.localReplyBody = body
    exchange.reply(
      status,
      format === null ? body : Buffer.from(format.text(exchange), 'latin1'),
      {
        details: 'direct_response',
        ...(created ? { headers: [['location', `${scheme}://${authority}${path}`]] } : {}),
        ...(format === null ? {} : { contentType: format.contentType }),
      },
      edit,
    )
  }

  private armTimeout(): void {
    const now = monotonicMs()
    if (this.timeoutMs > 0) {
      this.routeDeadline = now + this.timeoutMs
      this.exchange.watch(this.routeDeadline)
    }
    this.armTry(now)
  }

  private armTry(now: number): void {
    const asked = this.wishes?.streamMs ?? -1
    const streamMs = asked >= 0 ? asked : this.cluster!.plan.maxStreamMs
    if (streamMs > 0) {
      this.streamDeadline = now + streamMs
      this.exchange.watch(this.streamDeadline)
    }
    if (this.perTryMs <= 0 || !this.bodyEnded) return
    this.tryDeadline = now + this.perTryMs
    this.exchange.watch(this.tryDeadline)
  }

  /** One try: an endpoint, a connection to it, the request on it. */
  private attempt(): void {
    const { exchange } = this
    exchange.info.attemptStartMs = monotonicMs()
    const cluster = this.cluster!
    const endpoint = cluster.pick(this.pick)
    if (endpoint === null) {
      exchange.info.addResponseFlag('UH')
      this.charge(503)
      exchange.reply(503, 'no healthy upstream', { details: 'no_healthy_upstream' })
      return
    }
    exchange.info.upstreamEndpoint = endpoint
    const owner = endpoint.cluster
    if (!this.breakerOf(owner).take('requests')) {
      this.overflow()
      return
    }
    // What waits for a connection has no host yet.
    const pool = this.poolOf(endpoint)
    const connection = pool.acquire(this)
    if (connection === 'overflow') {
      this.breakerOf(owner).release('requests')
      exchange.info.upstreamEndpoint = null
      this.overflow()
      return
    }
    this.waitingFor = endpoint
    // Until it has a connection it counts among those that wait, not among those under way.
    if (connection === null) {
      this.waitingIn = pool
      this.breakerOf(owner).release('requests')
    } else this.useConnection(connection)
  }

  private poolOf(endpoint: Endpoint): UpstreamPool {
    const { cluster } = endpoint
    const { request, upgrade } = this.exchange
    const names = cluster.plan.autoNames?.(request) ?? null
    if (this.endsHere) return tcpPoolOf(endpoint, this.forward!.priority, names)
    return poolOf(endpoint, this.forward!.priority, request.version, upgrade !== '', names)
  }

  /** Whether the request goes on as a bare connection. */
  private get endsHere(): boolean {
    const tcp = this.forward?.tcp ?? null
    if (tcp === null) return false
    const { method } = this.exchange.request
    return method === 'CONNECT' || (method === 'POST' && tcp.allowsPost)
  }

  /** The limits of the cluster whose endpoint was picked: an aggregate cluster's members have their own. */
  private breakerOf(cluster: UpstreamCluster): CircuitBreaker {
    return cluster.breakers[this.forward!.priority]
  }

  private overflow(): void {
    const { exchange } = this
    exchange.info.addResponseFlag('UO')
    this.charge(503)
    const body = 'upstream connect error or disconnect/reset before headers. reset reason: overflow'
    exchange.reply(503, body, {
      details: 'upstream_reset_before_response_started{overflow}',
      headers: this.overloadHeaders,
    })
  }

  // PoolWaiter

  onPoolReady(connection: PooledConnection): void {
    this.breakerOf(this.waitingFor!.cluster).force('requests')
    this.useConnection(connection)
  }

  private useConnection(connection: PooledConnection): void {
    const { exchange } = this
    const endpoint = this.waitingFor!
    this.waitingFor = null
    this.endpoint = endpoint
    this.connection = connection
    this.reused = connection.requests > 0
    const { stats, slab } = endpoint.cluster
    stats.requestActive.inc()
    this.virtualCluster?.inc('total')
    endpoint.active++
    slab.add(endpoint.slot, cell.activeRequests, 1)
    const { info } = exchange
    info.upstreamConnection = connection.link
    info.upstreamProtocol = connection.protocol
    info.upstreamSendStartMs = info.startMs
    this.applyEndpointHost(endpoint)
    this.current = this.hedges ? new HedgedTry(this, endpoint, connection) : null
    const stream = connection.begin(this.current ?? this)
    this.stream = stream
    if (this.tryIdleMs > 0) this.noteActivity()
    if (this.current !== null) this.current.stream = stream
    if (exchange.span !== null) this.span = exchange.plan.tracing?.attempt(exchange, exchange.span, monotonicMs()) ?? null
    info.wire?.requestWritten(exchange.request)
    const wholeHead = this.bodyEnded && this.keptBytes === 0 && this.bodyTrailers === null
    const introduction = this.introduction()
    stream.sendHead(exchange.request, wholeHead && introduction === null)
    if (introduction !== null) stream.sendData(introduction, 0, introduction.length, wholeHead)
    if (!wholeHead) this.sendKept()
    if (this.bodyEnded) info.upstreamSendEndMs = monotonicMs()
  }

  /** The PROXY header that a bare connection begins with; null: none does. */
  private introduction(): Buffer | null {
    const version = this.forward?.tcp?.proxyHeader ?? 0
    if (version === 0 || !this.endsHere) return null
    const { remoteAddress, remotePort, localAddress, localPort } = this.exchange.downstream
    const source = { address: remoteAddress, port: remotePort }
    return writeProxyHeader({
      version,
      addresses: { source, destination: { address: localAddress, port: localPort } },
      tlvs: [],
    })
  }

  /** Upstream said something, or is about to be asked. */
  private noteActivity(): void {
    this.tryActiveMs = monotonicMs()
    this.exchange.watch(this.tryActiveMs + this.tryIdleMs)
  }

  /** auto_host_rewrite: the endpoint's own name. */
  private applyEndpointHost(endpoint: Endpoint): void {
    if (this.forward?.hostRewrite?.type !== 'auto' || endpoint.hostname === '') return
    replaceHost(
      this.exchange.request,
      endpoint.hostname,
      this.forward.appendForwardedHost,
      this.exchange.plan.router.suppressHeaders,
    )
  }

  private sendKept(): void {
    const stream = this.stream!
    const { kept, bodyTrailers } = this
    const { wire } = this.exchange.info
    if (this.bodyEnded) wire?.requestEnd(true)
    let more = true
    for (let i = 0; i < kept.length; i++) {
      const piece = kept[i]!
      wire?.requestBody(piece.length, true)
      more = stream.sendData(piece, 0, piece.length, this.bodyEnded && bodyTrailers === null && i === kept.length - 1)
    }
    if (kept.length === 0 && this.bodyEnded && bodyTrailers === null) stream.sendData(empty, 0, 0, true)
    if (bodyTrailers !== null) stream.sendTrailers(bodyTrailers)
    // It may have been stopped while there was no connection.
    if (more && !this.bodyEnded) this.exchange.resumeRequest()
    if (!this.keepBody) {
      this.kept = noBuffers
      this.keptBytes = 0
    }
  }

  // The request's body, from the filters

  data(buffer: Buffer, start: number, end: number, endStream: boolean): void {
    this.mirrors?.add(buffer, start, end)
    if (endStream) this.endBody()
    const { stream } = this
    if (stream === null || this.keepBody) this.keep(buffer, start, end)
    if (stream === null) return
    const { wire } = this.exchange.info
    wire?.requestBody(end - start, true)
    if (endStream) wire?.requestEnd(true)
    if (!stream.sendData(buffer, start, end, endStream) && !endStream) this.exchange.pauseRequest()
  }

  trailers(trailers: HeaderTable): void {
    this.endBody()
    this.bodyTrailers = trailers
    this.stream?.sendTrailers(trailers)
  }

  private endBody(): void {
    this.bodyEnded = true
    this.mirrors?.send()
    this.exchange.info.upstreamSendEndMs = monotonicMs()
    if (this.cluster !== null) this.armTimeout()
  }

  private keep(buffer: Buffer, start: number, end: number): void {
    if (end === start) return
    const limit = this.exchange.route?.bufferLimit ?? this.exchange.plan.bufferLimit
    if (this.keptBytes + end - start > limit && this.connection !== null) {
      // Too much to send twice.
      this.keepBody = false
      this.retriesLeft = 0
      this.kept = noBuffers
      this.keptBytes = 0
      return
    }
    if (this.kept === noBuffers) this.kept = []
    this.kept.push(Buffer.from(buffer.subarray(start, end)))
    this.keptBytes += end - start
    if (this.connection === null && this.keptBytes > limit) this.exchange.pauseRequest()
  }

  onRequestWritable(): void {
    this.exchange.resumeRequest()
  }

  // The response, from the codec

  onInterim(head: ResponseHead): void {
    this.interim = true
    this.charge(head.status)
    this.exchange.respondInterim(head)
  }

  onResponseHead(endStream: boolean): void {
    const { exchange } = this
    const { info, response } = exchange
    const cluster = this.cluster!
    info.upstreamFirstByteMs = monotonicMs()
    const { status } = response
    if (response.headers.repeated) response.headers.joinRepeated(singleInResponses)
    info.wire?.responseRead(response)
    this.noteAnswer(status, endStream)
    const { retry } = this
    if (retry !== null && this.retriesLeft > 0 && retriableResponse(retry, response) && this.canRetry()) {
      cluster.stats.retriedResponse(status)
      const wait = askedWait(retry, response, Date.now())
      if (endStream) this.endAttempt()
      else this.dropAttempt()
      this.scheduleRetry(wait)
      return
    }
    if (retry !== null && this.retriesLeft === 0 && info.attemptCount > retry.retries && retriableResponse(retry, response)) {
      cluster.stats.retryLimitExceeded.inc()
      this.virtualCluster?.inc('retry_limit_exceeded')
      info.addResponseFlag('URX')
    } else if (info.attemptCount > 1) {
      cluster.stats.retrySuccess.inc()
      this.virtualCluster?.inc('retry_success')
    }
    this.tryDeadline = never
    if (this.tryIdleMs > 0) this.noteActivity()
    if (this.forward?.internalRedirect?.codes.has(status) === true && this.followRedirect(endStream)) return
    const { headers } = response
    info.responseCode = status
    if (exchange.upgrade !== '' && exchange.upgrade !== 'connect' && status !== 101 && status < 400 && !endStream) {
      this.refuseUpgrade()
      return
    }
    this.charge(status, this.endpoint?.isCanary === true || headers.get(canary) === 'true')
    info.responseCodeDetails = 'via_upstream'
    if (info.requestEndMs >= 0 && !exchange.plan.router.suppressHeaders)
      headers.set(serviceTime, String(Math.max(0, Math.floor(info.upstreamFirstByteMs - info.requestEndMs))))
    const { route } = exchange
    if (route !== null) {
      this.editResponse()
      for (const cookie of this.pick.cookies ?? none) headers.append(setCookie, cookie)
    }
    this.responding = true
    if (endStream) this.finishAttempt()
    exchange.respond(endStream)
  }

  /** The header edits of the route, and of the cluster that was chosen, on the answer; and how often it was tried for. */
  editResponse(): void {
    const { exchange } = this
    const { headers } = exchange.response
    this.choice?.edits?.onResponse(exchange, headers)
    const { route, info } = exchange
    if (route === null) return
    const { edits, host } = route
    for (let i = 0; i < edits.length; i++) edits[i]!.onResponse(exchange, headers)
    if (host.includeAttemptCountInResponse && info.attemptCount > 0) headers.set(attemptCount, String(info.attemptCount))
  }

  /** A redirect that the route has followed here; false: the client gets it. */
  private followRedirect(endStream: boolean): boolean {
    const { exchange } = this
    const cluster = this.cluster!
    const whole = this.bodyEnded && (this.keepBody || exchange.info.bytesReceived === 0)
    if (!turnRequest(exchange, this.forward!.internalRedirect!, whole)) {
      cluster.stats.internalRedirectFailed.inc()
      return false
    }
    cluster.stats.internalRedirectSucceeded.inc()
    // A request that became GET has no body.
    const dropped = exchange.response.status === 303
    const body = dropped ? noBuffers : this.kept
    const trailers = dropped ? null : this.bodyTrailers
    if (endStream) this.endAttempt()
    else this.dropAttempt()
    this.end()
    exchange.beginAgain(body, trailers)
    return true
  }

  /** For the log: a route that a redirect led to, and its cluster. */
  nameRoute(route: RoutePlan | null): void {
    const { info, downstream } = this.exchange
    const cluster = route === null || route.cluster === '' ? undefined : downstream.cluster(route.cluster)
    info.routeName = route?.name ?? ''
    info.clusterName = cluster?.name ?? ''
    info.clusterStatName = cluster?.plan.statName ?? ''
  }

  /** For outlier detection: of gRPC the status in headers without a body, or in the trailers, is what counts. */
  private noteAnswer(status: number, endStream: boolean): void {
    const { endpoint, exchange } = this
    if (endpoint === null) return
    if (endpoint.cluster.isChecked && exchange.response.headers.has(immediateFailure)) endpoint.cluster.failCheck(endpoint)
    if (!exchange.isGrpc) {
      noteStatus(endpoint, status)
      return
    }
    const grpcStatus = exchange.response.headers.get(names.grpcStatus)
    if (grpcStatus !== null) noteStatus(endpoint, httpStatusOf(Number(grpcStatus)))
    else if (endStream || status !== 200) noteStatus(endpoint, status)
  }

  /** Upstream did not switch protocols, and said no error: its answer is passed on without the body, as Envoy does. */
  private refuseUpgrade(): void {
    const { exchange } = this
    exchange.info.responseCodeDetails = 'websocket_handshake_unsuccessful'
    this.dropAttempt()
    exchange.response.headers.set(names.contentLength, '0')
    exchange.respond(true)
  }

  onResponseData(buffer: Buffer, start: number, end: number, endStream: boolean): void {
    if (!this.responding) return
    if (this.tryIdleMs > 0) this.noteActivity()
    const { wire } = this.exchange.info
    wire?.responseBody(end - start, false)
    if (endStream) {
      wire?.responseEnd(false)
      if (this.exchange.upgrade !== '' && this.connection?.protocol === 'HTTP/1.1') this.noteTunnelEnd()
      this.finishAttempt()
    }
    this.exchange.respondData(buffer, start, end, endStream)
  }

  /** A tunnel of HTTP/1.1 has no other end than its connection's: logged and counted as that, as Envoy does. */
  private noteTunnelEnd(): void {
    const { info, plan } = this.exchange
    const said = describeBreak('connection-closed', '')
    info.addResponseFlag(said.flag)
    info.responseCodeDetails = said.details
    plan.stats.txReset.inc()
  }

  onResponseTrailers(trailers: HeaderTable): void {
    if (!this.responding) return
    const grpcStatus = this.exchange.isGrpc ? trailers.get(names.grpcStatus) : null
    if (grpcStatus !== null && this.endpoint !== null) noteStatus(this.endpoint, httpStatusOf(Number(grpcStatus)))
    this.finishAttempt()
    this.exchange.respondTrailers(trailers)
  }

  onResponseReset(reason: ResetReason, detail: string): void {
    const { exchange, connection } = this
    const cluster = this.cluster!
    const { info } = exchange
    const unanswered = this.stream?.unanswered ?? true
    const connected = connection?.connected ?? false
    const overHttp2 = connection?.protocol === 'HTTP/2'
    const endpoint = this.endpoint ?? this.waitingFor
    this.waitingFor = null
    if (endpoint !== null) noteLocalFailure(endpoint, 503)
    if (reason === 'protocol-error') {
      // Of HTTP/2 the codec counts it, but for a server that finds fault with us.
      if (!overHttp2) cluster.stats.protocolError.inc()
      else if (detail === 'PROTOCOL_ERROR') cluster.stats.txReset.inc()
    } else if (reason === 'connect-failure' || (overHttp2 && reason === 'connection-closed'))
      cluster.stats.pendingFailureEject.inc()
    else if (overHttp2 ? reason === 'remote-reset' && detail !== 'CONNECT_ERROR' : reason !== 'connection-closed')
      cluster.stats.rxReset.inc()
    // HTTP/2 says by GOAWAY what it has not looked at.
    if (this.span !== null) this.resetReason = resetWord(reason, detail)
    const raced =
      connected && this.reused && unanswered && reason === 'connection-closed' && !overHttp2 && connection?.requestTaken !== true
    this.endAttempt()
    if (this.responding) {
      const said = describeBreak(reason, detail)
      info.addResponseFlag(said.flag)
      info.responseCodeDetails = said.details
      exchange.abort()
      return
    }
    const kind = reason === 'connect-failure' || reason === 'refused-stream' ? reason : 'other'
    const { retry } = this
    if (retry !== null && this.retriesLeft > 0 && retriableReset(retry, kind) && this.canRetry()) {
      this.scheduleRetry()
      return
    }
    // GOAWAY says of a request that nobody has looked at it; a connection that is closed as one goes out, does nearly.
    const unseen = reason === 'refused-stream' && detail.startsWith('goaway')
    if (
      (unseen || (raced && idempotent.has(exchange.request.method))) &&
      !this.raceRetried &&
      this.bodyEnded &&
      (this.keepBody || this.keptBytes === 0) &&
      info.bytesReceived === this.keptBytes
    ) {
      // The peer closed an idle connection just as the request went out: nobody has seen it, or nobody can tell.
      this.raceRetried = true
      exchange.response.clear()
      this.attempt()
      return
    }
    if (retry !== null && info.attemptCount > 1 && this.retriesLeft === 0 && retriableReset(retry, kind)) {
      cluster.stats.retryLimitExceeded.inc()
      this.virtualCluster?.inc('retry_limit_exceeded')
      info.addResponseFlag('URX')
    }
    const said = describeReset(reason, detail, info.attemptCount > 1, this.interim)
    info.addResponseFlag(said.flag)
    if (reason === 'connect-failure') info.upstreamFailure = detail
    this.charge(said.status)
    exchange.reply(said.status, said.body, { details: said.details })
  }

  // Retries

  private canRetry(): boolean {
    const { cluster, exchange } = this
    if (exchange.responseStarted || (!this.bodyEnded && !this.keepBody)) return false
    if (!this.retryHeld && !this.breaker!.take('retries')) {
      cluster!.stats.retryOverflow.inc()
      this.virtualCluster?.inc('retry_overflow')
      exchange.info.addResponseFlag('UO')
      return false
    }
    this.retryHeld = true
    return true
  }

  /** `waitMs`: what the answer asked for; null: the next step of the back-off. */
  private scheduleRetry(waitMs: number | null = null): void {
    const { exchange } = this
    const retry = this.retry!
    const { stats } = this.cluster!
    const { info } = exchange
    stats.retry.inc()
    this.virtualCluster?.inc('retry')
    if (waitMs === null) stats.retryBackoffExponential.inc()
    else stats.retryBackoffRatelimited.inc()
    this.retriesLeft--
    if (info.upstreamEndpoint !== null) {
      this.pick.noteTried(info.upstreamEndpoint)
      info.earlierAttempts ??= []
      info.earlierAttempts.push({ endpoint: info.upstreamEndpoint, connectionId: info.upstreamConnection?.id ?? 0 })
    }
    exchange.response.clear()
    this.tryDeadline = never
    this.streamDeadline = never
    const ceiling = Math.min(retry.maxMs, retry.baseMs * 2 ** Math.min(20, info.attemptCount - 1))
    this.retryTimer ??= new Timeout(() => this.onRetryTimer())
    exchange.downstream.timers.arm(this.retryTimer, waitMs === null ? Math.random() * ceiling : waitMs * (1 + Math.random() / 2))
  }

  private onRetryTimer(): void {
    const { exchange } = this
    if (exchange.done || exchange.responseStarted) return
    const { info, request, route } = exchange
    info.attemptCount++
    if (route?.host.includeAttemptCount === true) request.headers.set(attemptCount, String(info.attemptCount))
    if (route?.host.tellsTimeoutRetry === true) request.headers.set(timeoutRetry, String(this.tryTimedOut))
    this.tryTimedOut = false
    if (this.retryHeld) {
      this.breaker!.release('retries')
      this.retryHeld = false
    }
    if (this.retry!.refreshCluster) this.refreshCluster()
    const now = monotonicMs()
    if (this.routeDeadline < never && !exchange.plan.router.suppressHeaders)
      tellExpected(request, this.hedges ? 0 : this.perTryMs, this.routeDeadline - now)
    this.armTry(now)
    this.attempt()
  }

  /** Draws a weighted route's cluster anew; one that is not there leaves the request with the one it had. */
  private refreshCluster(): void {
    const { exchange, forward } = this
    if (forward?.cluster.type !== 'weighted') return
    const choice = selectCluster(forward.cluster, exchange.request, Math.random())
    const cluster = choice === null ? undefined : exchange.downstream.cluster(choice.name)
    if (choice === null || cluster === undefined || cluster === this.cluster) return
    this.choice = choice
    this.cluster = cluster
    this.breaker = cluster.breakers[forward.priority]
    exchange.info.clusterName = cluster.name
    exchange.info.clusterStatName = cluster.plan.statName
    this.pick.begin(forward, choice, this.retry)
  }

  // Time limits

  /** Looks at the deadlines; true: the exchange was answered or goes on with another try. */
  onTimer(now: number): boolean {
    if (now >= this.routeDeadline) {
      this.routeDeadline = never
      this.onTimeout('response_timeout', false)
      return true
    }
    if (now >= this.tryIdleDeadline) {
      this.onTimeout('upstream_per_try_idle_timeout', true)
      return true
    }
    if (now >= this.tryDeadline) {
      this.tryDeadline = never
      this.onTimeout('upstream_per_try_timeout', true)
      return true
    }
    if (now >= this.streamDeadline) {
      this.streamDeadline = never
      this.onTimeout('upstream_max_stream_duration_reached', true)
      return true
    }
    return false
  }

  private onTimeout(details: string, perTry: boolean): void {
    const { exchange, cluster, retry } = this
    const { info } = exchange
    if (cluster === null) return
    const tooLong = details === 'upstream_max_stream_duration_reached'
    const flag = tooLong ? 'UMSDR' : 'UT'
    if (tooLong) cluster.stats.maxDurationReached.inc()
    else if (details === 'upstream_per_try_idle_timeout') cluster.stats.perTryIdleTimeout.inc()
    else if (perTry) cluster.stats.perTryTimeout.inc()
    else {
      cluster.stats.requestTimeout.inc()
      this.virtualCluster?.inc('timeout')
    }
    if (this.endpoint !== null && !this.responding) noteLocalFailure(this.endpoint, 504)
    if (this.responding) {
      info.addResponseFlag(flag)
      info.responseCodeDetails = details
      this.dropAttempt()
      exchange.abort()
      return
    }
    if (perTry && this.current !== null) {
      // The last one goes on too, until the whole time is up.
      if (this.retriesLeft === 0 || !this.canRetry()) return
      this.leaveRacing(this.current)
      this.tryTimedOut = true
      this.scheduleRetry()
      return
    }
    this.dropAttempt()
    if (this.older.length > 0) this.giveUpOlder()
    if (perTry && retry !== null && this.retriesLeft > 0 && retriableReset(retry, 'timeout') && this.canRetry()) {
      this.tryTimedOut = true
      this.scheduleRetry()
      return
    }
    if (perTry && retry !== null && this.retriesLeft === 0 && info.attemptCount > 1) {
      cluster.stats.retryLimitExceeded.inc()
      this.virtualCluster?.inc('retry_limit_exceeded')
      info.addResponseFlag('URX')
    }
    info.addResponseFlag(flag)
    const noContent = this.wishes?.timeoutIsNoContent === true && !tooLong
    const status = noContent ? 204 : 504
    if (!tooLong) this.charge(status)
    exchange.reply(status, noContent ? '' : tooLong ? 'upstream max stream duration reached' : 'upstream request timeout', {
      details,
    })
  }

  // Ends

  pauseResponse(): void {
    if (this.connection === null) return
    this.pausedResponse = true
    this.stream?.pauseResponse()
  }

  resumeResponse(): void {
    if (!this.pausedResponse) return
    this.pausedResponse = false
    this.stream?.resumeResponse()
  }

  /** The response is complete: its time is counted, the connection is the pool's again. */
  private finishAttempt(): void {
    const { info } = this.exchange
    info.upstreamLastByteMs = monotonicMs()
    this.cluster!.stats.requestTime.record(Math.round(info.upstreamLastByteMs - info.startMs))
    this.endAttempt()
  }

  private endAttempt(): void {
    const { endpoint, cluster } = this
    if (this.connection === null || endpoint === null || cluster === null) return
    if (this.span !== null) this.endSpan(this.span)
    this.connection = null
    this.stream = null
    this.endpoint = null
    this.current = null
    this.settle(endpoint)
  }

  /** A try at this endpoint is no longer under way. */
  private settle(endpoint: Endpoint): void {
    const owner = endpoint.cluster
    owner.stats.requestActive.dec()
    endpoint.active--
    owner.slab.add(endpoint.slot, cell.activeRequests, -1)
    this.breakerOf(owner).release('requests')
  }

  // Tries that race (hedge_policy)

  /** The try's time is up, and it goes on beside the next one. */
  private leaveRacing(current: HedgedTry): void {
    if (this.older === noTries) this.older = []
    this.older.push(current)
    if (this.span !== null) this.endSpan(this.span)
    this.connection = null
    this.stream = null
    this.endpoint = null
    this.current = null
  }

  private giveUpOlder(): void {
    const older = this.older
    this.older = noTries
    for (const one of older) {
      this.settle(one.endpoint)
      one.giveUp()
    }
  }

  onHedgedHead(one: HedgedTry, endStream: boolean): void {
    const { exchange, retry } = this
    if (one !== this.current) {
      const at = this.older.indexOf(one)
      if (at < 0) return
      this.older.splice(at, 1)
      // Another try is under way for one whose answer asks for it.
      if (retry !== null && retriableResponse(retry, one.response)) {
        noteStatus(one.endpoint, one.response.status)
        this.settle(one.endpoint)
        if (!endStream) one.giveUp()
        return
      }
      this.dropAttempt()
      if (this.retryTimer !== null) exchange.downstream.timers.cancel(this.retryTimer)
      this.current = one
      this.endpoint = one.endpoint
      this.stream = one.stream
      this.connection = one.connection
      exchange.info.upstreamEndpoint = one.endpoint
      exchange.info.upstreamConnection = one.connection.link
      exchange.info.upstreamProtocol = one.connection.protocol
    }
    one.choose()
    const { response } = exchange
    response.clear()
    response.status = one.response.status
    response.version = one.response.version
    response.headers.copyFrom(one.response.headers)
    const isAsked = retry !== null && this.retriesLeft > 0 && retriableResponse(retry, response)
    if (!isAsked) this.giveUpOlder()
    this.onResponseHead(endStream)
  }

  onHedgedReset(one: HedgedTry, reason: ResetReason, detail: string): void {
    if (one === this.current) {
      // Older ones may still answer, where no other try would follow.
      if (this.older.length > 0 && this.retriesLeft === 0 && !this.responding) {
        noteLocalFailure(one.endpoint, 503)
        this.endAttempt()
      } else this.onResponseReset(reason, detail)
      return
    }
    const at = this.older.indexOf(one)
    if (at < 0) return
    this.older.splice(at, 1)
    noteLocalFailure(one.endpoint, 503)
    this.settle(one.endpoint)
    // It was the last that could have answered.
    if (this.older.length === 0 && this.connection === null && this.waitingFor === null && !this.retryHeld)
      this.onResponseReset(reason, detail)
  }

  private endSpan(span: Span): void {
    const { exchange } = this
    this.span = null
    exchange.plan.tracing?.endAttempt(exchange, span, exchange.response.status, this.resetReason, monotonicMs())
    this.resetReason = ''
  }

  /** Gives the try up. */
  private dropAttempt(): void {
    if (this.waitingFor !== null) {
      this.waitingIn?.forget(this)
      this.waitingFor = null
    }
    const { stream } = this
    if (stream === null) return
    this.endAttempt()
    stream.reset()
  }

  /** The downstream is gone, or was answered otherwise. */
  cancel(): void {
    // Cancelled is what waits for a connection; a request that has one is reset.
    if (this.waitingFor !== null) this.cluster!.stats.requestCancelled.inc()
    this.dropAttempt()
    if (this.older.length > 0) this.giveUpOlder()
    this.routeDeadline = never
    this.tryDeadline = never
    this.streamDeadline = never
    if (this.retryTimer !== null) this.exchange.downstream.timers.cancel(this.retryTimer)
  }

  /** The exchange is over. */
  end(): void {
    this.dropAttempt()
    if (this.older.length > 0) this.giveUpOlder()
    if (this.retryHeld) {
      this.retryHeld = false
      this.breaker?.release('retries')
    }
    this.routeDeadline = never
    this.tryDeadline = never
    this.streamDeadline = never
    if (this.kept !== noBuffers) this.kept = noBuffers
    this.keptBytes = 0
  }
}

/** Whether a request's tries may race: its route says so, or its own header. */
function hedgesOf(forward: ForwardPlan, { headers }: RequestHead): boolean {
  if (headers.find(hedgeHeader) < 0) return forward.hedges
  return headers.get(hedgeHeader) === 'true' || forward.hedges
}

/** Shared by routers whose tries don't race; never changed. */
const noTries: HedgedTry[] = []

/** Shared by routers that keep nothing; never changed. */
const noBuffers: Buffer[] = []
const empty = Buffer.alloc(0)
