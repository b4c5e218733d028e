import type { Endpoint } from '../endpoint.ts'
import { cell, type EndpointSlab } from '../endpoint-slab.ts'
import { type Hash64, latin1 } from './hash64.ts'
import { MersenneTwister } from './mersenne-twister.ts'
import type { ConsistentHashing } from './policy.ts'

/** A host and its share of all requests; shares add up to 1. */
export interface WeightedHost {
  host: Endpoint
  share: number
}

/** Which host a hash falls to. */
export interface HashTable {
  /** `attempt` above 0: another one, when the first did not please. */
  choose(hash: Hash64, attempt: number): Endpoint
  /** For gauges. */
  readonly size: number
  readonly fewest: number
  readonly most: number
}

/** What stands for a host in hashes: `envoy.lb` metadata `hash_key`, or its hostname, or its address; latin1. */
export function hashKeyOf(host: Endpoint, useHostname: boolean): string {
  const own = host.metadata['envoy.lb']
  if (typeof own === 'object' && own !== null && 'hash_key' in own && typeof own.hash_key === 'string' && own.hash_key !== '')
    return latin1(own.hash_key)
  return useHostname ? latin1(host.hostname) : host.key
}

/**
 * Consistent hashing with bounded loads (arXiv 1608.01350): a host that has more than its part of all active requests times
 * the factor passes a request on to others, in an order that follows from the hash.
 */
export function boundLoads(
  table: HashTable,
  hosts: readonly WeightedHost[],
  { balanceFactor }: ConsistentHashing,
  slab: EndpointSlab,
): HashTable {
  if (balanceFactor === 0 || hosts.length < 2) return table
  const shares = new Map(hosts.map(({ host, share }) => [host, share]))
  const order = new Uint32Array(hosts.length)
  const loadOf = (host: Endpoint, share: number): number => {
    let active = 0
    for (const { host: each } of hosts) active += slab.get(each.slot, cell.activeRequests)
    const places = Math.floor(((active + 1) * balanceFactor + 99) / 100)
    return slab.get(host.slot, cell.activeRequests) / Math.max(1, Math.ceil(places * share))
  }
  return {
    size: table.size,
    fewest: table.fewest,
    most: table.most,
    choose(hash, attempt) {
      const first = table.choose(hash, attempt)
      let least = loadOf(first, shares.get(first) ?? 0)
      if (least <= 1) return first
      let best = first
      const random = new MersenneTwister(hash.lo)
      for (let i = 0; i < order.length; i++) order[i] = i
      for (let i = 0; i < order.length; i++) {
        const at = i + random.below(order.length - i)
        const index = order[at]!
        order[at] = order[i]!
        order[i] = index
        const { host, share } = hosts[index]!
        if (host === first) continue
        const load = loadOf(host, share)
        if (load <= 1) return host
        if (load >= least) continue
        best = host
        least = load
      }
      return best
    },
  }
}
