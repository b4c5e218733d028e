import { headerGroup, headerName, names } from '@weft/http/header-name'
import type { RequestHead } from '@weft/http/message'
import type { FormatContext } from '../../../observe/format/context.ts'
import { grpcTimeoutText, parseGrpcTimeout, shortened } from '../../../routing/grpc-timeout.ts'
import type { RetryPlan } from '../../../routing/retry-policy.ts'
import type { ClusterChoice, ForwardPlan } from '../../../routing/route-action.ts'
import { pathOnly } from '../../../routing/route-match.ts'
import type { RoutePlan } from '../../../routing/route-table.ts'
import { isGrpcType } from '../grpc-type.ts'
import type { RoutedExchange } from '../routed-exchange.ts'
import type { RouterPlan } from './router-plan.ts'

const originalPath = headerName('x-envoy-original-path')
const originalHost = headerName('x-envoy-original-host')
const expectedTimeout = headerName('x-envoy-expected-rq-timeout-ms')
const askedTimeout = headerName('x-envoy-upstream-rq-timeout-ms')
const askedPerTry = headerName('x-envoy-upstream-rq-per-try-timeout-ms')
const attemptCount = headerName('x-envoy-attempt-count')
const timeoutRetry = headerName('x-envoy-is-timeout-retry')
const altStatName = headerName('x-envoy-upstream-alt-stat-name')
const timeoutResponse = headerName('x-envoy-upstream-rq-timeout-alt-response')
const streamDuration = headerName('x-envoy-upstream-stream-duration-ms')
/** Words to the router, which end with it. */
const consumed = [
  'x-envoy-retry-on',
  'x-envoy-retry-grpc-on',
  'x-envoy-max-retries',
  'x-envoy-retriable-status-codes',
  'x-envoy-retriable-header-names',
  'x-envoy-hedge-on-per-try-timeout',
  altStatName.name,
  timeoutResponse.name,
  streamDuration.name,
].map(headerName)
const anyConsumed = headerGroup(consumed)

/** What of an exchange a request's head depends on. */
type HeadedRequest = FormatContext & Pick<RoutedExchange, 'request'>

/** What of the router's configuration it depends on. */
type HeadRules = Pick<RouterPlan, 'suppressHeaders' | 'respectExpected'>

/** What a request says about itself to the router, beside its time limits and retries. */
export interface RequestWishes {
  /** A name that its response is counted under besides (`name.`); empty: none. */
  statName: string
  /** 204 is the answer to a request that takes too long. */
  timeoutIsNoContent: boolean
  /** How long a try may take, its body included (ms); -1: as the cluster says. */
  streamMs: number
}

export const noWishes: RequestWishes = { statName: '', timeoutIsNoContent: false, streamMs: -1 }

/** Reads them before `finishRequestHead` takes them off. */
export function wishesOf({ headers }: RequestHead): RequestWishes {
  if (!headers.mayHave(anyConsumed)) return noWishes
  const alternative = headers.find(altStatName) >= 0 ? headers.get(altStatName)! : ''
  const timeoutIsNoContent = headers.find(timeoutResponse) >= 0
  const streamMs = headers.find(streamDuration) >= 0 ? (milliseconds(headers.get(streamDuration)) ?? -1) : -1
  if (alternative === '' && !timeoutIsNoContent && streamMs < 0) return noWishes
  return { statName: alternative === '' ? '' : `${alternative}.`, timeoutIsNoContent, streamMs }
}

/** Makes the head what upstream is to see: rewrites, header edits, time limits. Gives the limits that hold. */
export function finishRequestHead(
  exchange: HeadedRequest,
  plan: HeadRules,
  forward: ForwardPlan,
  choice: ClusterChoice,
  route: RoutePlan,
  retry: RetryPlan | null,
  hedges = false,
): { timeoutMs: number; perTryMs: number } {
  const { request } = exchange
  const { headers } = request
  const { suppressHeaders, respectExpected } = plan
  const times = timeouts(request, forward, retry, respectExpected)
  if (headers.mayHave(anyConsumed)) for (let i = 0; i < consumed.length; i++) headers.remove(consumed[i]!)
  const { timeoutMs } = times
  const tryMs = hedges ? 0 : times.perTryMs
  if ((timeoutMs > 0 || tryMs > 0) && !suppressHeaders) tellExpected(request, tryMs, timeoutMs > 0 ? timeoutMs : tryMs)
  if (route.host.includeAttemptCount) headers.set(attemptCount, '1')
  choice.edits?.onRequest(exchange, request)
  const { edits } = route
  for (let i = 0; i < edits.length; i++) edits[i]!.onRequest(exchange, request)
  rewriteHost(exchange, plan, forward, choice)
  if (forward.rewrite !== null && request.path !== '') rewritePath(exchange, plan, forward.rewrite)
  return times
}

/** What no part of a head may hold: it would end it early. */
const control = /[\0-\x1f\x7f]/

/** The name of a header that can't be sent as it is; null: all can. */
export function brokenHeader({ headers, method, path, authority, receivedPath, receivedAuthority }: RequestHead): string | null {
  if (method !== 'GET' && method !== 'POST' && control.test(method)) return ':method'
  if (path !== receivedPath && control.test(path)) return ':path'
  if (authority !== receivedAuthority && control.test(authority)) return ':authority'
  const index = headers.findBroken()
  return index < 0 ? null : headers.nameAt(index)
}

