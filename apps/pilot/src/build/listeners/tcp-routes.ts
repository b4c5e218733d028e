import type { RouteDestination, VirtualService } from '@weft/contracts/istio/networking/v1alpha3/virtual_service'
import type { Scope } from '../../scope/scope.ts'
import { outboundClusterName } from '../names.ts'
import { destinationPort } from '../routes/sidecar-routes.ts'
import type { WeightedTarget } from './tcp-proxy.ts'

/** Connections that a VirtualService takes by server name: one filter chain each. */
export interface TlsTarget {
  readonly serverNames: readonly string[]
  readonly targets: readonly WeightedTarget[]
}

interface L4Match {
  readonly port: number
  readonly gateways: readonly string[]
  readonly sourceLabels: Readonly<Record<string, string>>
  readonly sourceNamespace: string
}

function holds(match: L4Match, gateway: string, port: number, scope: Scope): boolean {
  if (match.gateways.length > 0 && !match.gateways.includes(gateway)) return false
  if (match.port !== 0 && match.port !== port) return false
  if (match.sourceNamespace !== '' && match.sourceNamespace !== scope.proxy.namespace) return false
  return Object.entries(match.sourceLabels).every(([name, value]) => scope.proxy.labels[name] === value)
}

/** Where a VirtualService sends the plain TCP connections of a port; undefined when it says nothing of them. */
export function tcpTargets(
  spec: VirtualService | undefined,
  gateway: string,
  port: number,
  scope: Scope,
): readonly WeightedTarget[] | undefined {
  for (const route of spec?.tcp ?? []) {
    if (route.match.length === 0 || route.match.some((match) => holds(match, gateway, port, scope))) {
      return weighted(route.route, port, scope)
    }
  }
  return undefined
}

/** What a VirtualService says of TLS connections that are not ended here, in its order. */
export function tlsTargets(spec: VirtualService | undefined, gateway: string, port: number, scope: Scope): TlsTarget[] {
  return (spec?.tls ?? []).flatMap((route) =>
    route.match
      .filter((match) => holds(match, gateway, port, scope))
      .map((match) => ({ serverNames: match.sniHosts, targets: weighted(route.route, port, scope) })),
  )
}

function weighted(routes: readonly RouteDestination[], port: number, scope: Scope): WeightedTarget[] {
  const only = routes.length === 1
  return routes.flatMap(({ destination, weight }) => {
    if (destination === undefined) return []
    const cluster = outboundClusterName(destinationPort(destination, scope, port), destination.subset, destination.host)
    return [{ cluster, weight: only && weight === 0 ? 100 : weight }]
  })
}
