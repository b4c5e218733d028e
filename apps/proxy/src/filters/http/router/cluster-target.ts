import type { ClusterChoice, ClusterSelector, ForwardPlan } from '../../../routing/route-action.ts'
import { selectCluster } from '../../../routing/route-action.ts'
import type { RoutePlan } from '../../../routing/route-table.ts'
import type { Cluster } from '../../../upstream/cluster.ts'
import { Hash64 } from '../../../upstream/load-balancers/hash64.ts'
import type { RoutedExchange } from '../routed-exchange.ts'
import type { RequestPick } from './request-pick.ts'

/** Where a request's route leads: a cluster, drawn where the route has several by weight. */
export class ClusterTarget {
  private readonly exchange: RoutedExchange
  private readonly pick: RequestPick
  /** null: the route does not lead on. */
  forward: ForwardPlan | null = null
  choice: ClusterChoice | null = null
  /** As it was when the request went on; null: it has not. */
  cluster: Cluster | null = null

  constructor(exchange: RoutedExchange, pick: RequestPick) {
    this.exchange = exchange
    this.pick = pick
  }

  /** A route was chosen (anew): draws its cluster. */
  choose(route: RoutePlan | null): void {
    const { exchange } = this
    this.forward = route !== null && route.outcome.type === 'forward' ? route.outcome.forward : null
    const selector = this.forward?.cluster
    this.choice =
      selector === undefined
        ? null
        : selector.type === 'one'
          ? selector.choice
          : selectCluster(selector, exchange.request, this.draw(selector))
    this.cluster = null
    if (this.choice !== null && exchange.info.clusterName !== this.choice.name) {
      const known = exchange.downstream.cluster(this.choice.name)
      exchange.info.clusterName = known === undefined ? '' : known.name
      exchange.info.clusterStatName = known === undefined ? '' : known.plan.statName
    }
    this.pick.begin(this.forward, this.choice, null)
  }

  /** Where among the weights a request falls (0 ≤ x < 1): by chance, or by its hash where the route says so. */
  private draw(selector: ClusterSelector): number {
    if (selector.type !== 'weighted' || !selector.byHash) return Math.random()
    this.pick.begin(this.forward, null, null)
    const hash = new Hash64()
    const steps = Math.min(selector.total, 2 ** 31)
    return this.pick.hashInto(hash) ? (hash.modulo(steps) + 0.5) / steps : Math.random()
  }

  /** The cluster, live; null: it is not there. */
  find(): Cluster | null {
    this.cluster = this.choice === null ? null : (this.exchange.downstream.cluster(this.choice.name) ?? null)
    return this.cluster
  }

  /** Draws a weighted route's cluster anew; null: it stays the one it was, as it does where the other is not there. */
  redraw(): Cluster | null {
    const { exchange, forward } = this
    if (forward?.cluster.type !== 'weighted') return null
    const choice = selectCluster(forward.cluster, exchange.request, Math.random())
    const cluster = choice === null ? undefined : exchange.downstream.cluster(choice.name)
    if (choice === null || cluster === undefined || cluster === this.cluster) return null
    this.choice = choice
    this.cluster = cluster
    exchange.info.clusterName = cluster.name
    exchange.info.clusterStatName = cluster.plan.statName
    return cluster
  }
}
