import type { OutlierDetection } from '@weft/contracts/envoy/config/cluster/v3/outlier_detection'
import type { ComponentLog } from '../log.ts'
import { clusterPrefix } from '../observe/cluster-prefix.ts'
import type { StatScope, Stats } from '../observe/stats.ts'
import { durationMs } from '../plan/duration.ts'
import { cell, type EndpointSlab, healthFlag } from '../upstream/endpoint-slab.ts'
import type { ClusterState } from './clusters.ts'
import type { OutlierEvent } from './outlier-events.ts'

/** What made an endpoint an outlier; the words are those of Envoy's statistics. */
const causes = [
  'consecutive_5xx',
  'consecutive_gateway_failure',
  'consecutive_local_origin_failure',
  'success_rate',
  'local_origin_success_rate',
  'failure_percentage',
  'local_origin_failure_percentage',
] as const
type Cause = (typeof causes)[number]

/** Counters that say the same as newer ones. */
const olderCounters: Partial<Record<Cause, string>> = {
  consecutive_5xx: 'ejections_consecutive_5xx',
  success_rate: 'ejections_success_rate',
}

/** Outcomes of one kind (answers, or what happened on this side) at the start of this interval. */
interface Outcomes {
  successes: number
  errors: number
}

/** How long an endpoint is kept apart, longer each time. */
interface Term {
  /** When it began; undefined while the endpoint is like the others. */
  sinceMs: number | undefined
  jitterMs: number
  /** Multiplies the ejection time: grows with each term, falls with each interval without. */
  backoff: number
}

const noTerm = (): Term => ({ sinceMs: undefined, jitterMs: 0, backoff: 0 })

interface Watched {
  slot: number
  /** Out of rotation. */
  ejection: Term
  /** Used only where those that are well can't take all (`detect_degraded_hosts`). */
  degradation: Term
  /** How often it was ejected. */
  ejections: number
  /** When it was last ejected or came back; undefined: never. */
  lastActionMs: number | undefined
  external: Outcomes
  local: Outcomes
  /** Of the last interval; -1: too few requests. */
  successRate: number
  localSuccessRate: number
}

/** Percent, of answers and of what happened on this side. */
export type SuccessAverages = Record<'external' | 'local', { average: number; threshold: number }>

export interface OutliersOptions {
  slab: EndpointSlab
  stats: Stats
  log: ComponentLog
  /** The runtime's number of a key, which goes before the configured one. */
  runtime?: (key: string, fallback: number) => number
  /** Hears of everything that happens to endpoints. */
  event?: (event: OutlierEvent) => void
  /** An endpoint was ejected. */
  ejected?: (cluster: string, key: string) => void
  random?: () => number
  now?: () => number
}

/** Outlier detection: takes endpoints that fail out of rotation for a while, by what workers count in the shared slab. */
export class Outliers {
  readonly #options: OutliersOptions
  readonly #detectors = new Map<string, ClusterOutliers>()
  readonly #closing = new AbortController()

