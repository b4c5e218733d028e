import type {
  CorsPolicy,
  HTTPDirectResponse,
  HTTPFaultInjection,
  HTTPRedirect,
  HTTPRetry,
  HTTPRewrite,
  HTTPRoute,
} from '@weft/contracts/istio/networking/v1alpha3/virtual_service'
import { checkDestination, checkWeights } from './destination.ts'
import { checkHeaderName, checkHeaders } from './headers.ts'
import { checkHttpMatch, type RouteContext } from './http-match.ts'
import type { Report } from './report.ts'
import { checkDuration, checkPattern, checkPercent } from './scalars.ts'

/** One HTTP route. */
export function checkHttpRoute(route: HTTPRoute, context: RouteContext, report: Report): void {
  checkAction(route, context, report)
  for (const [index, match] of route.match.entries()) checkHttpMatch(match, context, report.at('match', index))
  for (const [index, weighted] of route.route.entries()) {
    const at = report.at('route', index)
    checkDestination(weighted.destination, at.at('destination'))
    checkHeaders(weighted.headers, at.at('headers'))
  }
  checkWeights(route.route, report)
  checkHeaders(route.headers, report.at('headers'))
  checkDuration(route.timeout, report.at('timeout'), 0)
  if (route.redirect !== undefined) checkRedirect(route.redirect, route, report.at('redirect'))
  if (route.directResponse !== undefined) checkDirectResponse(route.directResponse, report.at('directResponse'))
  if (route.rewrite !== undefined) checkRewrite(route.rewrite, report.at('rewrite'))
  if (route.retries !== undefined) checkRetries(route.retries, report.at('retries'))
  if (route.fault !== undefined) checkFault(route.fault, report.at('fault'))
  if (route.corsPolicy !== undefined) checkCors(route.corsPolicy, report.at('corsPolicy'))
  checkMirrors(route, report)
}

/** Exactly one of route, redirect, directResponse and delegate says what happens. */
function checkAction(route: HTTPRoute, context: RouteContext, report: Report): void {
  const actions = [
    route.route.length > 0 ? 'route' : '',
    route.redirect === undefined ? '' : 'redirect',
    route.directResponse === undefined ? '' : 'directResponse',
    route.delegate === undefined ? '' : 'delegate',
  ].filter((name) => name !== '')
  if (actions.length === 0) report.error('an HTTP route must have a route, redirect, directResponse or delegate')
  if (actions.length > 1) report.at(actions[1]!).error(`an HTTP route cannot contain both ${actions[0]} and ${actions[1]}`)
  if (route.delegate !== undefined) {
    if (context.delegate) report.at('delegate').error('a delegate cannot delegate further')
    if (route.delegate.name === '') report.at('delegate', 'name').error('the delegate must be named')
  }
  if (route.redirect !== undefined || route.directResponse !== undefined) {
    const action = route.redirect === undefined ? 'directResponse' : 'redirect'
    if (route.fault !== undefined) report.at('fault').error(`an HTTP route cannot contain both fault and ${action}`)
    if (route.rewrite !== undefined) report.at('rewrite').error(`an HTTP route cannot contain both rewrite and ${action}`)
  }
}

function checkRedirect(redirect: HTTPRedirect, route: HTTPRoute, report: Report): void {
  const { uri, authority, prefixRewrite, redirectCode, scheme, redirectPort } = redirect
  if (uri === '' && authority === '' && prefixRewrite === '' && scheme === '' && redirectPort === undefined) {
    report.error('redirect must specify uri, authority, scheme, port or prefixRewrite')
  }
  if (uri !== '' && prefixRewrite !== '') report.at('prefixRewrite').error('uri and prefixRewrite exclude each other')
  if (
    prefixRewrite !== '' &&
    route.match.some(({ uri: match }) => match?.matchType !== undefined && match.matchType.$case !== 'prefix')
  ) {
    report.at('prefixRewrite').error('prefixRewrite needs a match of the URI by prefix')
  }
  if (redirectCode !== 0 && (redirectCode < 300 || redirectCode > 399)) {
    report.at('redirectCode').error(`${redirectCode} is no redirect status`, '301, 302, 303, 307 or 308')
  }
  if (scheme !== '' && scheme !== 'http' && scheme !== 'https') report.at('scheme').error('scheme is http or https')
}

function checkDirectResponse({ status, body }: HTTPDirectResponse, report: Report): void {
  checkStatus(status, report.at('status'))
  const value = body?.specifier?.value
  if (value === undefined) return
  const size = typeof value === 'string' ? Buffer.byteLength(value) : value.length
  if (size > 1 << 20) report.at('body').error('body is larger than 1 MiB')
  else if (size > 100 << 10) report.at('body').warn('body is larger than 100 KiB: every proxy of the mesh holds it')
}

function checkRewrite({ uri, authority, uriRegexRewrite }: HTTPRewrite, report: Report): void {
  if (uri === '' && authority === '' && uriRegexRewrite === undefined)
    report.error('rewrite must specify uri, authority or uriRegexRewrite')
  if (uriRegexRewrite === undefined) return
  if (uri !== '') report.error('uri and uriRegexRewrite exclude each other')
  checkPattern(uriRegexRewrite.match, report.at('uriRegexRewrite', 'match'))
  if (uriRegexRewrite.rewrite === '') report.at('uriRegexRewrite', 'rewrite').error('the rewrite may not be empty')
}

