import { connectionHas } from '@weft/http/h1/framing'
import { headerGroup, headerName, names, singleInRequests } from '@weft/http/header-name'
import type { HeaderTable } from '@weft/http/header-table'
import { RequestHead, ResponseHead } from '@weft/http/message'
import type { IncomingRequest, ResetReason, ServerStream } from '@weft/http/stream'
import type { FormatContext } from '../../../observe/format/context.ts'
import { wireText } from '../../../observe/format/text-format.ts'
import { httpDateText } from '../../../observe/format/time.ts'
import { StreamRecord } from '../../../observe/stream-record.ts'
import type { Span } from '../../../observe/tracing/span.ts'
import { WireBytes } from '../../../observe/wire-bytes.ts'
import type { RoutePlan, RouteTable } from '../../../routing/route-table.ts'
import { monotonicMs } from '../../../transport/clock.ts'
import type { ConnectionInfo } from '../../../transport/connection-info.ts'
import { Timeout } from '../../../transport/timer-wheel.ts'
import type { HttpFilter, HttpStream, LocalReply } from '../../http/filter.ts'
import { isGrpcType } from '../../http/grpc-type.ts'
import { editHead } from '../../http/head-edit.ts'
import { nameRoute } from '../../http/router/internal-redirect.ts'
import { Router } from '../../http/router/router.ts'
import { streamLimit } from '../../http/router/stream-limit.ts'
import type { DownstreamConnection } from './downstream-connection.ts'
import { FilterRun } from './filter-run.ts'
import type { HcmPlan } from './hcm-plan.ts'
import { localReplyBody } from './local-reply.ts'
import type { Answer } from './local-reply-config.ts'
import { normalizePath } from './path-normalization.ts'
import { prepareRequest } from './request-headers.ts'
import { resolveFilters } from './resolved-filters.ts'

/**
 * One request and its response on a downstream connection: what the codec tells comes in, goes through the filters to the
 * router, and back. A connection uses its exchanges again for later requests.
 */
export class Exchange implements IncomingRequest, HttpStream, FormatContext {
  readonly request = new RequestHead()
  readonly response = new ResponseHead()
  readonly info = new StreamRecord()
  readonly downstream: DownstreamConnection
  readonly plan: HcmPlan
  private sender: ServerStream = nobody
  private release: ((exchange: Exchange) => void) | null = null
  private readonly filters: FilterRun
  readonly router: Router
  /** The table and route this request began with: it keeps them whatever is updated meanwhile. */
  table: RouteTable | null = null
  route: RoutePlan | null = null
  responseTrailers: HeaderTable | null = null
  /** Where the request is traced. */
  span: Span | null = null
  metadataOrNull: Record<string, Record<string, unknown>> | null = null
  /** `metadataOrNull` is other requests' too, and not to be changed. */
  private metadataShared = false
  private state: Map<string, unknown> | null = null
  internal = false
  /** How often the request was turned to another place here. */
  internalRedirects = 0
  upgrade = ''
  private upgradeCounted = false
  requestComplete = false
  responseStarted = false
  /** Whether the filters have let the head pass. */
  headSent = false
  done = true
  private replying = false
  private grpc: boolean | null = null
  private expectContinue = false
  /** Deadlines (monotonic ms; Infinity: none), looked at by one lazily armed timer. */
  private idleDeadline = Number.POSITIVE_INFINITY
  private requestDeadline = Number.POSITIVE_INFINITY
  private streamDeadline = Number.POSITIVE_INFINITY
  private lastActivityMs = 0
  private timerDueMs = Number.POSITIVE_INFINITY
  private readonly timer: Timeout

  constructor(downstream: DownstreamConnection) {
    this.downstream = downstream
    this.plan = downstream.plan
    this.router = new Router(this)
    this.filters = new FilterRun(this)
    this.timer = new Timeout(() => this.onTimer())
  }

