import { type RetryPolicy, RetryPolicy_ResetHeaderFormat } from '@weft/contracts/envoy/config/route/v3/route_components'
import type { Duration } from '@weft/contracts/google/protobuf/duration'
import { type HeaderName, headerGroup, headerName, names } from '@weft/http/header-name'
import type { RequestHead, ResponseHead } from '@weft/http/message'
import { durationMs } from '../plan/duration.ts'
import { invalid, unsupported } from '../plan/problems.ts'
import { compileHeaderMatcher, type HeadMatcher } from './matchers/header-matcher.ts'
import { compileRetryHosts, type RetryHosts } from './retry-hosts.ts'

/** The words of retry_on and x-envoy-retry-on, and of their gRPC kin. */
const words = [
  '5xx',
  'gateway-error',
  'reset',
  'reset-before-request',
  'connect-failure',
  'envoy-ratelimited',
  'retriable-4xx',
  'refused-stream',
  'retriable-status-codes',
  'retriable-headers',
  'http3-post-connect-failure',
  'cancelled',
  'deadline-exceeded',
  'internal',
  'resource-exhausted',
  'unavailable',
] as const
type RetryWord = (typeof words)[number]

/** These words as bits. */
function bits(...some: RetryWord[]): number {
  return some.reduce((sum, word) => sum | (1 << words.indexOf(word)), 0)
}

const on = {
  serverError: bits('5xx'),
  gatewayError: bits('gateway-error'),
  ratelimited: bits('envoy-ratelimited'),
  conflict: bits('retriable-4xx'),
  statusCodes: bits('retriable-status-codes'),
  headers: bits('retriable-headers'),
  anyReset: bits('5xx', 'gateway-error', 'reset'),
  connectFailure: bits('connect-failure', '5xx', 'gateway-error', 'reset', 'reset-before-request'),
  refusedStream: bits('refused-stream', '5xx', 'gateway-error', 'reset'),
} as const

/** By grpc-status. */
const onGrpc: Readonly<Record<string, number>> = {
  '1': bits('cancelled'),
  '4': bits('deadline-exceeded'),
  '13': bits('internal'),
  '8': bits('resource-exhausted'),
  '14': bits('unavailable'),
}
const onAnyGrpc = Object.values(onGrpc).reduce((sum, bit) => sum | bit)

/** A retry policy, compiled. */
export interface RetryPlan {
  /** Words of retry_on, as bits. */
  on: number
  retries: number
  /** 0: none. */
  perTryTimeoutMs: number
  perTryIdleTimeoutMs: number
  statusCodes: ReadonlySet<number>
  headers: readonly HeadMatcher[]
  requestHeaders: readonly HeadMatcher[]
  baseMs: number
  maxMs: number
  /** Response headers that say how long to wait, and the longest wait that is taken; null: none. */
  rateLimited: { headers: readonly { name: HeaderName; at: boolean }[]; maxMs: number } | null
  /** A retry of a weighted route may go to another cluster. */
  refreshCluster: boolean
  /** Which hosts retries go to; null: any. */
  hosts: RetryHosts | null
}

/** Back-offs are of whole milliseconds, and of one at least. */
function wholeMs(interval: Duration | undefined, fallback: number): number {
  return Math.max(1, Math.floor(durationMs(interval, fallback)))
}

/** Compiles a retry policy. */
export function compileRetryPolicy(source: RetryPolicy, path: string): RetryPlan {
  if (source.retryOptionsPredicates.length > 0) throw unsupported(`${path}.retry_options_predicates`, 'retry option predicates')
  const baseMs = wholeMs(source.retryBackOff?.baseInterval, 25)
  const maxMs = wholeMs(source.retryBackOff?.maxInterval, baseMs * 10)
  if (maxMs < baseMs) throw invalid(`${path}.retry_back_off`, 'max_interval must not be less than base_interval')
  return {
    on: parseRetryOn(source.retryOn),
    retries: source.numRetries ?? 1,
    perTryTimeoutMs: durationMs(source.perTryTimeout, 0),
    perTryIdleTimeoutMs: durationMs(source.perTryIdleTimeout, 0),
    statusCodes: new Set(source.retriableStatusCodes),
    headers: source.retriableHeaders.map((matcher, i) => compileHeaderMatcher(matcher, `${path}.retriable_headers[${i}]`)),
    requestHeaders: source.retriableRequestHeaders.map((matcher, i) =>
      compileHeaderMatcher(matcher, `${path}.retriable_request_headers[${i}]`),
    ),
    baseMs,
    maxMs,
    rateLimited: compileRateLimited(source, path),
    refreshCluster: source.refreshClusterOnRetry,
    hosts: compileRetryHosts(source, path),
  }
}

function compileRateLimited(source: RetryPolicy, path: string): RetryPlan['rateLimited'] {
  const backOff = source.rateLimitedRetryBackOff
  if (backOff === undefined) return null
  if (backOff.resetHeaders.length === 0)
    throw invalid(`${path}.rate_limited_retry_back_off.reset_headers`, 'at least one header is needed')
  return {
    headers: backOff.resetHeaders.map(({ name, format }) => ({
      name: headerName(name),
      at: format === RetryPolicy_ResetHeaderFormat.UNIX_TIMESTAMP,
    })),
    maxMs: durationMs(backOff.maxInterval, 300_000),
  }
}

