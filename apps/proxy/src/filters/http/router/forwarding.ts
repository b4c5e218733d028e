import { headerName, names, singleInResponses } from '@weft/http/header-name'
import { HeaderTable } from '@weft/http/header-table'
import type { ResponseHead } from '@weft/http/message'
import type { ResetReason } from '@weft/http/stream'
import type { InternalRedirectPlan } from '../../../routing/internal-redirect.ts'
import { askedWait, type RetryPlan, retryPlanFor } from '../../../routing/retry-policy.ts'
import type { ForwardPlan } from '../../../routing/route-action.ts'
import type { RoutePlan } from '../../../routing/route-table.ts'
import { monotonicMs } from '../../../transport/clock.ts'
import type { Cluster } from '../../../upstream/cluster.ts'
import { noteLocalFailure } from '../../../upstream/outcome.ts'
import type { PooledConnection } from '../../../upstream/pool.ts'
import type { RoutedExchange } from '../routed-exchange.ts'
import type { EndOfChain } from '../terminal-filter.ts'
import { refusedByCluster } from './cluster-refusals.ts'
import type { ClusterTarget } from './cluster-target.ts'
import { turnRequest } from './internal-redirect.ts'
import { KeptBody } from './kept-body.ts'
import { Mirrors } from './mirror.ts'
import {
  answerBroken,
  answerNoHost,
  answerOverflow,
  answerReset,
  answerTimeout,
  breakOff,
  breakOffLate,
  noteTunnelEnd,
} from './own-answers.ts'
import { hedgesOf, type RaceOwner, RacingTries } from './racing-tries.ts'
import { RequestCounts } from './request-counts.ts'
import { brokenHeader, finishNextHead, finishRequestHead, noWishes, replaceHost, tellExpected, wishesOf } from './request-head.ts'
import type { RequestPick } from './request-pick.ts'
import { Retries } from './retries.ts'
import { finishAnswer } from './route-edits.ts'
import type { RouterPlan } from './router-plan.ts'
import { type TimeLimit, TimeLimits } from './time-limits.ts'
import { UpstreamTry } from './upstream-try.ts'

const canary = headerName('x-envoy-upstream-canary')

/** The 1xx answers that clients hear of, as Envoy's; others are passed over. */
const passedOn: ReadonlySet<number> = new Set([100, 102, 103, 104])

/** A request on its way to its cluster, and the answer on its way back: one try after another, within its limits. */
export class Forwarding implements RaceOwner {
  private readonly exchange: RoutedExchange
  private readonly plan: RouterPlan
  private readonly target: ClusterTarget
  private readonly pick: RequestPick
  private readonly counts: RequestCounts
  private readonly limits: TimeLimits
  private readonly retries: Retries
  private readonly attempt: UpstreamTry
  private readonly race: RacingTries
  private readonly body = new KeptBody()
  private readonly endOfCopies: EndOfChain | null
  /** A canary has answered. */
  private byCanary = false
  private mirrors: Mirrors | null = null
  /** A request that nobody has seen was sent again, once. */
  private isResent = false
  /** The time of the last try was up. */
  private isTimedOut = false
  /** A try whose time is up goes on beside the next one. */
  private hedges = false
  private wishes = noWishes
  responding = false
  /**
   * What comes behind the head of an upgrade waits until upstream has switched protocols: one that does not would take it for
   * further requests, which no route has seen.
   */
  private held = false
  /** The try under way is counted. */
  private isCounted = false
  private answerTrailers: HeaderTable | null = null

  constructor(
    exchange: RoutedExchange,
    plan: RouterPlan,
    target: ClusterTarget,
    pick: RequestPick,
    endOfCopies: EndOfChain | null,
  ) {
    this.exchange = exchange
    this.plan = plan
    this.target = target
    this.pick = pick
    this.endOfCopies = endOfCopies
    this.counts = new RequestCounts(exchange, plan)
    this.limits = new TimeLimits(exchange)
    const { counts, limits, body } = this
    this.retries = new Retries(exchange, { counts, limits, pick, body }, () => this.tryAgain())
    this.attempt = new UpstreamTry(exchange)
    this.race = new RacingTries(exchange, this, this.attempt, this.retries)
  }