  /** The first byte of a request is there. `release`: who wants the exchange back when it is over. */
  begin(sender: ServerStream, release: ((exchange: Exchange) => void) | null = null): void {
    this.sender = sender
    this.release = release
    const now = monotonicMs()
    const { info, downstream, plan } = this
    info.reset(now)
    info.filterChain = downstream.filterChainName
    if (plan.countsWireBytes) info.wire = new WireBytes()
    info.downstreamRemoteAddress = downstream.remoteAddress
    info.downstreamRemotePort = downstream.remotePort
    this.response.clear()
    this.table = null
    this.route = null
    this.responseTrailers = null
    this.span = null
    this.metadataOrNull = null
    this.state = null
    this.internal = false
    this.internalRedirects = 0
    this.upgrade = ''
    this.upgradeCounted = false
    this.requestComplete = false
    this.responseStarted = false
    this.headSent = false
    this.done = false
    this.replying = false
    this.grpc = null
    this.expectContinue = false
    this.lastActivityMs = now
    this.streamDeadline = plan.maxStreamMs > 0 ? now + plan.maxStreamMs : Number.POSITIVE_INFINITY
    this.requestDeadline = plan.requestMs > 0 ? now + plan.requestMs : Number.POSITIVE_INFINITY
    this.setIdle(plan.streamIdleMs)
    plan.stats.requestTotal.inc()
    if (downstream.isHttp2) plan.stats.requestHttp2Total.inc()
    else plan.stats.requestHttp1Total.inc()
    plan.stats.requestActive.inc()
    if (plan.requestHeadersMs > 0) this.watch(now + plan.requestHeadersMs)
  }

  get connection(): ConnectionInfo {
    return this.downstream
  }

  get listener(): string {
    return this.downstream.listenerName
  }

  get filterState(): Map<string, unknown> {
    this.state ??= new Map()
    return this.state
  }

  get routeMetadata(): Readonly<Record<string, unknown>> | null {
    return this.route?.metadata ?? null
  }

  get trace(): FormatContext['trace'] {
    return this.span === null ? null : (this.plan.tracing?.identify(this.span) ?? null)
  }

  get virtualHostMetadata(): Readonly<Record<string, unknown>> | null {
    return this.route?.host.metadata ?? null
  }

  get clusterMetadata(): Readonly<Record<string, unknown>> | null {
    return this.router.clusterMetadata
  }

  get format(): FormatContext {
    return this
  }

  get clusterName(): string {
    return this.router.clusterName
  }

  get isGrpc(): boolean {
    this.grpc ??= isGrpcType(this.request.headers)
    return this.grpc
  }

  /** Whether grpc-timeout counts. */
  get isGrpcTimed(): boolean {
    return this.request.headers.find(names.grpcTimeout) >= 0 && isGrpcType(this.request.headers)
  }

  metadata(namespace: string): Record<string, unknown> {
    if (this.metadataOrNull === null || this.metadataShared) {
      const own: Record<string, Record<string, unknown>> = {}
      for (const [name, values] of Object.entries(this.metadataOrNull ?? {})) own[name] = { ...values }
      this.metadataOrNull = own
      this.metadataShared = false
    }
    const all = this.metadataOrNull
    let one = all[namespace]
    if (one === undefined) {
      one = {}
      all[namespace] = one
    }
    return one
  }

  noteShared(metadata: Record<string, Record<string, unknown>>): void {
    if (this.metadataOrNull === null) {
      this.metadataOrNull = metadata
      this.metadataShared = true
      return
    }
    for (const namespace of Object.keys(metadata)) Object.assign(this.metadata(namespace), metadata[namespace])
  }

  // IncomingRequest

