import { FilterConfig, VirtualHost_TlsRequirementType } from '@weft/contracts/envoy/config/route/v3/route_components'
import { CorsPolicy } from '@weft/contracts/envoy/extensions/filters/http/cors/v3/cors'
import { HeaderMutation } from '@weft/contracts/envoy/extensions/filters/http/header_mutation/v3/header_mutation'
import { expect, test } from 'vitest'
import { any, connectionManager, routerFilter, routeTo, typed } from '../../../testing/resources.ts'
import { proxyTo, upstream } from '../../../testing/test-proxy.ts'
import { ask, raw } from '../../../testing/worker-harness.ts'

const filters = 'envoy.extensions.filters.http.'
const header = (key: string, value: string) => ({ header: { key, value } })

/** Notes what the answer is when the filters see it. */
const noting = typed(
  'noting',
  `${filters}header_mutation.v3.HeaderMutation`,
  HeaderMutation.encode(
    HeaderMutation.fromPartial({
      mutations: {
        responseMutations: [
          { action: { $case: 'append', value: header('x-seen', '%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%') } },
        ],
      },
    }),
  ).finish(),
)

test('answers to requests that no filter saw pass the filters too', async () => {
  const up = await upstream()
  const proxy = await proxyTo(up.port, connectionManager([routeTo('c')], { httpFilters: [noting, routerFilter] }))
  const broken = await raw(proxy.port('in'), 'GET / HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n')
  expect(broken).toContain('x-seen: 400 - http1.codec_error\r\n')
  const hostless = await raw(proxy.port('in'), 'GET / HTTP/1.1\r\n\r\n')
  expect(hostless).toContain('x-seen: 400 - missing_host_header\r\n')
  expect((await ask(proxy.port('in'))).headers['x-seen']).toBe('200 - via_upstream')
})

test('edits of a route come before its answer has a code, filters behind; of a gRPC answer they see the code that it stands for', async () => {
  const route = {
    ...routeTo('nobody'),
    responseHeadersToAdd: [header('x-route', '%RESPONSE_CODE%')],
  }
  const proxy = await proxyTo(1, connectionManager([route], { httpFilters: [noting, routerFilter] }))
  const plain = await ask(proxy.port('in'))
  expect([plain.status, plain.headers['x-route'], plain.headers['x-seen']]).toEqual([503, '0', '503 NC cluster_not_found'])
  const grpc = await ask(proxy.port('in'), '/', { headers: { 'content-type': 'application/grpc' } })
  expect([grpc.status, grpc.headers['x-seen']]).toEqual([200, '503 NC cluster_not_found'])
})

test('what no route takes tells of its virtual host', async () => {
  const up = await upstream()
  const telling = typed(
    'telling',
    `${filters}header_mutation.v3.HeaderMutation`,
    HeaderMutation.encode(
      HeaderMutation.fromPartial({
        mutations: {
          responseMutations: [{ action: { $case: 'append', value: header('x-of', '%METADATA(VIRTUAL_HOST:ns:k)%') } }],
        },
      }),
    ).finish(),
  )
  const host = {
    name: 'all',
    domains: ['a.test'],
    routes: [routeTo('c', '/taken')],
    metadata: { filterMetadata: { ns: { k: 'host' } } },
  }
  const routeSpecifier = { $case: 'routeConfig' as const, value: { name: 'inline', virtualHosts: [host] } }
  const proxy = await proxyTo(up.port, connectionManager([], { httpFilters: [telling, routerFilter], routeSpecifier }))
  const of = async (path: string, name: string) =>
    (await ask(proxy.port('in'), path, { headers: { host: name } })).headers['x-of']
  expect([await of('/taken', 'a.test'), await of('/other', 'a.test'), await of('/#f', 'a.test')]).toEqual([
    'host',
    'host',
    'host',
  ])
  expect(await of('/taken', 'b.test')).toBeUndefined()
})

