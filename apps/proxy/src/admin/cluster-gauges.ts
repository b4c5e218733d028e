import type { ClusterState } from '../control/clusters.ts'
import type { Control } from '../control/control.ts'
import { breakerLimits, retryLimit } from '../upstream/circuit-breaker.ts'
import { cell, degradedMask, excludedMask, unhealthyMask } from '../upstream/endpoint-slab.ts'

/** What of a cluster stands in the slab that all threads share: membership, and the state of its circuit breakers. */
export function clusterGauges(
  control: Control,
  cluster: ClusterState,
  add: (kind: 'counter' | 'gauge', name: string, value: number) => void,
): void {
  const { slab } = control
  const prefix = `cluster.${(cluster.message.altStatName || cluster.name).replaceAll(':', '_')}`
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
    if (cluster.message.healthChecks.length > 0) {
      add('gauge', `${prefix}.health_check.healthy`, flags.filter((flag) => (flag & unhealthyMask) === 0).length)
      add('gauge', `${prefix}.health_check.degraded`, degraded)
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
      const open =
        name === 'pending'
          ? 'rq_pending_open'
          : name === 'retries'
            ? 'rq_retry_open'
            : name === 'cx_pools'
              ? 'cx_pool_open'
              : `${name}_open`
      add('gauge', `${prefix}.circuit_breakers.${word}.${open}`, limit > 0 && used >= limit ? 1 : 0)
      if (threshold?.trackRemaining === true)
        add('gauge', `${prefix}.circuit_breakers.${word}.remaining_${name}`, Math.max(0, limit - used))
    }
  }
}
