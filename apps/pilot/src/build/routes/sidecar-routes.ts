import { keyOf as objectKeyOf } from '@weft/config/objects'
import { RouteConfiguration } from '@weft/contracts/envoy/config/route/v3/route'
import { Route, RouteAction, VirtualHost } from '@weft/contracts/envoy/config/route/v3/route_components'
import type { Destination, VirtualService } from '@weft/contracts/istio/networking/v1alpha3/virtual_service'
import { hostMatches } from '../../model/host.ts'
import { meshKey } from '../../model/mesh-settings.ts'
import { isHttp, type Service, type ServicePort } from '../../model/service.ts'
import type { EgressScope, Scope } from '../../scope/scope.ts'
import { effectivePolicy } from '../clusters/traffic-policy.ts'
import { forwardsRest, isForwarded } from '../filters/forward-proxy.ts'
import { clusterNames, outboundClusterName } from '../names.ts'
import type { Recipe } from '../resource-cache.ts'
import { keyOf, milliseconds } from '../wire.ts'
import { domainsOf } from './domains.ts'
import { hashPolicies, httpRoutes, type RouteContext } from './http-route.ts'
import { retryPolicy } from './retries.ts'
import { VirtualServiceIndex } from './virtual-service-index.ts'

/** A route configuration that a sidecar's outbound listeners name. */
export interface SidecarRoute {
  readonly name: string
  readonly egress: EgressScope
  readonly port: number
  /** Set for a listener that belongs to one service: then the route takes every host for it. */
  readonly only: Service | undefined
}

/** The context in which a proxy's HTTP routes are built. */
export function routeContext(scope: Scope, gateway: string, port: number): RouteContext {
  return {
    gateway,
    port,
    sourceLabels: scope.proxy.labels,
    sourceNamespace: scope.proxy.namespace,
    isGateway: scope.proxy.type === 'router',
    retries: scope.snapshot.mesh.retries,
    tellsOriginalHost: scope.settings.headers.forwardedHost,
    clusterFor: (destination) =>
      outboundClusterName(destinationPort(destination, scope, port), destination.subset, destination.host),
    loadBalancerOf: (destination) =>
      effectivePolicy(
        scope.destinationRule(destination.host)?.spec,
        destination.subset,
        destinationPort(destination, scope, port),
      ).loadBalancer,
  }
}

/** The port a destination means: the one it names, the service's only one, or the one the client called. */
export function destinationPort(destination: Destination, scope: Scope, port: number): number {
  if (destination.port !== undefined && destination.port.number !== 0) return destination.port.number
  const ports = scope.service(destination.host)?.ports ?? []
  return ports.length === 1 && ports[0] !== undefined ? ports[0].number : port
}

/** The recipe of a sidecar's route configuration. */
export function sidecarRoute(route: SidecarRoute, scope: Scope): Recipe {
  const index = indexOf(route.egress)
  const services = servicesOf(route)
  const origins: string[] = []
  const parts: string[] = []
  const used = new Set<string>()
  const consider = (host: string): void => {
    const object = index.for(host)
    if (object === undefined || used.has(objectKeyOf(object))) return
    used.add(objectKeyOf(object))
    origins.push(objectKeyOf(object))
    parts.push(`${objectKeyOf(object)}@${object.version}`, ...destinationVersions(object.spec, scope))
    if (asksForLabels(object.spec)) parts.push(JSON.stringify(scope.proxy.labels))
  }
  for (const { service } of services) {
    consider(service.host)
    const rule = scope.destinationRule(service.host)
    parts.push(service.version, rule === undefined ? '' : rule.version)
  }
  if (route.only === undefined) for (const [host] of index.hosts()) consider(host)
  return {
    name: route.name,
    key: keyOf(scope.proxy.dnsDomain, scope.proxy.namespace, restCluster(scope), route.only?.host, ...routeKeys(scope), ...parts),
    origins: route.only === undefined ? origins : [...origins, route.only.origin],
    build: () => RouteConfiguration.encode(build(route, scope, index, services)).finish(),
  }
}

/** What of the mesh's settings and the proxy's own routes depend on. */
export function routeKeys({ snapshot, settings }: Scope): (number | boolean)[] {
  return [meshKey(snapshot.mesh), settings.headers.attemptCount, settings.headers.forwardedHost]
}

/** Versions of what a VirtualService's destinations depend on: their ports, hash policies and tunnels. */
export function destinationVersions(spec: VirtualService, scope: Scope): string[] {
  const hosts = new Set<string>()
  for (const route of [...spec.http, ...spec.tls, ...spec.tcp])
    for (const { destination } of route.route) if (destination !== undefined) hosts.add(destination.host)
  return [...hosts].map((host) => `${scope.service(host)?.version ?? ''}/${scope.destinationRule(host)?.version ?? ''}`)
}

function asksForLabels(spec: VirtualService): boolean {
  return spec.http.some((http) => http.match.some(({ sourceLabels }) => Object.keys(sourceLabels).length > 0))
}

const indexes = new WeakMap<readonly unknown[], VirtualServiceIndex>()

/** The VirtualServices of an egress listener by host; made once for each list. */
export function indexOf(egress: EgressScope): VirtualServiceIndex {
  const known = indexes.get(egress.virtualServices)
  if (known !== undefined) return known
  const index = new VirtualServiceIndex(egress.virtualServices)
  indexes.set(egress.virtualServices, index)
  return index
}

