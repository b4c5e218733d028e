import { TrafficDirection } from '@weft/contracts/envoy/config/core/v3/base'
import { type Listener, Listener as ListenerProto } from '@weft/contracts/envoy/config/listener/v3/listener'
import type { FilterChain, ListenerFilter } from '@weft/contracts/envoy/config/listener/v3/listener_components'
import { unlessDisabled } from '../filters/listener/disabled.ts'
import type { CompiledListenerFilter } from '../filters/listener/filter.ts'
import { listenerFilterKind } from '../filters/listener/index.ts'
import type { CompiledNetworkFilter } from '../filters/network/filter.ts'
import { behindGates } from '../filters/network/gated-connection.ts'
import { networkFilterKind, networkGateKind } from '../filters/network/index.ts'
import { type AccessLog, compileAccessLogs } from '../observe/access-log/access-log.ts'
import type { Counter } from '../observe/stats.ts'
import { type SharedCount, TokenBuckets } from '../shared/token-buckets.ts'
import type { SocketOption } from '../transport/own-socket.ts'
import { compileDownstreamTls, type DownstreamTls } from './downstream-tls.ts'
import { durationMs } from './duration.ts'
import { type FilterChainChoice, FilterChainMatcher } from './filter-chain-match.ts'
import { compileChainTree } from './filter-chain-tree.ts'
import type { PlanContext } from './plan-context.ts'
import { invalid, unsupported } from './problems.ts'
import { compileSocketOptions } from './socket-options.ts'

/**
 * Where a listener listens. `takesIpv4`: an IPv6 socket for both families. `options`: of its sockets, inherited by those of its connections; none: Node makes them.
 * `mode`: a pipe's permissions; 0: as the process makes files.
 */
export type ListenAddress =
  | { type: 'ip'; host: string; port: number; takesIpv4: boolean; options?: readonly SocketOption[] }
  | { type: 'pipe'; path: string; mode: number }

/** One filter chain, compiled. */
export interface FilterChainPlan {
  name: string
  /** filter_metadata, for logs. */
  metadata: Readonly<Record<string, unknown>> | undefined
  tls: DownstreamTls | null
  filter: CompiledNetworkFilter
  transportTimeoutMs: number
  /** Counts handshakes that took longer than that. */
  timedOut: Counter
}

/** A listener, compiled. */
export interface ListenerPlan {
  name: string
  /** filter_metadata, for logs. */
  metadata: Readonly<Record<string, unknown>> | undefined
  /** Name in stats: stat_prefix, or the address. */
  statName: string
  direction: 'unspecified' | 'inbound' | 'outbound'
  addresses: readonly ListenAddress[]
  bindToPort: boolean
  /** Whether a connection is asked where it was going before it was redirected here. */
  readsOriginalDestination: boolean
  /** Whether such a connection goes to the listener that has this address, where there is one (`use_original_dst`). */
  handsOff: boolean
  /** Takes connections to any address, as TPROXY leads them here: their own address is where they were going. */
  transparent: boolean
  backlog: number
  /** How many connections are taken before those that are open have their turn. */
  acceptsAtOnce: number
  /** The overload manager does not hold its connections up. */
  bypassesOverload: boolean
  /** Its connections count among those of all listeners. */
  countsGlobally: boolean
  chains: FilterChainChoice<FilterChainPlan>
  allChains: readonly FilterChainPlan[]
  /** What looks at a connection before a chain is chosen, in order. */
  filters: readonly CompiledListenerFilter[]
  /** How long all of `filters` may take. 0: as long as they like. */
  inspectTimeoutMs: number
  continueOnTimeout: boolean
  /** Told of each connection when it is over, whatever became of it; null: nobody is. */
  accessLog: AccessLog | null
  /** The most connections at once, over all workers, as the runtime says. */
  connectionLimit: () => number
  /** Which worker it is in. */
  workerIndex: number
  /** Opens their count. */
  openCount: () => SharedCount
}