  get response(): ResponseHead {
    return this.exchange.response
  }

  /** One table for the trailers of all answers of this exchange: a table is dear to make. */
  get responseTrailers(): HeaderTable {
    this.answerTrailers ??= new HeaderTable()
    return this.answerTrailers
  }

  get nextDeadline(): number {
    return this.limits.next
  }

  /** A route was chosen (anew): nothing of the request has gone to upstream. */
  prepare(): void {
    this.mirrors = null
    this.counts.forget()
    this.limits.forget()
    this.attempt.begin(this.target.forward)
    this.retries.begin(null, null)
    this.race.current = null
    this.body.begin()
    this.isResent = false
    this.isTimedOut = false
    this.hedges = false
    this.responding = false
    this.held = false
  }

  /** The head goes to this cluster. */
  start(route: RoutePlan, forward: ForwardPlan, cluster: Cluster, endStream: boolean): void {
    const { exchange, target, body, limits } = this
    const choice = target.choice!
    body.ended = body.none = endStream
    this.held = !endStream && exchange.upgrade !== '' && !exchange.request.headers.has(names.contentLength)
    this.wishes = wishesOf(exchange.request)
    this.counts.begin(cluster, route, this.wishes.statName)
    if (refusedByCluster(exchange, this.plan, cluster, this.counts)) return
    const retry = retryPlanFor(cluster.plan.retry ?? forward.retry, exchange.request)
    this.retries.begin(retry, cluster.breakers[forward.priority])
    this.pick.begin(forward, choice, retry, cluster.plan.hashing)
    this.hedges = retry !== null && hedgesOf(forward, exchange.request)
    body.forRetries = !endStream && (retry !== null || forward.internalRedirect !== null)
    if (exchange.plan.schemeMatchesUpstream) exchange.request.scheme = cluster.tlsOf(undefined) === null ? 'http' : 'https'
    exchange.info.attemptCount = 1
    const { timeoutMs, perTryMs } = finishRequestHead(exchange, this.plan, forward, choice, route, retry, this.hedges)
    const broken = brokenHeader(exchange.request)
    if (broken !== null) {
      answerBroken(exchange, this.counts, broken)
      return
    }
    limits.wholeMs = timeoutMs
    limits.perTryMs = perTryMs
    limits.idleMs = retry?.perTryIdleTimeoutMs ?? 0
    this.limitStream(cluster)
    const mirrors = cluster.plan.mirrors ?? forward.mirrors
    if (mirrors.length > 0 && this.endOfCopies !== null) this.mirrors = Mirrors.of(exchange, mirrors, timeoutMs, this.endOfCopies)
    if (endStream) limits.begin(monotonicMs())
    this.try()
  }

  private limitStream({ plan }: Cluster): void {
    const { streamMs } = this.wishes
    this.limits.streamMs = streamMs >= 0 ? streamMs : plan.maxStreamMs
  }

  /** One try: an endpoint, a connection to it, the request on it. */
  private try(): void {
    const { exchange, attempt } = this
    exchange.info.attemptStartMs = monotonicMs()
    const endpoint = this.target.cluster!.pick(this.pick)
    if (endpoint === null) {
      answerNoHost(exchange, this.counts)
      return
    }
    const connection = attempt.acquire(endpoint, this)
    if (connection === 'overflow') {
      answerOverflow(exchange, this.plan, this.counts)
      return
    }
    this.mirrors?.start(this.body.ended)
    if (connection !== null) this.useConnection(connection)
  }

  // PoolWaiter

  onPoolReady(connection: PooledConnection): void {
    this.attempt.waited()
    this.useConnection(connection)
  }

  private useConnection(connection: PooledConnection): void {
    const { exchange, attempt, body, limits } = this
    const endpoint = attempt.connect(connection)
    this.isCounted = false
    this.countTry()
    const { forward } = this.target
    // auto_host_rewrite: the endpoint's own name.
    if (forward?.hostRewrite?.type === 'auto' && endpoint.hostname !== '')
      replaceHost(exchange.request, endpoint.hostname, forward.appendForwardedHost, this.plan.suppressHeaders)
    const racer = this.hedges ? this.race.enter(endpoint, connection) : null
    const stream = attempt.open(connection, racer ?? this)
    if (racer !== null) racer.stream = stream
    if (limits.idleMs > 0) limits.noteActivity(monotonicMs())
    if (body.ended && body.bytes === 0 && body.trailers === null) this.held = false
    const more = attempt.send(stream, body, this.held)
    // It may have been stopped while there was no connection.
    if (more && !body.ended) exchange.resumeRequest()
    if (!body.forRetries && !this.held) body.forget()
  }

