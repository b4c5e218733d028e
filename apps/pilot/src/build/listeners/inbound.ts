import { TrafficDirection } from '@weft/contracts/envoy/config/core/v3/base'
import { Listener } from '@weft/contracts/envoy/config/listener/v3/listener'
import {
  FilterChain,
  type FilterChainMatch,
  type ListenerFilter,
} from '@weft/contracts/envoy/config/listener/v3/listener_components'
import { RouteConfiguration } from '@weft/contracts/envoy/config/route/v3/route'
import type { Any } from '@weft/contracts/google/protobuf/any'
import {
  ServerTLSSettings_TLSmode as ServerMode,
  type ServerTLSSettings,
} from '@weft/contracts/istio/networking/v1alpha3/gateway'
import { meshKey } from '../../model/mesh-settings.ts'
import { isHttp } from '../../model/service.ts'
import type { MtlsMode, Scope } from '../../scope/scope.ts'
import { sharesConnections } from '../clusters/connection-pool.ts'
import { exchangesPeers, peerExchangeFilter } from '../filters/istio-stats.ts'
import { mixerInbound, mixerInboundTcp, mixerServiceConfig } from '../filters/mixer.ts'
import { clusterNames, inboundClusterName } from '../names.ts'
import type { Recipe } from '../resource-cache.ts'
import { workloadSecurity } from '../security/workload-security.ts'
import { meshDownstreamSocket, peerExchange, serverSocket, sharedHttp } from '../tls/contexts.ts'
import { keyOf, milliseconds } from '../wire.ts'
import { httpConnectionManager, httpSettingsKey } from './http-connection-manager.ts'
import { type InboundPort, inboundPorts } from './inbound-ports.ts'
import {
  anyAddress,
  anyAddressKey,
  detecting,
  httpInspector,
  listenAddress,
  originalDestination,
  plainHttpProtocols,
  tlsInspector,
} from './listener.ts'
import { tcpProxy } from './tcp-proxy.ts'

/** Application protocols that only sidecars offer: by them PERMISSIVE tells the mesh's TLS from the application's own. */
const tcpMeshAlpn: readonly string[] = ['istio', peerExchange]
const httpMeshAlpn: readonly string[] = ['istio-http/1.0', 'istio-http/1.1', 'istio-h2']
const meshAlpn: readonly string[] = [...tcpMeshAlpn, ...httpMeshAlpn]

/** The listeners that take what calls the workload: one for all when connections are caught, else one a port. */
export function inboundListeners(scope: Scope): Recipe[] {
  const ports = inboundPorts(scope)
  if (scope.proxy.interceptionMode === 'NONE') {
    // Without addresses for workloads only the ports that are bound on request have a place.
    const bound = scope.proxy.loopback?.type === 'sidecar' ? ports : ports.filter(({ sidecar }) => sidecar !== undefined)
    return bound.map((port) => boundListener(port, scope))
  }
  const bound = ports.filter(({ bind }) => bind !== '')
  const caught = ports.filter(({ bind }) => bind === '')
  return [virtualInbound(caught, scope), ...bound.map((port) => boundListener(port, scope))]
}

function keyFor(inbound: InboundPort, scope: Scope): string {
  const services = inbound.instances.map(({ service, port }) => `${service.host}/${service.namespace}/${port.protocol}`)
  return keyOf(
    inbound.port,
    scope.inboundMtls(inbound.port),
    meshKey(scope.snapshot.mesh),
    httpSettingsKey(scope),
    shares(inbound, scope),
    workloadSecurity(scope).key,
    mixerInbound(inbound, scope)?.key,
    mixerInboundTcp(inbound, scope)?.key,
    inbound.sidecar === undefined ? undefined : `${inbound.sidecar}@${scope.sidecar?.version}`,
    ...services,
  )
}

function boundListener(inbound: InboundPort, scope: Scope): Recipe {
  const address = inbound.bind || scope.proxy.ip
  const name = `${address}_${inbound.port}`
  return {
    name,
    key: keyFor(inbound, scope),
    origins: originsOf([inbound], scope),
    build: () => {
      const chains = chainsOf(inbound, scope, undefined)
      return Listener.encode(
        Listener.fromPartial({
          name,
          address: listenAddress(address, inbound.port),
          trafficDirection: TrafficDirection.INBOUND,
          ...detecting(inspectors(chains, []), scope.snapshot.mesh),
          filterChains: chains,
        }),
      ).finish()
    },
  }
}

