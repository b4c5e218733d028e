import {
  StatefulSession,
  StatefulSessionPerRoute,
} from '@weft/contracts/envoy/extensions/filters/http/stateful_session/v3/stateful_session'
import { CookieBasedSessionState } from '@weft/contracts/envoy/extensions/http/stateful_session/cookie/v3/cookie'
import { HeaderBasedSessionState } from '@weft/contracts/envoy/extensions/http/stateful_session/header/v3/header'
import { headerName } from '@weft/http/header-name'
import { describe, expect, it } from 'vitest'
import { FakeContext } from '../fake-context.ts'
import { FakeStream } from '../fake-stream.ts'
import { statefulSession } from './index.ts'

const byHeader = {
  name: 'envoy.http.stateful_session.header',
  typedConfig: {
    typeUrl: 'type.googleapis.com/envoy.extensions.http.stateful_session.header.v3.HeaderBasedSessionState',
    value: Buffer.from(HeaderBasedSessionState.encode({ name: 'x-at' }).finish()),
  },
}
const byCookie = {
  name: 'envoy.http.stateful_session.cookie',
  typedConfig: {
    typeUrl: 'type.googleapis.com/envoy.extensions.http.stateful_session.cookie.v3.CookieBasedSessionState',
    value: Buffer.from(
      CookieBasedSessionState.encode({
        cookie: { name: 'at', path: '/shop', ttl: { seconds: 60, nanos: 0 }, attributes: [] },
      }).finish(),
    ),
  },
}

/** Plays one request whose answer comes from `host`, and gives its stream. */
function play(
  source: Parameters<typeof StatefulSession.fromPartial>[0],
  request: { path?: string; headers?: Record<string, string> },
  host: string | null,
  flags: string[] = [],
) {
  const context = new FakeContext()
  const filter = statefulSession.compile(StatefulSession.encode(StatefulSession.fromPartial(source)).finish(), context)
  const upstreamHost = host === null ? null : { address: host, cluster: 'c', metadata: {} }
  const stream = new FakeStream({ ...request, info: { upstreamHost, responseFlags: flags } })
  const one = filter.start(stream, undefined)
  one?.onRequestHeaders?.(stream, true)
  one?.onResponseHeaders?.(stream, true)
  context.close()
  const count = (name: string) => context.counter(`http.test.stateful_session.s.${name}`)
  const counts = ['routed', 'failed_open', 'failed_closed', 'no_session'].filter((name) => count(name) > 0)
  return { wish: stream.info.hostWish, response: stream.response, counts }
}

const at = (address: string) => ({ 'x-at': Buffer.from(address).toString('base64') })

describe('stateful_session', () => {
  it('wishes for the endpoint that a header names, and leaves the answer as it is when that took it', () => {
    const { wish, response, counts } = play(
      { statPrefix: 's', sessionState: byHeader },
      { headers: at('10.0.0.1:80') },
      '10.0.0.1:80',
    )
    expect(wish).toEqual({ address: '10.0.0.1:80', strict: false, missingStatus: 503 })
    expect(response.headers.size).toBe(0)
    expect(counts).toEqual(['routed'])
  })

  it('tells of the endpoint that took it, where that is another', () => {
    const { response, counts } = play({ statPrefix: 's', sessionState: byHeader }, { headers: at('10.0.0.1:80') }, '10.0.0.2:80')
    expect(response.headers.get(headerName('x-at'))).toBe(Buffer.from('10.0.0.2:80').toString('base64'))
    expect(counts).toEqual(['failed_open'])
  })

  it('says which status a strict wish comes to, and counts those that had no endpoint', () => {
    const source = { statPrefix: 's', sessionState: byHeader, strict: true, statusOnStrictDestinationNotFound: 410 }
    const { wish, counts } = play(source, { headers: at('10.0.0.1:80') }, null, ['UH'])
    expect(wish).toEqual({ address: '10.0.0.1:80', strict: true, missingStatus: 410 })
    expect(counts).toEqual(['failed_closed'])
  })

  it('takes its cookie back while that lasts', () => {
    const first = play({ sessionState: byCookie }, { path: '/shop' }, '10.0.0.1:80').response.headers.get(
      headerName('set-cookie'),
    )
    expect(first).toMatch(/^at="[\w+/]+=*"; Max-Age=60; Path=\/shop; HttpOnly$/)
    const cookie = first?.split(';')[0] ?? ''
    expect(play({ sessionState: byCookie }, { path: '/shop/x', headers: { cookie } }, null).wish?.address).toBe('10.0.0.1:80')
    const old = Buffer.from('\x0a\x0b10.0.0.1:80\x10\x01', 'latin1').toString('base64')
    expect(play({ sessionState: byCookie }, { path: '/shop', headers: { cookie: `at=${old}` } }, null).wish).toBeNull()
  })

  it('has no sessions outside a cookie’s path', () => {
    const { response, counts } = play({ statPrefix: 's', sessionState: byCookie }, { path: '/shopping' }, '10.0.0.1:80')
    expect(response.headers.size).toBe(0)
    expect(counts).toEqual(['no_session'])
  })

  it('refuses a state that is none', () => {
    const context = new FakeContext()
    const bytes = StatefulSession.encode(StatefulSession.fromPartial({ sessionState: { name: 'x' } })).finish()
    expect(() => statefulSession.compile(bytes, context)).toThrow(/no session state is named 'x'/)
    const off = StatefulSessionPerRoute.encode({ override: { $case: 'disabled', value: true } }).finish()
    expect(statefulSession.compileRouteConfig?.(off, '', context)).toBe('off')
    context.close()
  })
})