const retryPolicies = new Set(
  (
    '5xx gateway-error reset reset-before-request connect-failure envoy-ratelimited retriable-4xx refused-stream ' +
    'retriable-status-codes retriable-headers http3-post-connect-failure cancelled deadline-exceeded internal ' +
    'resource-exhausted unavailable'
  ).split(' '),
)

function checkRetries(retries: HTTPRetry, report: Report): void {
  if (retries.attempts < 0) report.at('attempts').error('attempts must not be negative')
  if (retries.attempts === 0 && (retries.perTryTimeout !== undefined || retries.retryOn !== '')) {
    report.error('a retry policy is given while attempts is 0 (no retries)', 'set attempts, or leave the rest out')
  }
  checkDuration(retries.perTryTimeout, report.at('perTryTimeout'))
  checkDuration(retries.backoff, report.at('backoff'))
  for (const word of retries.retryOn === '' ? [] : retries.retryOn.split(',')) {
    const policy = word.trim()
    const status = /^\d+$/.test(policy) ? Number(policy) : undefined
    if (status === undefined ? retryPolicies.has(policy) : status >= 200 && status < 600) continue
    report
      .at('retryOn')
      .error(`"${policy}" is not a valid retryOn policy`, `one of ${[...retryPolicies].join(', ')}, or a status`)
  }
}

const grpcStatuses = new Set(
  (
    'OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED RESOURCE_EXHAUSTED ' +
    'FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS UNAUTHENTICATED'
  ).split(' '),
)

function checkFault({ delay, abort }: HTTPFaultInjection, report: Report): void {
  if (delay === undefined && abort === undefined) report.error('fault must have an abort or a delay')
  if (delay !== undefined) {
    const at = report.at('delay')
    checkPercent(delay.percent, at.at('percent'))
    if (delay.percentage !== undefined) checkPercent(delay.percentage.value, at.at('percentage', 'value'))
    if (delay.httpDelayType === undefined) at.error('delay must have fixedDelay')
    else if (delay.httpDelayType.$case === 'exponentialDelay')
      at.at('exponentialDelay').error('exponentialDelay is not supported')
    else checkDuration(delay.httpDelayType.value, at.at('fixedDelay'))
  }
  if (abort === undefined) return
  const at = report.at('abort')
  checkPercent(abort.percent, at.at('percent'))
  if (abort.percentage !== undefined) checkPercent(abort.percentage.value, at.at('percentage', 'value'))
  switch (abort.errorType?.$case) {
    case 'httpStatus':
      checkStatus(abort.errorType.value, at.at('httpStatus'))
      return
    case 'grpcStatus':
      if (!grpcStatuses.has(abort.errorType.value)) at.at('grpcStatus').error(`"${abort.errorType.value}" is no gRPC status`)
      return
    case 'http2Error':
      at.at('http2Error').error('http2Error is not supported', 'use httpStatus or grpcStatus')
      return
    default:
      at.error('abort must have httpStatus or grpcStatus')
  }
}

function checkStatus(status: number, report: Report): void {
  if (status < 200 || status > 600) report.error(`HTTP status ${status} is not in range 200..599`)
}

const methods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', '*'])

function checkCors(cors: CorsPolicy, report: Report): void {
  for (const [index, origin] of cors.allowOrigins.entries()) {
    if (!origin.matchType?.value) report.at('allowOrigins', index).error('an origin match may not be empty')
    else if (origin.matchType.$case === 'regex') checkPattern(origin.matchType.value, report.at('allowOrigins', index, 'regex'))
  }
  for (const [index, method] of cors.allowMethods.entries()) {
    if (!methods.has(method)) report.at('allowMethods', index).error(`"${method}" is not a supported HTTP method`)
  }
  for (const list of ['allowHeaders', 'exposeHeaders'] as const) {
    for (const [index, name] of cors[list].entries()) checkHeaderName(name, report.at(list, index), false)
  }
  checkDuration(cors.maxAge, report.at('maxAge'), 0)
  if (cors.maxAge !== undefined && cors.maxAge.nanos !== 0) report.at('maxAge').error('maxAge is whole seconds')
}

function checkMirrors(route: HTTPRoute, report: Report): void {
  if (route.mirror !== undefined) {
    if (route.mirrors.length > 0) report.at('mirrors').error('mirror and mirrors exclude each other')
    checkDestination(route.mirror, report.at('mirror'))
  }
  if (route.mirrorPercentage !== undefined) checkPercent(route.mirrorPercentage.value, report.at('mirrorPercentage', 'value'))
  if (route.mirrorPercent !== undefined) checkPercent(route.mirrorPercent, report.at('mirrorPercent'))
  for (const [index, mirror] of route.mirrors.entries()) {
    const at = report.at('mirrors', index)
    checkDestination(mirror.destination, at.at('destination'))
    if (mirror.percentage !== undefined) checkPercent(mirror.percentage.value, at.at('percentage', 'value'))
  }
}