function virtualInbound(ports: readonly InboundPort[], scope: Scope): Recipe {
  const { mesh } = scope.snapshot
  const rest = scope.inboundMtls(0)
  const otherPorts = portsWithOwnMode(scope, rest, new Set(ports.map(({ port }) => port)))
  return {
    name: 'virtualInbound',
    key: keyOf(
      rest,
      JSON.stringify(otherPorts),
      meshKey(mesh),
      httpSettingsKey(scope),
      workloadSecurity(scope).key,
      scope.proxy.interceptionMode,
      anyAddressKey(scope.proxy),
      ...ports.map((port) => keyFor(port, scope)),
    ),
    origins: originsOf(ports, scope),
    build: () => {
      const chains = ports.flatMap((port) => chainsOf(port, scope, port.port))
      const all = [
        FilterChain.fromPartial({
          name: 'virtualInbound-blackhole',
          filterChainMatch: { destinationPort: mesh.inboundPort },
          filters: tcpProxy(clusterNames.blackHole, [{ cluster: clusterNames.blackHole, weight: 100 }], scope, 'server'),
        }),
        ...chains,
        ...otherPorts.flatMap(({ port, mode }) => passthroughChains(scope, mode, port)),
        ...passthroughChains(scope, rest, undefined),
      ]
      return Listener.encode(
        Listener.fromPartial({
          name: 'virtualInbound',
          ...anyAddress(scope.proxy, mesh.inboundPort),
          trafficDirection: TrafficDirection.INBOUND,
          transparent: scope.proxy.interceptionMode === 'TPROXY' ? true : undefined,
          ...detecting(inspectors(all, [originalDestination()]), mesh),
          filterChains: all,
        }),
      ).finish()
    },
  }
}

/** What calls a port that no service leads to goes on to where it was going; HTTP is read, so that policies see it. */
function passthroughChains(scope: Scope, mode: MtlsMode, port: number | undefined): FilterChain[] {
  const cluster = clusterNames.inboundPassthrough
  const http = (secure: boolean): FilterChain['filters'] => [
    httpConnectionManager({
      side: 'inbound',
      statPrefix: cluster,
      scope,
      security: workloadSecurity(scope).http(),
      mixer: undefined,
      cors: false,
      tellsClientCertificate: secure,
      routes: { inline: toApplication(cluster, 'inbound|http|0', ':0/*', undefined) },
    }),
  ]
  const tcp = (): FilterChain['filters'] => [
    ...peerFilters(scope),
    ...workloadSecurity(scope).tcp(),
    ...tcpProxy(cluster, [{ cluster, weight: 100 }], scope, 'server'),
  ]
  return [
    ...securityChains(scope, 'virtualInbound-catchall-http', mode, port, true, http, 'http'),
    ...securityChains(scope, 'virtualInbound', mode, port, false, tcp, 'tcp'),
  ]
}

/** Ports that no service leads to, for which a PeerAuthentication states a mode other than that of the rest. */
function portsWithOwnMode(scope: Scope, rest: MtlsMode, known: ReadonlySet<number>): { port: number; mode: MtlsMode }[] {
  const stated = new Set(scope.snapshot.peerAuthentications.flatMap(({ spec }) => Object.keys(spec.portLevelMtls).map(Number)))
  return [...stated]
    .filter((port) => !known.has(port))
    .sort((a, b) => a - b)
    .map((port) => ({ port, mode: scope.inboundMtls(port) }))
    .filter(({ mode }) => mode !== rest)
}

function originsOf(ports: readonly InboundPort[], scope: Scope): string[] {
  const services = ports.flatMap(({ instances }) => instances.map(({ service }) => service.origin))
  const sidecars = ports.flatMap(({ sidecar }) => sidecar ?? [])
  return [...new Set([...services, ...sidecars, ...workloadSecurity(scope).origins])]
}

/** Only what some chain asks about is inspected. */
function inspectors(chains: readonly FilterChain[], before: readonly ListenerFilter[]): ListenerFilter[] {
  const filters = [...before]
  if (chains.some(({ filterChainMatch }) => (filterChainMatch?.transportProtocol ?? '') !== '')) filters.push(tlsInspector())
  const asksForHttp = chains.some(({ filterChainMatch }) => filterChainMatch?.applicationProtocols.includes('http/1.1'))
  if (asksForHttp) filters.push(httpInspector())
  return filters
}

function chainsOf(inbound: InboundPort, scope: Scope, destinationPort: number | undefined): FilterChain[] {
  const [{ port }] = inbound.instances
  const mode = scope.inboundMtls(inbound.port)
  const name = `${inbound.sidecar === undefined ? '0.0.0.0' : inbound.bind || scope.proxy.ip}_${inbound.port}`
  if (inbound.tls !== undefined && mode === 'DISABLE') return [ownTlsChain(inbound, inbound.tls, name, scope, destinationPort)]
  if (port.protocol === 'auto') {
    return [
      ...securityChains(scope, name, mode, destinationPort, true, (secure) => [httpFilter(inbound, scope, secure)], 'http'),
      ...securityChains(scope, name, mode, destinationPort, false, () => tcpFilters(inbound, scope), 'tcp'),
    ]
  }
  const http = isHttp(port.protocol)
  const filters = (secure: boolean) => (http ? [httpFilter(inbound, scope, secure)] : tcpFilters(inbound, scope))
  return securityChains(scope, name, mode, destinationPort, http, filters, undefined, http && shares(inbound, scope))
}

/** Whether clients' sidecars that are ours too may have requests share connections to this port. */
function shares({ connectionPool }: InboundPort, { proxy, settings }: Scope): boolean {
  return proxy.isWeft && sharesConnections(connectionPool, settings.headers.preservesCase)
}