test('an interim answer has the request’s id and the names’ case, and nothing of one connection', async () => {
  const up = await upstream((_request, response) => {
    response.socket?.write('HTTP/1.1 103 Early Hints\r\nlink: x\r\nconnection: x-r\r\n\r\n')
    response.end()
  })
  const more = {
    proxy100Continue: true,
    alwaysSetRequestIdInResponse: true,
    httpProtocolOptions: { headerKeyFormat: { headerFormat: { $case: 'properCaseWords' as const, value: {} } } },
  }
  const proxy = await proxyTo(up.port, connectionManager([routeTo('c')], more))
  const answer = await raw(proxy.port('in'), 'GET / HTTP/1.1\r\nhost: a\r\nx-request-id: mine\r\nconnection: close\r\n\r\n')
  expect(answer).toMatch(/^HTTP\/1.1 103 Unknown\r\nLink: x\r\nX-Request-Id: mine\r\n\r\nHTTP\/1.1 200 OK\r\n/)
})

test('what no route takes has no configuration of the route table', async () => {
  const up = await upstream()
  const off = FilterConfig.encode(FilterConfig.fromPartial({ disabled: true })).finish()
  const routes = {
    name: 'inline',
    virtualHosts: [{ name: 'all', domains: ['*'], routes: [routeTo('c', '/taken')] }],
    typedPerFilterConfig: { noting: any('envoy.config.route.v3.FilterConfig', off) },
  }
  const manager = connectionManager([], {
    httpFilters: [noting, routerFilter],
    routeSpecifier: { $case: 'routeConfig', value: routes },
  })
  const proxy = await proxyTo(up.port, manager)
  expect((await ask(proxy.port('in'), '/taken')).headers['x-seen']).toBeUndefined()
  expect((await ask(proxy.port('in'), '/other')).headers['x-seen']).toBe('404 NR route_not_found')
})

test('redirects have no CORS policy', async () => {
  const up = await upstream()
  const policy = CorsPolicy.fromPartial({
    allowOriginStringMatch: [{ matchPattern: { $case: 'exact', value: 'https://a.test' } }],
  })
  const config = any(`${filters}cors.v3.CorsPolicy`, CorsPolicy.encode(policy).finish())
  const cors = typed('envoy.filters.http.cors', `${filters}cors.v3.Cors`, new Uint8Array())
  const away = {
    match: { pathSpecifier: { $case: 'prefix' as const, value: '/away' } },
    action: { $case: 'redirect' as const, value: { hostRedirect: 'b.test' } },
  }
  const routes = [away, routeTo('c')].map((route) => ({ ...route, typedPerFilterConfig: { 'envoy.filters.http.cors': config } }))
  const proxy = await proxyTo(up.port, connectionManager(routes, { httpFilters: [cors, routerFilter] }))
  const headers = { origin: 'https://a.test' }
  expect((await ask(proxy.port('in'), '/', { headers })).headers['access-control-allow-origin']).toBe('https://a.test')
  expect((await ask(proxy.port('in'), '/away', { headers })).headers['access-control-allow-origin']).toBeUndefined()
})

test('an early answer has the edits of its route where its client names a scheme, and never those of a request before', async () => {
  const up = await upstream()
  const route = { ...routeTo('c'), responseHeadersToAdd: [header('x-route', 'yes')] }
  const proxy = await proxyTo(up.port, connectionManager([route]))
  const port = proxy.port('in')
  expect((await ask(port)).headers['x-route']).toBe('yes')
  const early = (more: string): Promise<string> => raw(port, `GET /a#b HTTP/1.1\r\nhost: a\r\n${more}\r\n`)
  expect(await early('x-forwarded-proto: http\r\n')).toContain('x-route: yes\r\n')
  for (const answer of [await early(''), await raw(port, 'GET / HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n')]) {
    expect(answer).toContain('HTTP/1.1 400')
    expect(answer).not.toContain('x-route')
  }
})

test('what is sent to TLS passes every filter, also those that its virtual host has off', async () => {
  const off = any(
    'envoy.config.route.v3.FilterConfig',
    FilterConfig.encode(FilterConfig.fromPartial({ disabled: true })).finish(),
  )
  const virtualHosts = [
    {
      name: 'all',
      domains: ['*'],
      requireTls: VirtualHost_TlsRequirementType.ALL,
      routes: [routeTo('c')],
      typedPerFilterConfig: { noting: off },
    },
  ]
  const routeSpecifier = { $case: 'routeConfig' as const, value: { virtualHosts } }
  const proxy = await proxyTo(1, connectionManager([], { httpFilters: [noting, routerFilter], routeSpecifier }))
  const answer = await ask(proxy.port('in'))
  expect([answer.status, answer.headers['x-seen']]).toEqual([301, '301 - direct_response'])
})
