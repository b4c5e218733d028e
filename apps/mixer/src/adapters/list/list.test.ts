import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { until } from '@weft/service/testing/until'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Verdict } from '../../adapter.ts'
import { openHandler } from '../../testing.ts'
import list from './adapter.ts'
import { parseBody } from './provider.ts'

/** The code that a list gives for a value: 0 ok, 3 invalid argument, 5 not found, 7 permission denied. */
async function lookup(params: unknown, now?: () => number) {
  const handler = await openHandler(list, params, now === undefined ? {} : { now })
  onTestFinished(() => handler.close())
  const check = handler.handle('listentry')
  return async (value: string): Promise<number> => {
    const verdict = (await check({ name: 'e', value }, { signal: AbortSignal.timeout(1_000) })) as Verdict
    return verdict.code
  }
}

async function provider(answer: () => { status?: number; body: string }): Promise<string> {
  const server = createServer((_request, response) => {
    const { status = 200, body } = answer()
    response.statusCode = status
    response.end(body)
  })
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

describe('lists', () => {
  it.each([
    ['STRINGS', ['v1'], 'v1', 0],
    ['STRINGS', ['v1'], 'V1', 5],
    ['CASE_INSENSITIVE_STRINGS', ['V1'], 'v1', 0],
    ['IP_ADDRESSES', ['10.0.0.0/8'], '10.200.3.4', 0],
    ['IP_ADDRESSES', ['10.0.0.0/8'], '11.0.0.1', 5],
    ['IP_ADDRESSES', ['2001:db8::/32'], '2001:db8:1::5', 0],
    ['IP_ADDRESSES', ['10.0.0.1'], 'here', 3],
    ['REGEX', ['^v[0-9]+$'], 'v12', 0],
    ['REGEX', ['^v[0-9]+$'], 'v', 5],
  ])('of %s %j answer %s with %i', async (entryType, overrides, value, code) => {
    expect(await (await lookup({ entryType, overrides }))(value)).toBe(code)
  })

  it('deny what a blacklist has, and only that', async () => {
    const check = await lookup({ overrides: ['bad'], blacklist: true })
    expect([await check('bad'), await check('good')]).toEqual([7, 0])
  })

  it('match a hostile value against a pattern in linear time', async () => {
    const check = await lookup({ entryType: 'REGEX', overrides: ['^(a+)+$'] })
    const startMs = performance.now()
    expect(await check(`${'a'.repeat(5_000)}!`)).toBe(5)
    expect(performance.now() - startMs).toBeLessThan(2_000)
  })

  it.each([
    [{ overrides: ['10.0.0.0/33'], entryType: 'IP_ADDRESSES' }, /10\.0\.0\.0\/33/],
    [{ overrides: ['(['], entryType: 'REGEX' }, /regular expression/],
    [{ providerUrl: 'ftp://x/' }, /http/],
    [{ providerUrl: 'http://x/', refreshInterval: '10s', ttl: '5s' }, /shorter/],
    [{ entryType: 'NUMBERS' }, /entryType/],
  ])('refuse %j', (params, message) => {
    expect(() => list.validate(params)).toThrow(message)
  })
})

describe('a list that is fetched', () => {
  it('is fetched again, in text or YAML', async () => {
    let body = 'v1\nv2\n'
    const check = await lookup({
      providerUrl: await provider(() => ({ body })),
      refreshInterval: '100ms',
      ttl: '10s',
      overrides: ['own'],
    })
    expect([await check('v2'), await check('v3'), await check('own')]).toEqual([0, 5, 0])
    body = 'whitelist:\n- v3\n'
    await until(async () => (await check('v3')) === 0, 'the new list')
    expect(await check('v2')).toBe(5)
  })

  it('is used for its time to live when it cannot be fetched, and then no more', async () => {
    let nowMs = 0
    let down = false
    const url = await provider(() => (down ? { status: 503, body: '' } : { body: 'v1' }))
    const check = await lookup({ providerUrl: url, refreshInterval: '100ms', ttl: '5s' }, () => nowMs)
    down = true
    nowMs = 4_000
    expect(await check('v1')).toBe(0)
    nowMs = 9_000
    await until(
      async () =>
        check('v1').then(
          () => false,
          () => true,
        ),
      'the list to be too old',
    )
    await expect(check('v1')).rejects.toThrow(/cannot fetch its list .* answered 503/)
    down = false
    await until(
      async () =>
        check('v1').then(
          (code) => code === 0,
          () => false,
        ),
      'recovery',
    )
  })

  it('fails with the reason when it never came', async () => {
    const check = await lookup({ providerUrl: 'http://127.0.0.1:1/', refreshInterval: '1s', ttl: '1s' })
    await expect(check('v1')).rejects.toThrow(/cannot fetch its list from http:\/\/127\.0\.0\.1:1\//)
  })

  it('is read with blank lines and Windows line ends', () => {
    expect(parseBody('a\r\n\r\n  b \n')).toEqual(['a', 'b'])
  })
})
