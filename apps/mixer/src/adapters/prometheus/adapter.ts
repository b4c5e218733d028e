import { Duration } from '@weft/attributes/duration'
import { stringify } from '@weft/attributes/stringify'
import { WeftError } from '@weft/service/errors'
import { type AttributeValue, adapter } from '../../adapter.ts'
import type { MetricInstance } from '../../templates/metric.ts'
import { boundsOf, config, metricName, type PrometheusConfig } from './config.ts'
import { type Family, Labels } from './exposition.ts'

interface Target {
  family: Family
  labels: LabelReader
  inMilliseconds: boolean
}

/**
 * Reads labels out of dimensions. What it gives is the same object for as long as the values are: the records of a batch
 * are much alike, and a family finds the series of the last values without looking it up.
 */
type LabelReader = (dimensions: MetricInstance['dimensions']) => Labels

function labelReader(names: readonly string[]): LabelReader {
  let last: MetricInstance['dimensions'] | undefined
  let labels: Labels | undefined
  return (dimensions) => {
    if (labels !== undefined && dimensions === last) return labels
    last = dimensions
    const values: string[] = []
    let same = labels !== undefined
    for (let index = 0; index < names.length; index++) {
      const text = textOf(dimensions[names[index] ?? ''])
      values.push(text)
      if (same && labels?.values[index] !== text) same = false
    }
    if (!same || labels === undefined) labels = new Labels(values)
    return labels
  }
}

let lives = 0

/** Counts metrics and exposes them on the admin server's `/metrics`. */
export default adapter({
  name: 'prometheus',
  config,
  open(handler) {
    const owner = `${handler.name}#${++lives}`
    const targets = new Map<string, Target[]>()
    const readers = new Map<string, LabelReader>()
    const release = () => handler.exposition.release(owner)
    try {
      for (const metric of handler.config.metrics) {
        const family = handler.exposition.acquire(definitionOf(metric), owner)
        const names = metric.labelNames.join()
        const labels = readers.get(names) ?? labelReader(metric.labelNames)
        readers.set(names, labels)
        const target = { family, labels, inMilliseconds: metric.durationUnit === 'MILLISECONDS' }
        const others = targets.get(metric.instanceName)
        if (others === undefined) targets.set(metric.instanceName, [target])
        else others.push(target)
      }
    } catch (error) {
      release()
      throw error
    }
    const policy = handler.config.metricsExpirationPolicy
    if (policy === undefined) return { targets, stop: release }
    const expiryMs = policy.metricsExpiryDuration
    const timer = setInterval(
      () => {
        for (const { family } of [...targets.values()].flat()) family.expire(handler.now() - expiryMs)
      },
      Math.max(policy.expiryCheckIntervalDuration ?? expiryMs / 2, 10),
    )
    timer.unref()
    return {
      targets,
      stop() {
        clearInterval(timer)
        release()
      },
    }
  },
  close: (state) => state.stop(),
  templates: {
    metric: (handler) => {
      const { targets } = handler.state
      return (instance) => {
        const wanted = targets.get(instance.name)
        if (wanted === undefined) {
          throw new WeftError('failed_precondition', `${handler.name} has no metric for instance '${instance.name}'`, {
            hint: 'add it to the metrics of the handler, with that instance_name',
          })
        }
        const now = handler.now()
        for (const { family, labels, inMilliseconds } of wanted) {
          family.record(labels(instance.dimensions), amountOf(instance.value, inMilliseconds), now)
        }
      }
    },
  },
})

function definitionOf(metric: PrometheusConfig['metrics'][number]) {
  return {
    name: metricName(metric),
    help: metric.description === '' ? metric.name : metric.description,
    kind: metric.kind === 'UNSPECIFIED' ? 'GAUGE' : metric.kind,
    labels: metric.labelNames,
    buckets: metric.kind === 'DISTRIBUTION' ? boundsOf(metric.buckets) : [],
    maxSeries: metric.maxSeries,
  } as const
}

function textOf(value: AttributeValue | undefined): string {
  return typeof value === 'string' ? value : stringify(value)
}

function amountOf(value: AttributeValue, inMilliseconds: boolean): number {
  const amount =
    value instanceof Duration
      ? inMilliseconds
        ? value.milliseconds
        : value.milliseconds / 1000
      : typeof value === 'string' && value.trim() === ''
        ? Number.NaN
        : typeof value === 'string' || typeof value === 'bigint' || typeof value === 'number'
          ? Number(value)
          : Number.NaN
  if (Number.isNaN(amount)) throw new WeftError('invalid_argument', `a metric cannot have the value '${stringify(value)}'`)
  return amount
}