  onRequestHead(endStream: boolean): void {
    const { request, plan, info } = this
    const { headers } = request
    if (headers.repeated) headers.joinRepeated(singleInRequests)
    info.protocol = protocolNames[request.version]
    info.wire?.requestRead(request)
    if (endStream) {
      this.requestComplete = true
      info.requestEndMs = info.startMs
    }
    if (this.downstream.processState.overloaded && this.shed()) return
    if (request.authority === '' && !request.emptyAuthority) {
      if (!plan.streamErrorOnInvalidMessage) this.sender.closeAfterResponse()
      this.fail(400, '', 'missing_host_header')
      return
    }
    if (plan.underscores !== 'allow' && !this.checkUnderscores()) return
    if (plan.stripTrailingHostDot) {
      request.authority = request.authority.replace(/\.(?=(:\d+)?$)/, '')
      if (request.authority === '') request.emptyAuthority = true
    }
    if (plan.stripPort !== 'none') this.stripPort()
    if (request.path.charCodeAt(0) !== 47 && request.method !== 'CONNECT') {
      plan.stats.nonRelativePath.inc()
      this.fail(404, '', 'absolute_path_rejected')
      return
    }
    if (request.path.includes('#')) {
      // A fragment is the client's own (RFC 9110 section 4.2.5): who sends it means to trick somebody.
      plan.stats.pathNormalizationFailed.inc()
      this.sender.closeAfterResponse()
      this.fail(400, '', 'path_normalization_failed')
      return
    }
    if (plan.path !== null && request.path !== '' && !this.normalize()) return
    if (request.method === 'QUERY' && !headers.has(names.contentType)) {
      // The query is the body: without its type there is no telling what is asked for.
      this.sender.closeAfterResponse()
      this.fail(400, '', 'query_missing_content_type')
      return
    }
    if (request.method === 'CONNECT') this.upgrade = 'connect'
    else if (headers.find(names.upgrade) >= 0 && connectionHas(headers, 'upgrade')) {
      this.upgrade = upgradeOf(headers.get(names.upgrade) ?? '')
      if (this.upgrade === '') {
        // h2c is not spoken here, and not passed on: an ordinary request.
        this.sender.declineUpgrade()
        if (!this.requestComplete && headers.find(names.contentLength) < 0 && headers.find(names.transferEncoding) < 0) {
          endStream = true
          this.requestComplete = true
          info.requestEndMs = info.startMs
        }
      }
    }
    const expect = headers.find(names.expect)
    if (expect >= 0) {
      const value = headers.valueAt(expect).toLowerCase()
      if (value === '100-continue' && !plan.proxy100Continue) {
        headers.remove(names.expect)
        this.expectContinue = true
      }
    }
    if (plan.earlyEdits !== null) editHead(plan.earlyEdits, this, request)
    const prepared = prepareRequest(request, this.downstream, plan, this.upgrade !== '')
    if (prepared.refusal !== 0) {
      plan.stats.rejectedByIpDetection.inc()
      this.fail(prepared.refusal, '', 'rejecting_because_detection_failed')
      return
    }
    if (prepared.remoteAddress !== this.downstream.remoteAddress) {
      info.downstreamRemoteAddress = prepared.remoteAddress
      info.downstreamRemotePort = 0
    }
    this.internal = prepared.internal
    this.chooseRoute()
    plan.tracing?.begin(this)
    if (this.expectContinue) {
      this.sender.sendContinue()
      plan.stats.response(100)
    }
    if (this.upgrade !== '' && !this.acceptUpgrade()) return
    this.filters.startRequest(
      resolveFilters(plan, this.table, this.route, this.router.choiceConfigs),
      endStream && this.upgrade === '',
    )
  }

  /** Whether the request is one too many for a process that is short of something; then it is answered. */
  private shed(): boolean {
    const { processState } = this.downstream
    if (!processState.saturated('stop_accepting_requests') && !processState.draws('http_connection_manager_decode_headers'))
      return false
    this.plan.stats.overloadClose.inc()
    this.fail(503, 'envoy overloaded', 'overload')
    return true
  }

  /** Matches a route and, for weighted clusters, chooses one. */
  private chooseRoute(): void {
    const table = this.downstream.routeTable(this.request)
    this.table = table
    if (table !== null && table.internalOnlyHeaders !== null && !this.internal) {
      for (const name of table.internalOnlyHeaders) this.request.headers.remove(name)
    }
    this.route = table === null || this.request.scheme === '' ? null : table.match(this.request, this)
    const { route, info } = this
    if (route !== null) {
      info.routeName = route.name
      info.virtualHost = route.virtualHost
      const { outcome } = route
      const idleMs = outcome.type === 'forward' ? outcome.forward.idleTimeoutMs : -1
      if (idleMs >= 0) this.setIdle(idleMs)
      const maxMs = outcome.type === 'forward' ? streamLimit(outcome.forward, this) : 0
      if (maxMs > 0) {
        this.streamDeadline = info.startMs + maxMs
        this.watch(this.streamDeadline)
      }
    }
    this.router.prepare(route)
    info.clusterName = this.router.clusterName
  }

