import { expect, it } from 'vitest'
import { bucketOf, bucketRange, histogramBuckets, quantileOf } from './buckets.ts'

it('a value goes into the bucket whose range holds it, one beyond all into the last', () => {
  for (const value of [0, 1, 1.05, 9.99, 10, 11, 99, 100, 1234, 99_999, 5e8]) {
    const { low, width } = bucketRange(bucketOf(value))
    expect(value).toBeGreaterThanOrEqual(low * 0.999_999)
    expect(value).toBeLessThan((low + width) * 1.000_001)
  }
  for (const value of [9.99e8, 1e15]) expect(bucketOf(value)).toBe(histogramBuckets - 1)
})

it('a quantile is looked for inside its bucket, and is none of no value', () => {
  const buckets = new Float64Array(histogramBuckets)
  expect(quantileOf(buckets, 0.5)).toBeNaN()
  buckets[bucketOf(20)] = 4
  expect(quantileOf(buckets, 0.5)).toBeCloseTo(20.5)
  expect(quantileOf(buckets, 1)).toBeCloseTo(21)
})
