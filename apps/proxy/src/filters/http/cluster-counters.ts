import type { Stats } from '../../observe/stats.ts'

/** Counters of a filter under the cluster that a request goes to. */
export class ClusterCounters {
  private readonly stats: Stats

  constructor(stats: Stats) {
    this.stats = stats
  }

  /** Adds to `cluster.<cluster>.<name>`; without a cluster nothing counts. */
  inc(cluster: string, name: string, by = 1): void {
    if (cluster === '') return
    // Looked up each time: a cluster that was away has others.
    this.stats.counter(`cluster.${cluster}.${name}`).add(by)
  }

  /** Counts an answer that a filter gave as one of the cluster's. */
  response(cluster: string, status: number): void {
    for (const name of ['completed', `${Math.floor(status / 100)}xx`, String(status)]) {
      this.inc(cluster, `upstream_rq_${name}`)
      this.inc(cluster, `internal.upstream_rq_${name}`)
    }
  }
}
