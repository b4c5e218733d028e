import {
  AdaptiveConcurrency,
  type GradientControllerConfig,
} from '@weft/contracts/envoy/extensions/filters/http/adaptive_concurrency/v3/adaptive_concurrency'
import { durationMs } from '../../../plan/duration.ts'
import type { FilterContext, FilterStatus, HttpFilter, HttpFilterKind, HttpStream } from '../filter.ts'
import { GradientController, type GradientSettings } from './gradient-controller.ts'

/** `envoy.filters.http.adaptive_concurrency`: so many requests at once as leave latencies low, found out as they come. */
export const adaptiveConcurrency: HttpFilterKind = {
  types: ['envoy.extensions.filters.http.adaptive_concurrency.v3.AdaptiveConcurrency'],
  compile(bytes, context) {
    const source = AdaptiveConcurrency.decode(bytes)
    const controllerConfig = source.concurrencyControllerConfig
    if (controllerConfig === undefined) return context.fail('', 'a gradient_controller_config is needed')
    const settings = compileSettings(controllerConfig.value, context)
    const stat = (name: string) => `${context.statPrefix}adaptive_concurrency.gradient_controller.${name}`
    const { stats, services, runtime } = context
    const told = {
      blocked: stats.counter(stat('rq_blocked')),
      limit: stats.gauge(stat('concurrency_limit')),
      gradient: stats.gauge(stat('gradient')),
      headroom: stats.gauge(stat('burst_queue_size')),
      isMeasuring: stats.gauge(stat('min_rtt_calculation_active')),
      idleMs: stats.gauge(stat('min_rtt_msecs')),
      sampleMs: stats.gauge(stat('sample_rtt_msecs')),
    }
    if (services === null) return { start: () => null }
    const controller = new GradientController(settings, told, services.timers)
    const { enabled, concurrencyLimitExceededStatus } = source
    const code = concurrencyLimitExceededStatus?.code ?? 0
    const status = code < 400 ? 503 : code
    return {
      start(stream) {
        const isOn = enabled === undefined || runtime.boolean(enabled.runtimeKey, enabled.defaultValue ?? true)
        return isOn && !stream.info.isHealthCheck ? new ConcurrencyFilter(controller, status) : null
      },
      close: () => controller.close(),
    }
  },
}

function compileSettings(source: GradientControllerConfig, { fail }: FilterContext): GradientSettings {
  const { concurrencyLimitParams: limits, minRttCalcParams: idle } = source
  const at = 'gradient_controller_config'
  if (limits === undefined || idle === undefined) return fail(at, 'concurrency_limit_params and min_rtt_calc_params must be set')
  if (idle.interval === undefined && idle.fixedValue === undefined)
    return fail(`${at}.min_rtt_calc_params`, "one of 'interval' and 'fixed_value' must be set")
  const idleConcurrency = idle.minConcurrency ?? 3
  return {
    percentile: (source.sampleAggregatePercentile?.value ?? 50) / 100,
    maxLimit: limits.maxConcurrencyLimit ?? 1000,
    minLimit: limits.minConcurrencyLimit ?? idleConcurrency,
    updateMs: durationMs(limits.concurrencyUpdateInterval, 0),
    idleIntervalMs: idle.fixedValue === undefined ? durationMs(idle.interval, 0) : null,
    fixedMs: durationMs(idle.fixedValue, 0),
    idleRequests: idle.requestCount ?? 50,
    jitter: (idle.jitter?.value ?? 15) / 100,
    idleConcurrency,
    buffer: (idle.buffer?.value ?? 25) / 100,
  }
}

class ConcurrencyFilter implements HttpFilter {
  private readonly controller: GradientController
  private readonly status: number
  /** When it was let in (monotonic ms); -1: it was not, or is over. */
  private sinceMs = -1
  private isAnswered = false

  constructor(controller: GradientController, status: number) {
    this.controller = controller
    this.status = status
  }

  onRequestHeaders(stream: HttpStream): FilterStatus {
    if (this.controller.enter()) {
      this.sinceMs = performance.now()
      return 'continue'
    }
    stream.reply(this.status, 'reached concurrency limit', { details: 'reached_concurrency_limit' })
    return 'stop'
  }

  onResponseHeaders(): FilterStatus {
    this.isAnswered = true
    return 'continue'
  }

  onComplete(): void {
    if (this.sinceMs < 0) return
    if (this.isAnswered) this.controller.answered(this.sinceMs)
    else this.controller.left()
    this.sinceMs = -1
  }
}
