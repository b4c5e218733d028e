import { BasicAuth, BasicAuthPerRoute } from '@weft/contracts/envoy/extensions/filters/http/basic_auth/v3/basic_auth'
import { headerName } from '@weft/http/header-name'
import { describe, expect, it } from 'vitest'
import { FakeContext } from '../fake-context.ts'
import { FakeStream } from '../fake-stream.ts'
import { basicAuth } from './index.ts'

/** The password of `u` is `test`. */
const users = { specifier: { $case: 'inlineString' as const, value: '# people\n\nu:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=\n' } }
const basic = (text: string) => ({ authorization: `Basic ${Buffer.from(text).toString('base64')}` })

function ask(source: Parameters<typeof BasicAuth.fromPartial>[0], headers: Record<string, string>, routeConfig?: unknown) {
  const context = new FakeContext()
  const filter = basicAuth.compile(BasicAuth.encode(BasicAuth.fromPartial({ users, ...source })).finish(), context)
  const stream = new FakeStream({ headers, path: '/p?q' })
  filter.start(stream, routeConfig)?.onRequestHeaders?.(stream, true)
  context.close()
  return { stream, details: stream.replied?.options.details ?? 'let in' }
}

describe('basic_auth', () => {
  it.each([
    [basic('u:test'), 'let in'],
    [{ authorization: basic('u:test').authorization.replace(/=+$/, '') }, 'let in'],
    [basic('u:tes'), 'invalid_credential_for_basic_auth'],
    [basic('v:test'), 'invalid_credential_for_basic_auth'],
    [basic('u'), 'invalid_format_for_basic_auth'],
    [{ authorization: 'Basic %' }, 'invalid_format_for_basic_auth'],
    [{ authorization: 'Bearer x' }, 'invalid_scheme_for_basic_auth'],
    [{}, 'no_credential_for_basic_auth'],
  ])('%j: %s', (headers, details) => {
    expect(ask({}, headers as Record<string, string>).details).toBe(details)
  })

  it('tells who it was, and puts no name past a forged one', () => {
    const { stream } = ask(
      { forwardUsernameHeader: 'x-user', emitDynamicMetadata: true },
      { ...basic('u:test'), 'x-user': 'root' },
    )
    expect(stream.request.headers.getAll(headerName('x-user'))).toBe('u')
    expect(stream.metadataOrNull).toEqual({ 'envoy.filters.http.basic_auth': { username: 'u' } })
  })

  it('asks for a password of the realm, or of the address', () => {
    expect(ask({}, {}).stream.replied?.options.headers).toEqual([['www-authenticate', 'Basic realm="http://test.example/p?q"']])
    expect(ask({}, { 'x-envoy-original-path': '/first' }).stream.replied?.options.headers).toEqual([
      ['www-authenticate', 'Basic realm="http://test.example/first"'],
    ])
    expect(ask({ realm: 'a "b"' }, {}).stream.replied?.options.headers).toEqual([['www-authenticate', 'Basic realm="a \\"b\\""']])
  })

  it('lets in who shows nothing where that is allowed, but no wrong password', () => {
    expect(ask({ allowMissing: true }, {}).details).toBe('let in')
    expect(ask({ allowMissing: true }, { authorization: 'Bearer x' }).details).toBe('let in')
    expect(ask({ allowMissing: true }, basic('u:x')).details).toBe('invalid_credential_for_basic_auth')
  })

  it('takes a route’s people instead of its own', () => {
    const context = new FakeContext()
    const of = { specifier: { $case: 'inlineString' as const, value: 'v:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=' } }
    const bytes = BasicAuthPerRoute.encode(BasicAuthPerRoute.fromPartial({ users: of })).finish()
    const route = basicAuth.compileRouteConfig?.(bytes, '', context)
    expect(ask({}, basic('v:test'), route).details).toBe('let in')
    expect(ask({}, basic('u:test'), route).details).toBe('invalid_credential_for_basic_auth')
    context.close()
  })
})
