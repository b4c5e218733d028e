import { until } from '@weft/service/testing/until'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { openHandler, quotaCall, type TestHandler } from '../../testing.ts'
import redisquota from './adapter.ts'
import { parseRedisUrl } from './client.ts'
import { type RealRedis, startRealRedis } from './real-redis.ts'

describe('parameters', () => {
  const valid = { redisServerUrl: 'localhost:6379', quotas: [{ name: 'a', maxAmount: 1, validDuration: '1s' }] }
  it.each([
    ['no quotas', { ...valid, quotas: [] }],
    ['a quota without a window', { ...valid, quotas: [{ name: 'a', maxAmount: 1 }] }],
    [
      'a rolling window without buckets',
      { ...valid, quotas: [{ name: 'a', maxAmount: 1, validDuration: '1s', rateLimitAlgorithm: 'ROLLING_WINDOW' }] },
    ],
    [
      'a bucket as long as its window',
      {
        ...valid,
        quotas: [{ name: 'a', maxAmount: 1, validDuration: '1s', bucketDuration: '1s', rateLimitAlgorithm: 'ROLLING_WINDOW' }],
      },
    ],
    ['a negative pool', { ...valid, connectionPoolSize: -1 }],
    ['two limits for one quota', { ...valid, quotas: [...valid.quotas, ...valid.quotas] }],
    ['an address that is none', { ...valid, redisServerUrl: 'http://localhost' }],
  ])('refuse %s', (_, params) => {
    expect(() => redisquota.validate(params)).toThrow()
  })

  it('take the addresses of all forms of Redis', () => {
    redisquota.validate(valid)
    expect(parseRedisUrl('localhost:6379')).toMatchObject({ type: 'standalone', options: { host: 'localhost', port: 6379 } })
    expect(parseRedisUrl('rediss://me:secret@redis.example:7000/2')).toMatchObject({
      options: { host: 'redis.example', port: 7000, db: 2, username: 'me', password: 'secret', tls: {} },
    })
    expect(parseRedisUrl('redis+sentinel://a:1,b/main')).toMatchObject({
      type: 'sentinel',
      options: {
        name: 'main',
        sentinels: [
          { host: 'a', port: 1 },
          { host: 'b', port: 26379 },
        ],
      },
    })
    expect(parseRedisUrl('redis+cluster://a,[::1]:2')).toMatchObject({
      type: 'cluster',
      nodes: [
        { host: 'a', port: 6379 },
        { host: '::1', port: 2 },
      ],
    })
  })

  it('never show a password', () => {
    expect(() => parseRedisUrl('redis://:hidden@a:b:c')).toThrow(/^((?!hidden).)*$/)
  })
})

const redis: RealRedis | undefined = await startRealRedis()
if (redis === undefined) console.log('skipped: no redis-server on the PATH, so redisquota is not tried with a real Redis')

