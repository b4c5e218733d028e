import type { WeftError } from '@weft/service/errors'
import type { Logger } from '@weft/service/logger'
import { Counter, Gauge, Histogram, type Registry } from '@weft/service/metrics'

/** A handler that fails is logged once in this time, with how often it did. */
const LOG_EVERY_MS = 10_000

const durationBuckets = [0.00001, 0.00005, 0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1]

/** Mixer's own metrics about what it dispatches. */
export class DispatchMetrics {
  readonly #checks: Counter<'code'>
  readonly #quotas: Counter<'result'>
  readonly #records: Counter
  readonly #durations: Histogram<'variety'>
  readonly #handlerErrors: Counter<'handler' | 'adapter' | 'code'>
  readonly #handlerDurations: Histogram<'handler'>
  readonly #instanceErrors: Counter<'instance'>
  readonly #matchErrors: Counter<'rule'>
  readonly #handlerUp: Gauge<'handler'>
  readonly #logger: Logger
  readonly #lastLogged = new Map<string, { atMs: number; since: number }>()

  constructor(registry: Registry, logger: Logger) {
    this.#logger = logger
    const registers = [registry]
    this.#checks = new Counter({
      name: 'mixer_check_total',
      help: 'Checks answered, by status code',
      labelNames: ['code'],
      registers,
    })
    this.#quotas = new Counter({
      name: 'mixer_quota_total',
      help: 'Quotas asked for: granted, partial, denied, unknown',
      labelNames: ['result'],
      registers,
    })
    this.#records = new Counter({ name: 'mixer_report_records_total', help: 'Report records taken in', registers })
    this.#durations = new Histogram({
      name: 'mixer_dispatch_duration_seconds',
      help: 'Time from attributes to answer: a check, a quota, or a report of any number of records',
      labelNames: ['variety'],
      buckets: durationBuckets,
      registers,
    })
    this.#handlerErrors = new Counter({
      name: 'mixer_handler_errors_total',
      help: 'Calls that a handler failed to answer',
      labelNames: ['handler', 'adapter', 'code'],
      registers,
    })
    this.#handlerDurations = new Histogram({
      name: 'mixer_handler_duration_seconds',
      help: 'Calls of handlers that answer later',
      labelNames: ['handler'],
      buckets: durationBuckets,
      registers,
    })
    this.#instanceErrors = new Counter({
      name: 'mixer_instance_errors_total',
      help: 'Instances that could not be made of a request: an attribute was absent or of no use',
      labelNames: ['instance'],
      registers,
    })
    this.#matchErrors = new Counter({
      name: 'mixer_rule_match_errors_total',
      help: 'Matches that could not be told, and count as false',
      labelNames: ['rule'],
      registers,
    })
    this.#handlerUp = new Gauge({
      name: 'mixer_handler_up',
      help: '1 while what a handler depends on can be used',
      labelNames: ['handler'],
      registers,
    })
  }

  checked(code: number, durationMs: number): void {
    this.#checks.inc({ code: String(code) })
    this.#durations.observe({ variety: 'check' }, durationMs / 1000)
  }

  quota(result: 'granted' | 'partial' | 'denied' | 'unknown', durationMs: number): void {
    this.#quotas.inc({ result })
    this.#durations.observe({ variety: 'quota' }, durationMs / 1000)
  }

  reported(records: number, durationMs: number): void {
    this.#records.inc(records)
    this.#durations.observe({ variety: 'report' }, durationMs / 1000)
  }

  handlerDuration(handler: string, durationMs: number): void {
    this.#handlerDurations.observe({ handler }, durationMs / 1000)
  }

  handlerFailed(handler: { name: string; adapter: string }, error: WeftError): void {
    this.#handlerErrors.inc({ handler: handler.name, adapter: handler.adapter, code: error.code })
    this.#logSometimes(handler.name, `${handler.name} failed: ${error.describe()}`)
  }

  instanceFailed(instance: string, error: WeftError): void {
    this.#instanceErrors.inc({ instance })
    this.#logSometimes(instance, `${instance} cannot be made: ${error.describe()}`)
  }

  matchFailed(rule: string): void {
    this.#matchErrors.inc({ rule })
  }

  handlerHealth(handler: string, problem: WeftError | undefined): void {
    this.#handlerUp.set({ handler }, problem === undefined ? 1 : 0)
    if (problem === undefined) this.#logger.info({ handler }, 'handler works')
    else this.#logger.error({ handler }, `${handler}: ${problem.describe()}`)
  }

  handlerClosed(handler: string): void {
    this.#handlerUp.remove({ handler })
    this.#lastLogged.delete(handler)
  }

  #logSometimes(about: string, message: string): void {
    const now = performance.now()
    const last = this.#lastLogged.get(about)
    if (last !== undefined && now - last.atMs < LOG_EVERY_MS) {
      last.since++
      return
    }
    this.#lastLogged.set(about, { atMs: now, since: 0 })
    this.#logger.warn({ moreBefore: last?.since ?? 0 }, message)
  }
}