/** Rewrites a request's path, and keeps what it was beside; where nothing would be left of it, it stays. */
export function rewritePath(
  exchange: FormatContext & Pick<RoutedExchange, 'request'>,
  plan: HeadRules,
  rewrite: (path: string, context: FormatContext) => string,
): void {
  const { request } = exchange
  const before = request.path
  const made = rewrite(before, exchange)
  if (made === '') return
  request.path = made
  if (!plan.suppressHeaders) request.headers.set(originalPath, before)
}

/** Makes the head what the next try is to say; `timedOut`: the time of the one before was up. */
export function finishNextHead({ request, info }: HeadedRequest, { host }: RoutePlan, timedOut: boolean): void {
  if (host.includeAttemptCount) request.headers.set(attemptCount, String(info.attemptCount))
  if (host.tellsTimeoutRetry) request.headers.set(timeoutRetry, String(timedOut))
}

/** Tells upstream how long (ms) it has: the time of a try (0: no limit, or one that goes on beside the next), and what is left of all. */
export function tellExpected({ headers }: RequestHead, perTryMs: number, leftMs: number): void {
  headers.set(expectedTimeout, wholeText(Math.max(1, perTryMs > 0 ? Math.min(perTryMs, leftMs) : leftMs)))
}

/** The route's limits, with what the request's own headers ask for. */
function timeouts(
  request: RequestHead,
  forward: ForwardPlan,
  retry: RetryPlan | null,
  respectExpected: boolean,
): { timeoutMs: number; perTryMs: number } {
  const { headers } = request
  // A route that limits streams has no limit of its own for the response.
  let timeoutMs = forward.limitsStream ? 0 : forward.timeoutMs
  let perTryMs = retry?.perTryTimeoutMs ?? 0
  // Of gRPC it takes the place of the route's limit, whether or not the client asks for one. Filters may have made it gRPC.
  const grpcLimited = !forward.limitsStream && forward.maxGrpcTimeoutMs >= 0 && isGrpcType(headers)
  if (grpcLimited) {
    const asked = shortened(parseGrpcTimeout(headers.get(names.grpcTimeout)), forward.grpcOffsetMs)
    const most = forward.maxGrpcTimeoutMs
    // 0 is no limit, on either side.
    if (asked !== null && asked > 0) timeoutMs = most === 0 ? asked : Math.min(asked, most)
    else timeoutMs = most
  }
  const expected = respectExpected ? milliseconds(headers.get(expectedTimeout)) : null
  if (expected !== null) timeoutMs = expected
  else if (headers.find(askedTimeout) >= 0) {
    timeoutMs = milliseconds(headers.get(askedTimeout)) ?? timeoutMs
    headers.remove(askedTimeout)
  }
  if (headers.find(askedPerTry) >= 0) {
    perTryMs = milliseconds(headers.get(askedPerTry)) ?? perTryMs
    headers.remove(askedPerTry)
  }
  // A try can't take longer than the whole.
  if (timeoutMs > 0 && perTryMs >= timeoutMs) perTryMs = 0
  if (grpcLimited && timeoutMs > 0) headers.set(names.grpcTimeout, grpcTimeoutText(perTryMs > 0 ? perTryMs : timeoutMs))
  return { timeoutMs, perTryMs }
}

let lastWhole = 0
let lastWholeText = '0'

/** A number as an integer's text; nearly every request of a route asks for the same. */
function wholeText(value: number): string {
  if (value !== lastWhole) {
    lastWhole = value
    lastWholeText = String(Math.round(value))
  }
  return lastWholeText
}

function milliseconds(text: string | null): number | null {
  return text !== null && /^\d{1,9}$/.test(text) ? Number(text) : null
}

function rewriteHost(exchange: HeadedRequest, plan: HeadRules, forward: ForwardPlan, choice: ClusterChoice): void {
  const { request } = exchange
  const silent = plan.suppressHeaders
  const rewrite = forward.hostRewrite
  // Of a weighted cluster's own and the route's, both are done.
  if (choice.hostRewrite !== '') request.authority = choice.hostRewrite
  if (rewrite === null) return
  if (rewrite.type === 'literal') replaceHost(request, rewrite.value, forward.appendForwardedHost, silent)
  else if (rewrite.type === 'format') replaceHost(request, rewrite.format(exchange), forward.appendForwardedHost, silent)
  else if (rewrite.type === 'header') {
    const asked = request.headers.get(rewrite.header) ?? ''
    if (asked !== '') replaceHost(request, asked, forward.appendForwardedHost, silent)
  } else if (rewrite.type === 'path-regex') {
    replaceHost(
      request,
      rewrite.regex.replaceAll(pathOnly(request.path), rewrite.substitution),
      forward.appendForwardedHost,
      silent,
    )
  }
}

/** Another authority; what it was goes on in headers (`silent`: in none of Envoy's own). */
export function replaceHost(request: RequestHead, host: string, appendForwarded: boolean, silent: boolean): void {
  const before = request.authority
  request.authority = host
  if (before === '') return
  if (!silent) request.headers.set(originalHost, before)
  if (!appendForwarded) return
  const forwarded = request.headers.getAll(names.forwardedHost) ?? ''
  // As Envoy: not once more behind itself.
  if (forwarded.slice(forwarded.lastIndexOf(',') + 1) === before) return
  request.headers.set(names.forwardedHost, forwarded === '' ? before : `${forwarded},${before}`)
}
