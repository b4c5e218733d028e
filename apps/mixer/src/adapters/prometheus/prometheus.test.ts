import { Duration } from '@weft/attributes/duration'
import { until } from '@weft/service/testing/until'
import { describe, expect, it } from 'vitest'
import { openHandler } from '../../testing.ts'
import prometheus from './adapter.ts'
import { Exposition } from './exposition.ts'

const metric = (fields: Record<string, unknown>) => ({
  name: 'm',
  instance_name: 'i',
  kind: 'COUNTER',
  label_names: ['app'],
  ...fields,
})
const instance = (value: bigint | number | string | Duration, dimensions = {}) => ({
  name: 'i',
  value,
  dimensions,
  monitoredResourceType: '',
  monitoredResourceDimensions: {},
})

async function record(definition: Record<string, unknown>, values: Parameters<typeof instance>[]): Promise<string> {
  const handler = await openHandler(prometheus, { metrics: [metric(definition)] })
  const handle = handler.handle('metric')
  for (const value of values) await handle(instance(...value))
  const text = handler.exposition.text()
  await handler.close()
  return text
}

describe('prometheus', () => {
  it('counts by labels, with the namespace of the mesh', async () => {
    const text = await record({ description: 'How many' }, [
      [1n, { app: 'a' }],
      [2n, { app: 'a' }],
      [1n, { app: 'b"\\\n' }],
    ])
    expect(text).toContain('# HELP istio_m How many\n# TYPE istio_m counter\nistio_m{app="a"} 3\nistio_m{app="b\\"\\\\\\n"} 1\n')
  })

  it('keeps the last value of a gauge', async () => {
    expect(await record({ kind: 'GAUGE', namespace: '', label_names: [] }, [[5n], [2.5]])).toContain('m 2.5\n')
  })

  it.each([
    ['explicit', { explicit_buckets: { bounds: [0.1, 1] } }, ['0.1', '1', '+Inf']],
    ['linear', { linearBuckets: { numFiniteBuckets: 2, width: 5, offset: 1 } }, ['1', '6', '11', '+Inf']],
    [
      'exponential',
      { exponential_buckets: { num_finite_buckets: 6, scale: 1, growth_factor: 10 } },
      ['1', '10', '100', '1000', '10000', '100000', '1e+06', '+Inf'],
    ],
  ])('makes a distribution of %s buckets', async (_, buckets, bounds) => {
    const text = await record({ kind: 'DISTRIBUTION', buckets }, [
      [0.5, { app: 'a' }],
      [1e9, { app: 'a' }],
    ])
    expect([...text.matchAll(/le="([^"]+)"/g)].map((match) => match[1])).toEqual(bounds)
    expect(text).toContain('istio_m_bucket{app="a",le="1"} 1\n')
    expect(text).toContain('istio_m_bucket{app="a",le="+Inf"} 2\n')
    expect(text).toContain('istio_m_sum{app="a"} 1000000000.5\nistio_m_count{app="a"} 2\n')
  })

  it('writes durations in seconds, or in milliseconds where that is asked for', async () => {
    const duration = Duration.fromMilliseconds(1_500)
    expect(await record({}, [[duration]])).toContain('istio_m{app=""} 1.5\n')
    expect(await record({ durationUnit: 'MILLISECONDS' }, [[duration]])).toContain('istio_m{app=""} 1500\n')
  })

  it('drops what would make more series than a metric may have, and counts it', async () => {
    const text = await record({ maxSeries: 1 }, [
      [1n, { app: 'a' }],
      [1n, { app: 'b' }],
      [1n, { app: 'a' }],
    ])
    expect(text).toContain('istio_m{app="a"} 2\n')
    expect(text).not.toContain('app="b"')
    expect(text).toContain('mixer_prometheus_dropped_total{metric="istio_m"} 1\n')
  })

  it('forgets series that have not been touched for the time configured', async () => {
    let nowMs = 0
    const metricsExpirationPolicy = { metricsExpiryDuration: '1s', expiryCheckIntervalDuration: '10ms' }
    const handler = await openHandler(prometheus, { metrics: [metric({})], metricsExpirationPolicy }, { now: () => nowMs })
    await handler.handle('metric')(instance(1n, { app: 'a' }))
    nowMs = 2_000
    await until(() => !handler.exposition.text().includes('app="a"'), 'the series to go')
    await handler.close()
  })

  it('goes on counting when a handler is opened again with the same definition', async () => {
    const exposition = new Exposition()
    const open = (fields: Record<string, unknown>) => openHandler(prometheus, { metrics: [metric(fields)] }, { exposition })
    const first = await open({})
    await first.handle('metric')(instance(1n))
    const second = await open({})
    await first.close()
    await second.handle('metric')(instance(1n))
    expect(exposition.text()).toContain('istio_m{app=""} 2\n')
    const changed = await open({ label_names: ['app', 'version'] })
    await second.close()
    await changed.handle('metric')(instance(1n))
    expect(exposition.text()).toContain('istio_m{app="",version=""} 1\n')
    await changed.close()
    expect(exposition.text()).not.toContain('istio_m{')
  })

  it('does not let two handlers define a metric in two ways', async () => {
    const exposition = new Exposition()
    const one = await openHandler(prometheus, { metrics: [metric({})] }, { exposition, name: 'one.prometheus.default' })
    const two = openHandler(prometheus, { metrics: [metric({ kind: 'GAUGE' })] }, { exposition, name: 'two.prometheus.default' })
    await expect(two).rejects.toThrow("metric 'istio_m' is defined otherwise by one.prometheus.default")
    await one.close()
  })

  it('fails for an instance that it has no metric for, and for a value that is no number', async () => {
    const handler = await openHandler(prometheus, { metrics: [metric({})] })
    const handle = handler.handle('metric')
    expect(() => handle({ ...instance(1n), name: 'other' })).toThrow("no metric for instance 'other'")
    expect(() => handle(instance('many'))).toThrow("cannot have the value 'many'")
    await handler.close()
  })

  it.each([
    { metrics: [metric({ name: 'a-b' })] },
    { metrics: [metric({ label_names: ['a.b'] })] },
    { metrics: [metric({ kind: undefined })] },
    { metrics: [metric({}), metric({})] },
    { metrics: [metric({ kind: 'DISTRIBUTION', buckets: { explicit_buckets: { bounds: [2, 1] } } })] },
    {
      metrics: [
        metric({
          kind: 'DISTRIBUTION',
          buckets: { explicit_buckets: { bounds: [1] }, linear_buckets: { numFiniteBuckets: 1, width: 1 } },
        }),
      ],
    },
  ])('refuses %j', (params) => {
    expect(() => prometheus.validate(params)).toThrow()
  })
})
