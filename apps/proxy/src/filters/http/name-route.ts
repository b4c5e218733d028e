import type { RoutePlan } from '../../routing/route-table.ts'
import type { RoutedExchange } from './routed-exchange.ts'

/** For the log: a route that a redirect led to, and its cluster. */
export function nameRoute({ info, downstream }: Pick<RoutedExchange, 'info' | 'downstream'>, route: RoutePlan | null): void {
  const cluster = route === null || route.cluster === '' ? undefined : downstream.cluster(route.cluster)
  info.routeName = route?.name ?? ''
  info.clusterName = cluster?.name ?? ''
  info.clusterStatName = cluster?.plan.statName ?? ''
}