const originalDestinationType = 'envoy.extensions.filters.listener.original_dst.v3.OriginalDst'
const noLimit = 2 ** 32

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
  if (source.apiListener !== undefined) throw unsupported(`${at}: api_listener`, 'api_listener')
  if (source.filterChains.length === 0 && source.defaultFilterChain === undefined) {
    throw invalid(`${at}: filter_chains`, 'no filter chains specified')
  }
  const addresses = listenAddresses(source, at)
  const statName = statNameOf(source, addresses)
  const { perConnectionBufferLimitBytes } = source
  const handsOff = source.useOriginalDst === true
  const bufferLimit = perConnectionBufferLimitBytes === undefined ? {} : { bufferLimit: perConnectionBufferLimitBytes }
  const inside: PlanContext = { ...context, direction, listenerStatPrefix: `listener.${statName}.`, ...bufferLimit }
  const allChains: FilterChainPlan[] = []
  const fallback =
    source.defaultFilterChain === undefined
      ? null
      : compileChain(source.defaultFilterChain, `${at}: default_filter_chain`, inside)
  if (fallback !== null) allChains.push(fallback)
  const chains = source.filterChains.map((chain, i) => compileChain(chain, `${at}: filter_chains[${i}]`, inside))
  allChains.push(...chains)
  return {
    name: source.name,
    metadata: source.metadata?.filterMetadata,
    statName,
    direction,
    addresses,
    bindToPort: source.bindToPort ?? true,
    readsOriginalDestination: handsOff || source.listenerFilters.some((filter) => typeOf(filter) === originalDestinationType),
    handsOff,
    transparent: source.transparent === true,
    bypassesOverload: source.bypassOverloadManager,
    countsGlobally: !source.ignoreGlobalConnLimit,
    // As many as Linux allows where nobody has told it otherwise.
    backlog: source.tcpBacklogSize ?? 4096,
    acceptsAtOnce: source.maxConnectionsToAcceptPerSocketEvent ?? 16,
    chains: compileChoice(source, at, chains, fallback),
    allChains,
    filters: compileFilters(source, at, inside),
    inspectTimeoutMs: durationMs(source.listenerFiltersTimeout, 15_000),
    continueOnTimeout: source.continueOnListenerFiltersTimeout,
    accessLog: compileAccessLogs(source.accessLog, `${at}: access_log`, {
      runtime: context.runtime,
      files: context.logFiles,
      services: context.services,
      stats: context.stats,
    }),
    connectionLimit: () => context.runtime.number(`envoy.resource_limits.listener.${source.name}.connection_limit`, noLimit),
    workerIndex: context.services?.workerIndex ?? 0,
    openCount: () => (context.services?.tokenBuckets ?? new TokenBuckets(1)).openCount(at),
  }
}

/** How a connection's chain is chosen: by a tree, which names chains, or by what each of them says itself. */
function compileChoice(
  { filterChains, filterChainMatcher }: Listener,
  at: string,
  chains: readonly FilterChainPlan[],
  fallback: FilterChainPlan | null,
): FilterChainChoice<FilterChainPlan> {
  if (filterChainMatcher === undefined) {
    const matcher = new FilterChainMatcher<FilterChainPlan>(fallback)
    for (const [i, chain] of chains.entries()) matcher.add(filterChains[i]?.filterChainMatch, chain, `${at}: filter_chains[${i}]`)
    return matcher
  }
  const named = new Map<string, FilterChainPlan>()
  for (const [i, chain] of chains.entries()) {
    const path = `${at}: filter_chains[${i}].name`
    if (chain.name === '') throw invalid(path, '"name" field is required when using a listener matcher')
    if (named.has(chain.name)) throw invalid(path, `"name" field is duplicated with value '${chain.name}'`)
    named.set(chain.name, chain)
  }
  return compileChainTree(filterChainMatcher, `${at}: filter_chain_matcher`, named, fallback)
}

/** What a listener's statistics are called by: its prefix, or else its address, or else its name. */
export function listenerStatName(source: Listener): string {
  return statNameOf(source, listenAddresses(source, source.name))
}

function statNameOf({ statPrefix, name }: Listener, [first]: readonly ListenAddress[]): string {
  if (statPrefix !== '') return statPrefix
  return first === undefined ? name : addressText(first).replaceAll(':', '_')
}

