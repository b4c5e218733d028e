import { names, singleInRequests } from '@weft/http/header-name'
import type { HeaderTable } from '@weft/http/header-table'
import { RequestHead, ResponseHead } from '@weft/http/message'
import type { IncomingRequest, ResetReason, ServerStream } from '@weft/http/stream'
import type { FormatContext } from '../../../observe/format/context.ts'
import { wireText } from '../../../observe/format/wire-text.ts'
import { StreamRecord } from '../../../observe/stream-record.ts'
import type { Span } from '../../../observe/tracing/span.ts'
import { WireBytes } from '../../../observe/wire-bytes.ts'
import type { RoutePlan, RouteTable } from '../../../routing/route-table.ts'
import { monotonicMs } from '../../../transport/clock.ts'
import type { ConnectionInfo } from '../../../transport/connection-info.ts'
import type { HttpFilter, LocalReply } from '../../http/filter.ts'
import { isGrpcType } from '../../http/grpc-type.ts'
import { editHead } from '../../http/head-edit.ts'
import { nameRoute } from '../../http/name-route.ts'
import type { RoutedExchange } from '../../http/routed-exchange.ts'
import type { TerminalFilter } from '../../http/terminal-filter.ts'
import type { DownstreamConnection } from './downstream-connection.ts'
import { DynamicMetadata } from './dynamic-metadata.ts'
import { FilterRun } from './filter-run.ts'
import type { HcmPlan } from './hcm-plan.ts'
import { answerLate } from './late-answers.ts'
import { makeLocalReply } from './local-reply.ts'
import { logAtIntervals } from './log-moments.ts'
import { checkRequest } from './request-checks.ts'
import { noteRequestReset, refusalText } from './request-ends.ts'
import { prepareRequest } from './request-headers.ts'
import { acceptUpgrade, upgradeOf } from './request-upgrade.ts'
import { resolveFilters } from './resolved-filters.ts'
import { ResponseOut } from './response-out.ts'
import { chooseRoute } from './route-choice.ts'
import { StreamDeadlines } from './stream-deadlines.ts'

/**
 * One request and its response on a downstream connection: what the codec tells comes in, goes through the filters to the
 * router, and back. A connection uses its exchanges again for later requests.
 */
export class Exchange implements IncomingRequest, RoutedExchange {
  readonly request = new RequestHead()
  readonly response = new ResponseHead()
  readonly info = new StreamRecord()
  readonly downstream: DownstreamConnection
  readonly plan: HcmPlan
  private release: ((exchange: Exchange) => void) | null = null
  private readonly filters: FilterRun
  readonly out: ResponseOut
  readonly terminal: TerminalFilter
  /** The table and route this request began with: it keeps them whatever is updated meanwhile. */
  table: RouteTable | null = null
  route: RoutePlan | null = null
  responseTrailers: HeaderTable | null = null
  /** Where the request is traced. */
  span: Span | null = null
  private readonly dynamic = new DynamicMetadata()
  private state: Map<string, unknown> | null = null
  internal = false
  /** How often the request was turned to another place here. */
  internalRedirects = 0
  upgrade = ''
  /** It counts among the upgrades that are under way. */
  upgradeCounted = false
  requestComplete = false
  responseStarted = false
  done = true
  private replying = false
  private grpc: boolean | null = null
  private expectContinue = false
  private readonly deadlines: StreamDeadlines
  logType = lastLog
  private stopLogging: (() => void) | null = null

  constructor(downstream: DownstreamConnection) {
    this.downstream = downstream
    this.plan = downstream.plan
    this.terminal = downstream.plan.terminal.endOf(this)
    this.filters = new FilterRun(this)
    this.out = new ResponseOut(this)
    this.deadlines = new StreamDeadlines(downstream.timers, downstream.plan, () => this.onTimer())
  }

