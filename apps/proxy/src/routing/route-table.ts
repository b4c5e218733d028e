import { RouteConfiguration } from '@weft/contracts/envoy/config/route/v3/route'
import {
  type CorsPolicy,
  Route,
  RouteList,
  type VirtualHost,
  VirtualHost_TlsRequirementType,
} from '@weft/contracts/envoy/config/route/v3/route_components'
import type { Any } from '@weft/contracts/google/protobuf/any'
import { type HeaderName, headerName } from '@weft/http/header-name'
import type { RequestHead } from '@weft/http/message'
import type { RouteInfo } from '../filters/http/filter.ts'
import type { ResolvedFilters } from '../filters/http/filter-parts.ts'
import { compileRouteTracing, type TracedRoute } from '../observe/tracing/tracing-plan.ts'
import { type BodyFormat, compileBodyFormat } from '../plan/body-format.ts'
import { readDataSource } from '../plan/data-source.ts'
import { invalid, unsupported } from '../plan/problems.ts'
import type { Runtime } from '../plan/runtime.ts'
import { compileHeaderEdits, type HeaderEdits } from './header-edits.ts'
import { compileMatchTree, type MatchTree } from './matchers/matcher-tree.ts'
import { compileRateLimits, type RateLimitPolicy, type RouteRateLimits } from './rate-limits.ts'
import { belongsToTls, compileRedirect, type RedirectPlan, type TlsRequirement } from './redirect.ts'
import { RequestGroup } from './request-group.ts'
import { compileRetryPolicy } from './retry-policy.ts'
import { compileForward, compileMirrors, type ForwardPlan, type RouteAction_Configs } from './route-action.ts'
import { RouteIndex } from './route-index.ts'
import {
  compileConditions,
  compilePathMatch,
  type PathMatch,
  pathMatches,
  pathOnly,
  type RouteFacts,
  type RouteMatcher,
} from './route-match.ts'
import { compileVirtualClusters, type VirtualCluster } from './virtual-clusters.ts'
import { VirtualHostIndex } from './virtual-hosts.ts'

/** What a route does with a request. */
export type RouteOutcome =
  | { type: 'forward'; forward: ForwardPlan }
  | { type: 'redirect'; redirect: RedirectPlan }
  | { type: 'direct'; status: number; body: string; format: BodyFormat | null }
  | { type: 'nowhere' }
  /** By TLS, which the virtual host requires. */
  | { type: 'to-tls' }

/** Filter overrides of a level, by filter name; `off` disables. */
export type FilterConfigs = ReadonlyMap<string, unknown>

/** One route, compiled. */
export interface RoutePlan extends RouteInfo, TracedRoute {
  readonly path: PathMatch
  readonly conditions: RouteMatcher | null
  readonly outcome: RouteOutcome
  /** Levels in the order they apply to requests: cluster's own come first, from the selection. */
  readonly edits: readonly HeaderEdits[]
  readonly filterConfigs: FilterConfigs | null
  readonly host: VirtualHostPlan
  /** What its requests are counted under besides (`stat_prefix`); null: nothing. */
  readonly counts: RequestGroup | null
  /** Body bytes kept for retries and mirrors. */
  readonly bufferLimit: number | null
  /** Work of the connection manager's: filters with this route's overrides; set by it, for the last manager that asked. */
  resolved: { owner: object; filters: ResolvedFilters } | null
}

export interface VirtualHostPlan {
  readonly name: string
  /** Which routes a request may take, where a tree of matchers says so; null: `routes`. */
  readonly tree: MatchTree<readonly RoutePlan[]> | null
  readonly routes: readonly RoutePlan[]
  /** Finds one of `routes` where there are many; null: they are few. */
  readonly index: RouteIndex | null
  /** The route of requests in the clear that have to come by TLS instead, whatever their path; null: none has to. */
  readonly toTls: { readonly required: TlsRequirement; readonly route: RoutePlan } | null
  readonly includeAttemptCount: boolean
  /** Its filter_metadata. */
  readonly metadata: Readonly<Record<string, unknown>> | null
  readonly includeAttemptCountInResponse: boolean
  /** Retries after a try's time was up say so. */
  readonly tellsTimeoutRetry: boolean
  readonly filterConfigs: FilterConfigs | null
  /** null: none. */
  readonly virtualClusters: readonly VirtualCluster[] | null
}

