import type { Endpoint } from '../endpoint.ts'
import { type HashTable, hashKeyOf, type WeightedHost } from './hash-table.ts'
import { Hash64, murmurHash2, xxHash64 } from './hash64.ts'
import type { EndpointPolicy } from './policy.ts'

/**
 * A ketama ring: every host at as many points as its weight asks for, the least weighted at a whole number of them. Same
 * points as Envoy's (hashes of `<key>_<i>`), so that a mixed fleet agrees.
 */
export function createRing(hosts: readonly WeightedHost[], policy: Extract<EndpointPolicy, { type: 'ring-hash' }>): HashTable {
  const leastShare = hosts.reduce((least, { share }) => Math.min(least, share), 1)
  const scale = Math.min(Math.ceil(leastShare * policy.minSize) / leastShare, policy.maxSize)
  const size = Math.ceil(scale)
  const highs: number[] = []
  const lows: number[] = []
  const owners: Endpoint[] = []
  const hash = new Hash64()
  const counts: number[] = []
  let current = 0
  let target = 0
  for (const { host, share } of hosts) {
    const key = `${hashKeyOf(host, policy.hashing.useHostname)}_`
    target += scale * share
    let i = 0
    for (; current < target; i++, current++) {
      if (policy.murmur) murmurHash2(key + i, hash)
      else xxHash64(key + i, hash)
      highs.push(hash.hi)
      lows.push(hash.lo)
      owners.push(host)
    }
    counts.push(i)
  }
  const order = Uint32Array.from(owners.keys()).sort((a, b) => highs[a]! - highs[b]! || lows[a]! - lows[b]!)
  const high = Uint32Array.from(order, (at) => highs[at]!)
  const low = Uint32Array.from(order, (at) => lows[at]!)
  const ring = Array.from(order, (at) => owners[at]!)
  return {
    size,
    fewest: Math.min(...counts),
    most: Math.max(...counts),
    choose({ hi, lo }, attempt) {
      // The first point not before the hash, or the very first.
      let from = 0
      let to = ring.length
      while (from < to) {
        const middle = (from + to) >>> 1
        if (high[middle]! < hi || (high[middle]! === hi && low[middle]! < lo)) from = middle + 1
        else to = middle
      }
      return ring[(from + attempt) % ring.length]!
    },
  }
}