  /** The first byte of a request is there. `release`: who wants the exchange back when it is over. */
  begin(sender: ServerStream, release: ((exchange: Exchange) => void) | null = null): void {
    this.out.begin(sender)
    this.release = release
    const now = monotonicMs()
    const { info, downstream, plan } = this
    info.reset(now)
    info.protocol = ''
    info.filterChain = downstream.filterChainName
    if (plan.countsWireBytes) info.wire = new WireBytes()
    info.downstreamRemoteAddress = downstream.remoteAddress
    info.downstreamRemotePort = downstream.remotePort
    this.response.clear()
    this.table = null
    this.route = null
    this.responseTrailers = null
    this.span = null
    this.dynamic.forget()
    this.state = null
    this.internal = false
    this.internalRedirects = 0
    this.upgrade = ''
    this.upgradeCounted = false
    this.requestComplete = false
    this.responseStarted = false
    this.done = false
    this.replying = false
    this.grpc = null
    this.expectContinue = false
    this.countRequest()
    plan.stats.requestActive.inc()
    this.deadlines.begin(now)
    if (plan.logMoments.intervalMs > 0) this.stopLogging = logAtIntervals(this, plan.logMoments.intervalMs)
  }

  /** Logs the request as it is now. */
  log(type: string): void {
    this.logType = type
    this.plan.accessLog?.(this)
    this.logType = lastLog
  }

  private countRequest(): void {
    const { stats } = this.plan
    stats.requestTotal.inc()
    if (this.downstream.isHttp2) stats.requestHttp2Total.inc()
    else stats.requestHttp1Total.inc()
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
    return this.terminal.clusterMetadata
  }

  get format(): FormatContext {
    return this
  }

  get clusterName(): string {
    return this.terminal.clusterName
  }

  get isGrpc(): boolean {
    this.grpc ??= isGrpcType(this.request.headers)
    return this.grpc
  }

  /** Whether grpc-timeout counts. */
  get isGrpcTimed(): boolean {
    return this.request.headers.find(names.grpcTimeout) >= 0 && isGrpcType(this.request.headers)
  }

  get metadataOrNull(): Record<string, Record<string, unknown>> | null {
    return this.dynamic.all
  }

  metadata(namespace: string): Record<string, unknown> {
    return this.dynamic.of(namespace)
  }

  noteShared(metadata: Record<string, Record<string, unknown>>): void {
    this.dynamic.noteShared(metadata)
  }

  // IncomingRequest

