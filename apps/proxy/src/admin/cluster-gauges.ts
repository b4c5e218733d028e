import { Cluster_DiscoveryType } from '@weft/contracts/envoy/config/cluster/v3/cluster'
import type { ClusterState } from '../control/clusters.ts'
import type { Control } from '../control/control.ts'
import { clusterPrefix } from '../observe/cluster-prefix.ts'
import { breakerLimits, retryLimit } from '../upstream/circuit-breaker.ts'
import { cell, degradedMask, excludedMask, unhealthyMask } from '../upstream/endpoint-slab.ts'

/** Counters of Envoy's that a cluster has although nothing here has counted in them: whoever reads statistics finds them. */
const alwaysThere = [
  'lb_local_cluster_not_ok',
  'lb_recalculate_zone_structures',
  'lb_subsets_active',
  'lb_subsets_created',
  'lb_subsets_fallback',
  'lb_subsets_fallback_panic',
  'lb_subsets_removed',
  'lb_subsets_selected',
  'lb_zone_cluster_too_small',
  'lb_zone_no_capacity_left',
  'lb_zone_routing_all_directly',
  'lb_zone_routing_cross_zone',
  'lb_zone_routing_sampled',
  'original_dst_host_invalid',
  'upstream_cx_connect_attempts_exceeded',
  'upstream_cx_connect_with_0_rtt',
  'upstream_cx_http3_total',
  'upstream_cx_max_duration_reached',
  'upstream_cx_preconnect_skipped',
  'upstream_queue_overloaded',
  'upstream_rq_0rtt',
  'upstream_rq_active_overflow',
  'upstream_rq_max_duration_reached',
  'upstream_rq_per_try_idle_timeout',
  'upstream_rq_retry_backoff_ratelimited',
  'upstream_rq_rx_reset_no_error',
]
const amongThemGauges = new Set(['lb_subsets_active', 'upstream_queue_overloaded'])

/** Of what a circuit breaker limits: the gauge that says whether it is open, and what has counted if ever it was asked. */
const breakerStats = {
  cx: ['cx_open', 'upstream_cx_total'],
  cx_pools: ['cx_pool_open', 'upstream_cx_total'],
  pending: ['rq_pending_open', 'upstream_rq_pending_total'],
  rq: ['rq_open', 'upstream_rq_total'],
  retries: ['rq_retry_open', 'upstream_rq_retry'],
} as const

/** What of a cluster stands in the slab that all threads share: membership, and the state of its circuit breakers. */
export function clusterGauges(
  control: Control,
  cluster: ClusterState,
  add: (kind: 'counter' | 'gauge', name: string, value: number) => void,
): void {
  const { slab } = control
  const prefix = clusterPrefix(cluster.message)
  const has = (name: string): boolean => control.reader.value(`${prefix}.${name}`) !== undefined
  /** A gauge's value: 0 of what was ever used differs from 0 of what never was. */
  const gauge = (value: number, used: boolean): number => (value === 0 && !used ? -0 : value)
  const counted = (name: string): boolean => (control.reader.value(`${prefix}.${name}`) ?? 0) > 0
  for (const name of alwaysThere) {
    if (!has(name)) add(amongThemGauges.has(name) ? 'gauge' : 'counter', `${prefix}.${name}`, -0)
  }
  if (!has('upstream_cx_rx_bytes_buffered'))
    add('gauge', `${prefix}.upstream_cx_rx_bytes_buffered`, gauge(0, counted('upstream_cx_total')))
  // Endpoints of ORIGINAL_DST come from requests: workers count them.
  if (cluster.assignment !== undefined || cluster.message.clusterDiscoveryType?.$case !== 'type') {
    const flags = [...cluster.slots.keys.values()].map((slot) => slab.get(slot, cell.health))
    const unhealthy = flags.filter((flag) => (flag & unhealthyMask) !== 0).length
    const degraded = flags.filter((flag) => (flag & unhealthyMask) === 0 && (flag & degradedMask) !== 0).length
    add('gauge', `${prefix}.membership_total`, flags.length)
    add('gauge', `${prefix}.membership_healthy`, flags.length - unhealthy - degraded)
    add('gauge', `${prefix}.membership_degraded`, degraded)
    add('gauge', `${prefix}.membership_excluded`, flags.filter((flag) => (flag & excludedMask) !== 0).length)
    add('counter', `${prefix}.membership_change`, cluster.membershipChanges)
    // As where the endpoints are told, or looked up.
    if (cluster.message.edsClusterConfig !== undefined || isStrictDns(cluster))
      add('gauge', `${prefix}.max_host_weight`, heaviest(cluster))
    // Which of its transport sockets each endpoint got: the default one, where no other is there to choose.
    if (cluster.message.transportSocketMatches.length === 0)
      add('counter', `${prefix}.default.total_match_count`, cluster.slots.came)
    if (cluster.message.healthChecks.length > 0) {
      const healthy = flags.filter((flag) => (flag & unhealthyMask) === 0).length
      add('gauge', `${prefix}.health_check.healthy`, gauge(healthy, counted('health_check.success')))
      add('gauge', `${prefix}.health_check.degraded`, gauge(degraded, false))
    }
  }
  for (const [word, priority] of [
    ['default', 0],
    ['high', 1],
  ] as const) {
    const slot = cluster.slots.breakers[word] ?? 0
    const limits = breakerLimits(cluster.message, priority, (key, fallback) => control.runtimeValues.number(key, fallback))
    const threshold = cluster.message.circuitBreakers?.thresholds.find((one) => one.priority === priority)
    const requests = slab.get(slot, cell.activeRequests)
    const pending = slab.get(slot, cell.pendingRequests)
    const resources = [
      ['cx', slab.get(slot, cell.activeConnections), limits.maxConnections],
      ['pending', pending, limits.maxPending],
      ['rq', requests, limits.maxRequests],
      ['retries', slab.get(slot, cell.activeRetries), retryLimit(limits, requests + pending)],
      ['cx_pools', 0, Number.MAX_SAFE_INTEGER],
    ] as const
    for (const [name, used, limit] of resources) {
      const [open, counter] = breakerStats[name]
      const isOpen = used >= limit && (limit > 0 || used > 0) ? 1 : 0
      add('gauge', `${prefix}.circuit_breakers.${word}.${open}`, gauge(isOpen, used > 0 || (priority === 0 && counted(counter))))
      if (threshold?.trackRemaining === true)
        add('gauge', `${prefix}.circuit_breakers.${word}.remaining_${name}`, Math.max(0, limit - used))
    }
  }
}

function isStrictDns({ message: { clusterDiscoveryType: kind } }: ClusterState): boolean {
  return kind?.$case === 'type' && kind.value === Cluster_DiscoveryType.STRICT_DNS
}

function heaviest({ assignment }: ClusterState): number {
  let most = 0
  for (const { lbEndpoints } of assignment?.endpoints ?? [])
    for (const { loadBalancingWeight } of lbEndpoints) most = Math.max(most, loadBalancingWeight ?? 1)
  return most
}
