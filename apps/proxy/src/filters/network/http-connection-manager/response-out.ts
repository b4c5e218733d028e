import type { HeaderTable } from '@weft/http/header-table'
import type { ResponseHead } from '@weft/http/message'
import type { ServerStream } from '@weft/http/stream'
import { monotonicMs } from '../../../transport/clock.ts'
import type { ManagedExchange } from './managed-exchange.ts'
import { finishInterim, finishResponseHead, framingOf } from './response-finish.ts'

/** Where a response that the filters have let pass goes to the codec. */
export class ResponseOut {
  private readonly exchange: ManagedExchange
  /** Of the request that is under way. */
  sender: ServerStream = nobody
  /** The filters have let the head pass. */
  headSent = false

  constructor(exchange: ManagedExchange) {
    this.exchange = exchange
  }

  /** Another request, which is answered by `sender`. */
  begin(sender: ServerStream): void {
    this.sender = sender
    this.headSent = false
  }

  /** The exchange is over and used again. */
  end(): void {
    this.sender = nobody
  }

  /** An interim answer (103, or 100 where that is passed on). */
  interim(head: ResponseHead): void {
    const { request, plan, info, responseStarted } = this.exchange
    if (responseStarted || request.version === 10 || !plan.proxy100Continue) return
    plan.stats.response(head.status)
    // Of a request that gets no other.
    info.responseCode = head.status
    finishInterim(this.exchange, head)
    this.sender.sendInterim(head)
  }

  head(endStream: boolean): void {
    const { exchange, sender } = this
    const { response, plan, info, downstream } = exchange
    finishResponseHead(exchange)
    const pace = downstream.wantsClose()
    if (pace !== null) sender.closeAfterResponse(pace === 'now')
    else if (downstream.wantsEnd()) sender.announceClose()
    const { upgrade } = exchange
    const tunnel = upgrade !== '' && (response.status === 101 || (upgrade === 'connect' && response.status < 300))
    if (!exchange.requestComplete) {
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
    info.wire?.responseWritten(response, framingOf(exchange, endStream))
    if (!tunnel) exchange.upgrade = ''
    if (endStream) this.beforeEnd()
    sender.sendHead(response, endStream)
    if (tunnel && plan.logMoments.tunnel) exchange.log('DownstreamTunnelSuccessfullyEstablished')
    if (endStream) exchange.finish()
  }

  data(buffer: Buffer, start: number, end: number, endStream: boolean): void {
    const { exchange } = this
    const { info } = exchange
    info.bytesSent += end - start
    info.wire?.responseBody(end - start, true)
    if (endStream) {
      info.wire?.responseEnd(true)
      // A filter may have made body of them.
      exchange.responseTrailers = null
      this.beforeEnd()
    }
    const more = this.sender.sendData(buffer, start, end, endStream)
    if (endStream) exchange.finish()
    else if (!more) exchange.pauseResponse()
  }

  trailers(trailers: HeaderTable): void {
    this.exchange.info.wire?.responseEnd(true)
    this.beforeEnd()
    this.sender.sendTrailers(trailers)
    this.exchange.finish()
  }

  private beforeEnd(): void {
    const { exchange } = this
    if (exchange.requestComplete) return
    exchange.terminal.cancel()
    // The rest of a tunnel is given up, and HTTP/2 gives up that of any request: it counts as with Envoy.
    if (exchange.upgrade !== '' || exchange.downstream.isHttp2) exchange.plan.stats.rxReset.inc()
  }
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