  onRequestHead(endStream: boolean): void {
    const { request, plan, info } = this
    const { headers } = request
    if (headers.repeated) headers.joinRepeated(singleInRequests)
    info.protocol = protocolNames[request.version]
    this.deadlines.headComplete()
    info.wire?.requestRead(request)
    if (endStream) this.endWithHead()
    if (!checkRequest(this)) return
    const upgrade = upgradeOf(request, plan.ignoresUpgrade)
    if (upgrade.type === 'asked') this.upgrade = upgrade.to
    else if (upgrade.type === 'declined') {
      this.out.sender.declineUpgrade()
      // An ordinary request, then, that has no body unless it says so.
      if (!this.requestComplete && headers.find(names.contentLength) < 0 && headers.find(names.transferEncoding) < 0) {
        endStream = true
        this.endWithHead()
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
    const prepared = prepareRequest(this, plan, this.upgrade !== '')
    if (prepared.refusal !== 0) {
      plan.stats.rejectedByIpDetection.inc()
      this.refuse(prepared.refusal, { details: 'rejecting_because_detection_failed' })
      return
    }
    if (prepared.remoteAddress !== this.downstream.remoteAddress) {
      info.downstreamRemoteAddress = prepared.remoteAddress
      info.downstreamRemotePort = 0
    }
    this.internal = prepared.internal
    chooseRoute(this, this.deadlines)
    plan.tracing?.begin(this)
    if (this.expectContinue) {
      this.out.sender.sendContinue()
      plan.stats.response(100)
    }
    if (plan.logMoments.start) this.log('DownstreamStart')
    if (this.upgrade !== '' && !acceptUpgrade(this)) return
    this.filters.startRequest(
      resolveFilters(plan, this.upgrade, this.table, this.route, this.terminal.choiceConfigs),
      endStream && this.upgrade === '',
    )
  }

  clearRoute(): void {
    chooseRoute(this, this.deadlines)
  }

  onRequestData(buffer: Buffer, start: number, end: number, endStream: boolean): void {
    if (this.done) return
    this.info.bytesReceived += end - start
    this.info.wire?.requestBody(end - start, false)
    this.deadlines.lastActivityMs = monotonicMs()
    if (endStream) this.endRequest()
    if (this.replying) return
    this.filters.requestData(buffer, start, end, endStream)
  }

  onRequestTrailers(trailers: HeaderTable): void {
    if (this.done) return
    this.endRequest()
    if (!this.replying) this.filters.requestTrailers(trailers)
  }

  private endWithHead(): void {
    this.requestComplete = true
    this.info.requestEndMs = this.info.startMs
    this.deadlines.requestComplete()
  }

  private endRequest(): void {
    this.requestComplete = true
    this.info.requestEndMs = monotonicMs()
    this.info.wire?.requestEnd(false)
    this.deadlines.requestComplete()
  }

  onRequestReset(reason: ResetReason, detail: string): void {
    if (this.done) return
    const { info, plan } = this
    if (reason !== 'protocol-error') plan.stats.rxReset.inc()
    if (info.protocol === '') info.protocol = protocolNames[this.request.version]
    // Who gives a whole request up and says that nothing is wrong is not told of in the log, as with Envoy.
    if (detail !== 'NO_ERROR' || !this.requestComplete) noteRequestReset(info, reason, detail)
    this.terminal.cancel()
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
    if (info.protocol === '') this.forgetHead()
    this.terminal.cancel()
    this.filters.skip()
    this.reply(status, refusalText(status), { details, laterFlag: 'DPE' })
  }

  /** What has come of the head counts for nothing. */
  forgetHead(): void {
    this.request.clear()
    this.info.protocol = protocolNames[this.request.version]
  }

  onResponseWritable(): void {
    if (!this.done) this.terminal.resumeResponse()
  }

  // Response, from the end of the chain

  interim(head: ResponseHead): void {
    this.out.interim(head)
  }

  respond(endStream: boolean): void {
    this.responseStarted = true
    this.info.responseCode = this.response.status
    this.filters.startResponse(endStream)
  }

  respondData(buffer: Buffer, start: number, end: number, endStream: boolean): void {
    this.deadlines.lastActivityMs = monotonicMs()
    this.filters.responseData(buffer, start, end, endStream)
  }

  respondTrailers(trailers: HeaderTable): void {
    this.responseTrailers = trailers
    this.filters.responseTrailers(trailers)
  }

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
    this.dynamic.forget()
    this.grpc = null
    this.countRequest()
    chooseRoute(this, this.deadlines)
    if (plan.logMoments.start) this.log('DownstreamStart')
    const filters = resolveFilters(plan, this.upgrade, this.table, this.route, this.terminal.choiceConfigs)
    this.filters.startRequest(filters, body.length === 0 && trailers === null)
    body.forEach((piece, i) => {
      if (!this.done && !this.replying)
        this.filters.requestData(piece, 0, piece.length, trailers === null && i === body.length - 1)
    })
    if (trailers !== null && !this.done && !this.replying) this.filters.requestTrailers(trailers)
  }

  countReset(): void {
    this.plan.stats.txReset.inc()
  }

  // As filters have it

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
    this.terminal.pauseResponse()
  }

  resumeResponse(): void {
    if (!this.done) this.terminal.resumeResponse()
  }

  reply(status: number, body: string | Buffer, options: LocalReply, edit?: () => void): void {
    if (this.done) return
    // As a rule the request was malformed: who sent it may be out of step.
    if (status === 400 && !this.plan.streamErrorOnInvalidMessage) this.out.sender.closeAfterResponse()
    if (this.responseStarted) {
      // Too late for another answer.
      this.info.responseCodeDetails = options.details
      this.abort()
      return
    }
    const { info } = this
    this.replying = true
    if (options.unfinished === true) this.requestComplete = false
    this.filters.stopRequest()
    this.terminal.cancel()
    info.responseCodeDetails = options.details
    info.localReplyBody = typeof body === 'string' ? wireText(body) : body.latin1Slice()
    for (const flag of options.flags ?? []) info.addResponseFlag(flag)
    const text = makeLocalReply(this, status, body, options, edit)
    if (options.laterFlag !== undefined) info.addResponseFlag(options.laterFlag)
    // For formats of the body only; a log has nothing of it.
    info.localReplyBody = ''
    this.respond(text === null)
    if (text !== null && !this.done) this.respondData(text, 0, text.length, true)
  }

