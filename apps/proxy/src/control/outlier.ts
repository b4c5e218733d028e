import type { OutlierDetection } from '@weft/contracts/envoy/config/cluster/v3/outlier_detection'
import type { ComponentLog } from '../log.ts'
import type { Stats } from '../observe/stats.ts'
import { durationMs } from '../plan/duration.ts'
import { cell, type EndpointSlab, healthFlag } from '../upstream/endpoint-slab.ts'
import type { ClusterState } from './clusters.ts'

/** How often the failures in a row are looked at: an endpoint is out this much after its last allowed failure at most. */
const lookMs = 50

/** What made an endpoint an outlier; the words are those of Envoy's statistics. */
type Cause =
  | 'consecutive_5xx'
  | 'consecutive_gateway_failure'
  | 'consecutive_local_origin_failure'
  | 'success_rate'
  | 'failure_percentage'

interface Watched {
  slot: number
  ejectedUntil: number
  /** Ejections in a row: each lasts longer than the one before. */
  ejections: number
  /** Successes and errors at the start of this interval. */
  successes: number
  errors: number
}

export interface OutliersOptions {
  slab: EndpointSlab
  stats: Stats
  log: ComponentLog
  random?: () => number
  now?: () => number
}

/** Outlier detection: takes endpoints that fail out of rotation for a while, by what workers count in the shared slab. */
export class Outliers {
  readonly #options: OutliersOptions
  readonly #detectors = new Map<string, ClusterOutliers>()

  constructor(options: OutliersOptions) {
    this.#options = options
  }

  /** Follows a cluster's endpoints. */
  follow(cluster: ClusterState): void {
    const config = cluster.message.outlierDetection
    const known = this.#detectors.get(cluster.name)
    if (config === undefined || known?.bytes !== cluster.bytes) this.forget(cluster.name)
    if (config === undefined) return
    const detector = this.#detectors.get(cluster.name) ?? new ClusterOutliers(cluster, config, this.#options)
    this.#detectors.set(cluster.name, detector)
    detector.follow(cluster.slots.keys)
  }

  forget(name: string): void {
    this.#detectors.get(name)?.close()
    this.#detectors.delete(name)
  }