  // The request's body, from the filters

  data(buffer: Buffer, start: number, end: number, endStream: boolean): void {
    this.mirrors?.data(buffer, start, end, endStream)
    if (endStream) this.endBody()
    if (this.held) {
      this.hold(buffer, start, end)
      return
    }
    const { stream } = this.attempt
    if (stream === null || this.body.forRetries) this.keep(buffer, start, end)
    if (stream === null) return
    const { wire } = this.exchange.info
    wire?.requestBody(end - start, true)
    if (endStream) wire?.requestEnd(true)
    if (!stream.sendData(buffer, start, end, endStream) && !endStream) this.exchange.pauseRequest()
  }

  trailers(trailers: HeaderTable): void {
    this.mirrors?.trailers(trailers)
    this.endBody()
    this.body.trailers = trailers
    const { stream } = this.attempt
    if (this.held || stream === null) return
    this.exchange.info.wire?.requestEnd(true)
    stream.sendTrailers(trailers)
  }

  private endBody(): void {
    this.body.ended = true
    const now = monotonicMs()
    this.exchange.info.upstreamSendEndMs = now
    if (this.target.cluster !== null) this.limits.begin(now)
  }

  /** Nobody wants it any more once upstream has answered otherwise. */
  private hold(buffer: Buffer, start: number, end: number): void {
    const { body, exchange } = this
    if (this.responding) return
    body.add(buffer, start, end, Number.POSITIVE_INFINITY)
    if (body.bytes > (exchange.route?.bufferLimit ?? exchange.plan.bufferLimit)) exchange.pauseRequest()
  }

  /** Upstream has switched: what was held goes up the tunnel. */
  private letGo(): void {
    const { attempt, body, exchange } = this
    this.held = false
    if (attempt.stream === null) return
    const more = body.sendTo(attempt.stream, exchange.info.wire)
    if (!body.forRetries) body.forget()
    if (more && !body.ended) exchange.resumeRequest()
  }

  private keep(buffer: Buffer, start: number, end: number): void {
    const { body, exchange } = this
    const limit = exchange.route?.bufferLimit ?? exchange.plan.bufferLimit
    const isSent = this.attempt.connection !== null
    // Without a connection all is kept: the client waits.
    if (!body.add(buffer, start, end, isSent ? limit : Number.POSITIVE_INFINITY)) {
      this.counts.abandoned()
      this.retries.forgo()
    } else if (!isSent && body.bytes > limit) exchange.pauseRequest()
  }

  onRequestWritable(): void {
    this.exchange.resumeRequest()
  }

  // The response, from the codec

  onInterim(head: ResponseHead): void {
    if (!passedOn.has(head.status)) return
    this.counts.interim(head.status)
    // The client hears of this try: no other takes its place.
    this.retries.forgo()
    this.exchange.interim(head)
  }

  onResponseHead(endStream: boolean): void {
    const { exchange, attempt, retries, limits, counts } = this
    const { info, response } = exchange
    const { status, headers } = response
    const now = monotonicMs()
    this.countTry()
    info.upstreamFirstByteMs = now
    if (headers.repeated) headers.joinRepeated(singleInResponses)
    info.wire?.responseRead(response)
    attempt.noteAnswer(status, endStream)
    if (retries.plan !== null && retries.wantsOther(response) && retries.take()) {
      this.target.cluster!.stats.retriedResponse(status)
      const wait = askedWait(retries.plan, response, Date.now())
      this.leaveTry(endStream)
      retries.schedule(retries.plan, wait)
      return
    }
    if (retries.isLast(response)) retries.noteLastFailed()
    else if (retries.plan !== null && info.attemptCount > 1) counts.retrySuccess()
    limits.answered()
    if (limits.idleMs > 0) limits.noteActivity(now)
    const redirect = this.target.forward?.internalRedirect ?? null
    if (redirect?.codes.has(status) === true && this.followRedirect(redirect, endStream)) return
    info.responseCode = status
    const { upgrade } = exchange
    if (upgrade !== '' && upgrade !== 'connect' && status !== 101 && status < 400 && !endStream) {
      this.refuseUpgrade()
      return
    }
    this.byCanary = attempt.endpoint?.isCanary === true || headers.get(canary) === 'true'
    counts.response(status, this.byCanary)
    info.responseCodeDetails = 'via_upstream'
    finishAnswer(exchange, this.plan, this.target.choice, this.pick.cookies)
    this.responding = true
    if (endStream) this.finishTry()
    exchange.respond(endStream)
    if (this.held && !endStream && (upgrade === 'connect' ? status < 300 : status === 101)) this.letGo()
  }

