import { headerName, names } from '@weft/http/header-name'
import type { HeaderTable } from '@weft/http/header-table'
import { RequestHead, ResponseHead } from '@weft/http/message'
import type { ServerStream } from '@weft/http/stream'
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
import { nameRoute } from '../../http/name-route.ts'
import type { TerminalFilter } from '../../http/terminal-filter.ts'
import type { Downstream } from './downstream.ts'
import { DynamicMetadata } from './dynamic-metadata.ts'
import { FilterRun } from './filter-run.ts'
import type { HcmPlan } from './hcm-plan.ts'
import { answerLate } from './late-answers.ts'
import { makeLocalReply } from './local-reply.ts'
import { logAtIntervals } from './log-moments.ts'
import type { ManagedExchange } from './managed-exchange.ts'
import { RequestIn } from './request-in.ts'
import { ResponseOut } from './response-out.ts'
import { chooseRoute } from './route-choice.ts'
import { StreamDeadlines } from './stream-deadlines.ts'

/** Who has an exchange for a request, and is told that it is over: it may be another's from then on. */
export interface ExchangeOwner {
  exchangeEnded(exchange: Exchange): void
}

/**
 * One request and its response on a downstream connection: what the codec tells comes in, goes through the filters to the
 * router, and back. Exchanges are used again for later requests, of any connection of the same manager.
 */
export class Exchange implements ManagedExchange {
  readonly request = new RequestHead()
  readonly response = new ResponseHead()
  readonly info = new StreamRecord()
  downstream: Downstream
  readonly plan: HcmPlan
  private owner: ExchangeOwner | null = null
  private readonly free: (exchange: Exchange) => void
  private readonly filters: FilterRun
  /** Where the codec puts the request. */
  readonly incoming: RequestIn
  private readonly out: ResponseOut
  readonly terminal: TerminalFilter
  table: RouteTable | null = null
  route: RoutePlan | null = null
  responseTrailers: HeaderTable | null = null
  span: Span | null = null
  private readonly dynamic = new DynamicMetadata()
  private state: Map<string, unknown> | null = null
  internal = false
  internalRedirects = 0
  upgrade = ''
  upgradeCounted = false
  requestComplete = false
  responseStarted = false
  done = true
  private grpc: boolean | null = null
  private readonly deadlines: StreamDeadlines
  /** As long as nothing is logged, formats find none. */
  logType = noLog
  private stopLogging: (() => void) | null = null

  /** `downstream`: any of those that it will be for. `free` takes it back after a request, unless a filter may still know it. */
  constructor(downstream: Downstream, free: (exchange: Exchange) => void) {
    this.downstream = downstream
    this.free = free
    this.plan = downstream.plan
    this.terminal = downstream.plan.terminal.endOf(this)
    this.out = new ResponseOut(this)
    this.filters = new FilterRun(this, this.out)
    this.deadlines = new StreamDeadlines(downstream.timers, downstream.plan, downstream.processState, () => this.onTimer())
    this.incoming = new RequestIn(this, this.filters, this.deadlines)
  }

  /** The first byte of a request is there. `downstream` is of the same plan and thread as ever. */
  begin(downstream: Downstream, sender: ServerStream, owner: ExchangeOwner): void {
    this.downstream = downstream
    this.out.begin(sender)
    this.owner = owner
    const now = monotonicMs()
    const { info, plan } = this
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
    this.grpc = null
    this.countRequest()
    plan.stats.requestActive.inc()
    this.deadlines.begin(now)
    if (plan.logMoments.intervalMs > 0) this.stopLogging = logAtIntervals(downstream.timers, this, plan.logMoments.intervalMs)
  }

  log(type: string): void {
    this.logType = type
    this.plan.accessLog?.(this)
    this.logType = noLog
  }

  private countRequest(): void {
    const { stats } = this.plan
    stats.requestTotal.inc()
    if (this.downstream.isHttp2) stats.requestHttp2Total.inc()
    else stats.requestHttp1Total.inc()
  }

  get sender(): ServerStream {
    return this.out.sender
  }

  get takesNothing(): boolean {
    return this.out.sender.takesNothing === true
  }

  get connection(): ConnectionInfo {
    return this.downstream
  }

  get listener(): string {
    return this.downstream.listenerName
  }

  get filterState(): Map<string, unknown> {
    this.state ??= new Map(this.downstream.filterState)
    return this.state
  }

  get filterStateOrNull(): ReadonlyMap<string, unknown> | null {
    return this.state ?? this.downstream.filterState ?? null
  }

  get routeMetadata(): Readonly<Record<string, unknown>> | null {
    return this.route?.metadata ?? null
  }

  get trace(): FormatContext['trace'] {
    return this.span === null ? null : (this.plan.tracing?.identify(this.span) ?? null)
  }

