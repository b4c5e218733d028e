import type { HealthCheck } from '@weft/contracts/envoy/config/core/v3/health_check'
import { durationMs } from '../../plan/duration.ts'
import type { Probe, ProbeResult, ProbeTarget } from './probe.ts'

/** What is known of an endpoint after a check. */
export interface CheckState {
  healthy: boolean
  degraded: boolean
}

export interface EndpointCheckOptions {
  config: HealthCheck
  probe: Probe
  /** Null: the endpoint cannot be reached yet (secrets have not come). */
  target(): ProbeTarget | null
  /** Whether the cluster has had traffic: without any it is checked less often. */
  hasTraffic(): boolean
  /** Told after every check. */
  checked(result: ProbeResult, state: CheckState): void
  random?: () => number
}

/**
 * The checks of one endpoint, one after another: the first result counts at once, after that it takes
 * `unhealthy_threshold` failures or `healthy_threshold` successes in a row; an answer that says unhealthy counts at once.
 */
export class EndpointCheck {
  readonly #options: EndpointCheckOptions
  #state: CheckState | undefined
  #inARow = 0
  #timer: NodeJS.Timeout | undefined
  #closed = false

  constructor(options: EndpointCheckOptions) {
    this.#options = options
    const jitter = durationMs(options.config.initialJitter, 0) * (options.random ?? Math.random)()
    this.#timer = setTimeout(() => void this.#check(), jitter)
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
  }

  async #check(): Promise<void> {
    const { config, probe, checked } = this.#options
    const target = this.#options.target()
    const result = target === null ? 'network' : await probe(target, durationMs(config.timeout, 1_000))
    if (this.#closed) return
    const edge = this.#judge(result)
    const state = this.#state
    if (state !== undefined) checked(result, { ...state })
    this.#timer = setTimeout(() => void this.#check(), this.#waitMs(edge))
  }

  /** Takes a result into account; says whether the endpoint's health changed, or is about to. */
  #judge(result: ProbeResult): boolean {
    const good = result === 'healthy' || result === 'degraded'
    const before = this.#state
    if (before === undefined) {
      this.#state = { healthy: good, degraded: result === 'degraded' }
      return true
    }
    before.degraded = result === 'degraded'
    if (good === before.healthy) {
      this.#inARow = 0
      return false
    }
    this.#inARow++
    const { config } = this.#options
    const needed = good ? (config.healthyThreshold ?? 1) : (config.unhealthyThreshold ?? 1)
    if (this.#inARow >= needed || result === 'unhealthy') {
      before.healthy = good
      this.#inARow = 0
    }
    return true
  }

  #waitMs(edge: boolean): number {
    const { config, hasTraffic, random = Math.random } = this.#options
    const interval = durationMs(config.interval, 1_000)
    const healthy = this.#state?.healthy === true
    let waitMs = interval
    if (!hasTraffic()) {
      waitMs = durationMs(config.noTrafficInterval, 60_000)
      if (healthy) waitMs = durationMs(config.noTrafficHealthyInterval, waitMs)
    } else if (!healthy) {
      waitMs = durationMs(config.unhealthyInterval, interval)
      if (edge) waitMs = durationMs(config.unhealthyEdgeInterval, waitMs)
    } else if (edge) waitMs = durationMs(config.healthyEdgeInterval, interval)
    const jitter = durationMs(config.intervalJitter, 0) + (waitMs * config.intervalJitterPercent) / 100
    return waitMs + jitter * random()
  }
}
