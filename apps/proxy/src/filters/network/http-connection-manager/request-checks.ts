import { names } from '@weft/http/header-name'
import type { ManagedExchange } from './managed-exchange.ts'
import { normalizePath } from './path-normalization.ts'

/**
 * What a request's head has to be before any filter or route looks at it; the host and the path get the form in which they do.
 * False: it was refused.
 */
export function checkRequest(exchange: ManagedExchange): boolean {
  const { request, plan } = exchange
  if (exchange.downstream.processState.overloaded && shed(exchange)) return false
  if (request.authority === '' && !request.emptyAuthority) {
    exchange.refuse(400, { details: 'missing_host_header' })
    return false
  }
  // HTTP/1's codec refuses such a request itself, before anything else of the head is looked at.
  const looksForUnderscores = request.version === 20 ? plan.underscores !== 'allow' : plan.underscores === 'drop'
  if (looksForUnderscores && !checkUnderscores(exchange)) return false
  if (request.path.charCodeAt(0) !== 47 && request.method !== 'CONNECT') {
    plan.stats.nonRelativePath.inc()
    exchange.refuse(404, { details: 'absolute_path_rejected' })
    return false
  }
  if (request.path.includes('#')) {
    // A fragment is the client's own (RFC 9110 section 4.2.5): who sends it means to trick somebody.
    refusePath(exchange)
    return false
  }
  if (plan.path !== null && request.path !== '' && !normalize(exchange)) return false
  if (plan.stripTrailingHostDot) {
    request.authority = request.authority.replace(/\.(?=(:\d+)?$)/, '')
    if (request.authority === '') request.emptyAuthority = true
  }
  if (plan.stripPort !== 'none') stripPort(exchange)
  if (request.method === 'QUERY' && !request.headers.has(names.contentType)) {
    // The query is the body: without its type there is no telling what is asked for.
    exchange.refuse(400, { details: 'query_missing_content_type' })
    return false
  }
  return true
}

/** Whether the request is one too many for a process that is short of something; then it is answered. */
function shed(exchange: ManagedExchange): boolean {
  const { processState } = exchange.downstream
  if (!processState.saturated('stop_accepting_requests') && !processState.draws('http_connection_manager_decode_headers'))
    return false
  exchange.plan.stats.overloadClose.inc()
  const headers = exchange.plan.tellsOverload ? [['x-envoy-local-overloaded', 'true'] as const] : []
  exchange.refuse(503, { details: 'overload', headers }, 'envoy overloaded')
  return true
}

function checkUnderscores(exchange: ManagedExchange): boolean {
  const { plan } = exchange
  const { headers } = exchange.request
  for (let i = 0; i < headers.entries; i++) {
    const start = headers.ranges[i * 4]!
    if (start < 0 || !headers.nameAt(i).includes('_')) continue
    if (plan.underscores === 'drop') {
      noteUnderscore(exchange, 'dropped_headers_with_underscores')
      headers.removeAt(i)
      continue
    }
    noteUnderscore(exchange, 'requests_rejected_with_underscores_in_headers')
    exchange.request.clear()
    exchange.drop('DR', 'http2.unexpected_underscore')
    return false
  }
  return true
}

/** Counts what becomes of requests for a name with an underscore, as the codec's own. */
export function noteUnderscore({ plan, downstream }: ManagedExchange, what: string): void {
  plan.stats.store.counter(`${downstream.isHttp2 ? 'http2' : 'http1'}.${what}`).inc()
}

function stripPort({ request, plan, downstream }: ManagedExchange): void {
  const match = /:(\d+)$/.exec(request.authority)
  if (match === null) return
  if (plan.stripPort === 'any' || Number(match[1]) === downstream.localPort)
    request.authority = request.authority.slice(0, match.index)
}

function normalize(exchange: ManagedExchange): boolean {
  const { request, plan } = exchange
  const result = normalizePath(request.path, plan.path!)
  request.path = result.path
  if (result.type === 'path') return true
  // No gRPC client follows a redirect.
  if (result.type === 'reject' || exchange.isGrpc) refusePath(exchange)
  else {
    plan.stats.normalizedRedirect.inc()
    exchange.refuse(307, { details: 'path_normalization_failed', headers: [['location', result.path]] })
  }
  return false
}

function refusePath(exchange: ManagedExchange): void {
  exchange.plan.stats.pathNormalizationFailed.inc()
  exchange.refuse(400, { details: 'path_normalization_failed' })
}