  constructor(options: OutliersOptions) {
    this.#options = options
    void options.slab.onAlert(() => this.look(), this.#closing.signal)
  }

  /** Follows a cluster's endpoints. */
  follow(cluster: ClusterState): void {
    const config = cluster.message.outlierDetection
    const known = this.#detectors.get(cluster.name)
    if (config === undefined) {
      this.forget(cluster.name)
      return
    }
    let detector = known
    if (detector?.bytes !== cluster.bytes) {
      // Made before the one before goes, it has the stats of that.
      detector = new ClusterOutliers(cluster, config, this.#options)
      known?.close()
    }
    this.#detectors.set(cluster.name, detector)
    detector.follow(cluster.slots.keys)
  }

  /** Looks for failures in a row: workers alert when one has enough of them. */
  look(): void {
    for (const detector of this.#detectors.values()) detector.lookAtRows()
  }

  /** An active health check found the endpoint well: it comes back, unless that is configured otherwise. */
  passedCheck(cluster: string, key: string): void {
    this.#detectors.get(cluster)?.passedCheck(key)
  }

  /** Mean success rate of a cluster's endpoints in the last interval, and below which one is ejected; -1: not known. */
  averagesOf(cluster: string): SuccessAverages | undefined {
    return this.#detectors.get(cluster)?.averages
  }

  /** Success rates of an endpoint in the last interval, percent; -1: not known. */
  ratesOf(cluster: string, key: string): { successRate: number; localSuccessRate: number } {
    return this.#detectors.get(cluster)?.ratesOf(key) ?? { successRate: -1, localSuccessRate: -1 }
  }

  forget(name: string): void {
    this.#detectors.get(name)?.close()
    this.#detectors.delete(name)
  }

  close(): void {
    this.#closing.abort()
    this.#options.slab.alert()
    for (const name of [...this.#detectors.keys()]) this.forget(name)
  }
}

class ClusterOutliers {
  readonly bytes: Uint8Array
  readonly #name: string
  readonly #prefix: string
  readonly #stats: StatScope
  readonly #config: OutlierDetection
  readonly #options: OutliersOptions
  readonly #slab: EndpointSlab
  readonly #random: () => number
  readonly #now: () => number
  readonly #hosts = new Map<string, Watched>()
  readonly #tick: NodeJS.Timeout
  readonly averages: SuccessAverages = { external: { average: -1, threshold: -1 }, local: { average: -1, threshold: -1 } }

  constructor(cluster: ClusterState, config: OutlierDetection, options: OutliersOptions) {
    this.bytes = cluster.bytes
    this.#name = cluster.name
    this.#prefix = `${clusterPrefix(cluster.message)}.outlier_detection`
    this.#stats = options.stats.scope(this.#prefix)
    this.#config = config
    this.#options = options
    this.#slab = options.slab
    this.#random = options.random ?? Math.random
    this.#now = options.now ?? (() => performance.now())
    const intervalMs = this.#number('interval_ms', durationMs(config.interval, 10_000))
    this.#tick = setInterval(() => this.#endInterval(), Math.max(1, intervalMs))
    this.#tick.unref()
    for (const cause of causes) {
      this.#count(`ejections_detected_${cause}`, 0)
      this.#count(`ejections_enforced_${cause}`, 0)
    }
    for (const name of ['ejections_consecutive_5xx', 'ejections_success_rate', 'ejections_detected_degradation'])
      this.#count(name, 0)
    for (const name of ['ejections_total', 'ejections_enforced_total', 'ejections_overflow']) this.#count(name, 0)
  }

  follow(slots: ReadonlyMap<string, number>): void {
    for (const [key, slot] of slots)
      if (this.#hosts.get(key)?.slot !== slot)
        this.#hosts.set(key, {
          slot,
          ejection: noTerm(),
          degradation: noTerm(),
          ejections: 0,
          lastActionMs: undefined,
          external: this.#counted(slot, 'external'),
          local: this.#counted(slot, 'local'),
          successRate: -1,
          localSuccessRate: -1,
        })
    for (const key of this.#hosts.keys()) if (!slots.has(key)) this.#hosts.delete(key)
    this.#countActive()
  }

  close(): void {
    clearInterval(this.#tick)
    const flags = healthFlag.failedOutlierCheck | healthFlag.degradedByAnswers
    for (const host of this.#hosts.values()) this.#slab.setHealth(host.slot, flags, false)
    this.#hosts.clear()
    this.#countActive()
    this.#stats.leave()
  }

  ratesOf(key: string): { successRate: number; localSuccessRate: number } | undefined {
    return this.#hosts.get(key)
  }

  passedCheck(key: string): void {
    const host = this.#hosts.get(key)
    if (host?.ejection.sinceMs !== undefined && this.#config.successfulActiveHealthCheckUnejectHost !== false) {
      this.#uneject(key, host)
      this.#countActive()
    }
  }

  /** A setting, as the runtime has it. */
  #number(key: string, configured: number): number {
    return this.#options.runtime?.(`outlier_detection.${key}`, configured) ?? configured
  }

  #count(name: string, amount = 1): void {
    this.#stats.counter(`${this.#prefix}.${name}`).add(amount)
  }

  #counted(slot: number, kind: 'external' | 'local'): Outcomes {
    const [good, bad] =
      kind === 'external' ? [cell.requestsSuccess, cell.requestsError] : [cell.localSuccesses, cell.localFailures]
    return { successes: this.#slab.get(slot, good), errors: this.#slab.get(slot, bad) }
  }

  /** Begins a term for one that a worker has found degraded. */
  #noteDegraded(key: string, { slot, degradation }: Watched): void {
    const isDegraded = (this.#slab.get(slot, cell.health) & healthFlag.degradedByAnswers) !== 0
    if (!isDegraded || degradation.sinceMs !== undefined) return
    this.#count('ejections_detected_degradation')
    this.#begin(degradation)
    this.#options.log.info(`${this.#name}: ${key} says that it is degraded`)
  }

  /** Ejects those that have failed too often in a row. */
  lookAtRows(): void {
    const config = this.#config
    for (const [key, host] of this.#hosts) {
      this.#noteDegraded(key, host)
      if (host.ejection.sinceMs !== undefined) continue
      this.#row(key, host, cell.consecutiveGatewayErrors, config.consecutiveGatewayFailure ?? 5, 'consecutive_gateway_failure')
      this.#row(key, host, cell.consecutive5xx, config.consecutive5xx ?? 5, 'consecutive_5xx')
      if (config.splitExternalLocalOriginErrors)
        this.#row(
          key,
          host,
          cell.consecutiveLocalFailures,
          config.consecutiveLocalOriginFailure ?? 5,
          'consecutive_local_origin_failure',
        )
    }
  }

  #row(key: string, host: Watched, which: number, configured: number, cause: Cause): void {
    const threshold = this.#number(cause, configured)
    if (threshold <= 0 || host.ejection.sinceMs !== undefined || this.#slab.get(host.slot, which) < threshold) return
    this.#slab.set(host.slot, which, 0)
    this.#eject(key, host, cause)
  }

  /** Percent of detections that are acted upon. */
  #enforcing(cause: Cause): number {
    const config = this.#config
    const configured: Record<Cause, number> = {
      consecutive_5xx: config.enforcingConsecutive5xx ?? 100,
      consecutive_gateway_failure: config.enforcingConsecutiveGatewayFailure ?? 0,
      consecutive_local_origin_failure: config.enforcingConsecutiveLocalOriginFailure ?? 100,
      success_rate: config.enforcingSuccessRate ?? 100,
      local_origin_success_rate: config.enforcingLocalOriginSuccessRate ?? 100,
      failure_percentage: config.enforcingFailurePercentage ?? 0,
      local_origin_failure_percentage: config.enforcingFailurePercentageLocalOrigin ?? 0,
    }
    const key = cause === 'local_origin_failure_percentage' ? 'failure_percentage_local_origin' : cause
    return this.#number(`enforcing_${key}`, configured[cause])
  }

  #eject(key: string, host: Watched, cause: Cause, rates?: OutlierEvent['rates']): void {
    this.#count(`ejections_detected_${cause}`)
    const older = olderCounters[cause]
    if (older !== undefined) this.#count(older)
    const ejected = this.#ejected()
    const share = ((ejected + 1) / this.#hosts.size) * 100
    const one = this.#config.alwaysEjectOneHost === true && ejected === 0
    if (share > Math.min(100, this.#number('max_ejection_percent', this.#config.maxEjectionPercent ?? 10)) && !one) {
      this.#count('ejections_overflow')
      return
    }
    if (older !== undefined) this.#count('ejections_total')
    const enforced = this.#random() * 100 < this.#enforcing(cause)
    if (enforced) host.ejections++
    this.#tell(key, host, cause, enforced, rates)
    if (!enforced) return
    host.lastActionMs = this.#now()
    this.#count('ejections_enforced_total')
    this.#count(`ejections_enforced_${cause}`)
    this.#begin(host.ejection)
    this.#slab.setHealth(host.slot, healthFlag.failedOutlierCheck, true)
    this.#countActive()
    this.#options.log.info(`${this.#name}: ${key} is ejected (${cause})`)
    this.#options.ejected?.(this.#name, key)
  }

  #tell(
    key: string,
    { ejections, lastActionMs }: Watched,
    cause: Cause | null,
    enforced: boolean,
    rates?: OutlierEvent['rates'],
  ): void {
    this.#options.event?.({
      cluster: this.#name,
      endpoint: key,
      cause,
      enforced,
      ejections,
      sinceLastMs: lastActionMs === undefined ? null : this.#now() - lastActionMs,
      ...(rates === undefined ? {} : { rates }),
    })
  }

  #begin(term: Term): void {
    const { baseMs, mostMs } = this.#ejectionTimes()
    term.sinceMs = this.#now()
    term.jitterMs =
      this.#random() * this.#number('max_ejection_time_jitter_ms', durationMs(this.#config.maxEjectionTimeJitter, 0))
    if (term.backoff * baseMs < mostMs + baseMs) term.backoff++
  }