  clearRoute(): void {
    this.chooseRoute()
  }

  /** Whether the upgrade is allowed here; one that is not configured is dropped (or refused, as Envoy does). */
  private acceptUpgrade(): boolean {
    const forward = this.route?.outcome.type === 'forward' ? this.route.outcome.forward : null
    const allowed = forward?.upgrades.get(this.upgrade) ?? this.plan.upgrades.get(this.upgrade) ?? false
    if (!allowed && this.upgrade === 'connect' && this.route === null) return true
    if (allowed) {
      this.plan.stats.upgradesTotal.inc()
      this.plan.stats.upgradesActive.inc()
      this.upgradeCounted = true
      return true
    }
    this.plan.stats.wsOnNonWsRoute.inc()
    if (this.downstream.isHttp2) this.downstream.drain()
    this.fail(403, '', 'upgrade_failed')
    return false
  }

  onRequestData(buffer: Buffer, start: number, end: number, endStream: boolean): void {
    if (this.done) return
    this.info.bytesReceived += end - start
    this.info.wire?.requestBody(end - start, false)
    this.lastActivityMs = monotonicMs()
    if (endStream) this.endRequest()
    if (this.replying) return
    this.filters.requestData(buffer, start, end, endStream)
  }

  onRequestTrailers(trailers: HeaderTable): void {
    if (this.done) return
    this.endRequest()
    if (!this.replying) this.filters.requestTrailers(trailers)
  }

  private endRequest(): void {
    this.requestComplete = true
    this.info.requestEndMs = monotonicMs()
    this.info.wire?.requestEnd(false)
    this.requestDeadline = Number.POSITIVE_INFINITY
  }

  onRequestReset(reason: ResetReason, detail: string): void {
    if (this.done) return
    const { info, plan } = this
    if (reason !== 'protocol-error') plan.stats.rxReset.inc()
    if (info.protocol === '') info.protocol = protocolNames[this.request.version]
    const [flag, details] = resetMeanings[reason] ?? ['DC', 'downstream_remote_disconnect']
    // Who gives a whole request up and says that nothing is wrong is not told of in the log, as with Envoy.
    if (detail !== 'NO_ERROR' || !this.requestComplete) {
      info.addResponseFlag(flag)
      // The codec's details, without what it says besides.
      if (detail.startsWith('codec_error:')) info.responseCodeDetails = detail
      else info.responseCodeDetails = detail.startsWith('http2.') ? detail.replace(/:.*/, '') : details
    }
    this.router.cancel()
    this.finish()
  }

  onRequestError(status: number, details: string): void {
    const { plan, info } = this
    plan.stats.protocolError.inc()
    if (this.responseStarted) {
      this.abort()
      return
    }
    // A head that was never whole is told nothing of, and answered as HTTP/1.1.
    if (info.protocol === '') this.request.clear()
    info.protocol = protocolNames[this.request.version]
    this.router.cancel()
    this.filters.skip()
    const text =
      status === 431
        ? 'Request Header Fields Too Large'
        : status === 501
          ? 'Not Implemented'
          : status === 426
            ? 'Upgrade Required'
            : 'Bad Request'
    this.reply(status, text, { details, laterFlag: 'DPE' })
  }

  onResponseWritable(): void {
    if (!this.done) this.router.resumeResponse()
  }

  // Response, from the router

  /** The response's head is in `response`. */
  respond(endStream: boolean): void {
    this.responseStarted = true
    this.info.responseCode = this.response.status
    this.filters.startResponse(endStream)
  }

  respondData(buffer: Buffer, start: number, end: number, endStream: boolean): void {
    this.lastActivityMs = monotonicMs()
    this.filters.responseData(buffer, start, end, endStream)
  }

  respondTrailers(trailers: HeaderTable): void {
    this.responseTrailers = trailers
    this.filters.responseTrailers(trailers)
  }