  /** A redirect that the route has followed here; false: the client gets it. */
  private followRedirect(policy: InternalRedirectPlan, endStream: boolean): boolean {
    const { exchange } = this
    const { stats } = this.target.cluster!
    const turned = turnRequest(exchange, this.plan, policy, this.body)
    if (turned === null) {
      stats.internalRedirectFailed.inc()
      return false
    }
    stats.internalRedirectSucceeded.inc()
    this.leaveTry(endStream)
    this.end()
    exchange.beginAgain(turned.pieces, turned.trailers)
    return true
  }

  /** Upstream did not switch protocols, and said no error: its answer is passed on without the body, as Envoy does. */
  private refuseUpgrade(): void {
    const { exchange } = this
    exchange.info.responseCodeDetails = 'websocket_handshake_unsuccessful'
    this.dropTry()
    exchange.response.headers.set(names.contentLength, '0')
    exchange.respond(true)
  }

  onResponseData(buffer: Buffer, start: number, end: number, endStream: boolean): void {
    if (!this.responding) return
    const { exchange, limits } = this
    if (limits.idleMs > 0) limits.noteActivity(monotonicMs())
    const { wire } = exchange.info
    wire?.responseBody(end - start, false)
    if (endStream) {
      wire?.responseEnd(false)
      if (exchange.upgrade !== '' && this.attempt.connection?.protocol === 'HTTP/1.1') noteTunnelEnd(exchange)
      this.finishTry()
    }
    exchange.respondData(buffer, start, end, endStream)
  }

  onResponseTrailers(trailers: HeaderTable): void {
    if (!this.responding) return
    this.attempt.noteTrailers(trailers)
    this.finishTry()
    this.exchange.respondTrailers(trailers)
  }

  onResponseReset(reason: ResetReason, detail: string): void {
    const { exchange, attempt, retries, body } = this
    const { info } = exchange
    if (reason === 'connect-failure') info.wire?.requestUnsent()
    const endpoint = attempt.endpoint ?? attempt.waitingFor
    attempt.waitingFor = null
    if (endpoint !== null) noteLocalFailure(endpoint, 503)
    this.counts.reset(reason, detail, attempt.connection?.protocol === 'HTTP/2')
    attempt.noteReset(reason, detail)
    const unseen = attempt.mayBeUnseen(reason, detail)
    this.endTry()
    if (this.responding) {
      this.noteBreak()
      breakOff(exchange, reason, detail)
      return
    }
    const kind = reason === 'connect-failure' || reason === 'refused-stream' ? reason : 'other'
    if (retries.tryAfter(kind)) return
    const whole = body.ended && (body.forRetries || body.bytes === 0) && info.bytesReceived === body.bytes
    if (unseen && whole && !this.isResent) {
      this.isResent = true
      exchange.response.clear()
      this.try()
      return
    }
    retries.noteSpent(kind)
    answerReset(exchange, this.counts, reason, detail)
  }

  /** An answer ends before its end: Envoy counts those of gRPC, whose status was to come. */
  private noteBreak(): void {
    const { isGrpc, response } = this.exchange
    if (isGrpc && response.status < 500) this.plan.stats.resetAfterStart.inc()
  }

  // Retries