/** The chain of a port whose TLS the sidecar ends for the application, as its Sidecar states it; plaintext finds none. */
function ownTlsChain(
  inbound: InboundPort,
  tls: ServerTLSSettings,
  name: string,
  scope: Scope,
  destinationPort: number | undefined,
): FilterChain {
  const { protocol } = inbound.instances[0].port
  const http = isHttp(protocol) || protocol === 'https'
  const mutual = tls.mode === ServerMode.MUTUAL || tls.mode === ServerMode.OPTIONAL_MUTUAL
  return FilterChain.fromPartial({
    name,
    filterChainMatch: { destinationPort, transportProtocol: 'tls' },
    transportSocket: serverSocket(tls, http ? ['h2', 'http/1.1'] : [], scope.snapshot.mesh),
    filters: http ? [httpFilter(inbound, scope, mutual)] : tcpFilters(inbound, scope),
  })
}

/**
 * The chains of a port under a mode: STRICT has only the mesh's TLS, so that plaintext finds no chain and is refused;
 * PERMISSIVE takes both; DISABLE only what comes as it is. `sniffed` narrows each to HTTP, or to what is left.
 */
function securityChains(
  scope: Scope,
  name: string,
  mode: MtlsMode,
  destinationPort: number | undefined,
  http: boolean,
  filters: (secure: boolean) => FilterChain['filters'],
  sniffed?: 'http' | 'tcp',
  shared = false,
): FilterChain[] {
  const { mesh } = scope.snapshot
  const exchanges = !http && exchangesPeers(scope, 'server')
  const alpn = [...(exchanges ? [peerExchange] : []), 'h2', 'http/1.1']
  const chain = (match: Partial<FilterChainMatch>, secure: boolean): FilterChain =>
    FilterChain.fromPartial({
      name,
      filterChainMatch: { destinationPort, ...match },
      transportSocket: secure ? meshDownstreamSocket(shared ? [sharedHttp, ...alpn] : alpn, mesh) : undefined,
      filters: filters(secure),
    })
  const chains: FilterChain[] = []
  if (mode !== 'DISABLE') {
    const offered = sniffed === 'http' ? httpMeshAlpn : sniffed === 'tcp' ? tcpMeshAlpn : meshAlpn
    const any = mode === 'STRICT' && sniffed !== 'http'
    chains.push(chain({ transportProtocol: 'tls', applicationProtocols: any ? [] : [...offered] }, true))
  }
  if (mode === 'STRICT') return chains
  if (mode === 'DISABLE' && sniffed === undefined) return [chain({}, false)]
  chains.push(
    chain({ transportProtocol: 'raw_buffer', applicationProtocols: sniffed === 'http' ? [...plainHttpProtocols] : [] }, false),
  )
  // TLS of the application's own passes as it is, where the port is no HTTP.
  if (!http) chains.push(chain({ transportProtocol: 'tls' }, false))
  return chains
}

function tcpFilters(inbound: InboundPort, scope: Scope): FilterChain['filters'] {
  const cluster = inboundClusterName(inbound.port)
  const mixer = mixerInboundTcp(inbound, scope)
  return [
    ...peerFilters(scope),
    ...workloadSecurity(scope).tcp(),
    ...(mixer === undefined ? [] : [{ name: 'mixer', configType: { $case: 'typedConfig' as const, value: mixer.config } }]),
    ...tcpProxy(cluster, [{ cluster, weight: 100 }], scope, 'server'),
  ]
}

/** Who is at the other end is told before anything asks. */
function peerFilters(scope: Scope): FilterChain['filters'] {
  if (!exchangesPeers(scope, 'server')) return []
  const { name, typedConfig } = peerExchangeFilter
  return [{ name, configType: { $case: 'typedConfig', value: typedConfig } }]
}

function httpFilter(inbound: InboundPort, scope: Scope, secure: boolean) {
  const cluster = inboundClusterName(inbound.port)
  const [{ service, port }] = inbound.instances
  const perService = mixerServiceConfig(inbound, scope)
  return httpConnectionManager({
    side: 'inbound',
    statPrefix: `inbound_0.0.0.0_${inbound.port}`,
    scope,
    security: workloadSecurity(scope).http(),
    mixer: mixerInbound(inbound, scope)?.config,
    cors: false,
    tellsClientCertificate: secure,
    routes: {
      inline: toApplication(cluster, `inbound|http|${port.number}`, `${service.host}:${port.number}/*`, perService),
    },
  })
}

/** All requests to one cluster, and what the Mixer filter is told of the service that they are for. */
function toApplication(cluster: string, virtualHost: string, operation: string, mixer: Any | undefined): RouteConfiguration {
  return RouteConfiguration.fromPartial({
    name: cluster,
    validateClusters: false,
    virtualHosts: [
      {
        name: virtualHost,
        domains: ['*'],
        routes: [
          {
            name: 'default',
            match: { pathSpecifier: { $case: 'prefix', value: '/' } },
            decorator: { operation },
            action: {
              $case: 'route',
              value: { clusterSpecifier: { $case: 'cluster', value: cluster }, timeout: milliseconds(0) },
            },
            typedPerFilterConfig: mixer === undefined ? {} : { mixer },
          },
        ],
      },
    ],
  })
}
