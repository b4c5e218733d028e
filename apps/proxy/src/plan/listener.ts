import { TrafficDirection } from '@weft/contracts/envoy/config/core/v3/base'
import { type Listener, Listener as ListenerProto } from '@weft/contracts/envoy/config/listener/v3/listener'
import type { FilterChain } from '@weft/contracts/envoy/config/listener/v3/listener_components'
import { behindGates, type CompiledNetworkFilter } from '../filters/network/filter.ts'
import { networkFilterKind, networkGateKind } from '../filters/network/index.ts'
import { compileDownstreamTls, type DownstreamTls } from './downstream-tls.ts'
import { durationMs } from './duration.ts'
import { FilterChainMatcher } from './filter-chain-match.ts'
import type { PlanContext } from './plan-context.ts'
import { invalid, unsupported } from './problems.ts'

/** Where a listener listens. */
export type ListenAddress = { type: 'ip'; host: string; port: number } | { type: 'pipe'; path: string }

/** One filter chain, compiled. */
export interface FilterChainPlan {
  name: string
  tls: DownstreamTls | null
  filter: CompiledNetworkFilter
  transportTimeoutMs: number
}

/** A listener, compiled. */
export interface ListenerPlan {
  name: string
  /** Name in stats: stat_prefix, or the address. */
  statName: string
  direction: 'unspecified' | 'inbound' | 'outbound'
  addresses: readonly ListenAddress[]
  bindToPort: boolean
  backlog: number
  chains: FilterChainMatcher<FilterChainPlan>
  allChains: readonly FilterChainPlan[]
  /** Whether the first bytes have to be looked at before a chain is chosen. */
  inspect: boolean
  inspectTimeoutMs: number
  continueOnTimeout: boolean
}

const inspectors = ['envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector']

/** Compiles a listener; throws WeftError at the place of what is invalid or not supported. */
export function compileListener(bytes: Uint8Array, context: PlanContext): ListenerPlan {
  const source = ListenerProto.decode(bytes)
  const at = `Listener ${source.name}`
  const direction =
    source.trafficDirection === TrafficDirection.INBOUND
      ? 'inbound'
      : source.trafficDirection === TrafficDirection.OUTBOUND
        ? 'outbound'
        : 'unspecified'
  if (source.useOriginalDst === true) throw unsupported(`${at}: use_original_dst`, 'use_original_dst')
  if (source.apiListener !== undefined) throw unsupported(`${at}: api_listener`, 'api_listener')
  if (source.filterChainMatcher !== undefined) throw unsupported(`${at}: filter_chain_matcher`, 'a matcher tree')
  if (source.filterChains.length === 0 && source.defaultFilterChain === undefined) {
    throw invalid(`${at}: filter_chains`, 'no filter chains specified')
  }
  const addresses = listenAddresses(source, at)
  const [first] = addresses
  const statName =
    source.statPrefix !== '' ? source.statPrefix : first === undefined ? source.name : addressText(first).replaceAll(':', '_')
  const { perConnectionBufferLimitBytes } = source
  const bufferLimit = perConnectionBufferLimitBytes === undefined ? {} : { bufferLimit: perConnectionBufferLimitBytes }
  const inside: PlanContext = { ...context, direction, listenerStatPrefix: `listener.${statName}.`, ...bufferLimit }
  const allChains: FilterChainPlan[] = []
  const fallback =
    source.defaultFilterChain === undefined
      ? null
      : compileChain(source.defaultFilterChain, `${at}: default_filter_chain`, inside)
  if (fallback !== null) allChains.push(fallback)
  const chains = new FilterChainMatcher<FilterChainPlan>(fallback)
  let inspect = inspects(source, at)
  source.filterChains.forEach((chain, i) => {
    const path = `${at}: filter_chains[${i}]`
    const plan = compileChain(chain, path, inside)
    allChains.push(plan)
    chains.add(chain.filterChainMatch, plan, path)
    const match = chain.filterChainMatch
    if (
      match !== undefined &&
      (match.serverNames.length > 0 || match.transportProtocol !== '' || match.applicationProtocols.length > 0)
    ) {
      // Envoy puts the inspector in by itself where a chain's match needs it.
      inspect = true
    }
  })
  return {
    name: source.name,
    statName,
    direction,
    addresses,
    bindToPort: source.bindToPort ?? true,
    backlog: source.tcpBacklogSize ?? 1024,
    chains,
    allChains,
    inspect,
    inspectTimeoutMs: durationMs(source.listenerFiltersTimeout, 15_000),
    continueOnTimeout: source.continueOnListenerFiltersTimeout,
  }
}

/** `host:port` or the pipe's path. */
export function addressText(address: ListenAddress): string {
  if (address.type === 'pipe') return address.path
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`
}

function inspects(source: Listener, at: string): boolean {
  let inspect = false
  source.listenerFilters.forEach((filter, i) => {
    const type = filter.configType?.$case === 'typedConfig' ? (filter.configType.value.typeUrl.split('/').pop() ?? '') : ''
    if (inspectors.includes(type)) inspect = true
    // HTTP/1.1 is all there is: what the inspector would tell apart is known.
    else if (type !== 'envoy.extensions.filters.listener.http_inspector.v3.HttpInspector') {
      throw unsupported(`${at}: listener_filters[${i}]`, `listener filter '${type === '' ? filter.name : type}'`)
    }
  })
  return inspect
}

function listenAddresses(source: Listener, at: string): ListenAddress[] {
  const all = [
    { address: source.address, path: `${at}: address` },
    ...source.additionalAddresses.map((one, i) => ({ address: one.address, path: `${at}: additional_addresses[${i}].address` })),
  ]
  return all.map(({ address, path }) => {
    const one = address?.address
    switch (one?.$case) {
      case 'socketAddress': {
        const { address: host, portSpecifier, protocol } = one.value
        if (protocol !== 0) throw unsupported(`${path}.socket_address.protocol`, 'UDP')
        if (portSpecifier?.$case !== 'portValue') throw invalid(`${path}.socket_address`, 'a port_value is needed')
        return { type: 'ip' as const, host, port: portSpecifier.value }
      }
      case 'pipe':
        return { type: 'pipe' as const, path: one.value.path }
      default:
        throw invalid(path, 'a socket_address or pipe is needed')
    }
  })
}

function compileChain(source: FilterChain, path: string, context: PlanContext): FilterChainPlan {
  if (source.filters.length === 0) throw invalid(`${path}.filters`, 'a filter chain needs a filter')
  const configs = source.filters.map(({ configType }, i) => {
    if (configType?.$case !== 'typedConfig') throw invalid(`${path}.filters[${i}]`, 'a typed_config is needed')
    return { any: configType.value, at: `${path}.filters[${i}].typed_config` }
  })
  const { any, at } = configs.pop()!
  const gates = configs.map((gate) => networkGateKind(gate.any.typeUrl, gate.at).compile(gate.any.value, gate.at, context))
  const compiled = behindGates(gates, networkFilterKind(any.typeUrl, at).compile(any.value, at, context))
  return {
    name: source.name,
    tls:
      source.transportSocket === undefined
        ? null
        : compileDownstreamTls(source.transportSocket, `${path}.transport_socket`, context.secrets, compiled.alpn),
    filter: compiled,
    transportTimeoutMs: durationMs(source.transportSocketConnectTimeout, 15_000),
  }
}
