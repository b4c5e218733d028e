import { headerName } from '@weft/http/header-name'
import { describe, expect, it } from 'vitest'
import { answerHere } from './direct-answer.ts'
import { FakeExchange, routeOf, routerPlan } from './fake-exchange.ts'

function answered(routes: string, request: ConstructorParameters<typeof FakeExchange>[0] = {}, settings = {}) {
  const exchange = new FakeExchange({ authority: 'shop.test', path: '/a?q', ...request })
  const plan = routerPlan(settings)
  answerHere(exchange, plan, routes === '' ? null : routeOf(exchange, `routes: [${routes}]`))
  return { exchange, plan, ...exchange.replied! }
}

describe('a request that no route leads on', () => {
  it('is not found, and said so', () => {
    const { plan, exchange, status, body, options } = answered('')
    expect({ status, body, details: options.details }).toEqual({ status: 404, body: '', details: 'route_not_found' })
    expect(exchange.info.responseFlags).toEqual(['NR'])
    expect(plan.stats.noRoute.value).toBe(1)
  })

  it('is answered as its route says, with the edits of the route', () => {
    const route =
      '{match: {prefix: /}, direct_response: {status: 418, body: {inline_string: tea}},' +
      ' response_headers_to_add: [{header: {key: x-by, value: "%REQ(:path)%"}}]}'
    const { plan, exchange, status, body, options } = answered(route)
    expect({ status, body, headers: options.headers }).toEqual({ status: 418, body: 'tea', headers: undefined })
    expect(exchange.response.headers.get(headerName('x-by'))).toBe('/a?q')
    expect(plan.stats.directResponse.value).toBe(1)
  })

  it.each([200, 201, 204, 302, 399, 400])(
    'is told where it is by an answer of %i that means another place or a new one',
    (code) => {
      const { options } = answered(`{match: {prefix: /}, direct_response: {status: ${code}}}`)
      const told = code === 201 || code === 302 || code === 399
      expect(options.headers).toEqual(told ? [['location', 'http://shop.test/a?q']] : undefined)
    },
  )

  it('gets a body that is made of it, in the type of its format', () => {
    const route =
      '{match: {prefix: /}, direct_response: {status: 200, body_format: {text_format_source: {inline_string: "%REQ(x)%!"}, content_type: text/x}}}'
    const { body, options } = answered(route, { headers: { x: 'y' } })
    expect({ body, contentType: options.contentType }).toEqual({ body: 'y!', contentType: 'text/x' })
  })

  it('is sent elsewhere by a redirect, and what it asked for is kept beside', () => {
    const { exchange, status, options } = answered(
      '{match: {prefix: /a}, redirect: {host_redirect: other.test, prefix_rewrite: /b}}',
    )
    expect({ status, headers: options.headers }).toEqual({ status: 301, headers: [['location', 'http://other.test/b?q']] })
    expect(exchange.request.path).toBe('/b?q')
    expect(exchange.request.headers.get(headerName('x-envoy-original-path'))).toBe('/a?q')
  })

  it('has no such header where the router writes none', () => {
    const route = '{match: {prefix: /a}, redirect: {prefix_rewrite: /b}}'
    const { exchange } = answered(route, {}, { suppressHeaders: true })
    expect(exchange.request.headers.get(headerName('x-envoy-original-path'))).toBeNull()
  })
})

describe('a virtual host that requires TLS', () => {
  const sent = (requires: string, { scheme = 'http', internal = false, path = '/a' }) => {
    const exchange = new FakeExchange({ authority: 'shop.test', path })
    exchange.request.scheme = scheme
    exchange.internal = internal
    const host = `require_tls: ${requires}, response_headers_to_add: [{header: {key: x-a, value: v}}]`
    const route = routeOf(exchange, `${host}, routes: [{name: r, match: {prefix: /a}, direct_response: {status: 200}}]`)
    answerHere(exchange, routerPlan(), route)
    return { route, status: exchange.replied?.status, headers: exchange.replied?.options.headers }
  }

  it.each([
    ['ALL', { internal: true }, true],
    ['ALL', { scheme: 'https' }, false],
    ['EXTERNAL_ONLY', {}, true],
    ['EXTERNAL_ONLY', { internal: true }, false],
    ['NONE', {}, false],
  ])('(%s) sends a request away: %j', (requires, request, is) => {
    expect(sent(requires, request).status).toBe(is ? 301 : 200)
  })

  it('goes by x-forwarded-proto rather than by the scheme that the client gives', () => {
    const exchange = new FakeExchange({ path: '/a', headers: { 'x-forwarded-proto': 'https' } })
    exchange.request.scheme = 'http'
    const route = routeOf(exchange, 'require_tls: ALL, routes: [{match: {prefix: /a}, direct_response: {status: 200}}]')
    answerHere(exchange, routerPlan(), route)
    expect(exchange.replied?.status).toBe(200)
  })

  it('tells where to, by no route of its own, also what none of them matches', () => {
    for (const path of ['/a', '/b?c']) {
      const { route, status, headers } = sent('ALL', { path })
      expect({ status, headers }).toEqual({ status: 301, headers: [['location', `https://shop.test${path}`]] })
      expect([route.name, route.edits]).toEqual(['', []])
    }
  })
})
