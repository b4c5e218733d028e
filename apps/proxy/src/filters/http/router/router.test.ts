import { Cluster } from '@weft/contracts/envoy/config/cluster/v3/cluster'
import { describe, expect, it } from 'vitest'
import { grpcTimeoutText, parseGrpcTimeout } from '../../../routing/grpc-timeout.ts'
import { cluster, connectionManager, listener, routeTo } from '../../../testing/resources.ts'
import { proxyTo, upstream, worker } from '../../../testing/test-proxy.ts'
import { ask, raw } from '../../../testing/worker-harness.ts'

async function proxyWith(routes: Parameters<typeof connectionManager>[0], ...clusters: ReturnType<typeof cluster>[]) {
  const proxy = worker()
  expect(await proxy.apply(...clusters, listener('in', [{ filters: [connectionManager(routes)] }]))).toEqual([])
  return proxy
}

describe('the router', () => {
  it('rewrites paths by the names of their template', async () => {
    const up = await upstream()
    const any = (type: string, value: Buffer) => ({ name: 't', typedConfig: { typeUrl: `type.googleapis.com/${type}`, value } })
    const text = (value: string) => Buffer.concat([Buffer.from([10, value.length]), Buffer.from(value)])
    const proxy = await proxyWith(
      [
        {
          match: {
            pathSpecifier: {
              $case: 'pathMatchPolicy',
              value: any('envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig', text('/api/{id}/items/{rest=**}')),
            },
          },
          action: {
            $case: 'route',
            value: {
              clusterSpecifier: { $case: 'cluster', value: 'c' },
              pathRewritePolicy: any(
                'envoy.extensions.path.rewrite.uri_template.v3.UriTemplateRewriteConfig',
                text('/{rest}/of/{id}'),
              ),
            },
          },
        },
      ],
      cluster('c', [up.port]),
    )
    const port = proxy.port('in')
    expect(await ask(port, '/api/7/items/a/b?q=1')).toMatchObject({ status: 200 })
    expect(up.requests[0]).toMatchObject({ url: '/a/b/of/7?q=1' })
    expect(await ask(port, '/api/7')).toMatchObject({ status: 404 })
  })

  it('leaves a path alone whose rewrite comes to nothing', async () => {
    const up = await upstream()
    const proxy = await proxyWith([routeTo('c', '/', { pathRewrite: '%REQ(x-to)%' })], cluster('c', [up.port]))
    await ask(proxy.port('in'), '/a?q=1')
    await ask(proxy.port('in'), '/a?q=1', { headers: { 'x-to': '/b' } })
    const seen = up.requests.map(({ url, headers }) => [url, headers['x-envoy-original-path']])
    expect(seen).toEqual([
      ['/a?q=1', undefined],
      ['/b?q=1', '/a?q=1'],
    ])
  })

  it('tells another try of an empty body in the same way', async () => {
    const up = await upstream((_request, response) => {
      response.statusCode = up.requests.length === 1 ? 503 : 200
      response.end()
    })
    const retryPolicy = { retryOn: '5xx', retryBackOff: { baseInterval: { seconds: 0, nanos: 1e6 } } }
    const proxy = await proxyWith([routeTo('c', '/', { retryPolicy })], cluster('c', [up.port]))
    await raw(proxy.port('in'), 'POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n')
    expect(up.requests.map(({ headers }) => headers['transfer-encoding'])).toEqual(['chunked', 'chunked'])
  })

  it('joins what is added to headers that have one value, and appends to others', async () => {
    const up = await upstream()
    const add = (key: string) => ({ header: { key, value: 'new' } })
    const proxy = await proxyWith(
      [{ ...routeTo('c'), requestHeadersToAdd: [add('user-agent'), add('accept-language')] }],
      cluster('c', [up.port]),
    )
    await ask(proxy.port('in'), '/', { headers: { 'user-agent': 'me', 'accept-language': 'de' } })
    expect(up.requests[0]!.headers['user-agent']).toBe('me,new')
    expect(up.requests[0]!.headers['accept-language']).toBe('de, new')
  })

  it.each([
    [103, 503, 1],
    [105, 200, 2],
  ])('tries no other time behind an interim answer that clients hear of: %i', async (interim, status, tries) => {
    const up = await upstream((_request, response) => {
      if (up.requests.length === 1) {
        response.socket?.write(`HTTP/1.1 ${interim} Wait\r\n\r\n`)
        response.statusCode = 503
      }
      response.end()
    })
    const retryPolicy = { retryOn: '5xx', retryBackOff: { baseInterval: { seconds: 0, nanos: 1e6 } } }
    const proxy = await proxyTo(up.port, connectionManager([routeTo('c', '/', { retryPolicy })]))
    expect((await ask(proxy.port('in'), '/')).status).toBe(status)
    expect(up.requests.length).toBe(tries)
    expect(proxy.stats.value(`cluster.c.upstream_rq_${interim}`) ?? 0).toBe(2 - tries)
  })

  it('limits any stream as grpc-timeout asks where the route takes that, and tells upstream of gRPC alone', async () => {
    const up = await upstream(() => {})
    const maxStreamDuration = { grpcTimeoutHeaderMax: { seconds: 5, nanos: 0 } }
    const proxy = await proxyWith([routeTo('c', '/', { maxStreamDuration })], cluster('c', [up.port]))
    const answer = await ask(proxy.port('in'), '/', { headers: { 'content-type': 'text/plain', 'grpc-timeout': '30000u' } })
    expect(answer).toMatchObject({ status: 504, body: 'downstream duration timeout' })
    expect(up.requests[0]?.headers['grpc-timeout']).toBe('30000u')
  })

  it.each([
    ['0', 'application/grpc', undefined, [undefined, undefined]],
    ['5', 'application/grpc', undefined, ['5000m', '5000']],
    ['5', 'application/grpc', '2S', ['2000m', '2000']],
    ['5', 'text/plain', '2S', ['2S', '15000']],
  ])(
    'takes max_grpc_timeout (%s s) for the limit of gRPC, whether or not the client asks for one: %s, %s',
    async (most, type, asked, told) => {
      const up = await upstream()
      const route = routeTo('c', '/', { maxGrpcTimeout: { seconds: Number(most), nanos: 0 } })
      const proxy = await proxyWith([route], cluster('c', [up.port]))
      const headers = { 'content-type': type, ...(asked === undefined ? {} : { 'grpc-timeout': asked }) }
      await ask(proxy.port('in'), '/', { method: 'POST', headers })
      const seen = up.requests[0]!.headers
      expect([seen['grpc-timeout'], seen['x-envoy-expected-rq-timeout-ms']]).toEqual(told)
    },
  )

  it('limits a gRPC stream as the client asks, up to the limit of the route, and tells upstream', async () => {
    const up = await upstream(() => {})
    const maxStreamDuration = { grpcTimeoutHeaderMax: { seconds: 0, nanos: 50e6 } }
    const proxy = await proxyWith([routeTo('c', '/', { maxStreamDuration })], cluster('c', [up.port]))
    const headers = { 'content-type': 'application/grpc', 'grpc-timeout': '10S' }
    const answer = await ask(proxy.port('in'), '/', { method: 'POST', headers })
    expect(answer).toMatchObject({ status: 200, headers: { 'grpc-status': '4', 'grpc-message': 'downstream duration timeout' } })
    expect(up.requests[0]?.headers['grpc-timeout']).toBe('50m')
    expect(up.requests[0]?.headers['x-envoy-expected-rq-timeout-ms']).toBeUndefined()
  })

  it('follows redirects that a route follows, with the body, so often as it says', async () => {
    const b = await upstream()
    const a = await upstream((request, response) => {
      const to = (request.url ?? '').replace(/^.*?to=|^.*$/, '')
      response.writeHead(to.startsWith('303') ? 303 : 302, { location: to.replace('303', ''), 'x-copied': 'c' })
      response.end('moved')
    })
    const internalRedirectPolicy = { redirectResponseCodes: [302, 303], responseHeadersToCopy: ['x-copied'] }
    const proxy = await proxyWith(
      [routeTo('b', '/b'), routeTo('a', '/', { internalRedirectPolicy })],
      cluster('a', [a.port]),
      cluster('b', [b.port]),
    )
    const port = proxy.port('in')
    const post = { method: 'POST', body: 'data', headers: { host: 'first.test' } }
    expect(await ask(port, '/x?to=http://second.test/b?q', post)).toMatchObject({ status: 200, body: 'hello' })
    expect(b.requests[0]).toMatchObject({
      method: 'POST',
      url: '/b?q',
      body: 'data',
      headers: {
        host: 'second.test',
        'x-copied': 'c',
        'x-envoy-original-url': 'http://first.test/x?to=http://second.test/b?q',
      },
    })
    expect(await ask(port, '/x?to=303http://second.test/b', post)).toMatchObject({ status: 200 })
    expect(b.requests[1]).toMatchObject({ method: 'GET', body: '' })
    // What a client says of its scheme makes no connection one of TLS.
    const claiming = { headers: { 'x-forwarded-proto': 'https' } }
    expect(await ask(port, '/x?to=http://second.test/b', claiming)).toMatchObject({ status: 200, body: 'hello' })
    for (const to of ['/b', 'https://second.test/b', 'http://second.test/again?to=http://second.test/b2']) {
      const answer = await ask(port, `/x?to=${to}`)
      expect(answer).toMatchObject({ status: 302, body: 'moved' })
    }
    expect(proxy.stats.value('cluster.a.upstream_internal_redirect_succeeded_total')).toBe(4)
    expect(proxy.stats.value('cluster.a.upstream_internal_redirect_failed_total')).toBe(3)
    expect(proxy.stats.value('http.test.passthrough_internal_redirect_too_many_redirects')).toBe(1)
  })

  it('waits before another try as long as the answer asks', async () => {
    let left = 1
    const up = await upstream((_request, response) => {
      response.statusCode = left-- > 0 ? 503 : 200
      response.setHeader('x-reset', String(Math.floor(Date.now() / 1000) + 1))
      response.end()
    })
    const rateLimitedRetryBackOff = { resetHeaders: [{ name: 'x-reset', format: 1 as const }] }
    const retryPolicy = { retryOn: '5xx', numRetries: 1, rateLimitedRetryBackOff }
    const proxy = await proxyWith([routeTo('c', '/', { retryPolicy })], cluster('c', [up.port]))
    expect(await ask(proxy.port('in'), '/')).toMatchObject({ status: 200 })
    expect(proxy.stats.value('cluster.c.upstream_rq_retry_backoff_ratelimited')).toBe(1)
  })

  it('drops what the control plane has dropped', async () => {
    const up = await upstream()
    const { loadAssignment } = Cluster.decode(cluster('c', [up.port]).bytes ?? Buffer.alloc(0))
    const policy = { dropOverloads: [{ category: 'all', dropPercentage: { numerator: 100 } }] }
    const proxy = await proxyWith([routeTo('c')], cluster('c', [], { loadAssignment: { ...loadAssignment, policy } }))
    expect(await ask(proxy.port('in'), '/')).toMatchObject({
      status: 503,
      body: 'unconditional drop overload',
      headers: { 'x-envoy-unconditional-drop-overload': 'true' },
    })
    expect(up.requests).toHaveLength(0)
    expect(proxy.stats.value('cluster.c.upstream_rq_503')).toBe(1)
  })

  it('counts by virtual cluster, what belongs to none apart, and by route', async () => {
    const up = await upstream()
    const header = { name: ':path', headerMatchSpecifier: { $case: 'prefixMatch' as const, value: '/v' } }
    const virtualHosts = [
      {
        name: 'host',
        domains: ['*'],
        routes: [{ ...routeTo('c'), statPrefix: 'r' }],
        virtualClusters: [{ name: 'v', headers: [header] }],
      },
    ]
    const routeSpecifier = { $case: 'routeConfig' as const, value: { name: 'r', virtualHosts } }
    const proxy = await proxyTo(up.port, connectionManager([], { routeSpecifier }))
    for (const path of ['/v1', '/v2', '/w']) await ask(proxy.port('in'), path)
    expect(proxy.stats.value('vhost.host.vcluster.v.upstream_rq_200')).toBe(2)
    expect(proxy.stats.value('vhost.host.vcluster.v.upstream_rq_total')).toBe(2)
    expect(proxy.stats.value('vhost.host.vcluster.other.upstream_rq_2xx')).toBe(1)
    expect(proxy.stats.value('vhost.host.vcluster.v.upstream_rq_time')).toBe(2)
    expect(proxy.stats.value('vhost.host.route.r.upstream_rq_200')).toBe(3)
    expect(proxy.stats.value('cluster.c.external.upstream_rq_time')).toBe(3)
    expect(proxy.stats.value('cluster.c.http1.response_flood')).toBe(0)
    expect(proxy.stats.value('cluster.c.ssl.handshake')).toBeUndefined()
  })

  it('chooses the route table by a scope that headers name', async () => {
    const [a, b] = [await upstream(), await upstream()]
    const proxy = worker()
    const scope = (name: string) => ({
      name,
      key: { fragments: [{ type: { $case: 'stringKey' as const, value: name } }] },
      routeConfiguration: { name, virtualHosts: [{ name, domains: ['*'], routes: [routeTo(name)] }] },
    })
    const extractor = {
      name: 'x-scope',
      elementSeparator: ';',
      extractType: { $case: 'element' as const, value: { separator: '=', key: 'k' } },
    }
    const routeSpecifier = {
      $case: 'scopedRoutes' as const,
      value: {
        name: 's',
        scopeKeyBuilder: { fragments: [{ type: { $case: 'headerValueExtractor' as const, value: extractor } }] },
        configSpecifier: {
          $case: 'scopedRouteConfigurationsList' as const,
          value: { scopedRouteConfigurations: [scope('a'), scope('b')] },
        },
      },
    }
    expect(
      await proxy.apply(
        cluster('a', [a.port]),
        cluster('b', [b.port]),
        listener('in', [{ filters: [connectionManager([], { routeSpecifier })] }]),
      ),
    ).toEqual([])
    const port = proxy.port('in')
    expect(await ask(port, '/', { headers: { 'x-scope': 'j=a;k=b' } })).toMatchObject({ status: 200 })
    expect([a.requests.length, b.requests.length]).toEqual([0, 1])
    expect(await ask(port, '/', { headers: { 'x-scope': 'k=c' } })).toMatchObject({ status: 404 })
    expect(await ask(port, '/')).toMatchObject({ status: 404 })
  })

  it('reads and writes gRPC time limits', () => {
    expect(parseGrpcTimeout('2S')).toBe(2000)
    expect(parseGrpcTimeout('1u')).toBe(1)
    expect(parseGrpcTimeout('123456789m')).toBeNull()
    expect(grpcTimeoutText(90_000)).toBe('90000m')
    expect(grpcTimeoutText(200_000_000)).toBe('200000S')
    expect(grpcTimeoutText(99_999_999 * 3_600_000 - 200)).toBe('99999998H')
  })
})
