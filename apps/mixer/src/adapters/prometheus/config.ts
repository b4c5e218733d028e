import { z } from 'zod'
import { int64, positiveDurationMs, protoMessage } from '../fields.ts'

const name = z.string().regex(/^[a-zA-Z_:][a-zA-Z0-9_:]*$/, 'is not a metric name that Prometheus allows')
const labelName = z.string().regex(/^[a-zA-Z_][a-zA-Z0-9_]*$/, 'is not a label name that Prometheus allows')
const finiteBuckets = int64().pipe(z.number().min(1).max(200))

const buckets = protoMessage({
  explicitBuckets: protoMessage({ bounds: z.array(z.number()).max(200) }).optional(),
  linearBuckets: protoMessage({
    numFiniteBuckets: finiteBuckets,
    width: z.number().positive(),
    offset: z.number().default(0),
  }).optional(),
  exponentialBuckets: protoMessage({
    numFiniteBuckets: finiteBuckets,
    growthFactor: z.number().gt(1, 'must be more than 1'),
    scale: z.number().positive(),
  }).optional(),
}).refine((given) => Object.values(given).filter((form) => form !== undefined).length <= 1, 'must be of one form')

export type BucketsDefinition = z.output<typeof buckets>

/** The parameters of a prometheus handler, as Istio 1.0 has them, and what is ours. */
export const config = protoMessage({
  metrics: z
    .array(
      protoMessage({
        instanceName: z.string().min(1),
        name,
        namespace: z
          .string()
          .regex(/^[a-zA-Z_:]?[a-zA-Z0-9_:]*$/, 'is no beginning of a metric name')
          .default('istio'),
        description: z.string().default(''),
        kind: z.enum(['UNSPECIFIED', 'GAUGE', 'COUNTER', 'DISTRIBUTION']).default('UNSPECIFIED'),
        buckets: buckets.default({}),
        labelNames: z.array(labelName).max(100).default([]),
        /** Ours: in which unit durations are written. Istio's Mixer knows seconds only. */
        durationUnit: z.enum(['SECONDS', 'MILLISECONDS']).default('SECONDS'),
        /** Ours: most series of this metric. */
        maxSeries: int64().pipe(z.number().min(1)).default(10_000),
      }),
    )
    .default([]),
  metricsExpirationPolicy: protoMessage({
    metricsExpiryDuration: positiveDurationMs().refine((ms) => ms > 0, 'must be more than 0'),
    expiryCheckIntervalDuration: positiveDurationMs().optional(),
  }).optional(),
}).superRefine(({ metrics }, context) => {
  const names = new Set<string>()
  metrics.forEach((metric, index) => {
    const full = metricName(metric)
    if (names.has(full))
      context.addIssue({ code: 'custom', path: ['metrics', index, 'name'], message: `'${full}' is defined already` })
    names.add(full)
    if (metric.kind === 'UNSPECIFIED') {
      context.addIssue({ code: 'custom', path: ['metrics', index, 'kind'], message: 'must be GAUGE, COUNTER or DISTRIBUTION' })
    }
    const bounds = boundsOf(metric.buckets)
    if (bounds.some((bound, place) => place > 0 && bound <= (bounds[place - 1] ?? 0))) {
      context.addIssue({ code: 'custom', path: ['metrics', index, 'buckets'], message: 'bounds must ascend' })
    }
  })
})

export type PrometheusConfig = z.output<typeof config>

/** `istio_requests_total`: namespace and name. */
export function metricName({ namespace, name }: { namespace: string; name: string }): string {
  return namespace === '' ? name : `${namespace}_${name}`
}

/** Prometheus's own default bounds, for a distribution that names none. */
const defaultBounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** The upper bounds of the buckets; `n` finite buckets lie between `n + 1` bounds. */
export function boundsOf({ explicitBuckets, linearBuckets, exponentialBuckets }: BucketsDefinition): number[] {
  if (explicitBuckets !== undefined) return explicitBuckets.bounds
  if (linearBuckets !== undefined) {
    const { numFiniteBuckets, width, offset } = linearBuckets
    return Array.from({ length: numFiniteBuckets + 1 }, (_, index) => offset + width * index)
  }
  if (exponentialBuckets !== undefined) {
    const { numFiniteBuckets, growthFactor, scale } = exponentialBuckets
    return Array.from({ length: numFiniteBuckets + 1 }, (_, index) => scale * growthFactor ** index)
  }
  return defaultBounds
}
