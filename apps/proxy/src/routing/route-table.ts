import { RouteConfiguration } from '@weft/contracts/envoy/config/route/v3/route'
import {
  type Route,
  type VirtualHost,
  VirtualHost_TlsRequirementType,
} from '@weft/contracts/envoy/config/route/v3/route_components'
import type { RequestHead } from '@weft/http/message'
import type { RouteInfo } from '../filters/http/filter.ts'
import type { ResolvedFilter } from '../filters/network/http-connection-manager/resolved-filters.ts'
import { readDataSource } from '../plan/data-source.ts'
import { invalid, unsupported } from '../plan/problems.ts'
import type { Runtime } from '../plan/runtime.ts'
import { compileHeaderEdits, type HeaderEdits } from './header-edits.ts'
import { compileRateLimits, type RateLimitPolicy, type RouteRateLimits } from './rate-limits.ts'
import { compileRedirect, type RedirectPlan } from './redirect.ts'
import { compileRetryPolicy } from './retry-policy.ts'
import { compileForward, type ForwardPlan, type RouteAction_Configs } from './route-action.ts'
import { compileConditions, compilePathMatch, type PathMatch, pathMatches, pathOnly, type RouteMatcher } from './route-match.ts'
import { compileVirtualClusters, type VirtualCluster } from './virtual-clusters.ts'
import { VirtualHostIndex } from './virtual-hosts.ts'

/** What a route does with a request. */
export type RouteOutcome =
  | { type: 'forward'; forward: ForwardPlan }
  | { type: 'redirect'; redirect: RedirectPlan }
  | { type: 'direct'; status: number; body: string }
  | { type: 'nothing' }

/** Filter overrides of a level, by filter name; `off` disables. */
export type FilterConfigs = ReadonlyMap<string, unknown>

/** One route, compiled. */
export interface RoutePlan extends RouteInfo {
  readonly path: PathMatch
  readonly conditions: RouteMatcher | null
  readonly outcome: RouteOutcome
  /** Levels in the order they apply to requests: cluster's own come first, from the selection. */
  readonly edits: readonly HeaderEdits[]
  readonly filterConfigs: FilterConfigs | null
  readonly host: VirtualHostPlan
  /** Body bytes kept for retries and mirrors. */
  readonly bufferLimit: number | null
  /** Work of the connection manager's: filters with this route's overrides; set by it, for the last manager that asked. */
  resolved: { owner: object; filters: readonly ResolvedFilter[] } | null
}

export interface VirtualHostPlan {
  readonly name: string
  readonly routes: readonly RoutePlan[]
  readonly requireTls: 'none' | 'external' | 'all'
  readonly includeAttemptCount: boolean
  /** Its filter_metadata. */
  readonly metadata: Readonly<Record<string, unknown>> | null
  readonly includeAttemptCountInResponse: boolean
  readonly filterConfigs: FilterConfigs | null
  /** null: none. */
  readonly virtualClusters: readonly VirtualCluster[] | null
}

/** Compiles typed_per_filter_config; given by the plan compiler, which knows the filters. */
export type CompileFilterConfigs = (configs: RouteAction_Configs, path: string) => FilterConfigs | null

/** A RouteConfiguration, compiled. */
export class RouteTable {
  readonly name: string
  private readonly hosts: VirtualHostIndex<VirtualHostPlan>
  readonly filterConfigs: FilterConfigs | null

  constructor(name: string, hosts: VirtualHostIndex<VirtualHostPlan>, filterConfigs: FilterConfigs | null) {
    this.name = name
    this.hosts = hosts
    this.filterConfigs = filterConfigs
  }

  virtualHost(authority: string): VirtualHostPlan | null {
    return this.hosts.find(authority)
  }