  /** An interim answer (103, or 100 where that is passed on). */
  respondInterim(head: ResponseHead): void {
    if (this.responseStarted || this.request.version === 10) return
    if (!this.plan.proxy100Continue) return
    this.plan.stats.response(head.status)
    this.sender.sendInterim(head)
  }

  // Response, from the filters' end to the codec

  /** The request goes another way from here, as one of its own: its first part is over and logged. */
  beginAgain(body: readonly Buffer[], trailers: HeaderTable | null): void {
    const { info, plan, downstream } = this
    info.responseCode = this.response.status
    info.responseCodeDetails = 'internal_redirect'
    info.endMs = monotonicMs()
    this.table = downstream.routeTable(this.request)
    this.route = this.table === null ? null : this.table.match(this.request, this)
    nameRoute(this, this.route)
    this.filters.complete()
    if (plan.accessLog !== null) plan.accessLog(this)
    const { downstreamRemoteAddress, downstreamRemotePort } = info
    this.internalRedirects++
    info.reset(monotonicMs())
    info.requestEndMs = info.startMs
    info.downstreamRemoteAddress = downstreamRemoteAddress
    info.downstreamRemotePort = downstreamRemotePort
    this.response.clear()
    this.responseTrailers = null
    this.metadataOrNull = null
    this.grpc = null
    plan.stats.requestTotal.inc()
    if (downstream.isHttp2) plan.stats.requestHttp2Total.inc()
    else plan.stats.requestHttp1Total.inc()
    this.chooseRoute()
    const filters = resolveFilters(plan, this.table, this.route, this.router.choiceConfigs)
    this.filters.startRequest(filters, body.length === 0 && trailers === null)
    body.forEach((piece, i) => {
      if (!this.done && !this.replying)
        this.filters.requestData(piece, 0, piece.length, trailers === null && i === body.length - 1)
    })
    if (trailers !== null && !this.done && !this.replying) this.filters.requestTrailers(trailers)
  }

  /** All filters have passed the head. */
  sendHead(endStream: boolean): void {
    const { response, plan, info, sender, downstream } = this
    const { headers } = response
    if (headers.mayHave(hopByHop)) {
      if (response.status !== 101 || this.upgrade === '') {
        headers.remove(names.connection)
        headers.remove(names.upgrade)
      }
      headers.remove(names.keepAlive)
      headers.remove(names.transferEncoding)
      headers.remove(names.proxyConnection)
    }
    if (!headers.has(names.date)) headers.append(names.date, httpDateText())
    if (plan.serverHeader === 'overwrite' || (plan.serverHeader === 'append-if-absent' && !headers.has(names.server))) {
      headers.set(names.server, plan.serverName)
    }
    if (this.span !== null) plan.tracing?.respond(this, this.span)
    if (plan.requestIdInResponse || (this.internal && this.request.headers.has(forceTrace))) {
      const id = this.request.headers.get(names.requestId)
      if (id !== null) headers.set(names.requestId, id)
    }
    if (plan.via !== '') {
      const via = headers.getAll(names.via)
      headers.set(names.via, via === null ? plan.via : `${via}, ${plan.via}`)
    }
    if (downstream.wantsClose()) sender.closeAfterResponse()
    else if (downstream.wantsEnd()) sender.announceClose()
    const tunnel = this.upgrade !== '' && (response.status === 101 || (this.upgrade === 'connect' && response.status < 300))
    if (!this.requestComplete) {
      plan.stats.responseBeforeRequest.inc()
      if (!tunnel) {
        // Nobody waits for the rest of the request: the connection can't be used again.
        if (!downstream.isHttp2) plan.stats.rxReset.inc()
        sender.closeAfterResponse()
      }
    }
    this.headSent = true
    info.downstreamFirstByteMs = monotonicMs()
    info.responseCode = response.status
    info.wire?.responseWritten(response, this.framing(endStream))
    if (!tunnel) this.upgrade = ''
    if (endStream) this.beforeEnd()
    sender.sendHead(response, endStream)
    if (endStream) this.finish()
  }