/** Compiles typed_per_filter_config, and the deprecated `cors`; given by the plan compiler, which knows the filters. */
export type CompileFilterConfigs = (configs: RouteAction_Configs, path: string, legacyCors?: CorsPolicy) => FilterConfigs | null

/** A RouteConfiguration, compiled. */
export class RouteTable {
  readonly name: string
  private readonly hosts: VirtualHostIndex<VirtualHostPlan>
  readonly filterConfigs: FilterConfigs | null
  /** Headers that only the mesh's own requests may have; null: none. */
  readonly internalOnlyHeaders: readonly HeaderName[] | null
  private readonly ignorePathParameters: boolean
  /** Says the virtual host instead of the authority; null: none does. */
  private readonly hostHeader: HeaderName | null

  constructor(source: RouteConfiguration, hosts: VirtualHostIndex<VirtualHostPlan>, filterConfigs: FilterConfigs | null) {
    this.name = source.name
    this.hosts = hosts
    this.filterConfigs = filterConfigs
    this.internalOnlyHeaders = source.internalOnlyHeaders.length === 0 ? null : source.internalOnlyHeaders.map(headerName)
    this.hostHeader = source.vhostHeader === '' ? null : headerName(source.vhostHeader)
    this.ignorePathParameters = source.ignorePathParametersInPathMatching
  }

  virtualHost(authority: string): VirtualHostPlan | null {
    return this.hosts.find(authority)
  }

  /** The virtual host that a request is for, whether or not one of its routes takes it. */
  hostOf({ authority, headers }: RequestHead): VirtualHostPlan | null {
    const { hostHeader } = this
    return this.hosts.find(hostHeader === null ? authority : (headers.get(hostHeader) ?? ''))
  }

  /** The first route of the virtual host that matches; null: none. `internal`: it comes from within the mesh; `draw`: see RouteMatcher. */
  match(request: RequestHead, facts: RouteFacts & { readonly internal?: boolean }, draw?: number): RoutePlan | null {
    const host = this.hostOf(request)
    if (host === null) return null
    if (host.toTls !== null && belongsToTls(host.toTls.required, request, facts.internal === true)) return host.toTls.route
    const routes = host.tree === null ? host.routes : (host.tree(facts) ?? noRoutes)
    const whole = pathOnly(request.path)
    let path = whole
    // Each segment may have its own (RFC 3986 section 3.3).
    if (this.ignorePathParameters && path.includes(';')) path = path.replaceAll(/;[^/]*/g, '')
    if (host.index !== null && host.tree === null) return matchByIndex(routes, host.index, path, whole, request, facts, draw)
    for (let i = 0; i < routes.length; i++) {
      const route = routes[i]!
      if (!pathMatches(route.path, path, request.method, whole)) continue
      if (route.conditions === null || route.conditions(request, facts, draw)) return route
    }
    return null
  }
}

/** Apart from `match`, which would have to keep all of this for the closure even where there is no index. */
function matchByIndex(
  routes: readonly RoutePlan[],
  index: RouteIndex,
  path: string,
  whole: string,
  request: RequestHead,
  facts: RouteFacts,
  draw: number | undefined,
): RoutePlan | null {
  const place = index.find(path, (i, literal) => {
    const { conditions, path: match } = routes[i]!
    if (!literal && !pathMatches(match, path, request.method, whole)) return false
    return conditions === null || conditions(request, facts, draw)
  })
  return place < 0 ? null : routes[place]!
}

/** Compiles a RouteConfiguration; throws WeftError at the place of what is invalid or not supported. */
export function compileRouteTable(
  source: RouteConfiguration,
  at: string,
  runtime: Runtime,
  compileFilterConfigs: CompileFilterConfigs,
): RouteTable {
  if (source.vhds !== undefined) throw unsupported(`${at}vhds`, 'VHDS')
  if (source.clusterSpecifierPlugins.length > 0) throw unsupported(`${at}cluster_specifier_plugins`, 'cluster specifier plugins')
  const hosts = new VirtualHostIndex<VirtualHostPlan>(source.ignorePortInHostMatching)
  const tableEdits = compileHeaderEdits(source, at.replace(/\.$/, ''))
  source.virtualHosts.forEach((host, i) => {
    const path = `${at}virtual_hosts[${i}]`
    const plan = compileVirtualHost(host, path, source, tableEdits, runtime, compileFilterConfigs)
    for (const [k, domain] of host.domains.entries()) hosts.add(domain, plan, `${path}.domains[${k}]`)
  })
  return new RouteTable(source, hosts, compileFilterConfigs(source.typedPerFilterConfig, at.replace(/\.$/, '')))
}

