import { HeaderValueOption } from '@weft/contracts/envoy/config/core/v3/base'
import { describe, expect, it } from 'vitest'
import { cluster, connectionManager, listener, routeTo } from '../../../testing/resources.ts'
import { proxyTo, upstream, worker } from '../../../testing/test-proxy.ts'
import { ask, raw, type Upstream, until } from '../../../testing/worker-harness.ts'
import { FakeExchange, routerPlan } from './fake-exchange.ts'
import { answerReset } from './own-answers.ts'
import { RequestCounts } from './request-counts.ts'

async function proxyBefore(answer: ConstructorParameters<typeof Upstream>[0], action = {}) {
  const cidrRanges = [{ addressPrefix: '10.0.0.0', prefixLen: 8 }]
  const origin = await upstream(answer)
  const manager = connectionManager([routeTo('c', '/', action)], { internalAddressConfig: { cidrRanges } })
  const proxy = await proxyTo(origin.port, manager)
  return { proxy, port: proxy.port('in') }
}

describe('what a client is answered where upstream gives no whole answer', () => {
  it('is 503 where there is no endpoint', async () => {
    const proxy = worker()
    await proxy.apply(cluster('c', []), listener('in', [{ filters: [connectionManager([routeTo('c')])] }]))
    expect(await ask(proxy.port('in'))).toMatchObject({ status: 503, body: 'no healthy upstream' })
    expect(proxy.stats.value('cluster.c.upstream_rq_503')).toBe(1)
  })

  it('is 503 where the connection is closed, and says so', async () => {
    const { port } = await proxyBefore((request) => request.socket.destroy())
    const body = 'upstream connect error or disconnect/reset before headers. reset reason: connection termination'
    expect(await ask(port)).toMatchObject({ status: 503, body })
  })

  it('is 504 where the route’s time is over, 204 where the client asked for that', async () => {
    const { port } = await proxyBefore(() => {}, { timeout: { seconds: 0, nanos: 50_000_000 } })
    expect(await ask(port)).toMatchObject({ status: 504, body: 'upstream request timeout' })
    // Asked from within: others have no say in this.
    const headers = { 'x-envoy-upstream-rq-timeout-alt-response': '1', 'x-forwarded-for': '10.0.0.1' }
    expect(await ask(port, '/', { headers })).toMatchObject({ status: 204, body: '' })
  })

  it('is 503 where a header would end early; of an answer it is left out', async () => {
    const origin = await upstream((_request, response) => response.end('fine'))
    const metadata = { filterMetadata: { own: { text: 'a\r\nx-evil: 1' } }, typedFilterMetadata: {} }
    const additions = HeaderValueOption.fromPartial({ header: { key: 'x-own', value: '%METADATA(ROUTE:own:text)%' } })
    const routes = [
      { ...routeTo('c', '/request'), metadata, requestHeadersToAdd: [additions] },
      { ...routeTo('c', '/response'), metadata, responseHeadersToAdd: [additions] },
    ]
    const proxy = await proxyTo(origin.port, connectionManager(routes))
    const port = proxy.port('in')
    expect(await ask(port, '/request')).toMatchObject({ status: 503, body: 'invalid header value for: x-own' })
    const { status, headers } = await ask(port, '/response')
    expect([status, headers['x-own'], headers['x-evil']]).toEqual([200, undefined, undefined])
  })

  it('breaks off where the answer does', async () => {
    const { proxy, port } = await proxyBefore((_request, response) => {
      response.writeHead(200, { 'content-length': '10' })
      response.write('half', () => response.socket?.destroy())
    })
    const text = await raw(port, 'GET / HTTP/1.1\r\nhost: a\r\n\r\n')
    expect(text).toMatch(/half$/)
    await until(() => proxy.stats.value('cluster.c.upstream_rq_active') === 0, 'nothing to be under way')
  })

  // As Envoy 1.40 logs it.
  it.each([
    ['connection timeout', 'connection timeout', ''],
    ['delayed connect error: Connection refused', 'remote connection failure', 'delayed connect error: Connection refused'],
  ])('is 503 where no connection came to be, and a log has the transport’s failure, if any: %s', (detail, reason, logged) => {
    const exchange = new FakeExchange()
    answerReset(exchange, new RequestCounts(exchange, routerPlan()), 'connect-failure', detail)
    const body = `upstream connect error or disconnect/reset before headers. reset reason: ${reason}`
    expect(exchange.replied).toMatchObject({ status: 503, body })
    expect([exchange.info.responseFlags, exchange.info.upstreamFailure]).toEqual([['UF'], logged])
  })
})