/** How long (ms) a response asks to wait before the next try; null: it does not say, or longer than is taken. */
export function askedWait(plan: RetryPlan, response: ResponseHead, nowMs: number): number | null {
  if (plan.rateLimited === null) return null
  const { headers, maxMs } = plan.rateLimited
  for (const { name, at } of headers) {
    const text = response.headers.get(name)
    if (text === null || !/^\d{1,12}$/.test(text)) continue
    const wait = Number(text) * 1000 - (at ? nowMs : 0)
    if (wait > 0 && wait <= maxMs) return wait
  }
  return null
}

/** Whether a list of words has none that is unknown. */
export function isRetryOn(text: string): boolean {
  const words = text.split(',').filter((word) => word.trim() !== '')
  return words.every((word) => parseRetryOn(word) !== 0)
}

/** The known words of a retry_on list, as bits; unknown ones are ignored, as Envoy does. */
function parseRetryOn(text: string): number {
  let found = 0
  for (const part of text.split(',')) {
    const word = words.find((one) => one === part.trim())
    if (word !== undefined) found |= bits(word)
  }
  return found
}

const retryOn = headerName('x-envoy-retry-on')
const retryGrpcOn = headerName('x-envoy-retry-grpc-on')
const maxRetries = headerName('x-envoy-max-retries')
const headerNamesHeader = headerName('x-envoy-retriable-header-names')
const statusCodesHeader = headerName('x-envoy-retriable-status-codes')
const anyAsking = headerGroup([retryOn, retryGrpcOn, maxRetries, headerNamesHeader, statusCodesHeader])

/**
 * The plan for one request: the route's, with what request headers ask for added. null: there is none. For a request that the
 * route's headers leave out, nothing is tried again; the time limits of a try count nevertheless.
 */
export function retryPlanFor(plan: RetryPlan | null, request: RequestHead): RetryPlan | null {
  const { headers } = request
  if (plan !== null && plan.requestHeaders.length > 0 && !plan.requestHeaders.some((matches) => matches(request)))
    return { ...plan, on: 0 }
  if (!headers.mayHave(anyAsking)) return plan
  const asks = headers.get(retryOn)
  const asksGrpc = headers.get(retryGrpcOn)
  if (plan === null && asks === null && asksGrpc === null) return null
  const asked = Number(headers.get(maxRetries) ?? Number.NaN)
  const codes = (headers.get(statusCodesHeader) ?? '').split(',').map(Number).filter(Number.isInteger)
  const base = plan ?? defaults
  const asking = namesOf(headers.get(headerNamesHeader))
  return {
    ...base,
    headers: asking.length === 0 ? base.headers : [...base.headers, ...asking],
    on: base.on | parseRetryOn(asks ?? '') | parseRetryOn(asksGrpc ?? ''),
    retries: Number.isInteger(asked) && asked >= 0 ? asked : base.retries,
    statusCodes: new Set([...base.statusCodes, ...codes]),
  }
}

/** Matchers of the headers that a request lists. */
function namesOf(list: string | null): HeadMatcher[] {
  const listed = (list ?? '').split(',').map((name) => name.trim())
  return listed
    .filter((name) => name !== '')
    .map(headerName)
    .map(
      (name) =>
        ({ headers }) =>
          headers.has(name),
    )
}

const defaults: RetryPlan = {
  on: 0,
  retries: 1,
  perTryTimeoutMs: 0,
  perTryIdleTimeoutMs: 0,
  statusCodes: new Set(),
  headers: [],
  requestHeaders: [],
  baseMs: 25,
  maxMs: 250,
  rateLimited: null,
  refreshCluster: false,
  hosts: null,
}

/** Whether a response asks for another try. */
export function retriableResponse(plan: RetryPlan, response: ResponseHead): boolean {
  const { status, headers } = response
  const { on: asked } = plan
  // Who is told to slow down does not come back at once, whatever else is asked for.
  if (headers.find(ratelimited) >= 0) return (asked & on.ratelimited) !== 0
  if (status >= 500 && status < 600) {
    if ((asked & on.serverError) !== 0) return true
    if ((asked & on.gatewayError) !== 0 && status >= 502 && status <= 504) return true
  }
  if (status === 409 && (asked & on.conflict) !== 0) return true
  if ((asked & on.statusCodes) !== 0 && plan.statusCodes.has(status)) return true
  if ((asked & on.headers) !== 0 && plan.headers.some((matches) => matches(response))) return true
  if ((asked & onAnyGrpc) === 0) return false
  const grpc = headers.get(names.grpcStatus)
  return grpc !== null && (asked & (onGrpc[grpc] ?? 0)) !== 0
}

const ratelimited = headerName('x-envoy-ratelimited')

/** Whether a reset asks for another try. `connect-failure`: the connection never came to be, and the request was not sent. */
export function retriableReset(
  plan: RetryPlan,
  reset: 'connect-failure' | 'refused-stream' | 'overflow' | 'timeout' | 'other',
): boolean {
  const { on: asked } = plan
  switch (reset) {
    case 'overflow':
      return false
    case 'connect-failure':
      return (asked & on.connectFailure) !== 0
    case 'refused-stream':
      return (asked & on.refusedStream) !== 0
    default:
      return (asked & on.anyReset) !== 0
  }
}
