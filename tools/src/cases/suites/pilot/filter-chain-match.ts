import { BlockList } from 'node:net'
import type { Listener } from '@weft/contracts/envoy/config/listener/v3/listener'
import type { FilterChain, FilterChainMatch } from '@weft/contracts/envoy/config/listener/v3/listener_components'

/** What is known of a connection when its filter chain is chosen. */
export interface ConnectionFacts {
  readonly address: string
  readonly port: number
  readonly serverName: string
  readonly transportProtocol: string
  readonly applicationProtocol: string
}

/**
 * The filter chain of a connection: criterion by criterion in Envoy's order, those that match most specifically stay,
 * and where none does those that do not ask (FilterChainMatch, "The following order applies").
 */
export function matchFilterChain(listener: Listener, facts: ConnectionFacts): FilterChain | undefined {
  let chains = listener.filterChains
  for (const criterion of criteria) {
    const ranked = chains
      .map((chain) => ({ chain, rank: chain.filterChainMatch === undefined ? 0 : criterion(chain.filterChainMatch, facts) }))
      .filter(({ rank }) => rank >= 0)
    const best = Math.max(...ranked.map(({ rank }) => rank))
    chains = ranked.filter(({ rank }) => rank === best).map(({ chain }) => chain)
  }
  return chains[0] ?? listener.defaultFilterChain
}

/** How well a chain's criterion fits: 0 when it does not ask, more for a closer match, -1 when it excludes. */
type Criterion = (match: FilterChainMatch, facts: ConnectionFacts) => number

const criteria: readonly Criterion[] = [
  ({ destinationPort }, { port }) => (destinationPort === undefined ? 0 : destinationPort === port ? 1 : -1),
  ({ prefixRanges }, { address }) => {
    const lengths = prefixRanges
      .filter(({ addressPrefix, prefixLen }) => contains(addressPrefix, prefixLen ?? 0, address))
      .map(({ prefixLen }) => 1 + (prefixLen ?? 0))
    return prefixRanges.length === 0 ? 0 : Math.max(-1, ...lengths)
  },
  ({ serverNames }, { serverName }) => {
    const ranks = serverNames.map((name) => {
      if (name === serverName) return 1_000
      return name.startsWith('*.') && serverName.endsWith(name.slice(1)) ? name.length : -1
    })
    return serverNames.length === 0 ? 0 : Math.max(...ranks)
  },
  (match, { transportProtocol }) => (match.transportProtocol === '' ? 0 : match.transportProtocol === transportProtocol ? 1 : -1),
  ({ applicationProtocols }, { applicationProtocol }) =>
    applicationProtocols.length === 0 ? 0 : applicationProtocols.includes(applicationProtocol) ? 1 : -1,
]

function contains(network: string, prefix: number, address: string): boolean {
  const list = new BlockList()
  const family = (text: string): 'ipv4' | 'ipv6' => (text.includes(':') ? 'ipv6' : 'ipv4')
  list.addSubnet(network, prefix, family(network))
  return list.check(address, family(address))
}
