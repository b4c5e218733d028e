import { connect } from 'node:http2'
import type { HttpConnectionManager } from '@weft/contracts/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager'
import { describe, expect, it, onTestFinished } from 'vitest'
import { connectionManager, routeTo } from '../../../testing/resources.ts'
import { proxyTo, upstream } from '../../../testing/test-proxy.ts'
import { raw } from '../../../testing/worker-harness.ts'

type Settings = Parameters<(typeof HttpConnectionManager)['fromPartial']>[0]

async function proxyWith(settings: Settings) {
  const origin = await upstream()
  const manager = connectionManager([routeTo('c')], settings)
  const proxy = await proxyTo(origin.port, manager)
  return { proxy, origin, port: proxy.port('in') }
}

/** What is answered to these lines of a head, and what the origin got. */
async function asked(settings: Settings, ...lines: string[]) {
  const { proxy, origin, port } = await proxyWith(settings)
  const text = await raw(port, `${lines.join('\r\n')}\r\n\r\n`, (seen) => seen.includes('\r\n\r\n'))
  return {
    status: Number(text.slice(9, 12)),
    closes: /\r\nconnection: close\r\n/i.test(text),
    location: /\r\nlocation: (.*)\r\n/.exec(text)?.[1],
    got: origin.requests[0],
    count: (name: string) => proxy.stats.value(`http.${name}`),
  }
}

const host = 'host: a.test'

describe('a request', () => {
  it('without a host is refused, and its connection with it', async () => {
    expect(await asked({}, 'GET / HTTP/1.1')).toMatchObject({ status: 400, closes: true })
  })

  it('that asks for the whole server is not found', async () => {
    const { status, count } = await asked({}, 'OPTIONS * HTTP/1.1', host)
    expect([status, count('test.downstream_rq_non_relative_path')]).toEqual([404, 1])
  })

  it('with a fragment is refused', async () => {
    const { status, closes, count } = await asked({}, 'GET /a#b HTTP/1.1', host)
    expect([status, closes, count('test.downstream_rq_failed_path_normalization')]).toEqual([400, true, 1])
  })

  it('of method QUERY says what its query is', async () => {
    const settings = { httpProtocolOptions: { allowCustomMethods: true } }
    expect(await asked(settings, 'QUERY / HTTP/1.1', host, 'content-length: 0')).toMatchObject({ status: 400, closes: true })
    const typed = await asked(settings, 'QUERY / HTTP/1.1', host, 'content-type: application/sql', 'content-length: 0')
    expect(typed.status).toBe(200)
  })
})

describe('the host of a request', () => {
  it.each([
    ['as it came', {}, 'a.test.:81', 'a.test.:81'],
    ['without any port', { stripPortMode: { $case: 'stripAnyHostPort', value: true } }, 'a.test:81', 'a.test'],
    ['with a port that is not the listener’s', { stripMatchingHostPort: true }, 'a.test:1', 'a.test:1'],
    ['without the dot at its end', { stripTrailingHostDot: true }, 'a.test.', 'a.test'],
    ['without that dot before its port', { stripTrailingHostDot: true }, 'a.test.:81', 'a.test:81'],
  ] as const)('goes on %s', async (_how, settings, came, goes) => {
    const { got } = await asked(settings, 'GET / HTTP/1.1', `host: ${came}`)
    expect(got?.headers.host).toBe(goes)
  })

  it('goes on without the port of the listener that it came to', async () => {
    const { port, origin } = await proxyWith({ stripMatchingHostPort: true })
    await raw(port, `GET / HTTP/1.1\r\nhost: a.test:${port}\r\n\r\n`, (seen) => seen.includes('\r\n\r\n'))
    expect(origin.requests[0]?.headers.host).toBe('a.test')
  })
})

describe('a header with an underscore', () => {
  const lines = ['GET / HTTP/1.1', host, 'x_a: 1', 'x-b: 2']

  it('goes on as any other', async () => {
    expect((await asked({}, ...lines)).got?.headers).toMatchObject({ x_a: '1', 'x-b': '2' })
  })

  it('is dropped where that is asked for', async () => {
    const { got } = await asked({ commonHttpProtocolOptions: { headersWithUnderscoresAction: 2 } }, ...lines)
    expect(got?.headers).toMatchObject({ 'x-b': '2' })
    expect(got?.headers).not.toHaveProperty('x_a')
  })

  it('has the request refused where that is asked for: unread of HTTP/1.1, reset of HTTP/2', async () => {
    const settings: Settings = { commonHttpProtocolOptions: { headersWithUnderscoresAction: 1 } }
    expect(await asked(settings, ...lines)).toMatchObject({ status: 400, closes: true, got: undefined })
    const { proxy, origin, port } = await proxyWith(settings)
    const client = connect(`http://127.0.0.1:${port}`)
    onTestFinished(() => client.destroy())
    const ended = (headers: Record<string, string>): Promise<number | string> =>
      new Promise((resolve) => {
        const stream = client.request({ ':path': '/', ...headers })
        stream.on('response', (head) => resolve(head[':status'] ?? 0))
        stream.on('error', () => resolve('reset'))
      })
    expect(await ended({ x_a: '1' })).toBe('reset')
    expect(await ended({ 'x-a': '1' })).toBe(200)
    expect(origin.requests).toHaveLength(1)
    expect(proxy.stats.value('http2.requests_rejected_with_underscores_in_headers')).toBe(1)
  })
})

describe('the path of a request', () => {
  const path = async (settings: Settings, target: string) => {
    const { status, location, got } = await asked(settings, `GET ${target} HTTP/1.1`, host)
    return { status, location, got: got?.url }
  }

  it.each([
    ['/a/../b', {}, '/a/../b'],
    ['/a/../b?../c', { normalizePath: true }, '/b?../c'],
    ['//a///b', { mergeSlashes: true }, '/a/b'],
    ['/a%2Fb', { pathWithEscapedSlashesAction: 4 }, '/a/b'],
  ] as const)('%s with %j goes on as %s', async (target, settings, goes) => {
    expect(await path(settings, target)).toMatchObject({ status: 200, got: goes })
  })

  it('is refused where it has escaped slashes that are not taken', async () => {
    expect(await path({ pathWithEscapedSlashesAction: 2 }, '/a%2Fb')).toEqual({
      status: 400,
      location: undefined,
      got: undefined,
    })
  })

  it('is told without its escaped slashes to a client that shall ask for that', async () => {
    expect(await path({ pathWithEscapedSlashesAction: 3 }, '/a%2Fb')).toEqual({ status: 307, location: '/a/b', got: undefined })
  })
})
