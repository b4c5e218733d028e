import type { ResetReason } from '@weft/http/stream'
import type { RoutePlan } from '../../../routing/route-table.ts'
import type { VirtualCluster } from '../../../routing/virtual-clusters.ts'
import type { Cluster } from '../../../upstream/cluster.ts'
import { type ClusterStats, canaryName } from '../../../upstream/cluster-stats.ts'
import type { Exchange } from '../../network/http-connection-manager/exchange.ts'
import type { TimeLimit } from './time-limits.ts'

/** Counts a request and its answers: for its cluster, for the virtual cluster that it falls into, under a name it asks for. */
export class RequestCounts {
  private readonly exchange: Exchange
  private cluster: ClusterStats | null = null
  private virtual: VirtualCluster | null = null
  /** A name that its answers are counted under besides (`name.`); empty: none. */
  private apart = ''

  constructor(exchange: Exchange) {
    this.exchange = exchange
  }

  /** Another request: nothing of it is counted yet. */
  forget(): void {
    this.cluster = null
    this.virtual = null
    this.apart = ''
  }

  /** Finds what the request's virtual host counts it as. */
  begin(cluster: Cluster, route: RoutePlan, apart: string): void {
    const { exchange } = this
    this.cluster = cluster.stats
    this.apart = apart
    const found = route.host.virtualClusters?.find((one) => one.matches(exchange.request))
    if (found === undefined) return
    found.use(exchange.plan.stats.store)
    this.virtual = found
    exchange.info.virtualCluster = found.name
  }

  /** The request goes on to another cluster. */
  turnTo(cluster: Cluster): void {
    this.cluster = cluster.stats
  }

  /** An answer, from upstream or made here. */
  response(status: number, byCanary = false): void {
    const { plan, internal } = this.exchange
    if (!plan.router.countStatuses) return
    const { cluster, apart } = this
    cluster?.response(status, internal)
    this.virtual?.response(status)
    if (apart !== '') cluster?.responseApart(apart, status, internal)
    if (!byCanary) return
    cluster?.responseApart(canaryName, status, internal)
    if (apart !== '') cluster?.responseApart(apart + canaryName, status, internal)
  }

  /** A try has a connection. */
  tried(): void {
    this.virtual?.inc('total')
  }

  /** Another try follows; `asked`: after the time that an answer asked for. */
  retry(asked: boolean): void {
    this.cluster?.retry.inc()
    this.virtual?.inc('retry')
    if (asked) this.cluster?.retryBackoffRatelimited.inc()
    else this.cluster?.retryBackoffExponential.inc()
  }

  /** Another try would follow, if there were not too many under way. */
  retryOverflow(): void {
    this.cluster?.retryOverflow.inc()
    this.virtual?.inc('retry_overflow')
  }

  /** The last of several tries has failed too. */
  retryLimitExceeded(): void {
    this.cluster?.retryLimitExceeded.inc()
    this.virtual?.inc('retry_limit_exceeded')
  }

  retrySuccess(): void {
    this.cluster?.retrySuccess.inc()
    this.virtual?.inc('retry_success')
  }

  timeout(limit: TimeLimit): void {
    const { cluster } = this
    switch (limit) {
      case 'response_timeout':
        cluster?.requestTimeout.inc()
        this.virtual?.inc('timeout')
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