  close(): void {
    for (const name of [...this.#detectors.keys()]) this.forget(name)
  }
}

class ClusterOutliers {
  readonly bytes: Uint8Array
  readonly #name: string
  readonly #prefix: string
  readonly #config: OutlierDetection
  readonly #slab: EndpointSlab
  readonly #stats: Stats
  readonly #log: ComponentLog
  readonly #random: () => number
  readonly #now: () => number
  readonly #hosts = new Map<string, Watched>()
  readonly #look: NodeJS.Timeout
  readonly #tick: NodeJS.Timeout

  constructor(cluster: ClusterState, config: OutlierDetection, options: OutliersOptions) {
    this.bytes = cluster.bytes
    this.#name = cluster.name
    this.#prefix = `cluster.${cluster.message.altStatName || cluster.name}.outlier_detection`
    this.#config = config
    this.#slab = options.slab
    this.#stats = options.stats
    this.#log = options.log
    this.#random = options.random ?? Math.random
    this.#now = options.now ?? (() => performance.now())
    this.#look = setInterval(() => this.#lookAtRows(), lookMs)
    this.#tick = setInterval(() => this.#endInterval(), Math.max(1, durationMs(config.interval, 10_000)))
    this.#look.unref()
    this.#tick.unref()
  }

  follow(slots: ReadonlyMap<string, number>): void {
    for (const [key, slot] of slots)
      if (this.#hosts.get(key)?.slot !== slot)
        this.#hosts.set(key, { slot, ejectedUntil: 0, ejections: 0, ...this.#counted(slot) })
    for (const key of this.#hosts.keys()) if (!slots.has(key)) this.#hosts.delete(key)
    this.#countActive()
  }

  close(): void {
    clearInterval(this.#look)
    clearInterval(this.#tick)
    for (const host of this.#hosts.values()) this.#slab.setHealth(host.slot, healthFlag.failedOutlierCheck, false)
    this.#hosts.clear()
    this.#countActive()
  }

  #counted(slot: number): { successes: number; errors: number } {
    return { successes: this.#slab.get(slot, cell.requestsSuccess), errors: this.#slab.get(slot, cell.requestsError) }
  }

  #lookAtRows(): void {
    const config = this.#config
    for (const [key, host] of this.#hosts) {
      if (host.ejectedUntil > 0) continue
      this.#row(
        key,
        host,
        cell.consecutive5xx,
        config.consecutive5xx ?? 5,
        'consecutive_5xx',
        config.enforcingConsecutive5xx ?? 100,
      )
      this.#row(
        key,
        host,
        cell.consecutiveGatewayErrors,
        config.consecutiveGatewayFailure ?? 5,
        'consecutive_gateway_failure',
        config.enforcingConsecutiveGatewayFailure ?? 0,
      )
      if (config.splitExternalLocalOriginErrors)
        this.#row(
          key,
          host,
          cell.consecutiveLocalFailures,
          config.consecutiveLocalOriginFailure ?? 5,
          'consecutive_local_origin_failure',
          config.enforcingConsecutiveLocalOriginFailure ?? 100,
        )
    }
  }

  #row(key: string, host: Watched, which: number, threshold: number, cause: Cause, enforcing: number): void {
    if (threshold <= 0 || host.ejectedUntil > 0 || this.#slab.get(host.slot, which) < threshold) return
    this.#slab.set(host.slot, which, 0)
    this.#eject(key, host, cause, enforcing)
  }

  #eject(key: string, host: Watched, cause: Cause, enforcing: number): void {
    const { stats, prefix } = { stats: this.#stats, prefix: this.#prefix }
    stats.counter(`${prefix}.ejections_detected_${cause}`).inc()
    const ejected = [...this.#hosts.values()].filter(({ ejectedUntil }) => ejectedUntil > 0).length
    const share = ((ejected + 1) / this.#hosts.size) * 100
    const one = this.#config.alwaysEjectOneHost === true && ejected === 0
    if (share > (this.#config.maxEjectionPercent ?? 10) && !one) {
      stats.counter(`${prefix}.ejections_overflow`).inc()
      return
    }
    if (this.#random() * 100 >= enforcing) return
    const base = durationMs(this.#config.baseEjectionTime, 30_000)
    const most = Math.max(durationMs(this.#config.maxEjectionTime, 300_000), base)
    const jitter = durationMs(this.#config.maxEjectionTimeJitter, 0) * this.#random()
    host.ejections++
    host.ejectedUntil = this.#now() + Math.min(base * host.ejections, most) + jitter
    this.#slab.setHealth(host.slot, healthFlag.failedOutlierCheck, true)
    for (const counter of ['ejections_total', 'ejections_enforced_total', `ejections_enforced_${cause}`])
      stats.counter(`${prefix}.${counter}`).inc()
    this.#countActive()
    this.#log.info(`${this.#name}: ${key} is ejected (${cause})`)
  }

  #endInterval(): void {
    const now = this.#now()
    for (const [key, host] of this.#hosts) {
      if (host.ejectedUntil > 0 && host.ejectedUntil <= now) {
        host.ejectedUntil = 0
        for (const which of [cell.consecutive5xx, cell.consecutiveGatewayErrors, cell.consecutiveLocalFailures])
          this.#slab.set(host.slot, which, 0)
        this.#slab.setHealth(host.slot, healthFlag.failedOutlierCheck, false)
        this.#log.info(`${this.#name}: ${key} is back in rotation`)
      } else if (host.ejectedUntil === 0 && host.ejections > 0) host.ejections--
    }
    this.#judgeRates()
    for (const host of this.#hosts.values()) Object.assign(host, this.#counted(host.slot))
    this.#countActive()
  }

  /** Success rate against the mean of the cluster, and failure percentage against a bound, over the interval that ended. */
  #judgeRates(): void {
    const config = this.#config
    const rates = [...this.#hosts].map(([key, host]) => {
      const now = this.#counted(host.slot)
      const successes = (now.successes - host.successes) | 0
      const total = successes + ((now.errors - host.errors) | 0)
      return { key, host, total, rate: total === 0 ? 100 : (100 * successes) / total }
    })
    const busy = rates.filter(({ host, total }) => host.ejectedUntil === 0 && total >= (config.successRateRequestVolume ?? 100))
    if (busy.length >= Math.max(1, config.successRateMinimumHosts ?? 5)) {
      const mean = busy.reduce((sum, { rate }) => sum + rate, 0) / busy.length
      const deviation = Math.sqrt(busy.reduce((sum, { rate }) => sum + (rate - mean) ** 2, 0) / busy.length)
      const least = mean - ((config.successRateStdevFactor ?? 1900) / 1000) * deviation
      for (const { key, host, rate } of busy)
        if (rate < least) this.#eject(key, host, 'success_rate', config.enforcingSuccessRate ?? 100)
    }
    const counted = rates.filter(
      ({ host, total }) => host.ejectedUntil === 0 && total >= (config.failurePercentageRequestVolume ?? 50),
    )
    if (counted.length >= Math.max(1, config.failurePercentageMinimumHosts ?? 5))
      for (const { key, host, rate } of counted)
        if (100 - rate >= (config.failurePercentageThreshold ?? 85))
          this.#eject(key, host, 'failure_percentage', config.enforcingFailurePercentage ?? 0)
  }

  #countActive(): void {
    const active = [...this.#hosts.values()].filter(({ ejectedUntil }) => ejectedUntil > 0).length
    this.#stats.gauge(`${this.#prefix}.ejections_active`).set(active)
  }
}
