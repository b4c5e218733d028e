import type { ResetReason } from '@weft/http/stream'
import type { RequestGroup } from '../../../routing/request-group.ts'
import type { RoutePlan } from '../../../routing/route-table.ts'
import type { Cluster } from '../../../upstream/cluster.ts'
import { type ClusterStats, canaryName } from '../../../upstream/cluster-stats.ts'
import type { RoutedExchange } from '../routed-exchange.ts'
import type { RouterPlan } from './router-plan.ts'
import type { TimeLimit } from './time-limits.ts'

const none: readonly RequestGroup[] = []

/** Counts a request and its answers: for its cluster, for its route and the virtual cluster that it falls into, under a name it asks for. */
export class RequestCounts {
  private readonly exchange: RoutedExchange
  private readonly plan: RouterPlan
  private cluster: ClusterStats | null = null
  private groups: readonly RequestGroup[] = none
  /** A name that its answers are counted under besides (`name.`); empty: none. */
  private apart = ''
  /** Upstream has sent an interim answer that was passed on. */
  hasInterim = false

  constructor(exchange: RoutedExchange, plan: RouterPlan) {
    this.exchange = exchange
    this.plan = plan
  }

  /** Another request: nothing of it is counted yet. */
  forget(): void {
    this.cluster = null
    this.groups = none
    this.apart = ''
    this.hasInterim = false
  }

  /** Finds what the request's virtual host counts it as. */
  begin(cluster: Cluster, route: RoutePlan, apart: string): void {
    const { exchange, plan } = this
    this.cluster = cluster.stats
    this.apart = apart
    const { counts, host } = route
    if (counts === null && host.virtualClusters === null) return
    const found = host.virtualClusters?.find((one) => one.matches(exchange.request))
    this.groups = [found?.counts ?? null, counts].filter((one) => one !== null)
    for (const group of this.groups) group.use(plan.stats.store)
    if (found !== undefined) exchange.info.virtualCluster = found.name
  }

  /** The request goes on to another cluster. */
  turnTo(cluster: Cluster): void {
    this.cluster = cluster.stats
  }

  /** An interim answer: one counts, however many come, as with Envoy. */
  interim(status: number): void {
    if (!this.hasInterim) this.response(status)
    this.hasInterim = true
  }

  /** What is answered here for a try that gave no answer; behind an interim one that is no answer of the cluster's to Envoy. */
  ownAnswer(status: number): void {
    if (!this.hasInterim) this.response(status)
  }

  /** An answer, from upstream or made here. */
  response(status: number, byCanary = false): void {
    const { plan, cluster, apart } = this
    if (!plan.countStatuses) return
    const { internal } = this.exchange
    if (plan.suppressGrpcCodes && this.exchange.isGrpc) cluster?.responseWithoutCodes(status, internal)
    else cluster?.response(status, internal)
    for (const group of this.groups) group.response(status)
    if (apart !== '') cluster?.responseApart(apart, status, internal)
    if (!byCanary) return
    cluster?.responseApart(canaryName, status, internal)
    if (apart !== '') cluster?.responseApart(apart + canaryName, status, internal)
  }

  /** A try has a connection. */
  tried(): void {
    this.inGroups('total')
  }

  /** Another try follows; `asked`: after the time that an answer asked for. */
  retry(asked: boolean): void {
    this.cluster?.retry.inc()
    this.inGroups('retry')
    if (asked) this.cluster?.retryBackoffRatelimited.inc()
    else this.cluster?.retryBackoffExponential.inc()
  }

  /** Another try would follow, if there were not too many under way. */
  retryOverflow(): void {
    this.cluster?.retryOverflow.inc()
    this.inGroups('retry_overflow')
  }

  /** The last of several tries has failed too. */
  retryLimitExceeded(): void {
    this.cluster?.retryLimitExceeded.inc()
    this.inGroups('retry_limit_exceeded')
  }

  retrySuccess(): void {
    this.cluster?.retrySuccess.inc()
    this.inGroups('retry_success')
  }

  /** There is too much of a request's body to send it again. */
  abandoned(): void {
    this.cluster?.retryAbandoned.inc()
  }

  private inGroups(name: string): void {
    for (const group of this.groups) group.inc(name)
  }

  /** An answer is complete, so long after the request began. */
  took(ms: number, byCanary: boolean): void {
    if (!this.plan.countStatuses) return
    const { internal } = this.exchange
    this.cluster?.took(ms, internal, byCanary)
    for (const group of this.groups) group.took(ms)
  }

  timeout(limit: TimeLimit): void {
    const { cluster } = this
    switch (limit) {
      case 'response_timeout':
        cluster?.requestTimeout.inc()
        this.inGroups('timeout')
        break
      case 'upstream_per_try_timeout':
        cluster?.perTryTimeout.inc()
        break
      case 'upstream_per_try_idle_timeout':
        cluster?.perTryIdleTimeout.inc()
        break
      case 'upstream_max_stream_duration_reached':
        cluster?.maxDurationReached.inc()
        break
    }
  }

  /** A try has ended without its answer, or with a part of it. */
  reset(reason: ResetReason, detail: string, overHttp2: boolean): void {
    const { cluster } = this
    if (reason === 'protocol-error') {
      // Of HTTP/2 the codec counts it, but for a server that finds fault with us.
      if (!overHttp2) cluster?.protocolError.inc()
      else if (detail === 'PROTOCOL_ERROR') cluster?.txReset.inc()
    } else if (reason === 'connect-failure' || (overHttp2 && reason === 'connection-closed')) cluster?.pendingFailureEject.inc()
    else if (overHttp2 ? reason === 'remote-reset' && detail !== 'CONNECT_ERROR' : reason !== 'connection-closed')
      cluster?.rxReset.inc()
  }
}
