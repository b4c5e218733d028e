import { request as begin, createServer, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import { connect, createServer as createHttp2Server, type IncomingHttpHeaders as Http2Headers } from 'node:http2'
import type { AddressInfo, Server } from 'node:net'
import { expect, it, onTestFinished } from 'vitest'
import { cluster, connectionManager, httpOptions, listener, routeTo } from '../../../testing/resources.ts'
import { upstream, worker } from '../../../testing/test-proxy.ts'
import { ask, until } from '../../../testing/worker-harness.ts'
import { shadowHost } from './mirror.ts'

/** A proxy whose requests all go to `main`, and as copies to `shadow`. `mainPort` 0: `main` has no endpoint. */
async function copying(
  mainPort: number,
  shadow: { port: number; options?: Parameters<typeof cluster>[2] },
  policies: readonly object[] = [{ cluster: 'shadow' }],
  action: object = {},
) {
  const proxy = worker()
  const route = routeTo('main', '/', { requestMirrorPolicies: policies, ...action })
  const errors = await proxy.apply(
    cluster('main', mainPort === 0 ? [] : [mainPort]),
    cluster('shadow', [shadow.port], shadow.options),
    listener('in', [{ filters: [connectionManager([route])] }]),
  )
  expect(errors).toEqual([])
  const count = (name: string) => proxy.stats.value(`cluster.shadow.${name}`) ?? 0
  return {
    port: proxy.port('in'),
    count,
    copies: () => proxy.stats.value('http.async-client.rq_total'),
    counts: (name: string, value: number) => until(() => count(name) === value, `${name} is ${value}`),
  }
}

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()))
  onTestFinished(() => void server.close())
  return (server.address() as AddressInfo).port
}

/** A cluster's endpoint that notes what comes while it comes, and answers nothing. */
async function silent() {
  const seen: { headers: IncomingHttpHeaders; body: string; aborted: boolean }[] = []
  const server = createServer((request: IncomingMessage) => {
    const one = { headers: request.headers, body: '', aborted: false }
    seen.push(one)
    request.setEncoding('latin1').on('data', (piece: string) => {
      one.body += piece
    })
    request
      .on('error', () => undefined)
      .on('aborted', () => {
        one.aborted = true
      })
  })
  onTestFinished(() => server.closeAllConnections())
  return { port: await listening(server), seen }
}

function posting(port: number, size: number) {
  const request = begin({ host: '127.0.0.1', port, method: 'POST', headers: { 'content-length': size } })
  const answered = new Promise<number>((resolve) =>
    request.on('response', (response) => {
      response.resume()
      resolve(response.statusCode ?? 0)
    }),
  )
  request.on('error', () => undefined)
  return { request, answered }
}

it('copies go to other clusters, and nothing waits for them', async () => {
  const [main, shadow] = [await upstream(), await upstream()]
  const proxy = await copying(main.port, shadow, [{ cluster: 'shadow' }, { cluster: 'unknown' }])
  const headers = { host: 'shop.test:80' }
  expect(await ask(proxy.port, '/m?q', { method: 'POST', body: 'data', headers })).toMatchObject({ status: 200 })
  await proxy.counts('internal.upstream_rq_200', 1)
  expect(main.requests).toHaveLength(1)
  expect(shadow.requests[0]).toMatchObject({
    method: 'POST',
    url: '/m?q',
    body: 'data',
    headers: {
      host: 'shop.test-shadow:80',
      'content-length': '4',
      'x-envoy-internal': 'true',
      'x-envoy-expected-rq-timeout-ms': '15000',
    },
  })
  await ask(proxy.port, '/', { method: 'PUT' })
  await proxy.counts('upstream_rq_200', 2)
  expect(shadow.requests[1]).toMatchObject({ method: 'PUT', body: '', headers: { 'content-length': '0' } })
  expect(proxy.copies()).toBe(2)
  expect(proxy.count('upstream_rq_total')).toBe(2)
})

it('edits the heads of copies alone, and counts their answers for the cluster they go to', async () => {
  const main = await upstream()
  const shadow = await upstream((_request, response) => response.writeHead(503).end())
  const append = {
    header: { key: 'x-from', value: '%REQ(x-in)%!', rawValue: Buffer.alloc(0) },
    append: undefined,
    appendAction: 0,
  }
  const requestHeadersMutations = [
    { action: { $case: 'append' as const, value: { ...append, keepEmptyValue: false } } },
    { action: { $case: 'remove' as const, value: 'x-in' } },
  ]
  const proxy = await copying(main.port, shadow, [
    { cluster: 'shadow', requestHeadersMutations, hostRewriteLiteral: 'copy.test' },
  ])
  await ask(proxy.port, '/', { headers: { 'x-in': 'v', 'x-forwarded-for': '10.0.0.1' } })
  await proxy.counts('internal.upstream_rq_503', 1)
  expect(main.requests[0]?.headers).toMatchObject({ 'x-in': 'v', 'x-forwarded-for': '10.0.0.1' })
  expect(shadow.requests[0]?.headers).toMatchObject({ 'x-from': 'v!', host: 'copy.test' })
  expect(shadow.requests[0]?.headers['x-forwarded-for']).toMatch(/^10\.0\.0\.1,[0-9.]+$/)
  expect(shadow.requests[0]?.headers).not.toHaveProperty('x-in')
})

