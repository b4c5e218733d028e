import type { CidrRange } from '@weft/contracts/envoy/config/core/v3/address'
import type { RouteDestination, VirtualService } from '@weft/contracts/istio/networking/v1alpha3/virtual_service'
import type { Service, ServicePort } from '../../model/service.ts'
import type { Scope } from '../../scope/scope.ts'
import { effectivePolicy } from '../clusters/traffic-policy.ts'
import { outboundClusterName } from '../names.ts'
import { destinationPort } from '../routes/sidecar-routes.ts'
import type { WeightedTarget } from './tcp-proxy.ts'

/** Connections that a VirtualService takes: one filter chain each. */
export interface TcpTarget {
  /** Blocks of addresses that they are to; empty: any. */
  readonly subnets: readonly string[]
  readonly targets: readonly WeightedTarget[]
}

/** Those that it takes by server name. */
export interface TlsTarget extends TcpTarget {
  readonly serverNames: readonly string[]
}

interface L4Match {
  readonly destinationSubnets: readonly string[]
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

/** Where a VirtualService sends the plain TCP connections of a port, in its order; the last may take all that are left. */
export function tcpTargets(spec: VirtualService | undefined, gateway: string, port: number, scope: Scope): TcpTarget[] {
  const found: TcpTarget[] = []
  for (const route of spec?.tcp ?? []) {
    const targets = weighted(route.route, port, scope)
    const held = route.match.filter((match) => holds(match, gateway, port, scope))
    if (route.match.length === 0 || held.some(({ destinationSubnets }) => destinationSubnets.length === 0)) {
      return [...found, { subnets: [], targets }]
    }
    if (held.length > 0) found.push({ subnets: held.flatMap(({ destinationSubnets }) => destinationSubnets), targets })
  }
  return found
}

/** Blocks of addresses as a filter chain matches them. A single address is a block of one. */
export function prefixRanges(subnets: readonly string[]): CidrRange[] {
  return subnets.map((subnet) => {
    const [addressPrefix = '', length] = subnet.split('/')
    return { addressPrefix, prefixLen: length === undefined ? (addressPrefix.includes(':') ? 128 : 32) : Number(length) }
  })
}

/** What a VirtualService says of TLS connections that are not ended here, in its order. */
export function tlsTargets(spec: VirtualService | undefined, gateway: string, port: number, scope: Scope): TlsTarget[] {
  return (spec?.tls ?? []).flatMap((route) =>
    route.match
      .filter((match) => holds(match, gateway, port, scope))
      .map((match) => ({
        subnets: match.destinationSubnets,
        serverNames: match.sniHosts,
        targets: weighted(route.route, port, scope),
      })),
  )
}

/** All connections to a service's port, where no VirtualService speaks about them. */
export function wholeTarget({ host }: Service, { number }: ServicePort, scope: Scope): WeightedTarget {
  const { tunnel } = effectivePolicy(scope.destinationRule(host)?.spec, '', number)
  return { cluster: outboundClusterName(number, '', host), weight: 100, tunnel }
}

function weighted(routes: readonly RouteDestination[], port: number, scope: Scope): WeightedTarget[] {
  const only = routes.length === 1
  return routes.flatMap(({ destination, weight }) => {
    if (destination === undefined) return []
    const number = destinationPort(destination, scope, port)
    const cluster = outboundClusterName(number, destination.subset, destination.host)
    const { tunnel } = effectivePolicy(scope.destinationRule(destination.host)?.spec, destination.subset, number)
    return [{ cluster, weight: only && weight === 0 ? 100 : weight, tunnel }]
  })
}
