import type { HashPolicies } from '../../routing/hash-policy.ts'

/** How long an endpoint that is new, or healthy again, gets less than its weight. */
export interface SlowStart {
  windowMs: number
  /** Exponent is 1 / aggression. */
  aggression: () => number
  /** 0…1: never less than this part of the weight. */
  minWeight: number
}

export interface ConsistentHashing {
  /** The endpoint's hostname, not its address, is what is hashed. */
  useHostname: boolean
  /** Percent of the mean load that an endpoint may have; 0: any. */
  balanceFactor: number
  /** What hashes are made of, whatever a route says; null: as it says. */
  policies: HashPolicies | null
}

/** How a host is picked from a set. */
export type EndpointPolicy =
  | { type: 'round-robin'; slowStart: SlowStart | null }
  | { type: 'least-request'; choices: number; bias: () => number; fullScan: boolean; slowStart: SlowStart | null }
  | { type: 'random' }
  | { type: 'ring-hash'; minSize: number; maxSize: number; murmur: boolean; hashing: ConsistentHashing }
  | { type: 'maglev'; tableSize: number; hashing: ConsistentHashing }

/** How a locality is chosen before the host. */
export type LocalityPolicy =
  | { type: 'none' }
  | { type: 'weighted' }
  | {
      type: 'zone-aware'
      /** Percent of requests, and the cluster's size below which zones don't count. */
      enabledPercent: () => number
      minClusterSize: () => number
      failTrafficOnPanic: boolean
    }

export type FallbackPolicy = 'none' | 'any' | 'default'

export interface SubsetSelector {
  /** Sorted. */
  keys: readonly string[]
  singleHost: boolean
  /** null: the cluster's own policy. */
  fallback: FallbackPolicy | 'keys' | null
  fallbackKeys: ReadonlySet<string>
}

/** Subset load balancing, compiled. */
export interface SubsetPolicy {
  fallback: FallbackPolicy
  /** Sorted entries; the value in canonical form (metadata-match.ts). */
  defaultSubset: readonly { name: string; value: string }[]
  selectors: readonly SubsetSelector[]
  localityWeightAware: boolean
  scaleLocalityWeight: boolean
  panicModeAny: boolean
  listAsAny: boolean
  fallbackList: boolean
  allowRedundantKeys: boolean
}

/** All that decides which endpoint of a cluster a request goes to. */
export interface BalancerPolicy {
  endpoint: EndpointPolicy
  locality: LocalityPolicy
  subset: SubsetPolicy | null
  /** 0…100; where a smaller share of hosts is healthy or degraded, all are used. */
  panicThreshold: () => number
}

/** How an ORIGINAL_DST cluster learns where to connect to. */
export interface OriginalDestinationPolicy {
  /** Lower case; null: no header is looked at. */
  header: string | null
  /** Reads the address in dynamic metadata, which comes before the header; null: none is looked for. */
  metadata: ((metadata: unknown) => unknown) | null
  /** In place of the address's port; null: that one. */
  portOverride: number | null
  cleanupMs: number
}