describe.skipIf(redis === undefined)('with a real Redis', () => {
  const handlers: TestHandler[] = []
  let number = 0

  afterEach(async () => {
    for (const handler of handlers.splice(0)) await handler.close()
  })
  afterAll(() => redis?.kill())

  /** Handlers of as many Mixers, which count one quota together. */
  async function mixers(count: number, quota: Record<string, unknown>) {
    const name = `handler${++number}.redisquota.default`
    const params = { quotas: [{ name: 'requests', ...quota }] }
    const opened = await Promise.all(
      Array.from({ length: count }, () => openHandler(redisquota, params, { name, redisUrl: redis?.url })),
    )
    handlers.push(...opened)
    return opened.map((handler) => handler.handle('quota'))
  }
  const instance = { name: 'requests', dimensions: {} }

  it('grants exactly the limit to two Mixers that ask at once', async () => {
    const [one, two] = await mixers(2, { maxAmount: 50, validDuration: '60s' })
    const grants = await Promise.all(
      Array.from({ length: 400 }, (_, index) => (index % 2 === 0 ? one : two)?.(instance, quotaCall({}))),
    )
    expect(grants.reduce((sum, grant) => sum + (grant?.amount ?? 0), 0)).toBe(50)
    const granted = grants.find((grant) => grant?.amount === 1)
    expect(granted?.validDurationMs).toBeGreaterThan(59_000)
    expect(granted?.validDurationMs).toBeLessThanOrEqual(60_000)
  })

  it('grants what is left where best effort will do, and nothing where it will not', async () => {
    const [quota] = await mixers(1, { maxAmount: 10, validDuration: '60s' })
    expect(await quota?.(instance, quotaCall({ amount: 7 }))).toMatchObject({ amount: 7 })
    expect(await quota?.(instance, quotaCall({ amount: 7 }))).toEqual({ amount: 0, validDurationMs: 0 })
    expect(await quota?.(instance, quotaCall({ amount: 7, bestEffort: true }))).toMatchObject({ amount: 3 })
  })

  it.each([
    ['fixed', {}],
    ['rolling', { rateLimitAlgorithm: 'ROLLING_WINDOW', bucketDuration: '1s' }],
  ])('takes back at most what was taken (%s window)', async (_, algorithm) => {
    const [quota] = await mixers(1, { maxAmount: 10, validDuration: '60s', ...algorithm })
    await quota?.(instance, quotaCall({ amount: 6 }))
    expect(await quota?.(instance, quotaCall({ amount: -4 }))).toMatchObject({ amount: 4 })
    expect(await quota?.(instance, quotaCall({ amount: -4 }))).toMatchObject({ amount: 2 })
    expect(await quota?.(instance, quotaCall({ amount: 10 }))).toMatchObject({ amount: 10 })
  })

  it('counts a call once that comes again with its deduplication id, through another Mixer too', async () => {
    const [one, two] = await mixers(2, { maxAmount: 10, validDuration: '60s' })
    const call = quotaCall({ amount: 6, dedupId: 'again' })
    expect(await one?.(instance, call)).toMatchObject({ amount: 6 })
    expect(await two?.(instance, call)).toMatchObject({ amount: 6 })
    expect(await two?.(instance, quotaCall({ amount: 6, dedupId: 'other' }))).toMatchObject({ amount: 0 })
  })

  it('chooses the limit by dimensions, and counts each set of them by itself', async () => {
    const [quota] = await mixers(1, {
      maxAmount: 5,
      validDuration: '60s',
      overrides: [{ dimensions: { app: 'ratings' }, maxAmount: 1 }],
    })
    const of = (app: string) => quota?.({ name: 'requests', dimensions: { app } }, quotaCall({ amount: 9, bestEffort: true }))
    expect(await of('ratings')).toMatchObject({ amount: 1 })
    expect(await of('reviews')).toMatchObject({ amount: 5 })
    expect(await of('details')).toMatchObject({ amount: 5 })
  })

  it('begins a new fixed window when the old one has ended', async () => {
    const [quota] = await mixers(1, { maxAmount: 1, validDuration: '300ms' })
    const startMs = performance.now()
    expect(await quota?.(instance, quotaCall({}))).toMatchObject({ amount: 1 })
    await until(async () => (await quota?.(instance, quotaCall({})))?.amount === 1, 'the next window')
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(298)
  })

  it('never grants more than the limit within a rolling window', async () => {
    const limit = 5
    const windowMs = 500
    const bucketMs = 50
    const [one, two] = await mixers(2, {
      maxAmount: limit,
      validDuration: `${windowMs}ms`,
      bucketDuration: `${bucketMs}ms`,
      rateLimitAlgorithm: 'ROLLING_WINDOW',
    })
    const asked: number[] = []
    const answered: number[] = []
    const ask = async (quota: typeof one): Promise<void> => {
      while (answered.length < 4 * limit) {
        const askedMs = performance.now()
        if ((await quota?.(instance, quotaCall({})))?.amount !== 1) continue
        asked.push(askedMs)
        answered.push(performance.now())
      }
    }
    await Promise.all([ask(one), ask(two)])
    const inOrder = (times: number[]): number[] => times.sort((a, b) => a - b)
    const from = inOrder(asked)
    // Each was granted between the two: this is the most that lies between it and the one a limit before it.
    // The window moves by whole buckets.
    const spans = inOrder(answered).map((ms, index) => ms - (from[index - limit] ?? Number.NEGATIVE_INFINITY))
    expect(Math.min(...spans)).toBeGreaterThanOrEqual(windowMs - bucketMs)
  })

  it('leaves no key without an expiry', async () => {
    const [fixed] = await mixers(1, { maxAmount: 5, validDuration: '60s' })
    const [rolling] = await mixers(1, {
      maxAmount: 5,
      validDuration: '60s',
      bucketDuration: '1s',
      rateLimitAlgorithm: 'ROLLING_WINDOW',
    })
    for (const quota of [fixed, rolling]) await quota?.(instance, quotaCall({ dedupId: 'x' }))
    const { Redis } = await import('ioredis')
    const client = new Redis(redis?.url ?? '')
    const keys = await client.keys('weft:quota:*')
    const expiries = await Promise.all(keys.map((key) => client.pttl(key)))
    client.disconnect()
    expect(keys.length).toBeGreaterThanOrEqual(4)
    expect(expiries.every((ms) => ms > 0)).toBe(true)
  })

  it('fails at once and says why while Redis is gone, and works again when it is back', async () => {
    const [quota] = await mixers(1, { maxAmount: 1_000_000, validDuration: '60s' })
    await quota?.(instance, quotaCall({}))
    const handler = handlers.at(-1)
    expect(handler?.problem).toBeUndefined()
    await redis?.kill()
    await until(() => handler?.problem !== undefined, 'the loss to be noticed')
    expect(handler?.problem?.describe()).toMatch(/Redis at 127\.0\.0\.1:\d+ cannot be used: .*start Redis/)
    const askedMs = performance.now()
    await expect(quota?.(instance, quotaCall({}))).rejects.toThrow()
    expect(performance.now() - askedMs).toBeLessThan(600)
    await redis?.restart()
    await until(async () => {
      try {
        return (await quota?.(instance, quotaCall({})))?.amount === 1
      } catch {
        return false
      }
    }, 'recovery')
    expect(handler?.problem).toBeUndefined()
  })
})

describe('without any Redis', () => {
  it('refuses a handler that names none, and says where to name it', async () => {
    const opening = openHandler(redisquota, { quotas: [{ name: 'a', maxAmount: 1, validDuration: '1s' }] })
    await expect(opening).rejects.toThrow('test.redisquota.default names no Redis')
  })

  it('opens all the same where Redis does not answer, with the reason', async () => {
    const handler = await openHandler(redisquota, {
      quotas: [{ name: 'a', maxAmount: 1, validDuration: '1s' }],
      redisServerUrl: '127.0.0.1:1',
    })
    expect(handler.problem?.message).toMatch(/Redis at 127\.0\.0\.1:1 cannot be used/)
    await handler.close()
  })
})
