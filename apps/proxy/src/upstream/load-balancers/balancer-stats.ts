import type { Stats } from '../../observe/stats.ts'

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

/**
 * The stats of a cluster's balancer. What belongs to the configuration and not to traffic (`owner`) is counted by one worker
 * alone, and once more for the balancer that Envoy has in its main thread.
 */
export function balancerStats(
  stats: Stats,
  prefix: string,
  policy: 'ring-hash' | 'maglev' | 'other',
  owner: boolean,
): BalancerStats {
  const counter = (name: string) => stats.counter(prefix + name)
  const gauge = (name: string) => stats.gauge(prefix + name)
  const times = owner ? 2 : 1
  const created = counter('lb_subsets_created')
  const removed = counter('lb_subsets_removed')
  const active = gauge('lb_subsets_active')
  const duplicates = gauge('lb_subsets_single_host_per_subset_duplicate')
  return {
    panic: counter('lb_healthy_panic'),
    zoneTooSmall: counter('lb_zone_cluster_too_small'),
    zoneAllDirectly: counter('lb_zone_routing_all_directly'),
    zoneSampled: counter('lb_zone_routing_sampled'),
    zoneCross: counter('lb_zone_routing_cross_zone'),
    zoneNoCapacity: counter('lb_zone_no_capacity_left'),
    localNotOk: counter('lb_local_cluster_not_ok'),
    recalculateZones: counter('lb_recalculate_zone_structures'),
    subsetsSelected: counter('lb_subsets_selected'),
    subsetsFallback: counter('lb_subsets_fallback'),
    subsetsFallbackPanic: counter('lb_subsets_fallback_panic'),
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

const nothing = { inc: () => undefined, add: () => undefined, set: () => undefined }

/** For balancers nobody watches (tests). */
export const uncounted: BalancerStats = {
  panic: nothing,
  zoneTooSmall: nothing,
  zoneAllDirectly: nothing,
  zoneSampled: nothing,
  zoneCross: nothing,
  zoneNoCapacity: nothing,
  localNotOk: nothing,
  recalculateZones: nothing,
  subsetsSelected: nothing,
  subsetsFallback: nothing,
  subsetsFallbackPanic: nothing,
  subsetsCreated: nothing,
  subsetsRemoved: nothing,
  subsetsActive: nothing,
  singleHostDuplicates: nothing,
  table: null,
}
