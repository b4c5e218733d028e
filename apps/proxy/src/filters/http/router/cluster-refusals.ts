import type { Cluster } from '../../../upstream/cluster.ts'
import type { RoutedExchange } from '../routed-exchange.ts'
import { overloadHeaders } from './own-answers.ts'
import type { RequestCounts } from './request-counts.ts'
import type { RouterPlan } from './router-plan.ts'

/** Answers a request that its cluster does not take now: it is in maintenance, or its control plane drops some. False: it may go on. */
export function refusedByCluster(exchange: RoutedExchange, plan: RouterPlan, cluster: Cluster, counts: RequestCounts): boolean {
  const { runtime } = cluster.plan
  const maintenance = runtime.number(cluster.maintenanceKey, 0)
  if (maintenance > 0 && runtime.random() * 100 < maintenance) {
    cluster.stats.maintenance.inc()
    counts.response(503)
    exchange.reply(503, 'maintenance mode', {
      details: 'maintenance_mode',
      flags: ['UO'],
      headers: overloadHeaders(plan),
    })
    return true
  }
  if (cluster.dropShare <= 0) return false
  const all = cluster.dropShare >= 1
  if (!all && runtime.random() >= cluster.dropShare) return false
  counts.response(503)
  exchange.reply(503, all ? 'unconditional drop overload' : 'drop overload', {
    details: all ? 'unconditional_drop_overload' : 'drop_overload',
    flags: [all ? 'UDO' : 'DO'],
    headers: [[all ? 'x-envoy-unconditional-drop-overload' : 'x-envoy-drop-overload', 'true']],
  })
  return true
}