  /** The first route of the virtual host that matches; null: none. */
  match(request: RequestHead): RoutePlan | null {
    const host = this.hosts.find(request.authority)
    if (host === null) return null
    const { routes } = host
    const path = pathOnly(request.path)
    for (let i = 0; i < routes.length; i++) {
      const route = routes[i]!
      if (!pathMatches(route.path, path, request.method)) continue
      if (route.conditions === null || route.conditions(request)) return route
    }
    return null
  }
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
  const names = new Set<string>()
  source.virtualHosts.forEach((host, i) => {
    const path = `${at}virtual_hosts[${i}]`
    if (names.has(host.name)) throw invalid(`${path}.name`, `Only a single virtual host with name ${host.name} is permitted`)
    names.add(host.name)
    const plan = compileVirtualHost(host, path, source, tableEdits, runtime, compileFilterConfigs)
    for (const [k, domain] of host.domains.entries()) hosts.add(domain, plan, `${path}.domains[${k}]`)
  })
  return new RouteTable(source.name, hosts, compileFilterConfigs(source.typedPerFilterConfig, at.replace(/\.$/, '')))
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
  if (source.matcher !== undefined) throw unsupported(`${path}.matcher`, 'a matcher tree')
  if (source.domains.length === 0) throw invalid(`${path}.domains`, 'a virtual host needs a domain')
  const edits = compileHeaderEdits(source, path)
  const retry = source.retryPolicy === undefined ? null : compileRetryPolicy(source.retryPolicy, `${path}.retry_policy`)
  const routes: RoutePlan[] = []
  const host: VirtualHostPlan = {
    name: source.name,
    routes,
    requireTls:
      source.requireTls === VirtualHost_TlsRequirementType.ALL
        ? 'all'
        : source.requireTls === VirtualHost_TlsRequirementType.EXTERNAL_ONLY
          ? 'external'
          : 'none',
    metadata: source.metadata?.filterMetadata ?? null,
    includeAttemptCount: source.includeRequestAttemptCount,
    includeAttemptCountInResponse: source.includeAttemptCountInResponse,
    filterConfigs: compileFilterConfigs(source.typedPerFilterConfig, path),
    virtualClusters: compileVirtualClusters(source, path),
  }
  const ofHost = compileRateLimits(source.rateLimits, `${path}.rate_limits`)
  source.routes.forEach((route, i) => {
    const at = `${path}.routes[${i}]`
    if (route.match === undefined) throw invalid(`${at}.match`, 'a match is needed')
    const match = compilePathMatch(route.match, `${at}.match`)
    const routeEdits = compileHeaderEdits(route, at)
    // Most specific first, unless the table says otherwise.
    const order = table.mostSpecificHeaderMutationsWins ? [tableEdits, edits, routeEdits] : [routeEdits, edits, tableEdits]
    const outcome = compileOutcome(route, at, match, table, () =>
      compileForward(routeAction(route, at), `${at}.route`, match, runtime, retry, compileFilterConfigs),
    )
    routes.push({
      name: route.name,
      virtualHost: source.name,
      cluster: outcome.type === 'forward' && outcome.forward.cluster.type === 'one' ? outcome.forward.cluster.choice.name : '',
      metadata: (route.metadata?.filterMetadata as RouteInfo['metadata'] | undefined) ?? {},
      path: match,
      conditions: compileConditions(route.match, `${at}.match`, runtime),
      outcome,
      edits: order.filter((one) => one !== null),
      filterConfigs: compileFilterConfigs(route.typedPerFilterConfig, at),
      host,
      rateLimits: routeRateLimits(route, ofHost, `${at}.route.rate_limits`),
      bufferLimit: route.perRequestBufferLimitBytes ?? source.perRequestBufferLimitBytes ?? null,
      resolved: null,
    })
  })
  return host
}

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
      const { status, body } = route.action.value
      const text = body === undefined ? '' : readDataSource(body, `${at}.direct_response.body`).toString('latin1')
      const limit = table.maxDirectResponseBodySizeBytes ?? 4096
      if (text.length > limit)
        throw invalid(`${at}.direct_response.body`, `response body size is ${text.length} bytes; maximum is ${limit}`)
      return { type: 'direct', status, body: text }
    }
    case 'nonForwardingAction':
      return { type: 'nothing' }
    case 'filterAction':
      throw unsupported(`${at}.filter_action`, 'filter_action')
  }
}