/** The same from bytes, as RDS brings them. */
export function decodeRouteTable(bytes: Uint8Array, runtime: Runtime, compileFilterConfigs: CompileFilterConfigs): RouteTable {
  const source = RouteConfiguration.decode(bytes)
  return compileRouteTable(source, `RouteConfiguration ${source.name}: `, runtime, compileFilterConfigs)
}

function compileVirtualHost(
  source: VirtualHost,
  path: string,
  table: RouteConfiguration,
  tableEdits: HeaderEdits | null,
  runtime: Runtime,
  compileFilterConfigs: CompileFilterConfigs,
): VirtualHostPlan {
  if (source.matcher !== undefined && source.routes.length > 0)
    throw invalid(path, 'cannot set both routes and matcher on virtual host')
  if (source.domains.length === 0) throw invalid(`${path}.domains`, 'a virtual host needs a domain')
  const edits = compileHeaderEdits(source, path)
  const retry = source.retryPolicy === undefined ? null : compileRetryPolicy(source.retryPolicy, `${path}.retry_policy`)
  const mirrors =
    source.requestMirrorPolicies.length === 0
      ? compileMirrors(table.requestMirrorPolicies, 'request_mirror_policies', runtime)
      : compileMirrors(source.requestMirrorPolicies, `${path}.request_mirror_policies`, runtime)
  const routes: RoutePlan[] = []
  const ofTree = (config: Any, at: string): readonly RoutePlan[] => {
    const type = config.typeUrl.slice(config.typeUrl.lastIndexOf('/') + 1)
    if (type === 'envoy.config.route.v3.Route') return [compileRoute(Route.decode(config.value), at)]
    if (type !== 'envoy.config.route.v3.RouteList') throw unsupported(at, `the action '${config.typeUrl}'`)
    return RouteList.decode(config.value).routes.map((route, i) => compileRoute(route, `${at}.routes[${i}]`))
  }
  const host: Mutable<VirtualHostPlan> = {
    name: source.name,
    tree: null,
    routes,
    index: null,
    toTls: null,
    metadata: source.metadata?.filterMetadata ?? null,
    includeAttemptCount: source.includeRequestAttemptCount,
    includeAttemptCountInResponse: source.includeAttemptCountInResponse,
    tellsTimeoutRetry: source.includeIsTimeoutRetryHeader,
    filterConfigs: compileFilterConfigs(source.typedPerFilterConfig, path, source.cors),
    virtualClusters: compileVirtualClusters(source, path),
  }
  const required = tlsRequirement(source)
  if (required !== null) host.toTls = { required, route: bareRoute(host, '', { type: 'to-tls' }, null) }
  const ofHost = compileRateLimits(source.rateLimits, `${path}.rate_limits`)
  const compileRoute = (route: Route, at: string): RoutePlan => {
    if (route.match === undefined) throw invalid(`${at}.match`, 'a match is needed')
    const match = compilePathMatch(route.match, `${at}.match`)
    const routeEdits = compileHeaderEdits(route, at)
    // Most specific first, unless the table says otherwise.
    const order = table.mostSpecificHeaderMutationsWins ? [tableEdits, edits, routeEdits] : [routeEdits, edits, tableEdits]
    const outcome = compileOutcome(route, at, match, table, () =>
      compileForward(
        routeAction(route, at),
        `${at}.route`,
        match,
        runtime,
        retry,
        source.hedgePolicy,
        mirrors,
        compileFilterConfigs,
      ),
    )
    return {
      name: route.name,
      virtualHost: source.name,
      cluster: outcome.type === 'forward' && outcome.forward.cluster.type === 'one' ? outcome.forward.cluster.choice.name : '',
      tracing: route.tracing === undefined ? null : compileRouteTracing(route.tracing, `${at}.tracing`, runtime),
      decorator:
        route.decorator === undefined
          ? null
          : { operation: route.decorator.operation, propagate: route.decorator.propagate ?? true },
      metadata: (route.metadata?.filterMetadata as RouteInfo['metadata'] | undefined) ?? {},
      path: match,
      conditions: compileConditions(route.match, `${at}.match`, runtime),
      outcome,
      edits: order.filter((one) => one !== null),
      filterConfigs: compileFilterConfigs(
        route.typedPerFilterConfig,
        at,
        route.action?.$case === 'route' ? route.action.value.cors : undefined,
      ),
      host,
      counts: route.statPrefix === '' ? null : new RequestGroup(`vhost.${source.name}.route.${route.statPrefix}.`),
      rateLimits: routeRateLimits(route, ofHost, `${at}.route.rate_limits`),
      bufferLimit:
        route.requestBodyBufferLimit ??
        source.requestBodyBufferLimit ??
        route.perRequestBufferLimitBytes ??
        source.perRequestBufferLimitBytes ??
        null,
      resolved: null,
    }
  }
  routes.push(...source.routes.map((route, i) => compileRoute(route, `${path}.routes[${i}]`)))
  host.index = RouteIndex.of(routes)
  if (source.matcher !== undefined) host.tree = compileMatchTree(source.matcher, `${path}.matcher`, ofTree)
  return host
}

