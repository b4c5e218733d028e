import {
  RouteAction_HashPolicy as HashPolicy,
  RedirectAction,
  RedirectAction_RedirectResponseCode as RedirectCode,
  Route,
  RouteAction,
  type RouteAction_HashPolicy,
  RouteAction_RequestMirrorPolicy,
  type RouteMatch,
  WeightedCluster_ClusterWeight,
} from '@weft/contracts/envoy/config/route/v3/route_components'
import { CorsPolicy as EnvoyCorsPolicy } from '@weft/contracts/envoy/extensions/filters/http/cors/v3/cors'
import { HTTPFault } from '@weft/contracts/envoy/extensions/filters/http/fault/v3/fault'
import type { LoadBalancerSettings } from '@weft/contracts/istio/networking/v1alpha3/destination_rule'
import type {
  Destination,
  HTTPMatchRequest,
  HTTPRedirect,
  HTTPRetry,
  HTTPRoute,
  VirtualService,
} from '@weft/contracts/istio/networking/v1alpha3/virtual_service'
import { WeftError } from '@weft/service/errors'
import { milliseconds, pack } from '../wire.ts'
import { corsPolicy } from './cors.ts'
import { httpFault, percentage } from './faults.ts'
import { headerEdits } from './header-edits.ts'
import { retryPolicy } from './retries.ts'
import { routeMatch } from './route-match.ts'

/** Where routes are built for: a sidecar's outbound side or a gateway. */
export interface RouteContext {
  /** `mesh`, or the `namespace/name` of the Gateway. */
  readonly gateway: string
  /** The port of the listener; a match block that names another does not hold here. */
  readonly port: number
  readonly sourceLabels: Readonly<Record<string, string>>
  readonly sourceNamespace: string
  /** The cluster of a destination. */
  readonly clusterFor: (destination: Destination) => string
  /** The load balancing that a DestinationRule states for a destination: its hash policy is the route's matter. */
  readonly loadBalancerOf: (destination: Destination) => LoadBalancerSettings | undefined
  /** A gateway ends TLS, so that a redirect's port may come from what the client used. */
  readonly isGateway: boolean
  /** Where the host is written anew, x-forwarded-host tells the one that was called. */
  readonly tellsOriginalHost: boolean
  /** Where a route says nothing of retries; undefined is Istio's own. */
  readonly retries: HTTPRetry | undefined
}

/** The Envoy routes of a VirtualService's http section, in order, as far as they hold in this context. */
export function httpRoutes(spec: VirtualService, context: RouteContext): Route[] {
  const routes: Route[] = []
  for (const http of spec.http) {
    const matches = http.match.length === 0 ? [undefined] : http.match.filter((match) => holdsHere(match, context))
    for (const match of matches) {
      const route = buildRoute(http, match, context)
      routes.push(route)
      // What follows a route that takes everything is never reached.
      if (takesAll(route.match)) return routes
    }
  }
  return routes
}

function takesAll(match: RouteMatch | undefined): boolean {
  return (
    match?.pathSpecifier?.$case === 'prefix' &&
    match.pathSpecifier.value === '/' &&
    match.headers.length === 0 &&
    match.queryParameters.length === 0
  )
}

function holdsHere(match: HTTPMatchRequest, context: RouteContext): boolean {
  if (match.gateways.length > 0 && !match.gateways.includes(context.gateway)) return false
  if (match.port !== 0 && match.port !== context.port) return false
  if (match.sourceNamespace !== '' && match.sourceNamespace !== context.sourceNamespace) return false
  if (context.isGateway) return true
  return Object.entries(match.sourceLabels).every(([name, value]) => context.sourceLabels[name] === value)
}