  /** Answers a request that did not pass the first checks: no filter sees it. `close`: nor does this connection see another. */
  refuse(status: number, options: LocalReply & { close?: boolean }, body = ''): void {
    if (options.close === true) this.out.sender.closeAfterResponse()
    this.filters.skip()
    this.reply(status, body, options)
  }

  /** Refuses a request as one whose head could not be read. */
  refuseUnread(status: number, details: string): void {
    this.info.protocol = ''
    this.requestComplete = false
    this.out.sender.closeAfterResponse()
    this.onRequestError(status, details)
  }

  /** Ends a request without an answer. */
  drop(flag: string, details: string): void {
    this.filters.skip()
    this.info.addResponseFlag(flag)
    this.info.responseCodeDetails = details
    this.abort()
  }

  /** Ends the stream without a proper end. */
  abort(): void {
    if (this.done) return
    this.plan.stats.txReset.inc()
    // A stream that is reset counts as one that was reset, of HTTP/1.1 (where the connection ends) not twice.
    if (this.downstream.isHttp2 || this.requestComplete || this.upgrade !== '') this.plan.stats.rxReset.inc()
    this.terminal.cancel()
    this.out.sender.reset()
    this.finish()
  }

  /** The first of the body's pieces that is too many: stop reading until the receiver has caught up. */
  pauseRequest(): void {
    this.out.sender.pauseRequest()
  }

  resumeRequest(): void {
    if (!this.done) this.out.sender.resumeRequest()
  }

  /** The last byte went to the codec, or none will. */
  finish(): void {
    if (this.done) return
    this.done = true
    const { info, plan } = this
    info.endMs = monotonicMs()
    plan.stats.requestActive.dec()
    if (this.upgradeCounted) plan.stats.upgradesActive.dec()
    if (info.isHealthCheck) plan.stats.tracingHealthCheck.inc()
    else if (info.responseCode > 0) plan.stats.response(info.responseCode)
    plan.stats.requestTime.record(Math.round(info.endMs - info.startMs))
    this.stopLogging?.()
    this.stopLogging = null
    this.filters.complete()
    this.terminal.end()
    if (this.span !== null) plan.tracing?.end(this, this.span)
    if (plan.accessLog !== null) plan.accessLog(this)
    info.upstreamEndpoint = null
    info.upstreamConnection = null
    this.downstream.onExchangeEnd()
    const { release } = this
    if (release === null) return
    // What still comes of a tunnel is for nobody.
    if (!this.requestComplete) this.out.sender.reset()
    this.out.end()
    this.release = null
    release(this)
  }

  // Deadlines

  watch(atMs: number): void {
    this.deadlines.watch(atMs)
  }

  private onTimer(): void {
    if (this.done) return
    const now = monotonicMs()
    const { deadlines, terminal } = this
    if (!terminal.onTimer(now)) {
      const limit = deadlines.due(now)
      if (limit !== null) {
        answerLate(this, limit)
        return
      }
    }
    if (!this.done) this.watch(Math.min(deadlines.next, terminal.nextDeadline))
  }

  /** The connection is closed: nothing waits any more. */
  dispose(): void {
    this.deadlines.dispose()
  }

  /** Filters of this request, for the run. */
  get activeFilters(): readonly HttpFilter[] {
    return this.filters.active
  }
}

/** The kind of the log that is always written. */
const lastLog = 'DownstreamEnd'

const protocolNames = { 10: 'HTTP/1.0', 11: 'HTTP/1.1', 20: 'HTTP/2' } as const