function servicesOf({ only, egress, port }: SidecarRoute): { service: Service; port: ServicePort }[] {
  const services = only === undefined ? egress.services : [only]
  // An egress listener of a Sidecar takes all its services' HTTP ports; the shared one those of its own number.
  return services.flatMap((service) =>
    service.ports
      .filter((candidate) => isHttp(candidate.protocol) || candidate.protocol === 'auto')
      .filter((candidate) => candidate.number === port || egress.port !== undefined)
      .map((candidate) => ({ service, port: candidate })),
  )
}

function build(
  route: SidecarRoute,
  scope: Scope,
  index: VirtualServiceIndex,
  services: readonly { service: Service; port: ServicePort }[],
): RouteConfiguration {
  const context = routeContext(scope, 'mesh', route.port)
  const hosts = new VirtualHosts(scope.settings.headers.attemptCount)
  const covered = new Set<VirtualService>()
  for (const { service, port } of services) {
    const object = index.for(service.host)
    if (object !== undefined) covered.add(object.spec)
    const own = object === undefined ? [] : httpRoutes(object.spec, { ...context, port: port.number })
    const routes =
      own.length > 0 ? own : object === undefined || object.spec.http.length === 0 ? [defaultRoute(service, port, scope)] : []
    // Who calls by the service's own address means it whatever host is asked for; but where the host is where the request goes.
    const domains =
      route.only === undefined || isForwarded(service) ? domainsOf(service.host, port.number, service, scope.proxy) : ['*']
    hosts.add(`${service.host}:${port.number}`, domains, routes)
  }
  if (route.only === undefined) {
    // A host that no service has could be called at any port; it is served at that of plain HTTP, as in Istio.
    for (const [host, object] of route.port === 80 || route.egress.port !== undefined ? index.hosts() : []) {
      if (services.some(({ service }) => service.host === host || (host.startsWith('*') && hostMatches(host, service.host))))
        continue
      const routes = httpRoutes(object.spec, context)
      if (routes.length > 0) hosts.add(`${host}:${route.port}`, domainsOf(host, route.port, undefined, scope.proxy), routes)
    }
    hosts.addRest(scope)
  }
  return RouteConfiguration.fromPartial({ name: route.name, virtualHosts: hosts.list, validateClusters: false })
}

/** Virtual hosts of a configuration; a domain belongs to the first that claims it, as Envoy refuses it twice. */
class VirtualHosts {
  readonly list: VirtualHost[] = []
  readonly #tellsAttempts: boolean
  readonly #taken = new Set<string>()
  readonly #names = new Set<string>()

  constructor(tellsAttempts: boolean) {
    this.#tellsAttempts = tellsAttempts
  }

  add(name: string, domains: readonly string[], routes: Route[]): void {
    const free = domains.filter((domain) => !this.#taken.has(domain))
    if (free.length === 0 || this.#names.has(name)) return
    for (const domain of free) this.#taken.add(domain)
    this.#names.add(name)
    this.list.push(VirtualHost.fromPartial({ name, domains: free, routes, includeRequestAttemptCount: this.#tellsAttempts }))
  }

  /** Hosts that nothing is known of: let through, or refused. */
  addRest(scope: Scope): void {
    const forwards = forwardsRest(scope)
    const cluster = forwards ? clusterNames.forwardRest : restCluster(scope)
    const name = forwards ? 'allow_any_dynamic_dns' : 'allow_any'
    const match = { pathSpecifier: { $case: 'prefix' as const, value: '/' } }
    if (cluster !== undefined) {
      const action = RouteAction.fromPartial({
        clusterSpecifier: { $case: 'cluster', value: cluster },
        timeout: milliseconds(0),
      })
      this.add(name, ['*'], [Route.fromPartial({ name, match, action: { $case: 'route', value: action } })])
    } else {
      const refuse = { $case: 'directResponse' as const, value: { status: 502 } }
      this.add('block_all', ['*'], [Route.fromPartial({ name: 'block_all', match, action: refuse })])
    }
  }
}

/** The routes of requests at ports that no service has. */
export function restRoutes(scope: Scope): RouteConfiguration {
  const hosts = new VirtualHosts(scope.settings.headers.attemptCount)
  hosts.addRest(scope)
  return RouteConfiguration.fromPartial({ name: 'rest', virtualHosts: hosts.list, validateClusters: false })
}

/**
 * The cluster that takes what no service is known for: where a Sidecar says, else where it was going, which a proxy that catches
 * nothing does not know; undefined where it is refused.
 */
export function restCluster(scope: Scope): string | undefined {
  const { proxy, outboundTrafficPolicy, egressProxy } = scope
  if (outboundTrafficPolicy === 'REGISTRY_ONLY') return undefined
  if (egressProxy !== undefined)
    return outboundClusterName(destinationPort(egressProxy, scope, 0), egressProxy.subset, egressProxy.host)
  return proxy.interceptionMode === 'NONE' ? undefined : clusterNames.passthrough
}

/** The route of a service that no VirtualService speaks about. */
function defaultRoute(service: Service, port: ServicePort, scope: Scope): Route {
  const policy = effectivePolicy(scope.destinationRule(service.host)?.spec, '', port.number)
  const action = RouteAction.fromPartial({
    clusterSpecifier: { $case: 'cluster', value: outboundClusterName(port.number, '', service.host) },
    timeout: milliseconds(0),
    retryPolicy: retryPolicy(scope.snapshot.mesh.retries),
    hashPolicy: hashPolicies(policy.loadBalancer),
  })
  return Route.fromPartial({
    name: 'default',
    match: { pathSpecifier: { $case: 'prefix', value: '/' } },
    decorator: { operation: `${service.host}:${port.number}/*` },
    action: { $case: 'route', value: action },
  })
}
