import { expect, test, vi } from 'vitest'
import { BatchQueue } from './batch-queue.ts'
import { Stats } from './stats.ts'

function make(size: number, flushMs: number, send: (items: readonly string[]) => Promise<void>) {
  const stats = new Stats(null)
  const counters = { sent: stats.counter('sent'), dropped: stats.counter('dropped'), timer: stats.counter('timer') }
  const options = {
    fullSize: () => size,
    sizeOf: (item: string) => item.length,
    maxWaiting: 4096,
    flushMs: () => flushMs,
    send,
    counters,
  }
  return { queue: new BatchQueue(options), counters }
}

test('what is queued leaves together when there are enough', async () => {
  const batches: number[] = []
  const { queue } = make(3, 60_000, async (batch) => void batches.push(batch.length))
  for (let i = 0; i < 7; i++) queue.add('x')
  expect(batches).toEqual([3, 3])
  queue.close()
  expect(batches).toEqual([3, 3, 1])
})

test('fewer leave after a while', async () => {
  const batches: number[] = []
  const { queue, counters } = make(100, 5, async (batch) => void batches.push(batch.length))
  queue.add('x')
  await vi.waitFor(() => expect(batches).toEqual([1]))
  expect(counters.timer.value).toBeGreaterThan(0)
  queue.close()
})

test('more than a collector takes are dropped and counted', () => {
  const { queue, counters } = make(1000, 60_000, () => new Promise(() => {}))
  for (let i = 0; i < 5000; i++) queue.add('x')
  expect(counters.dropped.value).toBe(5000 - 4096)
  queue.close()
})