  get virtualHostMetadata(): Readonly<Record<string, unknown>> | null {
    if (this.route !== null) return this.route.host.metadata
    // What no route takes, or was refused before one was looked for, has its virtual host's nevertheless.
    const { request } = this
    // Edits that come before everything see none of it.
    if (request.authority === '' || (this.table === null && this.info.responseCodeDetails === '')) return null
    return (this.table ?? this.downstream.routeTable(request))?.hostOf(request)?.metadata ?? null
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

  /** What the client said it is decides, whatever becomes of its headers. */
  noteGrpc(): void {
    this.grpc = isGrpcType(this.request.headers)
  }

  get requestLimits(): { readonly maxHeaders: number; readonly maxHeadBytes: number } {
    return this.plan.http1
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

  clearRoute(): void {
    chooseRoute(this, this.deadlines)
  }

  forgetHead(): void {
    this.incoming.forgetHead()
  }

  // Response, from the end of the chain

  interim(head: ResponseHead): void {
    this.out.interim(head)
  }

  respond(endStream: boolean): void {
    this.info.responseCode = this.response.status
    this.startResponse(endStream)
  }

  private startResponse(endStream: boolean): void {
    this.responseStarted = true
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
    if (plan.accessLog !== null) this.log('DownstreamEnd')
    const { downstreamRemoteAddress, downstreamRemotePort } = info
    this.internalRedirects++
    info.reset(monotonicMs())
    info.requestEndMs = info.startMs
    for (const piece of body) info.bytesReceived += piece.length
    info.downstreamRemoteAddress = downstreamRemoteAddress
    info.downstreamRemotePort = downstreamRemotePort
    this.response.clear()
    this.responseTrailers = null
    this.dynamic.forget()
    this.grpc = null
    this.countRequest()
    chooseRoute(this, this.deadlines)
    if (plan.logMoments.start) this.log('DownstreamStart')
    this.filters.startRequest(body.length === 0 && trailers === null)
    body.forEach((piece, i) => {
      if (!this.done) this.filters.requestData(piece, 0, piece.length, trailers === null && i === body.length - 1)
    })
    if (trailers !== null && !this.done) this.filters.requestTrailers(trailers)
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

  replaceFilter(filter: HttpFilter, by: HttpFilter): void {
    this.filters.replace(filter, by)
  }

  injectRequestData(filter: HttpFilter, data: Buffer, endStream: boolean): void {
    if (!this.done) this.filters.injectRequestData(filter, data, endStream)
  }

  injectResponseData(filter: HttpFilter, data: Buffer, endStream: boolean): void {
    if (!this.done) this.filters.injectResponseData(filter, data, endStream)
  }

  injectRequestTrailers(filter: HttpFilter, trailers: HeaderTable): void {
    if (!this.done) this.filters.injectRequestTrailers(filter, trailers)
  }

  injectResponseTrailers(filter: HttpFilter, trailers: HeaderTable): void {
    if (this.done) return
    this.responseTrailers = trailers
    this.filters.injectResponseTrailers(filter, trailers)
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
    if (options.unfinished === true) this.requestComplete = false
    this.filters.stopRequest()
    this.terminal.cancel()
    info.responseCodeDetails = options.details
    if (info.clusterName !== '' && this.downstream.cluster(info.clusterName) === undefined) info.clusterName = ''
    info.localReplyBody = typeof body === 'string' ? wireText(body) : body.latin1Slice()
    for (const flag of options.flags ?? []) info.addResponseFlag(flag)
    const text = makeLocalReply(this, status, body, options, edit)
    // For formats of the body only; a log has nothing of it.
    info.localReplyBody = ''
    const { nextFlag, laterFlag } = options
    if (nextFlag !== undefined) info.addResponseFlag(nextFlag)
    if (text === null && laterFlag !== undefined) info.addResponseFlag(laterFlag)
    // Of a gRPC answer the filters see the code that it would have otherwise.
    this.startResponse(text === null)
    if (text === null || this.done) return
    if (laterFlag !== undefined) info.addResponseFlag(laterFlag)
    this.respondData(text, 0, text.length, true)
  }

  refuse(status: number, options: LocalReply & { close?: boolean }, body = ''): void {
    if (options.close === true) this.out.sender.closeAfterResponse()
    // Before a request has its scheme, only what its client says of it leads to a route: the answer is that route's, as with Envoy.
    if (this.table === null) {
      const said = this.request.headers.get(names.forwardedProto) ?? ''
      if (said !== '') {
        const own = this.request.scheme
        this.request.scheme = said
        // Whoever it is from, it says so itself.
        this.internal = this.request.headers.get(internalHeader) === 'true'
        chooseRoute(this, this.deadlines, true)
        this.request.scheme = own
      }
    }
    this.answerOnly()
    this.reply(status, body, options)
  }

  answerOnly(): void {
    if (this.table === null) this.terminal.prepare(null)
    this.filters.skipRequest()
  }

  drop(flag: string, details: string): void {
    this.filters.skip()
    this.info.addResponseFlag(flag)
    this.info.responseCodeDetails = details
    this.plan.stats.rxReset.inc()
    this.terminal.cancel()
    this.out.sender.reset()
    this.finish()
  }

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

  finish(): void {
    if (this.done) return
    this.done = true
    const { info, plan } = this
    info.endMs = monotonicMs()
    plan.stats.requestActive.dec()
    if (this.upgradeCounted) plan.stats.upgradesActive.dec()
    if (info.isHealthCheck) plan.stats.tracingHealthCheck.inc()
    // Interim answers were counted when they went out.
    else if (info.responseCode >= 200 || info.responseCode === 101) plan.stats.response(info.responseCode)
    plan.stats.requestTime.record(Math.round(info.endMs - info.startMs))
    this.stopLogging?.()
    this.stopLogging = null
    this.filters.complete()
    this.terminal.end()
    if (this.span !== null) plan.tracing?.end(this, this.span)
    if (plan.accessLog !== null) this.log('DownstreamEnd')
    info.upstreamEndpoint = null
    info.upstreamConnection = null
    this.downstream.onExchangeEnd()
    // What still comes of a stream is for nobody. (A connection of HTTP/1 has ended with its request.)
    if (!this.requestComplete && this.downstream.isHttp2) this.out.sender.reset()
    this.out.end()
    const { owner } = this
    this.owner = null
    owner?.exchangeEnded(this)
    // A verdict that comes late is never one on another request.
    if (this.filters.isKept) this.dispose()
    else this.free(this)
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

  /** It won't be used again: nothing waits any more. */
  dispose(): void {
    this.deadlines.dispose()
  }
}

const noLog = 'NotSet'
const internalHeader = headerName('x-envoy-internal')
