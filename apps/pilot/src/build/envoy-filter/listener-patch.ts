import { TrafficDirection } from '@weft/contracts/envoy/config/core/v3/base'
import { Listener } from '@weft/contracts/envoy/config/listener/v3/listener'
import { Filter, FilterChain, ListenerFilter } from '@weft/contracts/envoy/config/listener/v3/listener_components'
import {
  HttpConnectionManager,
  HttpFilter,
} from '@weft/contracts/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager'
import {
  EnvoyFilter_ApplyTo as ApplyTo,
  EnvoyFilter_PatchContext as Context,
  type EnvoyFilter_ListenerMatch as Match,
  EnvoyFilter_Patch_Operation as Operation,
} from '@weft/contracts/istio/networking/v1alpha3/envoy_filter'
import { pack } from '../wire.ts'
import { mergedMessage, patchedList } from './list-patch.ts'
import type { Patch, ProxyPatches } from './proxy-patches.ts'
import { patchedRoutes } from './route-patch.ts'

const managerType = 'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'

/** These stand for many ports: a patch's port is looked for in their filter chains. */
const forManyPorts = new Set(['virtualInbound', 'virtualOutbound'])

/** A listener after a proxy's patches, from the outside to the inside; undefined where one removes it. */
export function patchedListener(bytes: Uint8Array, patches: ProxyPatches): Uint8Array | undefined {
  let listener = Listener.decode(bytes)
  const context = contextOf(listener, patches)
  for (const patch of patches.of(ApplyTo.LISTENER, context)) {
    if (patch.operation === Operation.ADD || !listenerMatches(listener, patch)) continue
    if (patch.operation === Operation.REMOVE) return undefined
    listener = patch.operation === Operation.REPLACE ? Listener.decode(patch.value) : mergedMessage(Listener, listener, patch)
  }
  const holding = (applyTo: number): readonly Patch[] =>
    patches.of(applyTo, context).filter((patch) => listenerMatches(listener, patch))
  for (const patch of holding(ApplyTo.LISTENER_FILTER)) {
    const wanted = matchOf(patch)?.listenerFilter ?? ''
    listener.listenerFilters = patchedList(ListenerFilter, listener.listenerFilters, patch, named(wanted))
  }
  for (const patch of holding(ApplyTo.FILTER_CHAIN)) {
    const selects = (chain: FilterChain): boolean => chainMatches(listener, chain, patch)
    listener.filterChains = patchedList(FilterChain, listener.filterChains, patch, selects)
    if (listener.defaultFilterChain === undefined || !selects(listener.defaultFilterChain)) continue
    if (patch.operation === Operation.REMOVE) listener.defaultFilterChain = undefined
    else if (patch.operation === Operation.MERGE)
      listener.defaultFilterChain = mergedMessage(FilterChain, listener.defaultFilterChain, patch)
  }
  const patchChain = (chain: FilterChain): FilterChain => patchedChain(listener, chain, patches, context, holding)
  listener.filterChains = listener.filterChains.map(patchChain)
  if (listener.defaultFilterChain !== undefined) listener.defaultFilterChain = patchChain(listener.defaultFilterChain)
  return Listener.encode(listener).finish()
}

function patchedChain(
  listener: Listener,
  chain: FilterChain,
  patches: ProxyPatches,
  context: number,
  holding: (applyTo: number) => readonly Patch[],
): FilterChain {
  let { filters } = chain
  for (const patch of holding(ApplyTo.NETWORK_FILTER)) {
    if (!chainMatches(listener, chain, patch)) continue
    filters = patchedList(Filter, filters, patch, named(matchOf(patch)?.filterChain?.filter?.name ?? ''))
  }
  const httpPatches = holding(ApplyTo.HTTP_FILTER).filter((patch) => chainMatches(listener, chain, patch))
  return { ...chain, filters: filters.map((filter) => patchedManager(filter, httpPatches, patches, context)) }
}

/** The HTTP filters of a connection manager, and the routes that stand in it; any other filter as it is. */
function patchedManager(filter: Filter, httpPatches: readonly Patch[], patches: ProxyPatches, context: number): Filter {
  const config = filter.configType
  if (config?.$case !== 'typedConfig' || !config.value.typeUrl.endsWith(`/${managerType}`)) return filter
  const manager = HttpConnectionManager.decode(config.value.value)
  for (const patch of httpPatches) {
    const match = matchOf(patch)?.filterChain?.filter
    if (match !== undefined && match.name !== '' && match.name !== filter.name) continue
    manager.httpFilters = patchedList(HttpFilter, manager.httpFilters, patch, named(match?.subFilter?.name ?? ''))
  }
  const routes = manager.routeSpecifier
  if (routes?.$case === 'routeConfig')
    manager.routeSpecifier = { $case: 'routeConfig', value: patchedRoutes(routes.value, patches, context) }
  return { ...filter, configType: { $case: 'typedConfig', value: pack(managerType, HttpConnectionManager, manager) } }
}

function contextOf({ trafficDirection }: Listener, { scope }: ProxyPatches): number {
  if (scope.proxy.type === 'router') return Context.GATEWAY
  return trafficDirection === TrafficDirection.INBOUND ? Context.SIDECAR_INBOUND : Context.SIDECAR_OUTBOUND
}

const matchOf = ({ match }: Patch): Match | undefined => (match?.$case === 'listener' ? match.value : undefined)

const named = (wanted: string): ((filter: { name: string }) => boolean) | undefined =>
  wanted === '' ? undefined : ({ name }) => name === wanted

function listenerMatches({ name, address }: Listener, patch: Patch): boolean {
  const match = matchOf(patch)
  if (match === undefined) return true
  if (match.name !== '' && match.name !== name) return false
  if (match.portNumber === 0 || (patch.applyTo !== ApplyTo.LISTENER && forManyPorts.has(name))) return true
  const socket = address?.address?.$case === 'socketAddress' ? address.address.value : undefined
  return socket?.portSpecifier?.$case === 'portValue' && socket.portSpecifier.value === match.portNumber
}

function chainMatches({ name }: Listener, chain: FilterChain, patch: Patch): boolean {
  const match = matchOf(patch)
  if (match === undefined) return true
  const { destinationPort, serverNames = [], transportProtocol = '', applicationProtocols = [] } = chain.filterChainMatch ?? {}
  if (forManyPorts.has(name) && match.portNumber !== 0 && match.portNumber !== destinationPort) return false
  const wanted = match.filterChain
  if (wanted === undefined) return true
  if (wanted.name !== '' && wanted.name !== chain.name) return false
  if (wanted.sni !== '' && !serverNames.includes(wanted.sni)) return false
  if (wanted.transportProtocol !== '' && wanted.transportProtocol !== transportProtocol) return false
  if (wanted.destinationPort !== 0 && wanted.destinationPort !== destinationPort) return false
  const protocols = wanted.applicationProtocols.split(',').filter((protocol) => protocol !== '')
  return protocols.every((protocol) => applicationProtocols.includes(protocol))
}