function tlsRequirement({ requireTls }: VirtualHost): TlsRequirement | null {
  if (requireTls === VirtualHost_TlsRequirementType.ALL) return 'all'
  return requireTls === VirtualHost_TlsRequirementType.EXTERNAL_ONLY ? 'external' : null
}

/** A route of the proxy's own, for which nothing is configured. `bufferLimit`: body bytes kept; null: as of others. */
export function bareRoute(host: VirtualHostPlan, cluster: string, outcome: RouteOutcome, bufferLimit: number | null): RoutePlan {
  return {
    name: '',
    virtualHost: host.name,
    cluster,
    tracing: null,
    decorator: null,
    metadata: {},
    path: { type: 'prefix', value: '', caseSensitive: true },
    conditions: null,
    outcome,
    edits: [],
    filterConfigs: null,
    host,
    counts: null,
    rateLimits: null,
    bufferLimit,
    resolved: null,
  }
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

const noRoutes: readonly RoutePlan[] = []

function routeRateLimits(route: Route, ofHost: readonly RateLimitPolicy[], at: string): RouteRateLimits | null {
  if (route.action?.$case !== 'route') return null
  const own = compileRateLimits(route.action.value.rateLimits, at)
  return own.length + ofHost.length === 0 ? null : { own, ofHost, includeHost: route.action.value.includeVhRateLimits ?? false }
}

function routeAction(route: Route, at: string) {
  if (route.action?.$case !== 'route') throw invalid(at, 'a route action is needed')
  return route.action.value
}

function compileOutcome(
  route: Route,
  at: string,
  match: PathMatch,
  table: RouteConfiguration,
  forward: () => ForwardPlan,
): RouteOutcome {
  switch (route.action?.$case) {
    case undefined:
      throw invalid(at, 'a route needs an action')
    case 'route':
      return { type: 'forward', forward: forward() }
    case 'redirect':
      return { type: 'redirect', redirect: compileRedirect(route.action.value, `${at}.redirect`, match) }
    case 'directResponse': {
      const { status, body, bodyFormat } = route.action.value
      const bytes = body === undefined ? Buffer.alloc(0) : readDataSource(body, `${at}.direct_response.body`)
      const limit = table.maxDirectResponseBodySizeBytes ?? 4096
      if (bytes.length > limit)
        throw invalid(`${at}.direct_response.body`, `response body size is ${bytes.length} bytes; maximum is ${limit}`)
      const format = compileBodyFormat(bodyFormat, `${at}.direct_response.body_format`)
      return { type: 'direct', status, body: bytes.toString(), format }
    }
    // As with Envoy: what makes something of them is no proxy.
    case 'nonForwardingAction':
    case 'filterAction':
      return { type: 'nowhere' }
  }
}
