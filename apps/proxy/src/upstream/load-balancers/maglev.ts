import type { Endpoint } from '../endpoint.ts'
import { type HashTable, hashKeyOf, type WeightedHost } from './hash-table.ts'
import { Hash64, xxHash64 } from './hash64.ts'
import type { EndpointPolicy } from './policy.ts'

/**
 * Maglev ("A Fast and Reliable Software Network Load Balancer", section 3.4) with weights: hosts take turns in filling the
 * table, each by its own permutation; one with half the weight of the heaviest takes every other turn.
 */
export function createMaglev(hosts: readonly WeightedHost[], policy: Extract<EndpointPolicy, { type: 'maglev' }>): HashTable {
  const { tableSize } = policy
  const table = new Int32Array(tableSize).fill(-1)
  const hash = new Hash64()
  const heaviest = hosts.reduce((most, { share }) => Math.max(most, share), 0)
  const entries = hosts
    .map(({ host, share }) => ({ host, share, key: hashKeyOf(host, policy.hashing.useHostname) }))
    // The table depends on the order in which it is filled, and must not depend on that of the endpoints.
    .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
    .map(({ host, share, key }) => ({
      host,
      share,
      place: xxHash64(key, hash).modulo(tableSize),
      skip: xxHash64(key, hash, 0, 1).modulo(tableSize - 1) + 1,
      turn: 0,
      count: 0,
    }))
  let filled = 0
  for (let round = 1; filled < tableSize; round++) {
    for (let i = 0; i < entries.length && filled < tableSize; i++) {
      const entry = entries[i]!
      if (round * entry.share < entry.turn) continue
      entry.turn += heaviest
      while (table[entry.place]! >= 0) entry.place = (entry.place + entry.skip) % tableSize
      table[entry.place] = i
      entry.place = (entry.place + entry.skip) % tableSize
      entry.count++
      filled++
    }
  }
  const owners: Endpoint[] = entries.map(({ host }) => host)
  const counts = entries.map(({ count }) => count)
  return {
    size: tableSize,
    fewest: Math.min(...counts),
    most: Math.max(...counts),
    choose(given, attempt) {
      if (attempt === 0) return owners[table[given.modulo(tableSize)]!]!
      // Another place: the hash with `~0 - attempt + 1` mixed in.
      hash.set(given.hi ^ 0xffffffff, given.lo ^ (0xffffffff - attempt + 1))
      return owners[table[hash.modulo(tableSize)]!]!
    },
  }
}