it('speaks the HTTP of the cluster that it goes to, trailers included', async () => {
  const main = await upstream()
  const seen: { head: Http2Headers; body: string; trailers: Http2Headers }[] = []
  const server = createHttp2Server().on('stream', (stream, head) => {
    const one = { head, body: '', trailers: {} }
    stream.setEncoding('latin1').on('data', (piece: string) => {
      one.body += piece
    })
    stream.on('trailers', (trailers) => {
      one.trailers = trailers
    })
    stream.on('end', () => {
      seen.push(one)
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
      stream.end('answer')
    })
  })
  const options = httpOptions({
    upstreamProtocolOptions: {
      $case: 'explicitHttpConfig',
      value: { protocolConfig: { $case: 'http2ProtocolOptions', value: {} } },
    },
  })
  const proxy = await copying(main.port, { port: await listening(server), options })
  const client = connect(`http://127.0.0.1:${proxy.port}`)
  onTestFinished(() => client.destroy())
  const head = { ':method': 'POST', ':path': '/pkg.S/M', 'content-type': 'application/grpc', te: 'trailers' }
  const stream = client.request(head, { waitForTrailers: true })
  stream.on('wantTrailers', () => stream.sendTrailers({ 'x-end': 'yes' })).resume()
  stream.end('message')
  await proxy.counts('upstream_rq_200', 1)
  await proxy.counts('upstream_rq_active', 0)
  expect(seen).toMatchObject([{ head: { ':path': '/pkg.S/M', te: 'trailers' }, body: 'message', trailers: { 'x-end': 'yes' } }])
  expect(proxy.count('upstream_cx_http2_total')).toBe(1)
})

it('has the time that its request has', async () => {
  const [main, shadow] = [await upstream(), await silent()]
  const short = await copying(main.port, shadow, undefined, { timeout: { seconds: 0, nanos: 50e6 } })
  expect(await ask(short.port)).toMatchObject({ status: 200 })
  await short.counts('upstream_rq_timeout', 1)
  expect(short.count('internal.upstream_rq_504')).toBe(1)
  expect(short.count('upstream_rq_active')).toBe(0)
  const endless = await copying(main.port, shadow, undefined, { timeout: { seconds: 0, nanos: 0 } })
  expect(await ask(endless.port)).toMatchObject({ status: 200 })
  await until(() => shadow.seen.length === 2, 'the second has come')
  expect(shadow.seen.map(({ headers }) => headers['x-envoy-expected-rq-timeout-ms'])).toEqual(['50', undefined])
})

it('gets the body while it comes, and goes on when its request has gone', async () => {
  const [main, shadow] = [await upstream(), await silent()]
  const proxy = await copying(main.port, shadow)
  const { request, answered } = posting(proxy.port, 10)
  request.write('first')
  await until(() => shadow.seen[0]?.body === 'first', 'the first part is there')
  request.end('after')
  expect(await answered).toBe(200)
  await until(() => shadow.seen[0]?.body === 'firstafter', 'all of it is there')
  expect(proxy.count('upstream_rq_active')).toBe(1)
})

it('is given up when its request ends before its end', async () => {
  const [main, shadow] = [await upstream(), await silent()]
  const proxy = await copying(main.port, shadow)
  const { request } = posting(proxy.port, 10)
  request.write('first')
  await until(() => shadow.seen[0]?.body === 'first', 'the first part is there')
  request.destroy()
  await until(() => shadow.seen[0]?.aborted === true, 'the copy is broken off')
  expect(proxy.count('upstream_rq_active')).toBe(0)
})

it('fails for its own cluster alone', async () => {
  const main = await upstream()
  const gone = createServer()
  const port = await listening(gone)
  gone.close()
  const unreachable = await copying(main.port, { port })
  expect(await ask(unreachable.port, '/', { method: 'POST', body: 'data' })).toMatchObject({ status: 200, body: 'hello' })
  await unreachable.counts('internal.upstream_rq_503', 1)
  expect(unreachable.count('upstream_cx_connect_fail')).toBe(1)
  const options = { circuitBreakers: { thresholds: [{ maxPendingRequests: 0 }] } }
  const full = await copying(main.port, { port, options })
  expect(await ask(full.port, '/', { method: 'POST', body: 'data' })).toMatchObject({ status: 200, body: 'hello' })
  expect(full.count('upstream_rq_pending_overflow')).toBe(1)
  expect(full.count('upstream_cx_total')).toBe(0)
})

it('is made of no request that its own cluster can not take', async () => {
  const shadow = await upstream()
  const proxy = await copying(0, shadow)
  expect(await ask(proxy.port)).toMatchObject({ status: 503, body: 'no healthy upstream' })
  expect(proxy.copies()).toBe(0)
})

it('names the shadow of a host before its port', () => {
  expect(shadowHost('a.test')).toBe('a.test-shadow')
  expect(shadowHost('a.test:81')).toBe('a.test-shadow:81')
})
