import { HistogramBucketSettings } from '@weft/contracts/envoy/config/metrics/v3/stats'
import { expect, test } from 'vitest'
import { boundText, bucketBounds, standardBounds } from './histogram-buckets.ts'

test('the first setting that matches a name says its bounds, in order; others are standard', () => {
  const settings = [
    { prefix: 'cluster.a.', buckets: [5, 1] },
    { prefix: 'cluster.', buckets: [7] },
  ].map(({ prefix, buckets }) =>
    HistogramBucketSettings.fromPartial({ match: { matchPattern: { $case: 'prefix', value: prefix } }, buckets }),
  )
  const boundsOf = bucketBounds(settings)
  expect(boundsOf('cluster.a.upstream_rq_time')).toEqual([1, 5])
  expect(boundsOf('cluster.b.upstream_rq_time')).toEqual([7])
  expect(boundsOf('http.in.downstream_rq_time')).toBe(standardBounds)
})

test('a bound is said by all the digits of its binary form', () => {
  expect([0.5, 10, 3_600_000, 0.1].map(boundText)).toEqual(['0.5', '10', '3600000', '0.10000000000000000555111512312578'])
})