  private tryAgain(): void {
    const { exchange, retries, limits, body } = this
    if (exchange.done || exchange.responseStarted) return
    const { info, request, route } = exchange
    info.attemptCount++
    if (route !== null) finishNextHead(exchange, route, this.isTimedOut)
    this.isTimedOut = false
    retries.release()
    if (retries.plan?.refreshCluster === true) this.turnAgain(retries.plan)
    const now = monotonicMs()
    const tryMs = this.hedges ? 0 : limits.perTryMs
    if ((limits.whole < Number.POSITIVE_INFINITY || tryMs > 0) && !this.plan.suppressHeaders)
      tellExpected(request, tryMs, limits.whole - now)
    limits.beginTry(now, body.ended)
    this.try()
  }

  /** Another cluster of a weighted route may be the one for the next try. */
  private turnAgain(plan: RetryPlan): void {
    const { target, retries } = this
    const cluster = target.redraw()
    if (cluster === null) return
    this.counts.turnTo(cluster)
    this.limitStream(cluster)
    retries.turnTo(cluster.breakers[target.forward!.priority])
    this.pick.begin(target.forward, target.choice, plan)
  }

  // Time limits

  /** Looks at the limits; true: one was over, and the exchange was answered or goes on with another try. */
  onTimer(now: number): boolean {
    const limit = this.limits.due(now)
    if (limit === null) return false
    if (this.target.cluster !== null) this.onTimeout(limit)
    return true
  }

  private onTimeout(limit: TimeLimit): void {
    const { exchange, attempt, retries, race } = this
    const ofTry = limit !== 'response_timeout'
    this.counts.timeout(limit)
    if (attempt.endpoint !== null && !this.responding) noteLocalFailure(attempt.endpoint, 504)
    if (this.responding) {
      this.dropTry()
      this.noteBreak()
      breakOffLate(exchange, limit)
      return
    }
    const { plan } = retries
    if (ofTry && plan !== null && race.current !== null) {
      // The last one goes on too, until the whole time is up.
      retries.noteSpent('timeout')
      if (retries.left === 0 || !retries.take()) return
      race.outlive(race.current)
      this.limits.quiet()
      this.isTimedOut = true
      retries.schedule(plan)
      return
    }
    this.dropTry()
    race.giveUpOlder()
    if (ofTry && retries.tryAfter('timeout')) {
      this.isTimedOut = true
      return
    }
    if (ofTry) retries.noteSpent('timeout')
    answerTimeout(exchange, this.counts, limit, this.wishes.timeoutIsNoContent)
  }

  // Ends

  pauseResponse(): void {
    this.attempt.pauseResponse()
  }

  resumeResponse(): void {
    this.attempt.resumeResponse()
  }

  /** The response is complete: its time is counted, the connection is the pool's again. */
  private finishTry(): void {
    const { info } = this.exchange
    info.upstreamLastByteMs = monotonicMs()
    this.counts.took(Math.round(info.upstreamLastByteMs - info.startMs), this.byCanary)
    this.endTry()
  }

  /** A try counts once it has a connection that stands. */
  private countTry(): void {
    if (this.isCounted || this.attempt.connection?.connected !== true) return
    this.isCounted = true
    this.counts.tried()
  }

  endTry(): void {
    this.countTry()
    this.attempt.end()
    this.race.current = null
    this.limits.quiet()
  }

  dropTry(): void {
    this.countTry()
    this.attempt.drop(this)
    this.race.current = null
    this.limits.quiet()
  }

  /** Nothing more is wanted of the try; `ended`: nor does more come. */
  private leaveTry(ended: boolean): void {
    if (ended) this.endTry()
    else this.dropTry()
  }

  /** The downstream is gone, or was answered otherwise. */
  cancel(): void {
    // Cancelled is what waits for a connection; a request that has one is reset.
    if (this.attempt.waitingFor !== null) this.target.cluster!.stats.requestCancelled.inc()
    this.dropTry()
    this.race.giveUpOlder()
    this.limits.disarm()
    this.retries.cancel()
    this.leaveMirrors()
  }

  /** The exchange is over. */
  end(): void {
    this.dropTry()
    this.race.giveUpOlder()
    this.retries.release()
    this.limits.disarm()
    this.body.forget()
    this.leaveMirrors()
  }

  /** Nothing more of the request goes to its copies. */
  private leaveMirrors(): void {
    if (this.mirrors === null) return
    this.mirrors.leave()
    this.mirrors = null
  }
}