/** `host:port` or the pipe's path. */
export function addressText(address: { type: 'ip'; host: string; port: number } | { type: 'pipe'; path: string }): string {
  if (address.type === 'pipe') return address.path
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`
}

function compileFilters(source: Listener, at: string, context: PlanContext): CompiledListenerFilter[] {
  return source.listenerFilters.flatMap((filter, i) => {
    const type = typeOf(filter)
    const path = `${at}: listener_filters[${i}]`
    if (type === originalDestinationType) {
      // It asks the socket, before there are facts to match.
      if (filter.filterDisabled !== undefined) throw unsupported(`${path}.filter_disabled`, 'for original_dst')
      return []
    }
    const any = filter.configType?.$case === 'typedConfig' ? filter.configType.value : undefined
    if (any === undefined) throw unsupported(path, `listener filter '${filter.name}'`)
    const compiled = listenerFilterKind(any.typeUrl, path).compile(any.value, `${path}.typed_config`, context)
    return [unlessDisabled(compiled, filter.filterDisabled)]
  })
}

function typeOf(filter: ListenerFilter): string {
  return filter.configType?.$case === 'typedConfig' ? (filter.configType.value.typeUrl.split('/').pop() ?? '') : ''
}

function listenAddresses(source: Listener, at: string): ListenAddress[] {
  const { socketOptions, tcpKeepalive: keepalive, freebind, tcpFastOpenQueueLength: fastOpenQueue } = source
  const all = [
    { address: source.address, path: `${at}: address`, options: socketOptions, keepalive },
    ...source.additionalAddresses.map((one, i) => ({
      address: one.address,
      path: `${at}: additional_addresses[${i}].address`,
      options: one.socketOptions?.socketOptions ?? socketOptions,
      keepalive: one.tcpKeepalive ?? keepalive,
    })),
  ]
  return all.map(({ address, path, ...wishes }) => {
    const one = address?.address
    switch (one?.$case) {
      case 'socketAddress': {
        const { address: host, portSpecifier, protocol, ipv4Compat: takesIpv4 } = one.value
        if (protocol !== 0) throw unsupported(`${path}.socket_address.protocol`, 'UDP')
        if (portSpecifier?.$case !== 'portValue') throw invalid(`${path}.socket_address`, 'a port_value is needed')
        if (takesIpv4 && host !== '::' && !host.toLowerCase().startsWith('::ffff:'))
          throw invalid(
            `${path}.socket_address`,
            `Only IPv6 address '::' or valid IPv4-mapped IPv6 address can set ipv4_compat: ${host}:${portSpecifier.value}`,
          )
        const options = compileSocketOptions({ ...wishes, freebind, fastOpenQueue }, path)
        return { type: 'ip' as const, host, port: portSpecifier.value, takesIpv4, ...(options.length === 0 ? {} : { options }) }
      }
      case 'pipe': {
        const { path: name, mode } = one.value
        if (mode !== 0 && name.startsWith('@')) throw invalid(`${path}.pipe.mode`, 'cannot set mode for abstract AF_UNIX sockets')
        return { type: 'pipe' as const, path: name, mode }
      }
      default:
        throw invalid(path, 'a socket_address or pipe is needed')
    }
  })
}

/** A filter that says nothing, and closes. */
const closing = {
  typeUrl: 'type.googleapis.com/envoy.extensions.filters.network.direct_response.v3.Config',
  value: new Uint8Array(),
}

function compileChain(source: FilterChain, path: string, context: PlanContext): FilterChainPlan {
  const configs = source.filters.map(({ configType }, i) => {
    if (configType?.$case !== 'typedConfig') throw invalid(`${path}.filters[${i}]`, 'a typed_config is needed')
    return { any: configType.value, at: `${path}.filters[${i}].typed_config` }
  })
  // Without filters nobody takes the connection: it is closed.
  const { any, at } = configs.pop() ?? { any: closing, at: path }
  const gates = configs.map((gate) => networkGateKind(gate.any.typeUrl, gate.at).compile(gate.any.value, gate.at, context))
  const compiled = behindGates(gates, networkFilterKind(any.typeUrl, at).compile(any.value, at, context))
  return {
    name: source.name,
    metadata: source.metadata?.filterMetadata,
    tls:
      source.transportSocket === undefined
        ? null
        : compileDownstreamTls(source.transportSocket, `${path}.transport_socket`, context.secrets, compiled.alpn),
    filter: compiled,
    transportTimeoutMs: durationMs(source.transportSocketConnectTimeout, 0) || 15_000,
    timedOut: context.stats.counter(`${context.listenerStatPrefix ?? ''}downstream_cx_transport_socket_connect_timeout`),
  }
}
