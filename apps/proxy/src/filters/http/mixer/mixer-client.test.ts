import { type Bag, bagOf, type MutableBag } from '@weft/attributes/bag'
import { decodeAttributes } from '@weft/attributes/decoding'
import { encodeReferences, type Reference } from '@weft/attributes/references'
import { CheckRequest, CheckResponse } from '@weft/contracts/istio/mixer/v1/check'
import { WeftError } from '@weft/service/errors'
import { beforeEach, describe, expect, it } from 'vitest'
import { Stats } from '../../../observe/stats.ts'
import { type MixerCounters, mixerCounters } from './counters.ts'
import { type CheckedBag, type FailPolicy, MixerClient } from './mixer-client.ts'
import type { CheckFacts } from './response-attributes.ts'

const OPEN: FailPolicy = { isOpen: true, maxRetries: 0, baseRetryWaitMs: 10, maxRetryWaitMs: 100 }
const CLOSED: FailPolicy = { ...OPEN, isOpen: false }
const BY_USER: Reference[] = [{ name: 'source.name', key: undefined, condition: 'exact' }]

interface World {
  client: MixerClient
  counters: MixerCounters
  requests: CheckRequest[]
  /** What Mixer does with a request. */
  answer: (request: CheckRequest) => Promise<CheckResponse> | CheckResponse
  nowMs: number
  waits: number[]
}

let world: World

beforeEach(() => {
  const stats = new Stats(null)
  const counters = mixerCounters('http_mixer_filter', (name) => stats.counter(name))
  const made: World = {
    counters,
    requests: [],
    answer: () => verdict(0),
    nowMs: 1_000_000,
    waits: [],
    client: new MixerClient({
      counters,
      useCheckCache: true,
      useQuotaCache: true,
      idPrefix: 'test-',
      now: () => made.nowMs,
      wait: async (ms) => {
        made.waits.push(ms)
        made.nowMs += ms
      },
      transport: {
        async check(request) {
          made.requests.push(CheckRequest.decode(CheckRequest.encode(request).finish()))
          return made.answer(request)
        },
      },
    }),
  }
  world = made
})

function verdict(
  code: number,
  options: { message?: string; references?: Reference[]; validMs?: number; uses?: number } = {},
): CheckResponse {
  return CheckResponse.create({
    precondition: {
      status: { code, message: options.message ?? '', details: [] },
      validDuration: { seconds: (options.validMs ?? 60_000) / 1000, nanos: 0 },
      validUseCount: options.uses ?? 10_000,
      referencedAttributes: encodeReferences(options.references ?? BY_USER),
    },
  })
}

function withQuota(response: CheckResponse, name: string, amount: number, validMs = 10_000): CheckResponse {
  response.quotas[name] = {
    grantedAmount: amount,
    validDuration: { seconds: validMs / 1000, nanos: 0 },
    referencedAttributes: encodeReferences(BY_USER),
  }
  return response
}

function request(user: string, more: Record<string, string> = {}): CheckedBag {
  const bag = bagOf({ 'source.name': user, ...more })
  return new Checked(bag)
}

class Checked implements CheckedBag {
  readonly #bag: MutableBag
  constructor(bag: MutableBag) {
    this.#bag = bag
  }
  get(name: string): ReturnType<Bag['get']> {
    return this.#bag.get(name)
  }
  getEntry(name: string, key: string): string | undefined {
    return this.#bag.getEntry(name, key)
  }
  names(): Iterable<string> {
    return this.#bag.names()
  }
  snapshot(): MutableBag {
    return this.#bag
  }
}

async function check(user: string, policy = OPEN, charges: { name: string; amount: number }[] = []): Promise<CheckFacts> {
  return world.client.check(request(user), charges, policy)
}

