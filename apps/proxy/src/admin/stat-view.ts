import { certificatesInUse, daysUntilFirstExpires, expiryGauges } from '../control/certificates.ts'
import type { ClusterState } from '../control/clusters.ts'
import type { Control } from '../control/control.ts'
import { histogramBuckets } from '../observe/buckets.ts'
import { clusterPrefix } from '../observe/cluster-prefix.ts'
import { isTouched } from '../observe/stats.ts'
import { matchByCluster, type StatsMatch, statsMatcher } from '../observe/stats-matcher.ts'
import type { MergedStat } from '../observe/stats-reader.ts'
import { xxHash64 } from '../observe/xxhash64.ts'
import { clusterGauges } from './cluster-gauges.ts'
import { bucketBounds } from './histogram-buckets.ts'
import { searchRegex } from './regex-fault.ts'
import { standingStats } from './standing-stats.ts'

/**
 * A gauge may be of 64 bits; a histogram comes with what came in the last flush interval, and the upper bounds of the buckets it is
 * shown in.
 */
export type ViewedStat =
  | { kind: 'text'; name: string; tags: Record<string, string>; value: string }
  | { kind: 'counter' | 'gauge'; name: string; tags: Record<string, string>; value: number | bigint }
  | (Extract<MergedStat, { kind: 'histogram' }> & { interval: Float64Array; bounds: readonly number[] })

/** Which stats somebody asks for. */
export interface StatFilter {
  /** A regular expression of RE2's syntax that has to match somewhere in the name. */
  pattern?: string
  invert?: boolean
  usedOnly?: boolean
  kinds?: ReadonlySet<ViewedStat['kind']>
}

/**
 * The statistics as the admin API shows them: those of all workers and of the main thread together, less what a reset set
 * to nothing, with those that are computed when they are asked for, and without those the bootstrap's matcher keeps out.
 */
export class StatView {
  readonly #control: Control
  readonly #matches: StatsMatch
  /** By what was configured, since a new version of a cluster may have another. */
  readonly #ofClusters = new WeakMap<ClusterState['message'], StatsMatch>()
  readonly #boundsOf: (name: string) => readonly number[]
  readonly #resets = new Map<string, number>()
  readonly #intervals = new Map<string, { before: Float64Array; last: Float64Array }>()
  readonly #timer: NodeJS.Timeout

  constructor(control: Control) {
    this.#control = control
    this.#matches = statsMatcher(control.settings.stats?.statsMatcher)
    this.#boundsOf = bucketBounds(control.settings.stats?.histogramBucketSettings ?? [])
    this.#timer = setInterval(() => this.#flush(), control.settings.statsFlushMs)
    this.#timer.unref()
  }