  /** At the end of an interval: whether a term is over. */
  #isOver(term: Term): boolean {
    const { baseMs, mostMs } = this.#ejectionTimes()
    if (term.sinceMs === undefined) {
      term.backoff = Math.max(0, term.backoff - 1)
      return false
    }
    return Math.min(baseMs * term.backoff, mostMs) + term.jitterMs <= this.#now() - term.sinceMs
  }

  #ejectionTimes(): { baseMs: number; mostMs: number } {
    const configured = durationMs(this.#config.baseEjectionTime, 30_000)
    const baseMs = this.#number('base_ejection_time_ms', configured)
    const most = Math.max(durationMs(this.#config.maxEjectionTime, 300_000), configured)
    return { baseMs, mostMs: this.#number('max_ejection_time_ms', most) }
  }

  #uneject(key: string, host: Watched): void {
    host.ejection.sinceMs = undefined
    this.#tell(key, host, null, false)
    host.lastActionMs = this.#now()
    for (const which of [cell.consecutive5xx, cell.consecutiveGatewayErrors, cell.consecutiveLocalFailures])
      this.#slab.set(host.slot, which, 0)
    this.#slab.setHealth(host.slot, healthFlag.failedOutlierCheck, false)
    this.#options.log.info(`${this.#name}: ${key} is back in rotation`)
  }

  #endInterval(): void {
    for (const [key, host] of this.#hosts) {
      if (this.#isOver(host.ejection)) this.#uneject(key, host)
      if (this.#isOver(host.degradation)) {
        host.degradation.sinceMs = undefined
        this.#slab.setHealth(host.slot, healthFlag.degradedByAnswers, false)
      }
    }
    this.#judgeRates('external')
    if (this.#config.splitExternalLocalOriginErrors) this.#judgeRates('local')
    for (const host of this.#hosts.values()) {
      host.external = this.#counted(host.slot, 'external')
      host.local = this.#counted(host.slot, 'local')
    }
    this.#countActive()
  }

  /** Success rate against the mean of the cluster, and failure percentage against a bound, over the interval that ended. */
  #judgeRates(kind: 'external' | 'local'): void {
    const config = this.#config
    const minimumHosts = this.#number('success_rate_minimum_hosts', config.successRateMinimumHosts ?? 5)
    const volume = this.#number('success_rate_request_volume', config.successRateRequestVolume ?? 100)
    const failureHosts = this.#number('failure_percentage_minimum_hosts', config.failurePercentageMinimumHosts ?? 5)
    const failureVolume = this.#number('failure_percentage_request_volume', config.failurePercentageRequestVolume ?? 50)
    const rates = [...this.#hosts].map(([key, host]) => {
      const now = this.#counted(host.slot, kind)
      const successes = (now.successes - host[kind].successes) | 0
      const total = successes + ((now.errors - host[kind].errors) | 0)
      const rate = total === 0 ? 100 : (100 * successes) / total
      const known = total > 0 && total >= Math.min(volume, failureVolume) ? rate : -1
      if (kind === 'external') host.successRate = known
      else host.localSuccessRate = known
      return { key, host, total, rate }
    })
    const inRotation = rates.filter(({ host, total }) => host.ejection.sinceMs === undefined && total > 0)
    const busy = inRotation.filter(({ total }) => total >= volume)
    this.averages[kind] = { average: -1, threshold: -1 }
    if (busy.length >= Math.max(1, minimumHosts)) {
      const mean = busy.reduce((sum, { rate }) => sum + rate, 0) / busy.length
      const deviation = Math.sqrt(busy.reduce((sum, { rate }) => sum + (rate - mean) ** 2, 0) / busy.length)
      const factor = this.#number('success_rate_stdev_factor', config.successRateStdevFactor ?? 1900) / 1000
      const threshold = mean - factor * deviation
      this.averages[kind] = { average: mean, threshold }
      for (const { key, host, rate } of busy)
        if (rate < threshold)
          this.#eject(key, host, kind === 'external' ? 'success_rate' : 'local_origin_success_rate', {
            own: rate,
            average: mean,
            threshold,
          })
    }
    const counted = inRotation.filter(({ host, total }) => host.ejection.sinceMs === undefined && total >= failureVolume)
    const threshold = this.#number('failure_percentage_threshold', config.failurePercentageThreshold ?? 85)
    if (counted.length < Math.max(1, failureHosts)) return
    for (const { key, host, rate } of counted)
      if (100 - rate >= threshold)
        this.#eject(key, host, kind === 'external' ? 'failure_percentage' : 'local_origin_failure_percentage', { own: rate })
  }

  #ejected(): number {
    let ejected = 0
    for (const { ejection } of this.#hosts.values()) if (ejection.sinceMs !== undefined) ejected++
    return ejected
  }

  #countActive(): void {
    this.#stats.gauge(`${this.#prefix}.ejections_active`).set(this.#ejected())
  }
}
