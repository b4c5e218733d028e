import type { Counter, Gauge } from '../../../observe/stats.ts'
import { Timeout, type TimerWheel } from '../../../transport/timer-wheel.ts'

/** How the limit is found; times in ms. */
export interface GradientSettings {
  /** Of the latencies in a window, the one that counts: 0…1. */
  readonly percentile: number
  readonly maxLimit: number
  readonly minLimit: number
  readonly updateMs: number
  /** How often the latency of an idle server is measured; null: it is `fixedMs`. */
  readonly idleIntervalMs: number | null
  readonly fixedMs: number
  readonly idleRequests: number
  /** Added to that interval, at most: a share of it. */
  readonly jitter: number
  /** Requests at once while it is measured. */
  readonly idleConcurrency: number
  /** How much more than idle a latency may be before the limit sinks: a share. */
  readonly buffer: number
}

/** What a controller tells. */
export interface GradientStats {
  readonly blocked: Counter
  readonly limit: Gauge
  readonly gradient: Gauge
  readonly headroom: Gauge
  readonly isMeasuring: Gauge
  readonly idleMs: Gauge
  readonly sampleMs: Gauge
}

/** Latencies that are kept of a window; of more the first ones count. */
const mostSamples = 20_000
/** So many windows in a row at the least there may be: what counts as idle was measured wrong. */
const mostAtLeast = 5

/**
 * How many requests may be under way at once: as many as leave latencies near those of an idle server, which is measured now and
 * then with few requests at once. The limit grows or sinks with the ratio of both, and a little more to find out.
 */
export class GradientController {
  private readonly settings: GradientSettings
  private readonly stats: GradientStats
  private readonly timers: TimerWheel
  private readonly measureTimer: Timeout
  private readonly updateTimer: Timeout
  private readonly random: () => number
  private samples: number[] = []
  private active = 0
  private idleMs = 0
  /** Samples of requests that began before are of another window. */
  private sinceMs = Number.NEGATIVE_INFINITY
  /** The limit that holds again when it has been measured; 0: it is not being measured. */
  private limitAfter = 0
  private atLeast = 0
  limit: number

  constructor(settings: GradientSettings, stats: GradientStats, timers: TimerWheel, random: () => number = Math.random) {
    this.settings = settings
    this.stats = stats
    this.timers = timers
    this.random = random
    this.limit = settings.idleIntervalMs === null ? settings.minLimit : settings.idleConcurrency
    stats.limit.set(this.limit)
    this.measureTimer = new Timeout(() => this.measure())
    this.updateTimer = new Timeout(() => this.update())
    if (settings.idleIntervalMs === null) {
      this.idleMs = settings.fixedMs
      stats.idleMs.set(Math.round(this.idleMs))
    } else this.measure()
  }

  /** One request more; false: there are as many as may be. */
  enter(): boolean {
    if (this.active < this.limit) {
      this.active++
      return true
    }
    this.stats.blocked.inc()
    return false
  }

  /** A request that entered at `startedMs` (monotonic) was answered. */
  answered(startedMs: number): void {
    this.active--
    if (startedMs < this.sinceMs) return
    if (this.samples.length < mostSamples) this.samples.push(performance.now() - startedMs)
    if (this.limitAfter === 0) {
      if (!this.updateTimer.armed) this.timers.arm(this.updateTimer, this.settings.updateMs)
    } else if (this.samples.length >= this.settings.idleRequests) this.measured()
  }

  /** One that entered was given up. */
  left(): void {
    this.active--
  }

  close(): void {
    this.timers.cancel(this.measureTimer)
    this.timers.cancel(this.updateTimer)
  }

  private measure(): void {
    if (this.limitAfter !== 0) return
    this.stats.isMeasuring.set(1)
    this.limitAfter = this.limit
    this.setLimit(this.settings.idleConcurrency)
    this.samples = []
    this.sinceMs = performance.now()
  }

  private measured(): void {
    const { idleIntervalMs, jitter } = this.settings
    this.idleMs = this.takeLatency()
    this.stats.idleMs.set(Math.round(this.idleMs))
    const limit = this.limitAfter
    this.setLimit(limit)
    this.limitAfter = 0
    this.stats.isMeasuring.set(0)
    this.timers.arm(this.measureTimer, (idleIntervalMs ?? 0) * (1 + jitter * this.random()))
  }

  private update(): void {
    if (this.limitAfter !== 0 || this.samples.length === 0) return
    const latencyMs = this.takeLatency()
    const { settings, stats } = this
    stats.sampleMs.set(Math.round(latencyMs))
    const gradient = Math.max(0.5, Math.min(2, (this.idleMs * (1 + settings.buffer)) / latencyMs))
    stats.gradient.set(Math.ceil(gradient * 1000))
    const limit = this.limit * gradient
    const headroom = Math.sqrt(limit)
    stats.headroom.set(Math.floor(headroom))
    this.setLimit(Math.max(settings.minLimit, Math.min(settings.maxLimit, Math.floor(limit + headroom))))
  }

  private setLimit(limit: number): void {
    const { minLimit, idleIntervalMs } = this.settings
    this.atLeast = this.limitAfter === 0 && this.limit === minLimit && limit === minLimit ? this.atLeast + 1 : 0
    this.limit = limit
    this.stats.limit.set(limit)
    if (this.atLeast >= mostAtLeast && idleIntervalMs !== null) this.timers.arm(this.measureTimer, 0)
  }

  private takeLatency(): number {
    const sorted = this.samples.sort((a, b) => a - b)
    this.samples = []
    return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * this.settings.percentile))] ?? 0
  }
}