function buildRoute(http: HTTPRoute, match: HTTPMatchRequest | undefined, context: RouteContext): Route {
  const edits = headerEdits(http.headers)
  const route = Route.fromPartial({
    name: match !== undefined && match.name !== '' && http.name !== '' ? `${http.name}.${match.name}` : http.name,
    match: routeMatch(match),
    requestHeadersToAdd: edits.requestHeadersToAdd,
    requestHeadersToRemove: edits.requestHeadersToRemove,
    responseHeadersToAdd: edits.responseHeadersToAdd,
    responseHeadersToRemove: edits.responseHeadersToRemove,
    statPrefix: match?.statPrefix,
  })
  if (http.redirect !== undefined) {
    route.action = { $case: 'redirect', value: redirectAction(http.redirect, context) }
  } else if (http.directResponse !== undefined) {
    const { status, body } = http.directResponse
    const specifier = body?.specifier
    route.action = {
      $case: 'directResponse',
      value: {
        status,
        bodyFormat: undefined,
        body:
          specifier === undefined
            ? undefined
            : {
                specifier:
                  specifier.$case === 'string'
                    ? { $case: 'inlineString', value: specifier.value }
                    : { $case: 'inlineBytes', value: specifier.value },
                watchedDirectory: undefined,
              },
      },
    }
  } else {
    route.action = { $case: 'route', value: routeAction(http, match, edits.authority, context) }
    const first = http.route[0]?.destination
    if (first !== undefined) route.decorator = { operation: `${first.host}:${context.port}/*`, propagate: undefined }
  }
  const fault = httpFault(http.fault)
  if (fault !== undefined) {
    route.typedPerFilterConfig['envoy.filters.http.fault'] = pack(
      'envoy.extensions.filters.http.fault.v3.HTTPFault',
      HTTPFault,
      fault,
    )
  }
  if (http.corsPolicy !== undefined) {
    route.typedPerFilterConfig['envoy.filters.http.cors'] = pack(
      'envoy.extensions.filters.http.cors.v3.CorsPolicy',
      EnvoyCorsPolicy,
      corsPolicy(http.corsPolicy),
    )
  }
  return route
}

function routeAction(
  http: HTTPRoute,
  match: HTTPMatchRequest | undefined,
  authority: string | undefined,
  context: RouteContext,
): RouteAction {
  const action = RouteAction.fromPartial({
    timeout: http.timeout ?? milliseconds(0),
    retryPolicy: retryPolicy(http.retries ?? context.retries),
    requestMirrorPolicies: mirrorPolicies(http, context),
    appendXForwardedHost: context.tellsOriginalHost,
  })
  applyDestinations(action, http, context)
  applyRewrite(action, http, match, authority)
  return action
}

function applyDestinations(action: RouteAction, http: HTTPRoute, context: RouteContext): void {
  const destinations = http.route.filter(
    (entry) => entry.destination !== undefined && (http.route.length === 1 || entry.weight > 0),
  )
  const [only] = destinations
  if (only?.destination !== undefined && destinations.length === 1) {
    action.clusterSpecifier = { $case: 'cluster', value: context.clusterFor(only.destination) }
    if (only.headers === undefined) {
      action.hashPolicy = hashPolicies(context.loadBalancerOf(only.destination))
      return
    }
  }
  action.clusterSpecifier = {
    $case: 'weightedClusters',
    value: {
      clusters: destinations.flatMap(({ destination, weight, headers }) => {
        if (destination === undefined) return []
        const { authority, ...edits } = headerEdits(headers)
        return WeightedCluster_ClusterWeight.fromPartial({
          name: context.clusterFor(destination),
          weight: destinations.length === 1 ? 1 : weight,
          hostRewriteSpecifier: authority === undefined ? undefined : { $case: 'hostRewriteLiteral', value: authority },
          ...edits,
        })
      }),
      totalWeight: undefined,
      runtimeKeyPrefix: '',
      randomValueSpecifier: undefined,
    },
  }
  action.hashPolicy = destinations.flatMap(({ destination }) =>
    destination === undefined ? [] : hashPolicies(context.loadBalancerOf(destination)),
  )
}

