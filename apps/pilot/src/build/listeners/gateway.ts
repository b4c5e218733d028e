import { keyOf as objectKeyOf } from '@weft/config/objects'
import { TrafficDirection } from '@weft/contracts/envoy/config/core/v3/base'
import { Listener } from '@weft/contracts/envoy/config/listener/v3/listener'
import { FilterChain } from '@weft/contracts/envoy/config/listener/v3/listener_components'
import { ServerTLSSettings_TLSmode as ServerMode } from '@weft/contracts/istio/networking/v1alpha3/gateway'
import { meshKey } from '../../model/mesh-settings.ts'
import type { Scope } from '../../scope/scope.ts'
import { mixerOutbound } from '../filters/mixer.ts'
import { clusterNames } from '../names.ts'
import type { Recipe } from '../resource-cache.ts'
import { destinationVersions } from '../routes/sidecar-routes.ts'
import { workloadSecurity } from '../security/workload-security.ts'
import { serverSocket } from '../tls/contexts.ts'
import { keyOf } from '../wire.ts'
import type { GatewayPort, KnownServer } from './gateway-ports.ts'
import { httpConnectionManager, httpSettingsKey } from './http-connection-manager.ts'
import { listenAddress, proxyProtocol, tlsInspector } from './listener.ts'
import { cors } from './outbound.ts'
import { tcpProxy } from './tcp-proxy.ts'
import { prefixRanges, tcpTargets, tlsTargets } from './tcp-routes.ts'

/** The listener of one port of a router; undefined when nothing of what its servers ask for can be served. */
export function gatewayListener(port: GatewayPort, scope: Scope): Recipe {
  const name = `${port.bind}_${port.boundPort}`
  const parts: string[] = []
  const security = workloadSecurity(scope)
  const origins = new Set<string>()
  for (const { gatewayServer, kind } of port.servers) {
    origins.add(objectKeyOf(gatewayServer.gateway))
    parts.push(`${objectKeyOf(gatewayServer.gateway)}@${gatewayServer.gateway.version}#${gatewayServer.index}`)
    if (kind === 'http' || kind === 'https') continue
    for (const object of gatewayServer.virtualServices) {
      origins.add(objectKeyOf(object))
      parts.push(`${objectKeyOf(object)}@${object.version}`, ...destinationVersions(object.spec, scope))
    }
  }
  return {
    name,
    key: keyOf(
      meshKey(scope.snapshot.mesh),
      httpSettingsKey(scope),
      mixerOutbound(scope)?.key,
      security.key,
      cors(scope),
      ...parts,
    ),
    origins: [...origins, ...security.origins],
    refersTo: [...new Set(port.servers.map(({ routeName }) => routeName).filter((route) => route !== ''))],
    build: () => Listener.encode(build(name, port, scope)).finish(),
  }
}

function build(name: string, port: GatewayPort, scope: Scope): Listener {
  const listener = Listener.fromPartial({
    name,
    address: listenAddress(port.bind, port.boundPort),
    trafficDirection: TrafficDirection.OUTBOUND,
  })
  const [first] = port.servers
  if (first?.kind === 'http') {
    listener.filterChains = [httpChain(first, name, scope)]
    return proxied(listener, scope)
  }
  // Envoy refuses two chains with the same match: a server name belongs to the first server that names it.
  const taken = new Set<string>()
  for (const server of port.servers) listener.filterChains.push(...chains(server, name, scope, taken))
  if (listener.filterChains.some(({ filterChainMatch }) => filterChainMatch !== undefined))
    listener.listenerFilters = [tlsInspector()]
  if (listener.filterChains.length === 0) {
    const nowhere = tcpProxy(clusterNames.blackHole, [{ cluster: clusterNames.blackHole, weight: 100 }], scope, 'client')
    listener.filterChains = [FilterChain.fromPartial({ filters: nowhere })]
  }
  return proxied(listener, scope)
}

/** Behind a load balancer that says whose connection it is by a PROXY header, that comes before all else. */
function proxied(listener: Listener, { settings }: Scope): Listener {
  if (settings.takesProxyProtocol) listener.listenerFilters.unshift(proxyProtocol())
  return listener
}

function httpChain({ server, routeName }: KnownServer, name: string, scope: Scope): FilterChain {
  const terminates = server.tls !== undefined && routeName.startsWith('https.')
  return FilterChain.fromPartial({
    transportSocket:
      terminates && server.tls !== undefined ? serverSocket(server.tls, ['h2', 'http/1.1'], scope.snapshot.mesh) : undefined,
    filters: [
      httpConnectionManager({
        side: 'gateway',
        statPrefix: `outbound_${name}`,
        scope,
        routes: { rds: routeName },
        security: workloadSecurity(scope).http(),
        mixer: mixerOutbound(scope)?.config,
        cors: cors(scope),
        tellsClientCertificate:
          terminates && (server.tls?.mode === ServerMode.MUTUAL || server.tls?.mode === ServerMode.ISTIO_MUTUAL),
      }),
    ],
  })
}

function chains(known: KnownServer, name: string, scope: Scope, taken: Set<string>): FilterChain[] {
  const { server, kind, gateway, gatewayServer } = known
  const names = claim(
    server.hosts.map((host) => host.slice(host.indexOf('/') + 1)),
    taken,
    kind !== 'passthrough',
  )
  if (kind === 'https') {
    if (names === undefined) return []
    const chain = httpChain(known, name, scope)
    chain.filterChainMatch = tlsMatch(names)
    return [chain]
  }
  const tcpSecurity = workloadSecurity(scope).tcp()
  const specs = gatewayServer.virtualServices.map(({ spec }) => spec)
  if (kind === 'passthrough') {
    return specs.flatMap((spec) =>
      tlsTargets(spec, gateway, known.port, scope).flatMap(({ serverNames, subnets, targets }) => {
        const own = claim(serverNames, taken, true)
        if (own === undefined || targets.length === 0) return []
        return FilterChain.fromPartial({
          filterChainMatch: { ...tlsMatch(own), prefixRanges: prefixRanges(subnets) },
          filters: [...tcpSecurity, ...tcpProxy(targets[0]?.cluster ?? name, targets, scope, 'client')],
        })
      }),
    )
  }
  const stated = specs.map((spec) => tcpTargets(spec, gateway, known.port, scope)).find((found) => found.length > 0)
  if (stated === undefined || names === undefined) return []
  return stated.map(({ subnets, targets }) => {
    const filters = [...tcpSecurity, ...tcpProxy(targets[0]?.cluster ?? name, targets, scope, 'client')]
    const tls = kind === 'tls-terminated' ? server.tls : undefined
    const match = { ...(tls === undefined ? {} : tlsMatch(names)), prefixRanges: prefixRanges(subnets) }
    return FilterChain.fromPartial({
      filters,
      ...(tls !== undefined || subnets.length > 0 ? { filterChainMatch: match } : {}),
      ...(tls === undefined ? {} : { transportSocket: serverSocket(tls, [], scope.snapshot.mesh) }),
    })
  })
}

/** The names that nobody has claimed yet; undefined when none is left. */
function claim(names: readonly string[], taken: Set<string>, take: boolean): string[] | undefined {
  const free = names.filter((name) => !taken.has(name))
  if (free.length === 0) return undefined
  if (take) for (const name of free) taken.add(name)
  return free
}

function tlsMatch(names: readonly string[]): FilterChain['filterChainMatch'] {
  const serverNames = names.includes('*') ? [] : [...names]
  return FilterChain.fromPartial({ filterChainMatch: { transportProtocol: 'tls', serverNames } }).filterChainMatch
}