  /** What HTTP/1.1 writes besides where no length is stated. */
  private framing(endStream: boolean): '' | 'transfer-encoding: chunked' | 'content-length: 0' {
    const { request, response } = this
    const { status, headers } = response
    if (request.version !== 11 || status < 200 || status === 204 || headers.find(names.contentLength) >= 0) return ''
    if (!endStream) return 'transfer-encoding: chunked'
    return status === 304 || request.method === 'HEAD' ? '' : 'content-length: 0'
  }

  sendData(buffer: Buffer, start: number, end: number, endStream: boolean): void {
    this.info.bytesSent += end - start
    this.info.wire?.responseBody(end - start, true)
    if (endStream) {
      this.info.wire?.responseEnd(true)
      // A filter may have made body of them.
      this.responseTrailers = null
      this.beforeEnd()
    }
    const more = this.sender.sendData(buffer, start, end, endStream)
    if (endStream) this.finish()
    else if (!more) this.router.pauseResponse()
  }

  sendTrailers(trailers: HeaderTable): void {
    this.info.wire?.responseEnd(true)
    this.beforeEnd()
    this.sender.sendTrailers(trailers)
    this.finish()
  }

  private beforeEnd(): void {
    if (this.requestComplete) return
    this.router.cancel()
    // The rest of a tunnel is given up, and HTTP/2 gives up that of any request: it counts as with Envoy.
    if (this.upgrade !== '' || this.downstream.isHttp2) this.plan.stats.rxReset.inc()
  }

  // HttpStream

  continueRequest(): void {
    if (!this.done) this.filters.continueRequest()
  }

  continueResponse(): void {
    if (!this.done) this.filters.continueResponse()
  }

  get requestBufferLimit(): number {
    return this.filters.requestLimit
  }

  set requestBufferLimit(bytes: number) {
    this.filters.requestLimit = bytes
  }

  injectRequestData(filter: HttpFilter, data: Buffer, endStream: boolean): void {
    if (!this.done && !this.replying) this.filters.injectRequestData(filter, data, endStream)
  }

  injectResponseData(filter: HttpFilter, data: Buffer, endStream: boolean): void {
    if (!this.done) this.filters.injectResponseData(filter, data, endStream)
  }

  replaceRequestBody(data: Buffer): void {
    this.filters.replaceRequestBody(data)
  }

  replaceResponseBody(data: Buffer): void {
    this.filters.replaceResponseBody(data)
  }

  pauseResponse(): void {
    this.router.pauseResponse()
  }

  resumeResponse(): void {
    if (!this.done) this.router.resumeResponse()
  }

  /** `edit` may change the head that was made. */
  reply(status: number, body: string | Buffer, options: LocalReply, edit?: () => void): void {
    if (this.done) return
    // As a rule the request was malformed: who sent it may be out of step.
    if (status === 400 && !this.plan.streamErrorOnInvalidMessage) this.sender.closeAfterResponse()
    if (this.responseStarted) {
      // Too late for another answer.
      this.info.responseCodeDetails = options.details
      this.abort()
      return
    }
    const { response, info } = this
    this.replying = true
    if (options.unfinished === true) this.requestComplete = false
    this.filters.stopRequest()
    this.router.cancel()
    info.responseCodeDetails = options.details
    info.localReplyBody = typeof body === 'string' ? wireText(body) : body.latin1Slice()
    for (const flag of options.flags ?? []) info.addResponseFlag(flag)
    response.clear()
    const { localReply } = this.plan
    // The route's own edits, as every answer of a route has them.
    const last = edit ?? (() => this.router.editResponse())
    const own: LocalReply = {
      ...options,
      edit: (head) => {
        options.edit?.(head)
        last()
      },
    }
    const rewrite =
      localReply === null
        ? null
        : (answer: Answer) => {
            info.responseCode = status
            localReply(this, answer)
          }
    const text = localReplyBody(response, status, body, own, this.isGrpc, this.request.method, rewrite)
    if (options.laterFlag !== undefined) info.addResponseFlag(options.laterFlag)
    // For formats of the body only; a log has nothing of it.
    info.localReplyBody = ''
    this.respond(text === null)
    if (text !== null && !this.done) this.respondData(text, 0, text.length, true)
  }

  /** A reply for a request that did not pass the first checks: no filter sees it. */
  private fail(status: number, body: string, details: string): void {
    this.filters.skip()
    this.reply(status, body, { details })
  }

