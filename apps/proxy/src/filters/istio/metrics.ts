import { MetricType, type PluginConfig, Reporter as ReporterSetting } from '@weft/contracts/istio/filters/stats'
import { WeftError } from '@weft/service/errors'
import { compileText, type Expression } from '../../expressions/expression.ts'
import { resultText } from '../../expressions/result-text.ts'
import type { FormatContext } from '../../observe/format/context.ts'
import type { Counter, Histogram, StatSource, Stats } from '../../observe/stats.ts'
import { durationMs } from '../../plan/duration.ts'
import type { WorkerServices } from '../../worker-services.ts'
import { type OwnLabels, ownLabels, type Reporter, requestLabels } from './metric-labels.ts'

/** The namespace of these metrics in the statistics; Prometheus shows them without it. */
const namespace = 'istiocustom.'
const prefix = 'istio_'
/**
 * Label sets of a worker: peers choose what some labels say, so there is an end to them. Each has three histograms, of 7 KB each.
 * They stay when the configuration changes, as the statistics do.
 */
const maxLabelSets = 5_000
const labelSets = new WeakMap<Stats, Set<string>>()
const standardMetrics: ReadonlySet<string> = new Set([
  'requests_total',
  'request_duration_milliseconds',
  'request_bytes',
  'response_bytes',
  'request_messages_total',
  'response_messages_total',
  'tcp_connections_opened_total',
  'tcp_connections_closed_total',
  'tcp_sent_bytes_total',
  'tcp_received_bytes_total',
])
const standardLabels: ReadonlySet<string> = new Set(requestLabels)

interface CustomMetric {
  readonly name: string
  readonly type: number
  /** Which expression gives its value. */
  readonly value: number
}

/** What a filter is set up with. */
export interface MetricsContext {
  readonly stats: Stats
  readonly direction: 'unspecified' | 'inbound' | 'outbound'
  /** null: nothing is counted. */
  readonly services: WorkerServices | null
  readonly path: string
}

/** What the expressions of a configuration gave of a request. */
export type ExpressionValues = readonly string[]

/** Istio's metrics as a configuration of `istio.stats` changes them: some dropped, labels taken away, set, added, and metrics of its own. */
export class IstioMetrics {
  readonly reporter: Reporter
  readonly own: OwnLabels
  readonly hostFallback: boolean
  /** How often what is still under way is reported, ms; 0: not. */
  readonly intervalMs: number
  private readonly stats: Stats
  private readonly node: WorkerServices['node'] | undefined
  private readonly log: (message: string) => void
  private readonly expressions: Expression[] = []
  private readonly expressionIds = new Map<string, number>()
  private readonly dropped = new Set<string>()
  /** By metric and label: the expression that gives the label's value; null: the label goes. */
  private readonly changed = new Map<string, Map<string, number | null>>()
  private readonly added = new Map<string, (readonly [label: string, expression: number])[]>()
  private readonly customs = new Map<string, CustomMetric>()
  private readonly sets = new Map<string, LabelSet>()
  private full: LabelSet | null = null

  constructor(source: PluginConfig, { stats, direction, services, path }: MetricsContext) {
    this.stats = stats
    this.node = services?.node
    this.log = (message) => services?.log('info', `${path}: ${message}`)
    this.reporter =
      source.reporter === ReporterSetting.SERVER_GATEWAY ? 'waypoint' : direction === 'inbound' ? 'destination' : 'source'
    this.own = ownLabels(services?.node.metadata ?? {})
    this.hostFallback = !source.disableHostHeaderFallback
    this.intervalMs = durationMs(source.tcpReportingDuration, 5_000)
    this.define(source)
    for (const metric of source.metrics) {
      if (metric.drop) {
        if (standardMetrics.has(metric.name)) this.dropped.add(metric.name)
        continue
      }
      this.change(metric)
    }
    if (services === null) return
    const version = services.node.metadata['ISTIO_VERSION']
    const tags = { component: 'proxy', tag: typeof version === 'string' && version !== '' ? version : 'unknown' }
    stats.gauge(fullName('istio_build', Object.entries(tags)), tags).set(1)
  }

  private define({ definitions }: PluginConfig): void {
    for (const { name, value, type } of definitions) {
      if (standardMetrics.has(name)) {
        this.log(`the standard metric ${name} cannot be defined anew`)
        continue
      }
      const expression = this.expression(value)
      if (expression !== null && !this.customs.has(name)) this.customs.set(name, { name, type, value: expression })
    }
  }

  private change({ name, tagsToRemove, dimensions }: PluginConfig['metrics'][number]): void {
    const standard = name === '' ? [...standardMetrics] : standardMetrics.has(name) ? [name] : []
    const custom = name === '' ? [...this.customs.keys()] : this.customs.has(name) ? [name] : []
    for (const label of tagsToRemove) {
      if (standardLabels.has(label)) for (const metric of standard) this.changesOf(metric).set(label, null)
      else this.log(`the label ${label} is not a standard one`)
    }
    for (const label of Object.keys(dimensions).sort()) {
      const expression = this.expression(dimensions[label] ?? '')
      if (standardLabels.has(label)) for (const metric of standard) this.changesOf(metric).set(label, expression)
      if (expression === null) continue
      const adding = standardLabels.has(label) ? custom : [...standard, ...custom]
      for (const metric of adding) this.added.set(metric, [...(this.added.get(metric) ?? []), [label, expression]])
    }
  }

