import { keyOf as objectKeyOf } from '@weft/config/objects'
import { TrafficDirection } from '@weft/contracts/envoy/config/core/v3/base'
import { Listener } from '@weft/contracts/envoy/config/listener/v3/listener'
import { FilterChain } from '@weft/contracts/envoy/config/listener/v3/listener_components'
import { meshKey } from '../../model/mesh-settings.ts'
import { isHttp, type Service, type ServicePort } from '../../model/service.ts'
import type { EgressScope, Scope } from '../../scope/scope.ts'
import { forwardingSniFilter, isForwarded } from '../filters/forward-proxy.ts'
import { mixerOutbound } from '../filters/mixer.ts'
import { clusterNames, outboundClusterName } from '../names.ts'
import type { Recipe } from '../resource-cache.ts'
import { destinationVersions, indexOf, restCluster, type SidecarRoute } from '../routes/sidecar-routes.ts'
import { keyOf } from '../wire.ts'
import { httpConnectionManager, httpSettingsKey } from './http-connection-manager.ts'
import {
  anyAddress,
  anyAddressKey,
  detecting,
  httpInspector,
  listenAddress,
  plainHttpProtocols,
  tlsInspector,
} from './listener.ts'
import { loopbackAddresses } from './loopback.ts'
import { tcpProxy } from './tcp-proxy.ts'
import { prefixRanges, tcpTargets, tlsTargets, wholeTarget } from './tcp-routes.ts'

/** Outbound listeners, and the route configurations they name. */
export interface OutboundListeners {
  readonly listeners: Recipe[]
  readonly routes: SidecarRoute[]
}

/** A service's port that leads to a place; `ranges` when it is known there by blocks of addresses. */
interface Entry {
  readonly service: Service
  readonly port: ServicePort
  readonly ranges: readonly string[]
}

/** One place where traffic to services arrives, and what arrives there. */
interface Place {
  readonly address: string
  readonly port: number
  /** Bound for real, or reached only through the listener that takes redirected connections. */
  readonly bound: boolean
  readonly egress: EgressScope
  readonly routeName: string
  /** Set when the place belongs to one service. */
  readonly only: Service | undefined
  readonly entries: Entry[]
}

/** All outbound listeners of a sidecar. */
export function outboundListeners(scope: Scope): OutboundListeners {
  const places = new Map<string, Place>()
  for (const egress of scope.egress) {
    for (const service of egress.services) {
      for (const port of service.ports) if (port.protocol !== 'udp') placesOf(service, port, egress, scope, places)
    }
  }
  const listeners: Recipe[] = []
  const routes = new Map<string, SidecarRoute>()
  for (const place of places.values()) {
    listeners.push(recipe(place, scope))
    if (usesRoute(place)) {
      routes.set(place.routeName, { name: place.routeName, egress: place.egress, port: place.port, only: place.only })
    }
  }
  return { listeners, routes: [...routes.values()] }
}

function usesRoute(place: Place): boolean {
  return place.entries.some(({ port }) => isHttp(port.protocol) || port.protocol === 'auto')
}

function placesOf(service: Service, port: ServicePort, egress: EgressScope, scope: Scope, places: Map<string, Place>): void {
  const add = (place: Omit<Place, 'entries' | 'egress'>, ranges: readonly string[] = []): void => {
    const name = `${place.address}_${place.port}`
    const known = places.get(name)
    if (known === undefined) places.set(name, { ...place, egress, entries: [{ service, port, ranges }] })
    else if (known.only === undefined) known.entries.push({ service, port, ranges })
  }
  const own = { service, only: service, routeName: `${service.host}:${port.number}`, port: port.number }
  if (egress.port !== undefined) {
    const address = egress.bind === '' ? (isBound(egress, scope) ? '127.0.0.1' : '0.0.0.0') : egress.bind
    const { number } = egress.port
    add({ address, port: number, bound: isBound(egress, scope), only: undefined, routeName: `${number}` })
    return
  }
  const { loopback } = scope.proxy
  if (scope.proxy.interceptionMode === 'NONE') {
    if (loopback?.type !== 'sidecar') return
    const address = addressesFor(scope, loopback).get(service.host)
    if (address !== undefined) add({ ...own, address, bound: true })
    return
  }
  if (isHttp(port.protocol)) {
    add({ address: '0.0.0.0', port: port.number, bound: false, only: undefined, routeName: `${port.number}` })
    return
  }
  const shared = { address: '0.0.0.0', port: port.number, bound: false, only: undefined, routeName: `${port.number}` }
  const addresses = service.addresses.filter((address) => address !== '0.0.0.0' && !address.includes('/'))
  const ranges = service.addresses.filter((address) => address.includes('/'))
  if (ranges.length > 0) add(shared, ranges)
  else if (addresses.length === 0) add(shared)
  for (const address of addresses) add({ ...own, address, bound: false })
}

