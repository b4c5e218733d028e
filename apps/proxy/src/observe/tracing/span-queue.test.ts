import { expect, test, vi } from 'vitest'
import { Stats } from '../stats.ts'
import { randomId, Span } from './span.ts'
import { SpanQueue } from './span-queue.ts'

function queue(minSpans: number, flushMs: number, send: (spans: readonly Span[]) => Promise<void>) {
  const stats = new Stats(null)
  const counters = { sent: stats.counter('sent'), dropped: stats.counter('dropped'), timer: stats.counter('timer') }
  return { spans: new SpanQueue({ minSpans: () => minSpans, flushMs: () => flushMs, send, counters }), counters }
}

function span(): Span {
  return new Span({
    traceId: randomId(16),
    spanId: randomId(8),
    parentId: '',
    sampled: true,
    name: 'n',
    kind: 'server',
    startMs: 0,
  })
}

test('spans leave together when there are enough', async () => {
  const batches: number[] = []
  const { spans } = queue(3, 60_000, async (batch) => void batches.push(batch.length))
  for (let i = 0; i < 7; i++) spans.add(span())
  expect(batches).toEqual([3, 3])
  spans.close()
  expect(batches).toEqual([3, 3, 1])
})

test('fewer leave after a while', async () => {
  const batches: number[] = []
  const { spans, counters } = queue(100, 5, async (batch) => void batches.push(batch.length))
  spans.add(span())
  await vi.waitFor(() => expect(batches).toEqual([1]))
  expect(counters.timer.value).toBeGreaterThan(0)
  spans.close()
})

test('more than a collector takes are dropped and counted', () => {
  const { spans, counters } = queue(1000, 60_000, () => new Promise(() => {}))
  for (let i = 0; i < 5000; i++) spans.add(span())
  expect(counters.dropped.value).toBe(5000 - 4096)
  spans.close()
})
