import { headerName, names } from '@weft/http/header-name'
import { type InternalRedirectPlan, redirectTarget } from '../../../routing/internal-redirect.ts'
import { nameRoute } from '../name-route.ts'
import type { RoutedExchange } from '../routed-exchange.ts'
import type { KeptBody } from './kept-body.ts'
import type { RouterPlan } from './router-plan.ts'

const originalUrl = headerName('x-envoy-original-url')

/** The routes that redirects of this request were followed to. */
function visitedRoutes({ filterState }: RoutedExchange): Set<string> {
  const known = filterState.get(visitedKey)
  if (known instanceof Set) return known
  const visited = new Set<string>()
  filterState.set(visitedKey, visited)
  return visited
}

const visitedKey = 'weft.internal_redirect.visited_routes'

/** What goes with a request that begins again. */
type Turned = Pick<KeptBody, 'pieces' | 'trailers'>

/**
 * Turns the request to where its response's Location leads, if the policy lets that be and all of the request is at hand: it is
 * to begin again there. null: what speaks against it is counted, and the request stays as it was.
 */
export function turnRequest(
  exchange: RoutedExchange,
  plan: RouterPlan,
  policy: InternalRedirectPlan,
  body: KeptBody,
): Turned | null {
  const complete = body.ended && (body.forRetries || exchange.info.bytesReceived === 0)
  if (!complete || !turnHead(exchange, plan, policy)) return null
  // A request that became GET has no body.
  return exchange.response.status === 303 ? { pieces: [], trailers: null } : { pieces: body.pieces, trailers: body.trailers }
}

function turnHead(exchange: RoutedExchange, { stats }: RouterPlan, policy: InternalRedirectPlan): boolean {
  const { request, response, downstream } = exchange
  const location = response.headers.get(names.location)
  if (location === null) return false
  const target = redirectTarget(location)
  if (target === null) {
    stats.redirectBadLocation.inc()
    return false
  }
  const isHttp = target.scheme === 'http' || target.scheme === 'https'
  // A request that came in the clear is one, whatever its client says of it.
  const scheme = exchange.connection.tls === null ? 'http' : request.scheme
  if (!isHttp || (!policy.crossScheme && target.scheme !== scheme)) {
    stats.redirectUnsafeScheme.inc()
    return false
  }
  if (exchange.internalRedirects >= policy.most) {
    stats.redirectTooMany.inc()
    return false
  }
  const before = { scheme: request.scheme, authority: request.authority, path: request.path }
  Object.assign(request, target)
  for (const name of policy.copied) {
    const value = response.headers.get(name)
    if (value === null) request.headers.remove(name)
    else request.headers.set(name, value)
  }
  const next = downstream.routeTable(request)?.match(request, exchange) ?? null
  if (next === null) {
    Object.assign(request, before)
    // As Envoy's log has it: no route, no cluster.
    nameRoute(exchange, null)
    stats.redirectNoRoute.inc()
    return false
  }
  if (policy.predicates.length > 0) {
    const visited = visitedRoutes(exchange)
    const schemes = { fromScheme: before.scheme, toScheme: request.scheme }
    const step = { ...schemes, fromRoute: exchange.route?.name ?? '', toRoute: next.name, visited }
    if (!policy.predicates.every((holds) => holds(step))) {
      Object.assign(request, before)
      nameRoute(exchange, next)
      stats.redirectPredicate.inc()
      return false
    }
    visited.add(next.name)
  }
  if (response.status === 303 && request.method !== 'GET' && request.method !== 'HEAD') {
    request.method = 'GET'
    request.headers.remove(names.contentLength)
    request.headers.remove(names.transferEncoding)
  }
  request.headers.set(originalUrl, `${before.scheme}://${before.authority}${before.path}`)
  return true
}