  /** Ends the stream without a proper end. */
  abort(): void {
    if (this.done) return
    this.plan.stats.txReset.inc()
    // A stream that is reset counts as one that was reset, of HTTP/1.1 (where the connection ends) not twice.
    if (this.downstream.isHttp2 || this.requestComplete || this.upgrade !== '') this.plan.stats.rxReset.inc()
    this.router.cancel()
    this.sender.reset()
    this.finish()
  }

  /** The first of the body's pieces that is too many: stop reading until the receiver has caught up. */
  pauseRequest(): void {
    this.sender.pauseRequest()
  }

  resumeRequest(): void {
    if (!this.done) this.sender.resumeRequest()
  }

  private finish(): void {
    if (this.done) return
    this.done = true
    const { info, plan } = this
    info.endMs = monotonicMs()
    plan.stats.requestActive.dec()
    if (this.upgradeCounted) plan.stats.upgradesActive.dec()
    if (info.isHealthCheck) plan.stats.tracingHealthCheck.inc()
    else if (info.responseCode > 0) plan.stats.response(info.responseCode)
    plan.stats.requestTime.record(Math.round(info.endMs - info.startMs))
    this.filters.complete()
    this.router.end()
    if (this.span !== null) plan.tracing?.end(this, this.span)
    if (plan.accessLog !== null) plan.accessLog(this)
    info.upstreamEndpoint = null
    info.upstreamConnection = null
    this.downstream.onExchangeEnd()
    const { release } = this
    if (release === null) return
    // What still comes of a tunnel is for nobody.
    if (!this.requestComplete) this.sender.reset()
    this.sender = nobody
    this.release = null
    release(this)
  }

  // Checks

  private checkUnderscores(): boolean {
    const { headers } = this.request
    for (let i = 0; i < headers.entries; i++) {
      const start = headers.ranges[i * 4]!
      if (start < 0 || !headers.nameAt(i).includes('_')) continue
      if (this.plan.underscores === 'drop') {
        this.noteUnderscore('dropped_headers_with_underscores')
        headers.removeAt(i)
      } else {
        this.noteUnderscore('requests_rejected_with_underscores_in_headers')
        this.refuseUnderscore()
        return false
      }
    }
    return true
  }

  private noteUnderscore(what: string): void {
    this.plan.stats.store.counter(`${this.downstream.isHttp2 ? 'http2' : 'http1'}.${what}`).inc()
  }

  private refuseUnderscore(): void {
    if (this.request.version !== 20) {
      // The codec's own verdict, as with Envoy: the request is as if it had not been read.
      this.info.protocol = ''
      this.requestComplete = false
      this.sender.closeAfterResponse()
      this.onRequestError(400, 'http1.unexpected_underscore')
      return
    }
    this.filters.skip()
    this.info.addResponseFlag('DR')
    this.info.responseCodeDetails = 'http2.unexpected_underscore'
    this.abort()
  }

  private stripPort(): void {
    const { request, plan } = this
    const match = /:(\d+)$/.exec(request.authority)
    if (match === null) return
    if (plan.stripPort === 'any' || Number(match[1]) === this.downstream.localPort) {
      request.authority = request.authority.slice(0, match.index)
    }
  }

  private normalize(): boolean {
    const { request, plan } = this
    const result = normalizePath(request.path, plan.path!)
    if (result.type === 'path') {
      request.path = result.path
      return true
    }
    if (result.type === 'reject') {
      request.path = result.path
      plan.stats.pathNormalizationFailed.inc()
      this.sender.closeAfterResponse()
      this.fail(400, '', 'path_normalization_failed')
      return false
    }
    plan.stats.normalizedRedirect.inc()
    this.filters.skip()
    request.path = result.path
    this.reply(307, '', { details: 'path_normalization_failed', headers: [['location', result.path]] })
    return false
  }

  // Deadlines

  private setIdle(idleMs: number): void {
    this.idleDeadline = idleMs > 0 ? idleMs : Number.POSITIVE_INFINITY
    if (idleMs > 0) this.watch(this.lastActivityMs + idleMs)
    if (this.requestDeadline < this.timerDueMs) this.watch(this.requestDeadline)
    if (this.streamDeadline < this.timerDueMs) this.watch(this.streamDeadline)
  }

