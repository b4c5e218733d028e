import { headerName } from '@weft/http/header-name'
import type { ResetReason } from '@weft/http/stream'
import { toldFailure } from '../../../upstream/upstream-link.ts'
import type { RoutedExchange } from '../routed-exchange.ts'
import type { RequestCounts } from './request-counts.ts'
import { describeBreak, describeReset } from './reset-reasons.ts'
import type { RouterPlan } from './router-plan.ts'
import type { TimeLimit } from './time-limits.ts'

/** What a client is answered where its cluster gives no answer, or none that is whole. */

const overloaded = headerName('x-envoy-overloaded')

/** Says that a cluster has too much to do. */
export function overloadHeaders(plan: RouterPlan): [string, string][] {
  return plan.suppressHeaders ? [] : [[overloaded.name, 'true']]
}

/** There is no endpoint that could be asked. */
export function answerNoHost(exchange: RoutedExchange, counts: RequestCounts): void {
  const { info } = exchange
  const status = info.attemptCount > 1 ? 503 : (info.hostWish?.missingStatus ?? 503)
  info.addResponseFlag('UH')
  counts.response(status)
  exchange.reply(status, 'no healthy upstream', { details: 'no_healthy_upstream' })
}

/** A filter or route has given this header a value that can't be sent on. */
export function answerBroken(exchange: RoutedExchange, counts: RequestCounts, name: string): void {
  exchange.info.addResponseFlag('DPE')
  counts.response(503)
  exchange.reply(503, `invalid header value for: ${name}`, {
    details: `filter_removed_required_request_headers{invalid_header_value_for:_${name}}`,
  })
}

/** The cluster has as many requests as it may have. */
export function answerOverflow(exchange: RoutedExchange, plan: RouterPlan, counts: RequestCounts): void {
  exchange.info.addResponseFlag('UO')
  counts.response(503)
  const body = 'upstream connect error or disconnect/reset before headers. reset reason: overflow'
  const details = 'upstream_reset_before_response_started{overflow}'
  exchange.reply(503, body, { details, headers: overloadHeaders(plan) })
}

/** Upstream ended the last try without an answer. */
export function answerReset(exchange: RoutedExchange, counts: RequestCounts, reason: ResetReason, detail: string): void {
  const { info } = exchange
  const said = describeReset(reason, detail, info.attemptCount > 1, counts.hasInterim)
  info.addResponseFlag(said.flag)
  if (reason === 'connect-failure') info.upstreamFailure = toldFailure(detail)
  counts.ownAnswer(said.status)
  exchange.reply(said.status, said.body, { details: said.details })
}

/** A time limit was over before an answer began. `noContent`: the client asked for 204 then. */
export function answerTimeout(exchange: RoutedExchange, counts: RequestCounts, limit: TimeLimit, noContent: boolean): void {
  exchange.info.addResponseFlag(timeoutFlag(limit))
  if (limit === 'upstream_max_stream_duration_reached') {
    exchange.reply(504, 'upstream max stream duration reached', { details: limit })
    return
  }
  const status = noContent ? 204 : 504
  counts.ownAnswer(status)
  exchange.reply(status, noContent ? '' : 'upstream request timeout', { details: limit })
}

/** Upstream ended an answer before its end. */
export function breakOff(exchange: RoutedExchange, reason: ResetReason, detail: string): void {
  noteBreak(exchange, reason, detail)
  exchange.abort()
}

/** A time limit was over before an answer's end. */
export function breakOffLate(exchange: RoutedExchange, limit: TimeLimit): void {
  exchange.info.addResponseFlag(timeoutFlag(limit))
  exchange.info.responseCodeDetails = limit
  exchange.abort()
}

/** A tunnel of HTTP/1.1 has no other end than its connection's: logged and counted as that, as Envoy does. */
export function noteTunnelEnd(exchange: RoutedExchange): void {
  noteBreak(exchange, 'connection-closed', '')
  exchange.countReset()
}

function noteBreak({ info }: RoutedExchange, reason: ResetReason, detail: string): void {
  const { flag, details } = describeBreak(reason, detail)
  info.addResponseFlag(flag)
  info.responseCodeDetails = details
}

function timeoutFlag(limit: TimeLimit): 'UMSDR' | 'UT' {
  return limit === 'upstream_max_stream_duration_reached' ? 'UMSDR' : 'UT'
}
