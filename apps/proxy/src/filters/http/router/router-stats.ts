import type { Counter, Stats } from '../../../observe/stats.ts'

/** The router's stats under Envoy's names, beside those of its connection manager (`http.<stat_prefix>.`). */
export class RouterStats {
  readonly total: Counter
  readonly noRoute: Counter
  readonly noCluster: Counter
  readonly directResponse: Counter
  readonly redirectBadLocation: Counter
  readonly redirectUnsafeScheme: Counter
  readonly redirectTooMany: Counter
  readonly redirectNoRoute: Counter
  readonly redirectPredicate: Counter
  readonly resetAfterStart: Counter
  /** Where they are kept. */
  readonly store: Stats

  constructor(stats: Stats, prefix: string) {
    this.store = stats
    const counter = (name: string) => stats.counter(prefix + name)
    this.total = counter('rq_total')
    this.noRoute = counter('no_route')
    this.noCluster = counter('no_cluster')
    this.directResponse = counter('rq_direct_response')
    this.redirectBadLocation = counter('passthrough_internal_redirect_bad_location')
    this.redirectUnsafeScheme = counter('passthrough_internal_redirect_unsafe_scheme')
    this.redirectTooMany = counter('passthrough_internal_redirect_too_many_redirects')
    this.redirectNoRoute = counter('passthrough_internal_redirect_no_route')
    this.redirectPredicate = counter('passthrough_internal_redirect_predicate')
    this.resetAfterStart = counter('rq_reset_after_downstream_response_started')
    // What never happens here, and yet is looked for.
    for (const name of ['rq_redirect', 'rq_overload_local_reply']) counter(name)
  }
}