describe('checks', () => {
  it('send the attributes once and know the verdict afterwards, without waiting', async () => {
    expect((await check('a')).verdict.code).toBe(0)
    const sent = world.requests[0]
    expect(sent?.attributes && decodeAttributes(sent.attributes).get('source.name')).toBe('a')
    expect(sent?.globalWordCount).toBe(203)
    const known = world.client.check(request('a', { 'request.path': '/other' }), [], OPEN)
    expect(known).toMatchObject({ isCheckCached: true, verdict: { code: 0 } })
    await check('b')
    expect(world.requests).toHaveLength(2)
    expect(world.counters.checkCalls.value).toBe(3)
    expect(world.counters.remoteCheckCalls.value).toBe(2)
  })

  it('keep denials too, as long as Mixer says', async () => {
    world.answer = () => verdict(7, { message: 'rule/handler: no', validMs: 1000, uses: 2 })
    expect((await check('a')).verdict).toMatchObject({ code: 7, message: 'rule/handler: no' })
    expect((await check('a')).isCheckCached).toBe(true)
    expect((await check('a')).isCheckCached).toBe(true)
    expect((await check('a')).isCheckCached).toBe(false)
    world.nowMs += 1001
    expect((await check('a')).isCheckCached).toBe(false)
  })

  it('keep nothing when it is not known what the verdict depended on', async () => {
    world.answer = () => CheckResponse.create({ precondition: { validUseCount: 10, validDuration: { seconds: 10, nanos: 0 } } })
    await check('a')
    await check('a')
    expect(world.requests).toHaveLength(2)
  })

  it('follow the fail policy when Mixer is away, and stop asking for a while', async () => {
    world.answer = () => Promise.reject(new WeftError('unavailable', 'connection refused'))
    for (let i = 0; i < 5; i++) expect((await check('a')).verdict.code).toBe(0)
    expect(world.requests).toHaveLength(5)
    const refused = await check('a', CLOSED)
    expect(refused.verdict.code).toBe(14)
    expect(world.requests).toHaveLength(5)
    expect(world.counters.remoteCallCircuitOpen.value).toBe(1)
    expect(world.counters.failOpen.value).toBe(5)
    expect(world.counters.failClose.value).toBe(1)
    world.nowMs += 300
    world.answer = () => verdict(0)
    await check('a', CLOSED)
    expect((await check('a', CLOSED)).isCheckCached).toBe(true)
  })

  it('send one probe at a time while the circuit is open', async () => {
    world.answer = () => Promise.reject(new WeftError('unavailable', 'gone'))
    for (let i = 0; i < 5; i++) await check('a')
    world.nowMs += 300
    await Promise.all([check('a'), check('b'), check('c')])
    expect(world.requests).toHaveLength(6)
    world.nowMs += 300
    await check('a')
    expect(world.requests).toHaveLength(6)
  })

  it('retry as often as the policy says, with the same deduplication id', async () => {
    let failures = 2
    world.answer = () => (failures-- > 0 ? Promise.reject(new WeftError('unavailable', 'gone')) : verdict(0))
    expect((await check('a', { ...CLOSED, maxRetries: 3 })).verdict.code).toBe(0)
    expect(world.waits).toEqual([10, 20])
    expect(new Set(world.requests.map((sent) => sent.deduplicationId)).size).toBe(1)
  })

  it('are bounded in number', async () => {
    world.answer = () => new Promise(() => {})
    for (let i = 0; i < 256; i++) void check(`user-${i}`)
    expect((await check('one-more', CLOSED)).verdict.code).toBe(14)
    expect(world.counters.remoteCallOverflow.value).toBe(1)
  })
})

describe('quotas', () => {
  const charges = [{ name: 'rate', amount: 1 }]

  it('ask for exactly the charge while requests are few', async () => {
    world.answer = (sent) => withQuota(verdict(0), 'rate', sent.quotas['rate']?.amount ?? 0)
    for (let i = 0; i < 5; i++) {
      await check('a', OPEN, charges)
      world.nowMs += 500
    }
    expect(world.requests.map((sent) => sent.quotas['rate'])).toEqual(Array(5).fill({ amount: 1, bestEffort: false }))
  })

  it('are exact under a small limit: five pass, the sixth is refused', async () => {
    let left = 5
    world.answer = (sent) => {
      const asked = sent.quotas['rate']?.amount ?? 0
      const granted = sent.quotas['rate']?.bestEffort ? Math.min(asked, left) : asked <= left ? asked : 0
      left -= granted
      return withQuota(verdict(0), 'rate', granted)
    }
    const codes: number[] = []
    for (let i = 0; i < 8; i++) {
      codes.push((await check('a', OPEN, charges)).verdict.code)
      world.nowMs += 5
    }
    expect(codes).toEqual([0, 0, 0, 0, 0, 8, 8, 8])
    expect(world.requests.length).toBeLessThanOrEqual(6)
  })

  it('are fetched ahead when requests are many', async () => {
    world.answer = (sent) => withQuota(verdict(0), 'rate', sent.quotas['rate']?.amount ?? 0)
    for (let i = 0; i < 1000; i++) {
      await check('a', OPEN, charges)
      world.nowMs += 1
    }
    expect(world.requests.length).toBeLessThan(100)
    expect(world.counters.quotaCacheHits.value).toBeGreaterThan(900)
  })

  it('never pass more than was granted', async () => {
    let granted = 0
    world.answer = (sent) => {
      const asked = sent.quotas['rate']?.amount ?? 0
      const amount = granted + asked <= 300 ? asked : Math.max(0, 300 - granted)
      granted += amount
      return withQuota(verdict(0), 'rate', amount)
    }
    let passed = 0
    for (let i = 0; i < 2000; i++) {
      if ((await check('a', OPEN, charges)).verdict.code === 0) passed++
      world.nowMs += 1
    }
    expect(passed).toBeLessThanOrEqual(300)
    expect(passed).toBeGreaterThan(290)
  })

  it('let tokens end with their grant', async () => {
    world.answer = (sent) => withQuota(verdict(0), 'rate', (sent.quotas['rate']?.amount ?? 0) + 100, 1000)
    await check('a', OPEN, charges)
    expect((await check('a', OPEN, charges)).isQuotaCached).toBe(true)
    world.nowMs += 1001
    expect((await check('a', OPEN, charges)).isQuotaCached).toBe(false)
  })

  it('pass when Mixer is away and the policy is open', async () => {
    world.answer = () => Promise.reject(new WeftError('unavailable', 'gone'))
    expect((await check('a', OPEN, charges)).verdict.code).toBe(0)
    expect((await check('a', CLOSED, charges)).verdict.code).toBe(14)
  })
})
