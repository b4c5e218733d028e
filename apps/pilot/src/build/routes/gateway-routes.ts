import { keyOf as objectKeyOf } from '@weft/config/objects'
import { RouteConfiguration } from '@weft/contracts/envoy/config/route/v3/route'
import {
  type Route,
  VirtualHost_TlsRequirementType as TlsRequirement,
  VirtualHost,
} from '@weft/contracts/envoy/config/route/v3/route_components'
import { serverHosts } from '../../scope/gateway-servers.ts'
import type { Scope } from '../../scope/scope.ts'
import type { GatewayPort, KnownServer } from '../listeners/gateway-ports.ts'
import type { Recipe } from '../resource-cache.ts'
import { keyOf } from '../wire.ts'
import { httpRoutes } from './http-route.ts'
import { destinationVersions, routeContext, routeKeys } from './sidecar-routes.ts'

/** The route configurations of a router's port: one for all plain HTTP servers, one for each HTTPS server. */
export function gatewayRoutes(port: GatewayPort, scope: Scope): Recipe[] {
  const byName = new Map<string, KnownServer[]>()
  for (const server of port.servers) {
    if (server.routeName === '') continue
    const known = byName.get(server.routeName)
    if (known === undefined) byName.set(server.routeName, [server])
    else known.push(server)
  }
  return [...byName].map(([name, servers]) => recipe(name, servers, scope))
}

function recipe(name: string, servers: readonly KnownServer[], scope: Scope): Recipe {
  const parts: string[] = []
  const origins = new Set<string>()
  for (const { gatewayServer } of servers) {
    origins.add(objectKeyOf(gatewayServer.gateway))
    parts.push(`${objectKeyOf(gatewayServer.gateway)}@${gatewayServer.gateway.version}#${gatewayServer.index}`)
    for (const object of gatewayServer.virtualServices) {
      origins.add(objectKeyOf(object))
      parts.push(`${objectKeyOf(object)}@${object.version}`, ...destinationVersions(object.spec, scope))
    }
  }
  return {
    name,
    key: keyOf(scope.proxy.namespace, ...routeKeys(scope), ...parts),
    origins: [...origins],
    build: () => RouteConfiguration.encode(build(name, servers, scope)).finish(),
  }
}

interface HostEntry {
  readonly host: string
  readonly port: number
  readonly routes: Route[]
  httpsRedirect: boolean
}

function build(name: string, servers: readonly KnownServer[], scope: Scope): RouteConfiguration {
  const hosts = new Map<string, HostEntry>()
  const entry = (host: string, port: number): HostEntry => {
    const known = hosts.get(host) ?? { host, port, routes: [], httpsRedirect: false }
    hosts.set(host, known)
    return known
  }
  for (const { server, gatewayServer, gateway, port } of servers) {
    const redirects = server.tls?.httpsRedirect === true
    const context = routeContext(scope, gateway, port)
    for (const { spec, metadata } of gatewayServer.virtualServices) {
      const routes = httpRoutes(spec, context)
      for (const host of serverHosts(server.hosts, spec.hosts, metadata.namespace, gatewayServer.gateway.metadata.namespace)) {
        const own = entry(host, port)
        own.routes.push(...routes)
        own.httpsRedirect ||= redirects
      }
    }
    if (redirects && gatewayServer.virtualServices.length === 0) {
      for (const host of server.hosts) entry(host.slice(host.indexOf('/') + 1), port).httpsRedirect = true
    }
  }
  const virtualHosts = [...hosts.values()]
    .filter(({ routes, httpsRedirect }) => routes.length > 0 || httpsRedirect)
    .map(({ host, port, routes, httpsRedirect }) =>
      VirtualHost.fromPartial({
        name: `${host}:${port}`,
        domains: [host],
        routes,
        includeRequestAttemptCount: scope.settings.headers.attemptCount,
        requireTls: httpsRedirect ? TlsRequirement.ALL : TlsRequirement.NONE,
      }),
    )
  // Without any virtual host Envoy would answer the same, but under no name that an operator can look for.
  if (virtualHosts.length === 0)
    virtualHosts.push(VirtualHost.fromPartial({ name: `blackhole:${servers[0]?.port ?? 0}`, domains: ['*'] }))
  return RouteConfiguration.fromPartial({ name, virtualHosts, validateClusters: false, ignorePortInHostMatching: true })
}
