import { expect, test } from 'vitest'
import type { ViewedStat } from '../admin/stat-view.ts'
import { bucketOf, histogramBuckets } from '../observe/buckets.ts'
import { datagrams, StatsdLines } from './statsd-lines.ts'

const counter = (name: string, value: number): ViewedStat => ({ kind: 'counter', name, value, tags: {} })
const histogram = (...values: number[]): ViewedStat => {
  const buckets = new Float64Array(histogramBuckets)
  for (const value of values) buckets[bucketOf(value)]!++
  return { kind: 'histogram', name: 'h', tags: {}, count: values.length, sum: 0, buckets, interval: buckets, bounds: [] }
}

test('counters tell what came since, gauges what stands', () => {
  const lines = new StatsdLines({ prefix: 'envoy', untagged: null })
  expect(lines.next([counter('a.b', 3), { kind: 'gauge', name: 'g', value: 7, tags: {} }])).toEqual([
    'envoy.a.b:3|c',
    'envoy.g:7|g',
  ])
  expect(lines.next([counter('a.b', 5)])).toEqual(['envoy.a.b:2|c'])
  expect(lines.next([counter('a.b', 5)])).toEqual(['envoy.a.b:0|c'])
  expect(lines.next([counter('a.b', 1)])).toEqual(['envoy.a.b:1|c'])
})

test('histograms tell what was recorded since, and how often', () => {
  const lines = new StatsdLines({ prefix: 'p', untagged: null })
  expect(lines.next([histogram(5, 5, 20)])).toEqual(['p.h:5|ms|@0.5', 'p.h:20|ms'])
  expect(lines.next([histogram(5, 5, 20, 0)])).toEqual(['p.h:0|ms'])
  expect(lines.next([histogram(5, 5, 20, 0)])).toEqual([])
})

test('DogStatsD has tags behind the value', () => {
  const untagged = () => ({ name: 'cluster.rq', tags: [['envoy.cluster_name', 'c'] as const, ['zone', 'z'] as const] })
  const lines = new StatsdLines({ prefix: 'envoy', untagged })
  expect(lines.next([counter('cluster.c.rq', 1)])).toEqual(['envoy.cluster.rq:1|c|#envoy.cluster_name:c,zone:z'])
})

test.each([
  [0, ['aaaa', 'bb', 'cc']],
  [5, ['aaaa', 'bb\ncc']],
  [7, ['aaaa\nbb', 'cc']],
  [100, ['aaaa\nbb\ncc']],
])('datagrams of at most %d bytes: %j', (maxBytes, packed) => {
  expect(datagrams(['aaaa', 'bb', 'cc'], maxBytes)).toEqual(packed)
})