function applyRewrite(
  action: RouteAction,
  http: HTTPRoute,
  match: HTTPMatchRequest | undefined,
  authority: string | undefined,
): void {
  const { rewrite } = http
  const host = rewrite?.authority === undefined || rewrite.authority === '' ? authority : rewrite.authority
  if (host !== undefined) action.hostRewriteSpecifier = { $case: 'hostRewriteLiteral', value: host }
  if (rewrite?.uriRegexRewrite !== undefined && rewrite.uriRegexRewrite.match !== '') {
    const { match: regex, rewrite: substitution } = rewrite.uriRegexRewrite
    action.regexRewrite = { pattern: { engineType: undefined, regex }, substitution }
    return
  }
  if (rewrite === undefined || rewrite.uri === '') return
  const path = match?.uri?.matchType
  if (rewrite.uri === '/' && path?.$case === 'prefix' && path.value !== '/' && !path.value.endsWith('/')) {
    // Envoy's prefix rewrite would leave two slashes of `/prefix/rest`.
    action.regexRewrite = {
      pattern: { engineType: undefined, regex: `^${path.value.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')}(/?)(.*)` },
      substitution: '/\\2',
    }
    return
  }
  action.prefixRewrite = rewrite.uri
}

function mirrorPolicies(http: HTTPRoute, context: RouteContext): RouteAction_RequestMirrorPolicy[] {
  const mirrors = http.mirrors.map(({ destination, percentage: percent }) => ({ destination, percent: percentage(percent) }))
  if (http.mirror !== undefined) {
    mirrors.unshift({ destination: http.mirror, percent: percentage(http.mirrorPercentage) })
  }
  return mirrors.flatMap(({ destination, percent }) => {
    if (destination === undefined || percent.numerator === 0) return []
    return RouteAction_RequestMirrorPolicy.fromPartial({
      cluster: context.clusterFor(destination),
      runtimeFraction: { defaultValue: percent },
      traceSampled: false,
    })
  })
}

/** Which part of a request decides its endpoint, for consistent hashing. */
export function hashPolicies(settings: LoadBalancerSettings | undefined): RouteAction_HashPolicy[] {
  if (settings?.lbPolicy?.$case !== 'consistentHash') return []
  const key = settings.lbPolicy.value.hashKey
  switch (key?.$case) {
    case 'httpHeaderName':
      return [HashPolicy.fromPartial({ policySpecifier: { $case: 'header', value: { headerName: key.value } } })]
    case 'httpCookie':
      return [
        HashPolicy.fromPartial({
          policySpecifier: {
            $case: 'cookie',
            value: { name: key.value.name, path: key.value.path, ttl: key.value.ttl, attributes: key.value.attributes },
          },
        }),
      ]
    case 'useSourceIp':
      return key.value
        ? [HashPolicy.fromPartial({ policySpecifier: { $case: 'connectionProperties', value: { sourceIp: true } } })]
        : []
    case 'httpQueryParameterName':
      return [HashPolicy.fromPartial({ policySpecifier: { $case: 'queryParameter', value: { name: key.value } } })]
    default:
      return []
  }
}

const redirectCodes: Record<number, (typeof RedirectCode)[keyof typeof RedirectCode]> = {
  0: RedirectCode.MOVED_PERMANENTLY,
  301: RedirectCode.MOVED_PERMANENTLY,
  302: RedirectCode.FOUND,
  303: RedirectCode.SEE_OTHER,
  307: RedirectCode.TEMPORARY_REDIRECT,
  308: RedirectCode.PERMANENT_REDIRECT,
}

function redirectAction(redirect: HTTPRedirect, context: RouteContext): RedirectAction {
  const responseCode = redirectCodes[redirect.redirectCode]
  if (responseCode === undefined) {
    throw new WeftError('invalid_argument', `redirectCode ${redirect.redirectCode} is not a redirect`, {
      hint: 'use 301, 302, 303, 307 or 308',
    })
  }
  const action = RedirectAction.fromPartial({ hostRedirect: redirect.authority, responseCode })
  if (redirect.scheme !== '') action.schemeRewriteSpecifier = { $case: 'schemeRedirect', value: redirect.scheme }
  if (redirect.prefixRewrite !== '') {
    action.pathRewriteSpecifier = { $case: 'prefixRewrite', value: redirect.prefixRewrite }
  } else if (redirect.uri !== '') {
    action.pathRewriteSpecifier = { $case: 'pathRedirect', value: redirect.uri }
  }
  if (redirect.redirectPort?.$case === 'port') action.portRedirect = redirect.redirectPort.value
  else if (redirect.redirectPort?.$case === 'derivePort' && redirect.redirectPort.value === 1) action.portRedirect = context.port
  return action
}
