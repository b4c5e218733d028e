import type { StatSource } from '../../observe/stats.ts'

/** What balancers count, under Envoy's names. */
export interface BalancerStats {
  panic: { inc(): void }
  zoneTooSmall: { inc(): void }
  zoneAllDirectly: { inc(): void }
  zoneSampled: { inc(): void }
  zoneCross: { inc(): void }
  zoneNoCapacity: { inc(): void }
  localNotOk: { inc(): void }
  recalculateZones: { inc(): void }
  subsetsSelected: { inc(): void }
  subsetsFallback: { inc(): void }
  subsetsFallbackPanic: { inc(): void }
  subsetsCreated: { add(amount: number): void }
  subsetsRemoved: { add(amount: number): void }
  subsetsActive: { set(value: number): void }
  singleHostDuplicates: { set(value: number): void }
  /** A hash table was made; null where the policy makes none. */
  table: { size: { set(value: number): void }; fewest: { set(value: number): void }; most: { set(value: number): void } } | null
}

const nothing = { inc: () => undefined, add: () => undefined, set: () => undefined }

/**
 * The stats of a cluster's balancer. What belongs to the configuration and not to traffic (`owner`) is counted by one worker
 * alone, and once more for the balancer that Envoy has in its main thread.
 */
export function balancerStats(
  stats: StatSource,
  prefix: string,
  policy: 'ring-hash' | 'maglev' | 'other',
  kinds: { subsets: boolean; zones: boolean },
  owner: boolean,
): BalancerStats {
  const gauge = (name: string) => stats.gauge(prefix + name)
  // Only what this balancer can come to count: a proxy may have ten thousand of them.
  const forZones = (name: string) => (kinds.zones ? stats.counter(prefix + name) : nothing)
  const forSubsets = (name: string) => (kinds.subsets ? stats.counter(prefix + name) : nothing)
  const times = owner ? 2 : 1
  const tooSmall = forZones('lb_zone_cluster_too_small')
  const recalculations = forZones('lb_recalculate_zone_structures')
  const created = forSubsets('lb_subsets_created')
  const removed = forSubsets('lb_subsets_removed')
  const active = kinds.subsets ? gauge('lb_subsets_active') : nothing
  const duplicates = kinds.subsets ? gauge('lb_subsets_single_host_per_subset_duplicate') : nothing
  return {
    panic: stats.counter(`${prefix}lb_healthy_panic`),
    zoneTooSmall: { inc: () => tooSmall.add(times) },
    zoneAllDirectly: forZones('lb_zone_routing_all_directly'),
    zoneSampled: forZones('lb_zone_routing_sampled'),
    zoneCross: forZones('lb_zone_routing_cross_zone'),
    zoneNoCapacity: forZones('lb_zone_no_capacity_left'),
    localNotOk: forZones('lb_local_cluster_not_ok'),
    recalculateZones: { inc: () => recalculations.add(times) },
    subsetsSelected: forSubsets('lb_subsets_selected'),
    subsetsFallback: forSubsets('lb_subsets_fallback'),
    subsetsFallbackPanic: forSubsets('lb_subsets_fallback_panic'),
    subsetsCreated: { add: (amount) => created.add(amount * times) },
    subsetsRemoved: { add: (amount) => removed.add(amount * times) },
    subsetsActive: { set: (value) => active.set(value * times) },
    singleHostDuplicates: { set: (value) => duplicates.set(value * times) },
    table: policy === 'other' || !owner ? null : tableStats(gauge, policy),
  }
}

function tableStats(gauge: (name: string) => { set(value: number): void }, policy: 'ring-hash' | 'maglev') {
  return policy === 'ring-hash'
    ? {
        size: gauge('ring_hash_lb.size'),
        fewest: gauge('ring_hash_lb.min_hashes_per_host'),
        most: gauge('ring_hash_lb.max_hashes_per_host'),
      }
    : {
        size: { set: () => undefined },
        fewest: gauge('maglev_lb.min_entries_per_host'),
        most: gauge('maglev_lb.max_entries_per_host'),
      }
}