/** Whether a Sidecar's egress listener is one that applications call by its own address. */
function isBound(egress: EgressScope, scope: Scope): boolean {
  if (egress.captureMode === 'NONE') return true
  return egress.captureMode === 'DEFAULT' && scope.proxy.interceptionMode === 'NONE'
}

const loopbacks = new WeakMap<Scope, ReadonlyMap<string, string>>()

function addressesFor(scope: Scope, loopback: Parameters<typeof loopbackAddresses>[0]): ReadonlyMap<string, string> {
  let addresses = loopbacks.get(scope)
  if (addresses === undefined) {
    addresses = loopbackAddresses(loopback, scope.services)
    loopbacks.set(scope, addresses)
  }
  return addresses
}

function recipe(place: Place, scope: Scope): Recipe {
  const { proxy } = scope
  const { mesh } = scope.snapshot
  const name = `${place.address}_${place.port}`
  const index = indexOf(place.egress)
  const tcp = place.entries.filter(({ port }) => !isHttp(port.protocol))
  const virtual = tcp.flatMap(({ service }) => index.for(service.host) ?? [])
  const mixer = mixerOutbound(scope)
  return {
    name,
    key: keyOf(
      place.bound,
      place.address === '0.0.0.0' ? anyAddressKey(proxy) : '',
      place.routeName,
      meshKey(mesh),
      httpSettingsKey(scope),
      mixer?.key,
      cors(scope),
      // HTTP services say all in their routes: only whether there is one matters here.
      usesRoute(place),
      restCluster(scope),
      ...tcp.map(
        ({ service, port, ranges }) =>
          `${service.host}/${port.number}/${port.protocol}/${ranges.join()}/${scope.destinationRule(service.host)?.version ?? ''}`,
      ),
      ...virtual.flatMap((object) => [
        `${objectKeyOf(object)}@${object.version}/${JSON.stringify(proxy.labels)}`,
        ...destinationVersions(object.spec, scope),
      ]),
    ),
    origins: [...new Set([...place.entries.map(({ service }) => service.origin), ...virtual.map(objectKeyOf)])],
    refersTo: usesRoute(place) ? [place.routeName] : [],
    build: () => Listener.encode(build(place, scope, name)).finish(),
  }
}

/** Envoy has the CORS filter at no cost; our proxy gets it where some route has a policy. */
export function cors(scope: Scope): boolean {
  if (!scope.proxy.isWeft) return true
  const objects = scope.proxy.type === 'router' ? scope.gatewayServers : scope.egress
  return objects.some(({ virtualServices }) =>
    virtualServices.some(({ spec }) => spec.http.some(({ corsPolicy }) => corsPolicy !== undefined)),
  )
}

function build(place: Place, scope: Scope, name: string): Listener {
  const http = place.entries.some(({ port }) => isHttp(port.protocol))
  const sniffed = !http && place.entries.some(({ port }) => port.protocol === 'auto')
  const listener = Listener.fromPartial({
    name,
    ...(place.address === '0.0.0.0'
      ? anyAddress(scope.proxy, place.port)
      : { address: listenAddress(place.address, place.port) }),
    trafficDirection: TrafficDirection.OUTBOUND,
    bindToPort: place.bound ? undefined : false,
  })
  // At a caught HTTP port other things may be meant for other hosts; our own proxy reads HTTP there without looking first.
  const detects = http && !place.bound && place.only === undefined && !scope.proxy.isWeft
  if (http && !detects) {
    listener.filterChains = [httpChain(place, scope, name)]
    return listener
  }
  const chains = http
    ? []
    : [
        ...place.entries.flatMap((entry) => [...tlsChains(entry, place, scope), ...subnetChains(entry, place, scope)]),
        ...rangeChains(place, scope),
      ]
  if (detects || sniffed) {
    const chain = httpChain(place, scope, name)
    const match = { transportProtocol: 'raw_buffer', applicationProtocols: [...plainHttpProtocols] }
    chains.push(FilterChain.fromPartial({ ...chain, filterChainMatch: match }))
  }
  const rest = detects ? passthroughChain(scope) : restChain(place, scope)
  listener.filterChains = withoutTwins(chains)
  if (listener.filterChains.some(({ filterChainMatch }) => filterChainMatch?.transportProtocol !== ''))
    listener.listenerFilters.push(tlsInspector())
  if (detects || sniffed) listener.listenerFilters.push(httpInspector())
  Object.assign(listener, detecting(listener.listenerFilters, scope.snapshot.mesh))
  if (listener.filterChains.length === 0) listener.filterChains = [rest]
  else listener.defaultFilterChain = rest
  return listener
}

