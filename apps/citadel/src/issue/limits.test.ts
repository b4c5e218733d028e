import { expect, it } from 'vitest'
import { RateLimiter, WorkQueue } from './limits.ts'

it('an identity may do a burst at once, then as much as the rate allows; another has its own', () => {
  let now = 0
  const limiter = new RateLimiter({ ratePerSecond: 2, burst: 3 }, () => now)
  const times = (key: string): number => {
    let count = 0
    try {
      for (;;) {
        limiter.take(key)
        count += 1
      }
    } catch (error) {
      expect(error).toMatchObject({ code: 'resource_exhausted', hint: expect.stringMatching(/^try again in \d+ ms$/) })
      return count
    }
  }
  expect(times('a')).toBe(3)
  expect(times('b')).toBe(3)
  now += 1_000
  expect(times('a')).toBe(2)
  now += 60_000
  expect(times('a')).toBe(3)
})

it('as many identities are remembered as fit', () => {
  const limiter = new RateLimiter({ ratePerSecond: 1, burst: 1 })
  for (let index = 0; index < 20_100; index += 1) limiter.take(`identity-${index}`)
  expect(limiter.size).toBe(20_000)
})

it('work is done in order, and a failure is its own', async () => {
  const queue = new WorkQueue(10)
  const done: string[] = []
  const first = queue.run(() => done.push('first'))
  const second = queue.run(() => {
    throw new Error('broken')
  })
  const third = queue.run(() => done.push('third'))
  expect(done).toEqual([])
  expect(queue.length).toBe(3)
  await first
  await expect(second).rejects.toThrow('broken')
  await third
  expect(done).toEqual(['first', 'third'])
  expect(queue.length).toBe(0)
})

it('long work lets others at the event loop in between', async () => {
  const queue = new WorkQueue(10)
  let othersRan = 0
  const others = setInterval(() => {
    othersRan += 1
  }, 0)
  const busy = (): number => {
    const end = performance.now() + 6
    while (performance.now() < end);
    return othersRan
  }
  const seen = await Promise.all(Array.from({ length: 5 }, () => queue.run(busy)))
  clearInterval(others)
  expect(seen.at(-1)).toBeGreaterThan(0)
})

it('a full queue refuses at once and takes again when there is room', async () => {
  const queue = new WorkQueue(2)
  const waiting = [queue.run(() => 1), queue.run(() => 2)]
  await expect(queue.run(() => 3)).rejects.toMatchObject({ code: 'resource_exhausted' })
  expect(await Promise.all(waiting)).toEqual([1, 2])
  expect(await queue.run(() => 4)).toBe(4)
})