  close(): void {
    clearInterval(this.#timer)
  }

  /** The stats that pass, by name. Throws WeftError for a pattern that is no regular expression. */
  list(filter: StatFilter = {}): ViewedStat[] {
    const regex = filter.pattern === undefined ? undefined : searchRegex(filter.pattern)
    const computed = this.#computed()
    const matches = this.#matchesNow()
    const listed: ViewedStat[] = []
    const take = (stat: ViewedStat): void => {
      if (filter.kinds !== undefined && !filter.kinds.has(stat.kind)) return
      if (filter.usedOnly === true && !this.#isUsed(stat)) return
      if (regex !== undefined && regex.fullMatch(stat.name) === (filter.invert === true)) return
      if (matches(stat.name)) listed.push(stat)
    }
    for (const stat of this.#control.reader.all()) {
      if (stat.kind === 'histogram') take({ ...stat, interval: this.#intervalOf(stat), bounds: this.#boundsOf(stat.name) })
      else if (!computed.has(stat.name)) {
        const reset = stat.kind === 'counter' ? (this.#resets.get(stat.name) ?? 0) : 0
        take(reset === 0 ? stat : { ...stat, value: stat.value - reset })
      }
    }
    for (const stat of computed.values()) take(stat)
    return listed.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
  }

  #matchesNow(): StatsMatch {
    const clusters = this.#control.clusters
      .active()
      .map((cluster) => [clusterPrefix(cluster.message), this.#matchOf(cluster)] as const)
    return matchByCluster(new Map(clusters), this.#matches)
  }

  #matchOf({ name, message }: ClusterState): StatsMatch | undefined {
    if (message.statsMatcher === undefined) return undefined
    let match = this.#ofClusters.get(message)
    if (match === undefined) {
      match = statsMatcher(message.statsMatcher, `Cluster ${name}: stats_matcher`)
      this.#ofClusters.set(message, match)
    }
    return match
  }

  /** Sets every counter to nothing. */
  reset(): void {
    for (const stat of this.#control.reader.all()) if (stat.kind === 'counter') this.#resets.set(stat.name, stat.value)
  }

  /** A gauge that is back at zero was used, unlike a counter that stands there; a histogram is by the time it is flushed. */
  #isUsed(stat: ViewedStat): boolean {
    if (stat.kind === 'histogram') return this.#intervals.get(stat.name)?.last.some((count) => count > 0) === true
    if (stat.kind === 'text') return stat.value !== ''
    return stat.kind === 'gauge' && typeof stat.value === 'number' ? isTouched(stat.value) : stat.value !== 0
  }

  #intervalOf(stat: Extract<MergedStat, { kind: 'histogram' }>): Float64Array {
    const held = this.#intervals.get(stat.name)
    if (held === undefined) return stat.buckets
    return held.last.map((count, at) => count - (held.before[at] ?? 0))
  }

  #flush(): void {
    for (const stat of this.#control.reader.all()) {
      if (stat.kind !== 'histogram') continue
      const held = this.#intervals.get(stat.name)
      this.#intervals.set(stat.name, {
        before: held?.last ?? new Float64Array(stat.buckets.length),
        last: stat.buckets,
      })
    }
  }

  /** What stands in no slab: the process, and what all threads share. */
  #computed(): Map<string, ViewedStat> {
    const control = this.#control
    const computed = new Map<string, ViewedStat>()
    const add = (kind: 'counter' | 'gauge', name: string, value: number): void =>
      void computed.set(name, { kind, name, value, tags: {} })
    const memory = process.memoryUsage()
    add('gauge', 'server.uptime', Math.floor((Date.now() - control.startedAt.getTime()) / 1000))
    add('gauge', 'server.memory_allocated', memory.heapUsed)
    add('gauge', 'server.memory_heap_size', memory.heapTotal)
    add('gauge', 'server.memory_physical_size', memory.rss)
    const certificates = certificatesInUse(control)
    add('gauge', 'server.days_until_first_cert_expiring', daysUntilFirstExpires(certificates))
    for (const [name, seconds] of expiryGauges(certificates)) add('gauge', name, seconds)
    let connections = 0
    const timed = ['overload.refresh_interval_delay', ...namesOf('listener.admin.', listenerHistograms)]
    const texts = control.reader.texts()
    for (const { name, value } of control.reader.gauges()) {
      const version = name.endsWith('.version') && isTouched(value) ? texts.get(`${name}_text`) : undefined
      if (version !== undefined) computed.set(name, { kind: 'gauge', name, value: xxHash64(Buffer.from(version)), tags: {} })
      const listener = /^(listener\..*\.)downstream_cx_active$/.exec(name)?.[1]
      if (listener !== undefined && !/\.worker_\d+\.$/.test(listener)) {
        connections += value
        timed.push(...namesOf(listener, listenerHistograms))
      }
      const manager = /^(http\..*\.)downstream_rq_active$/.exec(name)?.[1]
      if (manager !== undefined) timed.push(...namesOf(manager, managerHistograms))
      if (name.endsWith('.update_time')) timed.push(name.replace(/time$/, 'duration'))
    }
    add('gauge', 'server.total_connections', connections)
    for (const cluster of control.clusters.active()) {
      clusterGauges(control, cluster, add)
      timed.push(...namesOf(`${clusterPrefix(cluster.message)}.`, clusterHistograms))
    }
    standingStats(control, add)
    for (const [name, value] of texts) computed.set(name, { kind: 'text', name, value, tags: {} })
    for (const name of timed)
      if (control.reader.value(name) === undefined) computed.set(name, { ...nothingRecorded, name, bounds: this.#boundsOf(name) })
    return computed
  }
}

const clusterHistograms = ['upstream_cx_connect_ms', 'upstream_cx_length_ms', 'upstream_rq_per_cx']
const listenerHistograms = ['connections_accepted_per_socket_event', 'downstream_cx_length_ms']
const managerHistograms = ['downstream_cx_length_ms', 'downstream_rq_time']

/** What a histogram is that Envoy lists before its first value. */
const nothingRecorded = {
  kind: 'histogram',
  tags: {},
  count: 0,
  sum: 0,
  buckets: new Float64Array(histogramBuckets),
  interval: new Float64Array(histogramBuckets),
} as const

function namesOf(prefix: string, names: readonly string[]): string[] {
  return names.map((name) => prefix + name)
}
