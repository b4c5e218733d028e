import { RateLimit } from '@weft/contracts/envoy/config/route/v3/route_components'
import { LocalRateLimit } from '@weft/contracts/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit'
import { headerName } from '@weft/http/header-name'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { compileRateLimits } from '../../../routing/rate-limits.ts'
import { FakeContext } from '../fake-context.ts'
import { FakeStream } from '../fake-stream.ts'
import { localRatelimit } from './index.ts'

const hour = { seconds: 3600, nanos: 0 }
const always = { defaultValue: { numerator: 100 } }
const byUser = compileRateLimits(
  [
    RateLimit.fromPartial({
      actions: [{ actionSpecifier: { $case: 'requestHeaders', value: { headerName: 'x-user', descriptorKey: 'user' } } }],
    }),
  ],
  'test',
)

let context: FakeContext
beforeEach(() => {
  context = new FakeContext({ a: 1 })
})
afterEach(() => context.close())

function compile(source: Parameters<typeof LocalRateLimit.fromPartial>[0]) {
  const config = LocalRateLimit.fromPartial({ statPrefix: 'l', filterEnabled: always, filterEnforced: always, ...source })
  return localRatelimit.compile(LocalRateLimit.encode(config).finish(), context)
}

function ask(filter: ReturnType<typeof compile>, user?: string): FakeStream {
  const route = {
    name: '',
    virtualHost: '',
    cluster: 'a',
    metadata: {},
    rateLimits: { own: byUser, ofHost: [], includeHost: false },
  }
  const stream = new FakeStream({ route, headers: user === undefined ? {} : { 'x-user': user } })
  const part = filter.start(stream, undefined)
  part?.onRequestHeaders?.(stream, true)
  part?.onResponseHeaders?.(stream, true)
  return stream
}

describe('local_ratelimit', () => {
  it('lets as many requests pass as there are tokens, and tells how many are left', () => {
    const filter = compile({ tokenBucket: { maxTokens: 2, fillInterval: hour }, enableXRatelimitHeaders: 1 })
    const streams = [ask(filter), ask(filter), ask(filter)]
    expect(streams.map(({ replied }) => replied?.status)).toEqual([undefined, undefined, 429])
    expect(streams.map(({ response }) => response.headers.get(headerName('x-ratelimit-remaining')))).toEqual(['1', '0', '0'])
    expect(context.counter('l.http_local_rate_limit.rate_limited')).toBe(1)
    expect(streams[2]?.replied?.options).toMatchObject({ details: 'local_rate_limited', nextFlag: 'RL' })
  })

  it('counts each descriptor by itself, values left open each with a bucket of its own', () => {
    const bucket = (maxTokens: number) => ({ maxTokens, tokensPerFill: 1, fillInterval: hour })
    const filter = compile({
      tokenBucket: bucket(100),
      descriptors: [
        { entries: [{ key: 'user', value: 'bob' }], tokenBucket: bucket(2) },
        { entries: [{ key: 'user', value: '' }], tokenBucket: bucket(1) },
      ],
    })
    const statuses = ['bob', 'bob', 'bob', 'eve', 'eve', 'ann', undefined].map((user) => ask(filter, user).replied?.status)
    expect(statuses).toEqual([undefined, undefined, 429, undefined, 429, undefined, undefined])
  })

  it('only counts where it is not enforced', () => {
    const filter = compile({
      tokenBucket: { maxTokens: 1, fillInterval: hour },
      filterEnforced: { defaultValue: { numerator: 0 } },
      requestHeadersToAddWhenNotEnforced: [{ header: { key: 'x-limited', value: 'yes' } }],
    })
    ask(filter)
    const second = ask(filter)
    expect(second.replied).toBeNull()
    expect(second.request.headers.get(headerName('x-limited'))).toBe('yes')
  })

  it('tells when to come back', () => {
    const filter = compile({
      tokenBucket: { maxTokens: 1, fillInterval: { seconds: 5, nanos: 0 } },
      enableRetryAfterHeader: true,
    })
    ask(filter)
    const { replied, response } = ask(filter)
    response.status = replied?.status ?? 0
    replied?.options?.edit?.(response)
    expect(response.headers.get(headerName('retry-after'))).toBe('5')
  })

  it('goes on past limits that only count, which take from the others all the same', () => {
    const bucket = (maxTokens: number) => ({ maxTokens, tokensPerFill: 1, fillInterval: hour })
    const filter = compile({
      tokenBucket: bucket(3),
      descriptors: [{ entries: [{ key: 'user', value: 'bob' }], tokenBucket: bucket(1), shadowMode: true }],
    })
    expect(['bob', 'bob', 'bob', 'bob'].map((user) => ask(filter, user).replied?.status)).toEqual([
      undefined,
      undefined,
      undefined,
      429,
    ])
    expect(context.counter('l.http_local_rate_limit.shadow_mode')).toBe(2)
    expect(context.counter('l.http_local_rate_limit.rate_limited')).toBe(3)
  })

  it('refuses buckets that fill too often, and descriptors that come twice', () => {
    expect(() => compile({ tokenBucket: { maxTokens: 1, fillInterval: { seconds: 0, nanos: 1 } } })).toThrow(/50ms/)
    const tokenBucket = { maxTokens: 1, fillInterval: hour }
    const twice = { entries: [{ key: 'a', value: 'b' }], tokenBucket }
    expect(() => compile({ tokenBucket, descriptors: [twice, twice] })).toThrow(/duplicate/)
  })
})
