import type { Refusal } from '@weft/http/h1/refusal'
import { names, singleInRequests } from '@weft/http/header-name'
import type { HeaderTable } from '@weft/http/header-table'
import type { RequestHead } from '@weft/http/message'
import type { IncomingRequest, ResetReason } from '@weft/http/stream'
import { monotonicMs } from '../../../transport/clock.ts'
import { editHead } from '../../http/head-edit.ts'
import type { FilterRun } from './filter-run.ts'
import type { ManagedExchange } from './managed-exchange.ts'
import { checkRequest, noteUnderscore } from './request-checks.ts'
import { noteRequestReset, refusalText } from './request-ends.ts'
import { prepareRequest } from './request-headers.ts'
import { acceptUpgrade, upgradeOf } from './request-upgrade.ts'
import type { StreamDeadlines } from './stream-deadlines.ts'

/** Where a request comes in from the codec: its head is checked and made fit to be sent on, and all of it goes to the filters. */
export class RequestIn implements IncomingRequest {
  readonly request: RequestHead
  private readonly exchange: ManagedExchange
  private readonly filters: FilterRun
  private readonly deadlines: StreamDeadlines

  constructor(exchange: ManagedExchange, filters: FilterRun, deadlines: StreamDeadlines) {
    this.request = exchange.request
    this.exchange = exchange
    this.filters = filters
    this.deadlines = deadlines
  }

  onRequestHead(endStream: boolean): void {
    const { exchange, request } = this
    const { plan, info, downstream } = exchange
    const { headers } = request
    if (headers.repeated) headers.joinRepeated(singleInRequests)
    info.protocol = protocolNames[request.version]
    this.deadlines.headComplete()
    info.wire?.requestRead(request)
    if (endStream) this.endWithHead()
    if (!checkRequest(exchange)) return
    const upgrade = upgradeOf(request, plan.ignoresUpgrade)
    if (upgrade.type === 'asked') exchange.upgrade = upgrade.to
    else if (upgrade.type === 'declined') {
      exchange.sender.declineUpgrade()
      // An ordinary request, then, that has no body unless it says so.
      if (!endStream && headers.find(names.contentLength) < 0 && headers.find(names.transferEncoding) < 0) {
        endStream = true
        this.endWithHead()
      }
    }
    request.upgrades = exchange.upgrade !== ''
    const expects = this.expectsContinue()
    exchange.noteGrpc()
    if (plan.earlyEdits !== null) editHead(plan.earlyEdits, exchange, request)
    const prepared = prepareRequest(exchange, plan, exchange.upgrade !== '')
    if (prepared.refusal !== 0) {
      plan.stats.rejectedByIpDetection.inc()
      exchange.refuse(prepared.refusal, { details: 'rejecting_because_detection_failed' })
      return
    }
    if (prepared.remoteAddress !== downstream.remoteAddress) {
      info.downstreamRemoteAddress = prepared.remoteAddress
      info.downstreamRemotePort = 0
    }
    exchange.internal = prepared.internal
    exchange.clearRoute()
    plan.tracing?.begin(exchange)
    if (expects) {
      exchange.sender.sendContinue()
      plan.stats.response(100)
      info.responseCode = 100
    }
    if (plan.logMoments.start) exchange.log('DownstreamStart')
    if (exchange.upgrade !== '' && !acceptUpgrade(exchange)) return
    // In HTTP/1.1 what goes up the tunnel comes behind the head, whatever that says of a body.
    this.filters.startRequest(endStream && (exchange.upgrade === '' || request.version === 20))
  }

  /** Whether the client waits for 100 Continue, which it gets from here; then nobody else is asked for it. */
  private expectsContinue(): boolean {
    const { headers } = this.request
    const at = headers.find(names.expect)
    if (at < 0 || this.exchange.plan.proxy100Continue) return false
    if (headers.valueAt(at).toLowerCase() !== '100-continue') return false
    headers.remove(names.expect)
    return true
  }

  onRequestData(buffer: Buffer, start: number, end: number, endStream: boolean): void {
    const { exchange } = this
    if (exchange.done) return
    exchange.info.bytesReceived += end - start
    exchange.info.wire?.requestBody(end - start, false)
    this.deadlines.lastActivityMs = monotonicMs()
    if (endStream) this.end()
    this.filters.requestData(buffer, start, end, endStream)
  }

  onRequestTrailers(trailers: HeaderTable): void {
    if (this.exchange.done) return
    this.end()
    this.filters.requestTrailers(trailers)
  }

  private endWithHead(): void {
    const { exchange } = this
    exchange.requestComplete = true
    exchange.info.requestEndMs = exchange.info.startMs
    this.deadlines.requestComplete()
  }

  private end(): void {
    const { exchange } = this
    exchange.requestComplete = true
    exchange.info.requestEndMs = monotonicMs()
    exchange.info.wire?.requestEnd(false)
    this.deadlines.requestComplete()
  }

  onRequestReset(reason: ResetReason, detail: string): void {
    const { exchange } = this
    if (exchange.done) return
    const { info, plan } = exchange
    plan.stats.rxReset.inc()
    if (info.protocol === '') {
      // What has come of a head that was never whole counts for nothing.
      info.protocol = protocolNames[this.request.version]
      this.request.headers.clear()
    }
    // Who gives a whole request up and says that nothing is wrong is not told of in the log, as with Envoy.
    if (detail !== 'NO_ERROR' || !exchange.requestComplete) noteRequestReset(info, reason, detail)
    exchange.terminal.cancel()
    exchange.finish()
  }

  onRequestError({ status, details, reason }: Refusal): void {
    const { exchange } = this
    const { plan, info, downstream } = exchange
    plan.stats.protocolError.inc()
    if (details === 'http1.unexpected_underscore') noteUnderscore(exchange, 'requests_rejected_with_underscores_in_headers')
    if (!downstream.isHttp2) downstream.onProtocolError(reason)
    if (exchange.responseStarted) {
      exchange.abort()
      return
    }
    // A head that was refused is told nothing of; that it was whole shows in the version that it is answered in.
    if (info.protocol === '') {
      const { version } = exchange.request
      this.forgetHead()
      exchange.request.version = version
    }
    exchange.terminal.cancel()
    exchange.answerOnly()
    exchange.reply(status, refusalText(status), { details, laterFlag: 'DPE' })
  }

  /** What has come of the head counts for nothing. */
  forgetHead(): void {
    this.request.clear()
    this.request.scheme = ''
    this.exchange.info.protocol = protocolNames[this.request.version]
  }

  onResponseWritable(): void {
    this.exchange.resumeResponse()
  }
}

const protocolNames = { 10: 'HTTP/1.0', 11: 'HTTP/1.1', 20: 'HTTP/2' } as const
