import { RouteConfiguration } from '@weft/contracts/envoy/config/route/v3/route'
import { Route, VirtualHost } from '@weft/contracts/envoy/config/route/v3/route_components'
import {
  EnvoyFilter_RouteConfigurationMatch_RouteMatch_Action as Action,
  EnvoyFilter_ApplyTo as ApplyTo,
  type EnvoyFilter_RouteConfigurationMatch as Match,
} from '@weft/contracts/istio/networking/v1alpha3/envoy_filter'
import { mergedMessage, patchedList } from './list-patch.ts'
import type { Patch, ProxyPatches } from './proxy-patches.ts'

/** A configuration of routes after a proxy's patches: the whole of it, then its virtual hosts, then their routes. */
export function patchedRoutes(routes: RouteConfiguration, patches: ProxyPatches, context: number): RouteConfiguration {
  let patched = routes
  const holding = (applyTo: number): readonly Patch[] =>
    patches.of(applyTo, context).filter((patch) => configurationMatches(routes.name, matchOf(patch)))
  for (const patch of holding(ApplyTo.ROUTE_CONFIGURATION)) patched = mergedMessage(RouteConfiguration, patched, patch)
  let hosts = patched.virtualHosts
  for (const patch of holding(ApplyTo.VIRTUAL_HOST)) {
    const match = matchOf(patch)?.vhost
    hosts = patchedList(VirtualHost, hosts, patch, match && ((host) => hostMatches(host, match)))
  }
  for (const patch of holding(ApplyTo.HTTP_ROUTE)) {
    const match = matchOf(patch)?.vhost
    const route = match?.route
    hosts = hosts.map((host) => {
      if (match !== undefined && !hostMatches(host, match)) return host
      return { ...host, routes: patchedList(Route, host.routes, patch, route && ((one) => routeMatches(one, route))) }
    })
  }
  return hosts === patched.virtualHosts ? patched : { ...patched, virtualHosts: hosts }
}

function matchOf({ match }: Patch): Match | undefined {
  return match?.$case === 'routeConfiguration' ? match.value : undefined
}

/**
 * By the names that Istio gives: `80` and `host:80` of a sidecar's calls, `inbound|80||`, `http.80` of a gateway, and
 * `https.443.PORT-NAME.GATEWAY.NAMESPACE`.
 */
function configurationMatches(name: string, match: Match | undefined): boolean {
  if (match === undefined) return true
  if (match.name !== '' && match.name !== name) return false
  const [scheme = '', gatewayPort, portName = '', gateway = '', namespace = ''] = name.split('.')
  const isGateway = scheme === 'http' || scheme === 'https'
  const port = isGateway ? gatewayPort : (/^inbound\|(\d+)\|/.exec(name)?.[1] ?? /(\d+)$/.exec(name)?.[1])
  if (match.portNumber !== 0 && match.portNumber !== Number(port)) return false
  if (match.portName !== '' && match.portName !== portName) return false
  return match.gateway === '' || match.gateway === `${namespace}/${gateway}`
}

function hostMatches({ name, domains }: VirtualHost, match: NonNullable<Match['vhost']>): boolean {
  return (match.name === '' || match.name === name) && (match.domainName === '' || domains.includes(match.domainName))
}

const actions: Readonly<Record<number, string>> = {
  [Action.ROUTE]: 'route',
  [Action.REDIRECT]: 'redirect',
  [Action.DIRECT_RESPONSE]: 'directResponse',
}

function routeMatches({ name, action }: Route, match: { name: string; action: number }): boolean {
  return (match.name === '' || match.name === name) && (match.action === Action.ANY || actions[match.action] === action?.$case)
}