/** Envoy refuses two chains with the same match: the first one holds. */
function withoutTwins(chains: readonly FilterChain[]): FilterChain[] {
  const seen = new Set<string>()
  return chains.filter(({ filterChainMatch }) => {
    const key = JSON.stringify(filterChainMatch)
    return !seen.has(key) && seen.add(key)
  })
}

/** What no chain of a place takes: its service's connections, or where services are told apart, those of no service. */
function restChain(place: Place, scope: Scope): FilterChain {
  const plain = place.entries.find(
    ({ service, port, ranges }) => ranges.length === 0 && (place.only !== undefined || service.headless || !speaksTls(port)),
  )
  return plain === undefined ? passthroughChain(scope) : tcpChain(plain, scope, place)
}

function passthroughChain(scope: Scope): FilterChain {
  const cluster = restCluster(scope) ?? clusterNames.blackHole
  return FilterChain.fromPartial({ filters: tcpProxy(cluster, [{ cluster, weight: 100 }], scope, 'client') })
}

/** Services that are known by blocks of addresses share a place, and are told apart by them. */
function rangeChains(place: Place, scope: Scope): FilterChain[] {
  return place.entries
    .filter(({ ranges }) => ranges.length > 0)
    .map((entry) =>
      FilterChain.fromPartial({
        ...tcpChain(entry, scope, place),
        filterChainMatch: {
          prefixRanges: prefixRanges(entry.ranges),
        },
      }),
    )
}

function speaksTls(port: ServicePort): boolean {
  return port.protocol === 'https' || port.protocol === 'tls'
}

function httpChain(place: Place, scope: Scope, name: string): FilterChain {
  return FilterChain.fromPartial({
    filters: [
      httpConnectionManager({
        side: 'outbound',
        statPrefix: `outbound_${name}`,
        scope,
        routes: { rds: place.routeName },
        security: [],
        mixer: mixerOutbound(scope)?.config,
        cors: cors(scope),
        tellsClientCertificate: false,
      }),
    ],
  })
}

function tcpChain({ service, port }: Entry, scope: Scope, place: Place): FilterChain {
  const whole = outboundClusterName(port.number, '', service.host)
  const spec = indexOf(place.egress).for(service.host)?.spec
  const stated = tcpTargets(spec, 'mesh', port.number, scope).find(({ subnets }) => subnets.length === 0)
  const targets = stated?.targets ?? [wholeTarget(service, port, scope)]
  return FilterChain.fromPartial({ filters: tcpProxy(whole, targets, scope, 'client') })
}

/** Chains of a service whose VirtualService tells connections apart by the addresses that they are to. */
function subnetChains({ service, port }: Entry, place: Place, scope: Scope): FilterChain[] {
  if (isHttp(port.protocol)) return []
  const spec = indexOf(place.egress).for(service.host)?.spec
  const whole = outboundClusterName(port.number, '', service.host)
  return tcpTargets(spec, 'mesh', port.number, scope)
    .filter(({ subnets }) => subnets.length > 0)
    .map(({ subnets, targets }) =>
      FilterChain.fromPartial({
        filterChainMatch: { prefixRanges: prefixRanges(subnets) },
        filters: tcpProxy(whole, targets, scope, 'client'),
      }),
    )
}

/** Chains by server name: those a VirtualService states, and where services share a place each service's own. */
function tlsChains({ service, port }: Entry, place: Place, scope: Scope): FilterChain[] {
  if (!speaksTls(port)) return []
  const spec = indexOf(place.egress).for(service.host)?.spec
  const whole = outboundClusterName(port.number, '', service.host)
  const stated = tlsTargets(spec, 'mesh', port.number, scope)
  if (stated.length === 0) {
    if (place.only !== undefined && !isForwarded(service)) return []
    stated.push({ subnets: [], serverNames: [service.host], targets: [wholeTarget(service, port, scope)] })
  }
  return stated.map(({ serverNames, subnets, targets }) =>
    FilterChain.fromPartial({
      filterChainMatch: {
        transportProtocol: 'tls',
        serverNames: serverNames.includes('*') ? [] : [...serverNames],
        prefixRanges: prefixRanges(subnets),
      },
      filters: [
        ...(isForwarded(service) ? [forwardingSniFilter(port.number)] : []),
        ...tcpProxy(whole, targets, scope, 'client'),
      ],
    }),
  )
}