  private changesOf(metric: string): Map<string, number | null> {
    let changes = this.changed.get(metric)
    if (changes === undefined) {
      changes = new Map()
      this.changed.set(metric, changes)
    }
    return changes
  }

  /** The place of an expression; null (and told) for one that is none: as with Envoy that refuses nothing. */
  private expression(text: string): number | null {
    const known = this.expressionIds.get(text)
    if (known !== undefined) return known
    try {
      const place = this.expressions.push(compileText(text, 'expression', this.node)) - 1
      this.expressionIds.set(text, place)
      return place
    } catch (error) {
      this.log(`'${text}' is no expression: ${WeftError.from(error).message}`)
      return null
    }
  }

  /** What the configuration's expressions give now; one that gives an error is unknown. */
  evaluate(context: FormatContext): ExpressionValues {
    if (this.expressions.length === 0) return noValues
    return this.expressions.map((expression) => resultText(expression(context)) ?? 'unknown')
  }

  /** The metrics with these labels. `values` go with `labels` in their order. */
  labelled(labels: readonly string[], values: readonly string[], expressions: ExpressionValues): LabelSet {
    const key = `${values.join('\n')}\r${expressions.join('\n')}`
    const known = this.sets.get(key)
    if (known !== undefined) return known
    const all = labelSets.get(this.stats) ?? new Set()
    labelSets.set(this.stats, all)
    if (all.size >= maxLabelSets && !all.has(key)) {
      if (this.full === null) this.log(`more than ${maxLabelSets} sets of labels: further ones are not counted`)
      this.full ??= new LabelSet(this.stats.unheard, () => null)
      return this.full
    }
    const tagsOf = (metric: string): [string, string][] | null =>
      this.dropped.has(metric) ? null : this.tags(metric, labels, values, expressions)
    const set = new LabelSet(this.stats, tagsOf)
    this.sets.set(key, set)
    all.add(key)
    return set
  }

  private tags(
    metric: string,
    labels: readonly string[],
    values: readonly string[],
    expressions: ExpressionValues,
  ): [string, string][] {
    const changes = this.changed.get(metric)
    const tags: [string, string][] = []
    for (const [i, value] of values.entries()) {
      const label = labels[i] ?? ''
      const change = changes?.get(label)
      if (change !== null) tags.push([label, change === undefined ? value : (expressions[change] ?? '')])
    }
    for (const [label, expression] of this.added.get(metric) ?? []) tags.push([label, expressions[expression] ?? ''])
    return tags
  }

  /** Counts the configuration's own metrics: what their expressions gave, where it is a whole number. */
  countCustom(expressions: ExpressionValues): void {
    for (const { name, type, value } of this.customs.values()) {
      const text = expressions[value] ?? ''
      const amount = /^\d{1,15}$/.test(text) ? Number(text) : 0
      const pairs = this.tags(name, [], [], expressions)
      const full = fullName(prefix + name, pairs)
      const tags = Object.fromEntries(pairs)
      if (type === MetricType.GAUGE) this.stats.gauge(full, tags).set(amount)
      else if (type === MetricType.HISTOGRAM) this.stats.histogram(full, tags).record(amount)
      else this.stats.counter(full, tags).add(amount)
    }
  }
}

const noValues: ExpressionValues = []

/** The standard metrics with one set of labels; each is made when it is first counted. */
export class LabelSet {
  private readonly source: StatSource
  private readonly tagsOf: (metric: string) => [string, string][] | null
  private readonly counters = new Map<string, Counter | null>()
  private readonly histograms = new Map<string, Histogram | null>()

  /** `tagsOf` null: the metric is not to be. */
  constructor(source: StatSource, tagsOf: (metric: string) => [string, string][] | null) {
    this.source = source
    this.tagsOf = tagsOf
  }

  add(metric: string, amount: number): void {
    let counter = this.counters.get(metric)
    if (counter === undefined) {
      const tags = this.tagsOf(metric)
      counter = tags === null ? null : this.source.counter(fullName(prefix + metric, tags), Object.fromEntries(tags))
      this.counters.set(metric, counter)
    }
    counter?.add(amount)
  }

  record(metric: string, value: number): void {
    let histogram = this.histograms.get(metric)
    if (histogram === undefined) {
      const tags = this.tagsOf(metric)
      histogram = tags === null ? null : this.source.histogram(fullName(prefix + metric, tags), Object.fromEntries(tags))
      this.histograms.set(metric, histogram)
    }
    histogram?.record(value)
  }
}

/** A name with its tags in it, as Envoy writes it: an empty value leaves no trace. */
function fullName(name: string, tags: readonly (readonly [string, string])[]): string {
  return namespace + name + tags.map(([tag, value]) => (value === '' ? `.${tag}` : `.${tag}.${value}`)).join('')
}