  /**
   * Has the timer look at this time or before. It is not disarmed when an exchange ends: the next one of the connection
   * nearly always wants to wait longer, so that arming is rare.
   */
  watch(atMs: number): void {
    if (atMs === Number.POSITIVE_INFINITY || (atMs >= this.timerDueMs && this.timer.armed)) return
    this.timerDueMs = atMs
    this.downstream.timers.arm(this.timer, Math.max(0, atMs - monotonicMs()))
  }

  private onTimer(): void {
    this.timerDueMs = Number.POSITIVE_INFINITY
    if (this.done) return
    const now = monotonicMs()
    const { plan, info } = this
    if (this.router.onTimer(now)) {
      if (!this.done) this.watch(this.nextDeadline)
      return
    }
    const idleAt = this.lastActivityMs + this.idleDeadline
    if (now >= this.streamDeadline) {
      plan.stats.maxDurationReached.inc()
      if (this.responseStarted) {
        info.responseCodeDetails = 'max_duration_timeout'
        this.abort()
      } else this.reply(504, 'downstream duration timeout', { details: 'max_duration_timeout', grpcStatus: 4 })
      return
    }
    if (now >= this.requestDeadline && !this.requestComplete) {
      plan.stats.requestTimeout.inc()
      this.reply(408, 'request timeout', { details: 'request_overall_timeout' })
      return
    }
    if (plan.requestHeadersMs > 0 && info.protocol === '' && now >= info.startMs + plan.requestHeadersMs) {
      plan.stats.headerTimeout.inc()
      this.request.clear()
      info.protocol = protocolNames[this.request.version]
      this.filters.skip()
      this.sender.closeAfterResponse()
      this.reply(408, 'request header timeout', { details: 'request_header_timeout' })
      return
    }
    if (now >= idleAt) {
      plan.stats.requestIdleTimeout.inc()
      info.addResponseFlag('SI')
      if (this.responseStarted) {
        info.responseCodeDetails = 'stream_idle_timeout'
        this.abort()
      } else this.reply(this.requestComplete ? 504 : 408, 'stream timeout', { details: 'stream_idle_timeout' })
      return
    }
    this.watch(this.nextDeadline)
  }

  private get nextDeadline(): number {
    const idleAt = this.lastActivityMs + this.idleDeadline
    return Math.min(idleAt, this.requestDeadline, this.streamDeadline, this.router.nextDeadline)
  }

  /** The connection is closed: nothing waits any more. */
  dispose(): void {
    this.downstream.timers.cancel(this.timer)
  }

  /** Filters of this request, for the run. */
  get activeFilters(): readonly HttpFilter[] {
    return this.filters.active
  }
}

const forceTrace = headerName('x-envoy-force-trace')

/** What of a response ends here. */
const hopByHop = headerGroup([names.connection, names.upgrade, names.keepAlive, names.transferEncoding, names.proxyConnection])

const protocolNames = { 10: 'HTTP/1.0', 11: 'HTTP/1.1', 20: 'HTTP/2' } as const

/** Flag and details of how a client ended its request, where it did not just go away. */
const resetMeanings: Partial<Record<ResetReason, readonly [flag: string, details: string]>> = {
  'remote-reset': ['DR', 'http2.remote_reset'],
  'refused-stream': ['DR', 'http2.remote_refuse'],
  'protocol-error': ['DPE', 'http2.violation.of.messaging.rule'],
}

/** The sender of an exchange that has no request. */
const nobody: ServerStream = {
  sendInterim() {},
  sendContinue() {},
  sendHead() {},
  sendData: () => true,
  sendTrailers() {},
  reset() {},
  pauseRequest() {},
  resumeRequest() {},
  closeAfterResponse() {},
  announceClose() {},
  declineUpgrade() {},
}

/** The upgrade that is asked for, `-` where it is none in words; empty when h2c is all there is. */
function upgradeOf(value: string): string {
  if (value === '') return '-'
  return value
    .toLowerCase()
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== 'h2c')
    .join(', ')
}
