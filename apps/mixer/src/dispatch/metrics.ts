import type { WeftError } from '@weft/service/errors'
import type { Logger } from '@weft/service/logger'
import { Counter, Gauge, Histogram, type Registry } from '@weft/service/metrics'
import { type Exposition, type Family, Labels } from '../adapters/prometheus/exposition.ts'

/** A handler that fails is logged once in this time, with how often it did. */
const LOG_EVERY_MS = 10_000

const durationBuckets = [0.00001, 0.00005, 0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1]

/** The families of what is counted for each request; who counts as `mixer` owns them. */
const family = (name: string, help: string, kind: 'COUNTER' | 'DISTRIBUTION', labels: string[]) => ({
  name,
  help,
  kind,
  labels,
  buckets: kind === 'DISTRIBUTION' ? durationBuckets : [],
  maxSeries: 10_000,
})

/** Label values are looked up by the value rather than made anew for each request. */
class LabelCache<Value> {
  readonly #known = new Map<Value, Labels>()

  of(value: Value): Labels {
    let labels = this.#known.get(value)
    if (labels === undefined) {
      labels = new Labels([String(value)])
      if (this.#known.size < 10_000) this.#known.set(value, labels)
    }
    return labels
  }
}

const noLabels = new Labels([])
const varieties = { check: new Labels(['check']), quota: new Labels(['quota']), report: new Labels(['report']) }

/**
 * Mixer's own metrics about what it dispatches. Those that each request touches are families of the exposition: the
 * registry's counters would cost a check a third of its time.
 */
export class DispatchMetrics {
  readonly #checks: Family
  readonly #quotas: Family
  readonly #records: Family
  readonly #durations: Family
  readonly #matchErrors: Family
  readonly #handlerErrors: Counter<'handler' | 'adapter' | 'code'>
  readonly #handlerDurations: Histogram<'handler'>
  readonly #instanceErrors: Counter<'instance'>
  readonly #handlerUp: Gauge<'handler'>
  readonly #logger: Logger
  readonly #lastLogged = new Map<string, { atMs: number; since: number }>()
  readonly #codes = new LabelCache<number>()
  readonly #results = new LabelCache<string>()
  readonly #rules = new LabelCache<string>()

  constructor(registry: Registry, exposition: Exposition, logger: Logger) {
    this.#logger = logger
    const registers = [registry]
    const acquire = (...definition: Parameters<typeof family>) => exposition.acquire(family(...definition), 'mixer')
    this.#checks = acquire('mixer_check_total', 'Checks answered, by status code', 'COUNTER', ['code'])
    this.#quotas = acquire('mixer_quota_total', 'Quotas asked for: granted, partial, denied, unknown', 'COUNTER', ['result'])
    this.#records = acquire('mixer_report_records_total', 'Report records taken in', 'COUNTER', [])
    this.#matchErrors = acquire(
      'mixer_rule_match_errors_total',
      'Matches that could not be told, and count as false',
      'COUNTER',
      ['rule'],
    )
    this.#durations = acquire(
      'mixer_dispatch_duration_seconds',
      'Time from attributes to answer: a check, a quota, or a report of any number of records',
      'DISTRIBUTION',
      ['variety'],
    )
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
    this.#handlerUp = new Gauge({
      name: 'mixer_handler_up',
      help: '1 while what a handler depends on can be used',
      labelNames: ['handler'],
      registers,
    })
  }

  checked(code: number, durationMs: number): void {
    this.#checks.record(this.#codes.of(code), 1, 0)
    this.#durations.record(varieties.check, durationMs / 1000, 0)
  }

  quota(result: 'granted' | 'partial' | 'denied' | 'unknown', durationMs: number): void {
    this.#quotas.record(this.#results.of(result), 1, 0)
    this.#durations.record(varieties.quota, durationMs / 1000, 0)
  }

  reported(records: number, durationMs: number): void {
    this.#records.record(noLabels, records, 0)
    this.#durations.record(varieties.report, durationMs / 1000, 0)
  }

  matchFailed(rule: string): void {
    this.#matchErrors.record(this.#rules.of(rule), 1, 0)
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
