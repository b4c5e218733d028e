import type { HealthCheck } from '@weft/contracts/envoy/config/core/v3/health_check'
import { durationMs } from '../../plan/duration.ts'
import type { Probe, ProbeResult, ProbeTarget } from './probe.ts'

/** What a result did to an endpoint's health. */
export type Transition = 'unchanged' | 'pending' | 'changed'

export interface EndpointCheckOptions {
  config: HealthCheck
  probe: Probe
  /** Null: the endpoint cannot be reached yet (secrets have not come). */
  target(): ProbeTarget | null
  /** Whether the cluster has had traffic: without any it is checked less often. */
  hasTraffic(): boolean
  /** Whether the endpoint counts as failed now; others than this check may have said so. */
  failed(): boolean
  /** A check begins. */
  begins(): void
  /** Told after every check. `failed`: how the endpoint counts from now on. */
  checked(result: ProbeResult, failed: boolean, transition: Transition, first: boolean): void
  random?: () => number
}

/**
 * The checks of one endpoint, one after another: the first success counts at once, after that it takes `unhealthy_threshold`
 * failures or `healthy_threshold` successes in a row; an answer that says unhealthy counts at once.
 */
export class EndpointCheck {
  readonly #options: EndpointCheckOptions
  #first = true
  #healthyRow = 0
  #unhealthyRow = 0
  #timer: NodeJS.Timeout | undefined
  #closed = false
  #firstDone: () => void = () => undefined
  /** Resolves after the first check, or when there will be none. */
  readonly first: Promise<void>

  constructor(options: EndpointCheckOptions) {
    this.#options = options
    this.first = new Promise((resolve) => (this.#firstDone = resolve))
    const jitter = durationMs(options.config.initialJitter, 0) * (options.random ?? Math.random)()
    this.#timer = setTimeout(() => void this.#check(), jitter)
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
    this.#firstDone()
    this.#options.probe.close()
  }

  async #check(): Promise<void> {
    const { config, probe, checked, begins } = this.#options
    begins()
    const target = this.#options.target()
    const result = target === null ? 'network' : await probe.check(target, durationMs(config.timeout, 1_000))
    if (this.#closed) return
    const good = result === 'healthy' || result === 'degraded'
    const { failed, transition } = good ? this.#succeeded() : this.#failed(result)
    const first = this.#first
    this.#first = false
    checked(result, failed, transition, first)
    this.#firstDone()
    this.#timer = setTimeout(() => void this.#check(), this.#waitMs(good, transition))
  }

  #succeeded(): { failed: boolean; transition: Transition } {
    this.#unhealthyRow = 0
    if (!this.#options.failed()) return { failed: false, transition: this.#first ? 'changed' : 'unchanged' }
    this.#healthyRow++
    if (!this.#first && this.#healthyRow < (this.#options.config.healthyThreshold ?? 1))
      return { failed: true, transition: 'pending' }
    this.#healthyRow = 0
    return { failed: false, transition: 'changed' }
  }

  #failed(result: ProbeResult): { failed: boolean; transition: Transition } {
    this.#healthyRow = 0
    if (this.#options.failed()) return { failed: true, transition: 'unchanged' }
    this.#unhealthyRow++
    const atOnce = result === 'unhealthy' || result === 'excluded'
    if (!atOnce && this.#unhealthyRow < (this.#options.config.unhealthyThreshold ?? 1))
      return { failed: false, transition: 'pending' }
    this.#unhealthyRow = 0
    return { failed: true, transition: 'changed' }
  }

  #waitMs(good: boolean, transition: Transition): number {
    const { config, hasTraffic, random = Math.random } = this.#options
    const interval = durationMs(config.interval, 1_000)
    let waitMs: number
    if (!hasTraffic()) {
      waitMs = durationMs(config.noTrafficInterval, 60_000)
      if (good) waitMs = durationMs(config.noTrafficHealthyInterval, waitMs)
    } else if (good) waitMs = transition === 'unchanged' ? interval : durationMs(config.healthyEdgeInterval, interval)
    else {
      waitMs = durationMs(config.unhealthyInterval, interval)
      if (transition !== 'unchanged') waitMs = durationMs(config.unhealthyEdgeInterval, waitMs)
    }
    const jitter = durationMs(config.intervalJitter, 0) + (waitMs * config.intervalJitterPercent) / 100
    return waitMs + jitter * random()
  }
}
