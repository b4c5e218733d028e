import { DnsCacheConfig } from '@weft/contracts/envoy/extensions/common/dynamic_forward_proxy/v3/dns_cache'
import { describe, expect, it, onTestFinished } from 'vitest'
import { FakeContext } from '../filters/http/fake-context.ts'
import { DnsCache, type DnsHost, hostAndPort, targetOf, useDnsCache } from './dns-cache.ts'

type Names = Readonly<Record<string, readonly string[]>>

/** A cache that knows these names; asks for others fail. */
function cacheOf(names: Names, more: Parameters<typeof DnsCacheConfig.fromPartial>[0] = {}) {
  const context = new FakeContext()
  const config = DnsCacheConfig.fromPartial({ name: 'n', dnsLookupFamily: 1, ...more })
  const asked: string[] = []
  const cache = new DnsCache(config, context.services, context.stats, (name) => {
    asked.push(name)
    const addresses = names[name]
    return addresses === undefined
      ? Promise.reject(new Error('no server'))
      : Promise.resolve({ addresses: [...addresses], ttlMs: undefined })
  })
  onTestFinished(() => {
    context.close()
    cache.close()
  })
  const load = (host: string, port = 80): Promise<DnsHost | 'overflow'> =>
    new Promise((resolve) => {
      const found = cache.load(host, port, resolve)
      if (typeof found !== 'function') resolve(found)
    })
  return { cache, context, asked, load, count: (name: string) => context.counter(`dns_cache.n.${name}`) }
}

describe('a DNS cache', () => {
  it('resolves a name once, and keeps it', async () => {
    const { load, asked, count } = cacheOf({ 'a.test': ['10.0.0.1'] })
    expect(await load('a.test')).toMatchObject({ key: 'a.test:80', address: '10.0.0.1' })
    expect(await load('A.test')).toMatchObject({ address: '10.0.0.1' })
    expect(asked).toEqual(['a.test'])
    expect([count('host_added'), count('dns_query_success'), count('host_address_changed')]).toEqual([1, 1, 1])
  })

  it.each([
    ['gone.test', 'cares_norecords:Domain_name_not_found'],
    ['unknown.test', 'cares_failure:Could_not_contact_DNS_servers'],
    ['a b', 'cares_failure:Misformatted_domain_name'],
    ['::1', 'cares_failure:Misformatted_domain_name'],
    [`${'a'.repeat(64)}.`.repeat(5), 'cares_failure:Misformatted_domain_name'],
  ])('says of %s why there is no address', async (name, problem) => {
    expect(await cacheOf({ 'gone.test': [] }).load(name)).toMatchObject({ address: null, problem })
  })

  it('takes an address for what it is, without asking', () => {
    const { cache, asked } = cacheOf({}, { dnsLookupFamily: 0 })
    expect(cache.load('::1', 80, () => {})).toMatchObject({ key: '[::1]:80', address: '::1' })
    expect(cache.load('10.0.0.1', 80, () => {})).toMatchObject({ address: '10.0.0.1' })
    expect(asked).toEqual([])
  })

  it('holds so many names and so many that wait, and no more', async () => {
    const { cache, load, count } = cacheOf(
      { 'a.test': ['10.0.0.1'] },
      { maxHosts: 1, dnsCacheCircuitBreaker: { maxPendingRequests: 1 } },
    )
    expect(await load('a.test')).toMatchObject({ address: '10.0.0.1' })
    expect(await load('b.test')).toBe('overflow')
    expect(count('host_overflow')).toBe(1)
    expect([cache.take(), cache.take()]).toEqual([true, false])
    cache.release()
    expect(cache.take()).toBe(true)
    expect(count('dns_rq_pending_overflow')).toBe(1)
  })

  it('tells nobody who waits no longer', async () => {
    const { cache, load } = cacheOf({ 'a.test': ['10.0.0.1'] })
    const heard: string[] = []
    const forget = cache.load('a.test', 80, () => heard.push('first'))
    if (typeof forget === 'function') forget()
    await load('a.test')
    expect(heard).toEqual([])
  })

  it('looks again, and drops what nobody has asked for', async () => {
    const ms = (nanos: number) => ({ seconds: 0, nanos: nanos * 1e6 })
    const { cache, load, count } = cacheOf({ 'a.test': ['10.0.0.1'] }, { dnsRefreshRate: ms(20), hostTtl: ms(50) })
    await load('a.test')
    const gone = await new Promise<string>((resolve) => cache.onGone(resolve))
    expect(gone).toBe('a.test:80')
    expect(count('dns_query_attempt')).toBeGreaterThan(1)
    expect(cache.find('a.test', 80)).toBeNull()
  })

  it('is one for all who use it by its name, and goes with the last of them', () => {
    const context = new FakeContext()
    onTestFinished(() => context.close())
    const config = DnsCacheConfig.fromPartial({ name: 'n' })
    const [first, second] = [
      useDnsCache(config, context.services, context.stats),
      useDnsCache(config, context.services, context.stats),
    ]
    expect(second.cache).toBe(first.cache)
    first.leave()
    second.leave()
    const third = useDnsCache(config, context.services, context.stats)
    expect(third.cache).not.toBe(first.cache)
    third.leave()
  })
})

it.each([
  ['a.test', 'a.test', 80],
  ['a.test:81', 'a.test', 81],
  ['a.test:99999', 'a.test:99999', 80],
  ['[::1]', '::1', 80],
  ['[::1]:81', '::1', 81],
  ['a b:x', 'a b:x', 80],
])('%s goes to %s at %i', (authority, host, port) => {
  expect(hostAndPort(authority, 80)).toEqual({ host, port })
})

it('takes a target from filter state before the name', () => {
  expect(targetOf(undefined, 'a')).toEqual({ host: 'a', port: null })
  const state = new Map<string, unknown>([
    ['envoy.upstream.dynamic_host', 'b'],
    ['envoy.upstream.dynamic_port', '81'],
  ])
  expect(targetOf(state, 'a')).toEqual({ host: 'b', port: 81 })
})
