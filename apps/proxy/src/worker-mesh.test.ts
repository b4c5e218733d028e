import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import net from 'node:net'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { certificateSecret, TestAuthority } from './testing/certificates.ts'
import {
  cluster,
  connectionManager,
  downstreamTls,
  httpOptions,
  listener,
  routeTo,
  upstreamTls,
  workloadTls,
} from './testing/resources.ts'
import { upstream, worker } from './testing/test-proxy.ts'
import { ask, raw, until, type WorkerHarness } from './testing/worker-harness.ts'

const alice = 'spiffe://cluster.local/ns/default/sa/alice'
const bob = 'spiffe://cluster.local/ns/default/sa/bob'
let authority: TestAuthority
let aliceKeys: { cert: string; key: string }
let bobKeys: { cert: string; key: string }
beforeAll(async () => {
  authority = await TestAuthority.create()
  aliceKeys = await authority.issue(alice)
  bobKeys = await authority.issue(bob)
})

const serverTls = (alpnProtocols: string[]) =>
  downstreamTls({ requireClientCertificate: true, commonTlsContext: { ...workloadTls(), alpnProtocols } })
const clientTls = (alpnProtocols: string[]) => upstreamTls({ commonTlsContext: { ...workloadTls(), alpnProtocols } })

const autoConfig = httpOptions({ upstreamProtocolOptions: { $case: 'autoConfig', value: {} } })

const hcm = () => connectionManager([routeTo('c')], { upgradeConfigs: [{ upgradeType: 'websocket' }] })
const counter = (proxy: WorkerHarness, name: string): number => proxy.stats.value(name) ?? 0

/** A sidecar before an application, which offers these protocols, and one of the client's that offers those. */
async function pair(
  application: number,
  serves: string[],
  offers: string[],
  more: Parameters<typeof cluster>[2] = {},
  managers = { near: hcm(), far: hcm() },
): Promise<{ near: WorkerHarness; far: WorkerHarness; port: number }> {
  const [near, far] = [worker(), worker()]
  const errors = await far.apply(
    certificateSecret('default', bobKeys),
    authority.trustSecret(),
    cluster('c', [application]),
    listener('in', [{ transportSocket: serverTls(serves), filters: [managers.far] }]),
  )
  errors.push(
    ...(await near.apply(
      certificateSecret('default', aliceKeys),
      authority.trustSecret(),
      cluster('c', [far.port('in')], { transportSocket: clientTls(offers), ...more }),
      listener('out', [{ filters: [managers.near] }]),
    )),
  )
  expect(errors).toEqual([])
  return { near, far, port: near.port('out') }
}

const ours = ['weft-h2', 'istio', 'http/1.1']
const weft = ['weft-h2', 'h2', 'http/1.1']
const plain = ['h2', 'http/1.1']

describe('between sidecars', () => {
  it('HTTP/1.1 requests of many connections share one HTTP/2 connection, and are HTTP/1.1 to the application', async () => {
    const up = await upstream((asked, response, body) => response.end(`${asked.httpVersion} ${asked.url} ${body.length}`))
    const { near, far, port } = await pair(up.port, weft, ours)
    const answers = await Promise.all(
      Array.from({ length: 30 }, (_, i) => ask(port, `/${i}`, { method: 'POST', body: 'x'.repeat(i * 100) })),
    )
    expect(answers.map(({ status, body }) => `${status} ${body}`)).toEqual(answers.map((_, i) => `200 1.1 /${i} ${i * 100}`))
    await until(() => counter(far, 'http.test.downstream_rq_2xx') === 30, 'all are counted')
    expect(counter(near, 'cluster.c.upstream_cx_http2_total')).toBe(1)
    expect(counter(near, 'cluster.c.upstream_cx_total')).toBe(1)
    expect(counter(near, 'cluster.c.upstream_rq_total')).toBe(30)
    expect(counter(far, 'http.test.downstream_cx_http2_total')).toBe(1)
  })

  it('a body longer than what is buffered is sent whole although the connection has to be made first', async () => {
    const up = await upstream((_asked, response, body) => response.end(String(body.length)))
    const { port } = await pair(up.port, weft, ours)
    expect(await ask(port, '/', { method: 'POST', body: 'x'.repeat(5_000_000) })).toMatchObject({ status: 200, body: '5000000' })
  })

  it('a WebSocket has a connection of its own', async () => {
    const server = http.createServer()
    server.on('upgrade', (_request, socket, first) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n')
      socket.write(first)
      socket.pipe(socket)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
    const { near, port } = await pair((server.address() as net.AddressInfo).port, weft, ours)
    const head = 'GET /chat HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nping'
    const seen = await raw(port, head, (text) => text.endsWith('ping'))
    expect(seen).toMatch(/^HTTP\/1.1 101 /)
    await until(() => counter(near, 'cluster.c.upstream_cx_http1_total') === 1, 'an HTTP/1.1 connection is counted')
    expect(counter(near, 'cluster.c.upstream_cx_http2_total')).toBe(0)
  })

  for (const [name, serves] of Object.entries({ 'our own': weft, others: plain })) {
    it(`a CONNECT reaches the application as bare bytes (${name})`, async () => {
      const server = net.createServer((socket) => socket.on('error', () => {}).pipe(socket))
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      onTestFinished(() => void server.close())
      const manager = (connectConfig: object | undefined) =>
        connectionManager([
          {
            match: { pathSpecifier: { $case: 'connectMatcher', value: {} } },
            action: {
              $case: 'route',
              value: {
                clusterSpecifier: { $case: 'cluster', value: 'c' },
                upgradeConfigs: [{ upgradeType: 'CONNECT', ...(connectConfig === undefined ? {} : { connectConfig }) }],
              },
            },
          },
        ])
      const application = (server.address() as net.AddressInfo).port
      const { far, port } = await pair(application, serves, ours, {}, { near: manager(undefined), far: manager({}) })
      const seen = await raw(port, 'CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\nping', (text) => text.endsWith('ping'))
      expect(seen).toMatch(/^HTTP\/1.1 200 /)
      await until(() => counter(far, 'cluster.c.upstream_cx_destroy') === 1, 'its end reaches the application')
    })
  }

  it('a peer that does not know the name gets HTTP/1.1, a connection a request at a time', async () => {
    const up = await upstream((_asked, response) => setTimeout(() => response.end('hello'), 20))
    const { near, far, port } = await pair(up.port, plain, ours)
    const answers = await Promise.all(Array.from({ length: 5 }, () => ask(port)))
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200])
    await until(() => counter(near, 'cluster.c.upstream_rq_2xx') === 5, 'all are counted')
    expect(counter(near, 'cluster.c.upstream_cx_http1_total')).toBeGreaterThan(1)
    expect(counter(near, 'cluster.c.upstream_cx_http2_total')).toBe(0)
    await until(() => counter(far, 'http.test.downstream_rq_2xx') === 5, 'all are counted')
    expect(counter(far, 'http.test.downstream_cx_http1_total')).toBe(counter(near, 'cluster.c.upstream_cx_total'))
  })

  it('a client that does not offer the name gets what it asks for', async () => {
    const up = await upstream()
    const { far, port } = await pair(up.port, weft, ['istio', 'http/1.1'])
    expect(await ask(port)).toMatchObject({ status: 200 })
    await until(() => counter(far, 'http.test.downstream_cx_http1_total') === 1, 'HTTP/1.1 is counted')
  })

  it('max_requests_per_connection holds', async () => {
    const up = await upstream()
    const { near, port } = await pair(up.port, weft, ours, { maxRequestsPerConnection: 2 })
    for (let i = 0; i < 6; i++) expect(await ask(port)).toMatchObject({ status: 200 })
    await until(() => counter(near, 'cluster.c.upstream_cx_max_requests') === 3, 'three are used up')
    expect(counter(near, 'cluster.c.upstream_cx_http2_total')).toBe(3)
  })

  it('requests wait at the limit of connections, and no more of them than may', async () => {
    const up = await upstream((_asked, response) => setTimeout(() => response.end('hello'), 10))
    const { near, port } = await pair(up.port, plain, ours, {
      circuitBreakers: { thresholds: [{ maxConnections: 1, maxPendingRequests: 3 }] },
    })
    const answers = await Promise.all(Array.from({ length: 10 }, () => ask(port)))
    const statuses = answers.map(({ status }) => status)
    expect(statuses.filter((status) => status === 200).length).toBeGreaterThanOrEqual(3)
    expect(statuses.filter((status) => status === 503).length).toBeGreaterThan(0)
    await until(() => counter(near, 'cluster.c.upstream_rq_pending_overflow') > 0, 'the overflow is counted')
    expect(counter(near, 'cluster.c.upstream_cx_total')).toBe(1)
    expect(await ask(port)).toMatchObject({ status: 200 })
  })

  it('a slow reader holds nobody up', async () => {
    const big = Buffer.alloc(8 * 1024 * 1024, 'x')
    const up = await upstream((asked, response) => response.end(asked.url === '/big' ? big : 'hello'))
    const { port } = await pair(up.port, weft, ours)
    const slow = net.connect(port, '127.0.0.1', () => slow.write('GET /big HTTP/1.1\r\nhost: a\r\n\r\n'))
    onTestFinished(() => void slow.destroy())
    await new Promise((resolve) => slow.once('readable', resolve))
    for (let i = 0; i < 20; i++) expect(await ask(port)).toMatchObject({ status: 200, body: 'hello' })
    let length = 0
    slow.on('data', (piece: Buffer) => {
      length += piece.length
    })
    await until(() => length > big.length, 'the slow one gets all')
  })
})

describe('auto_config', () => {
  const tlsKeys = () => ({ cert: bobKeys.cert, key: bobKeys.key })
  async function behind(server: http2.Http2SecureServer | https.Server): Promise<{ near: WorkerHarness; port: number }> {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
    const near = worker()
    const port = (server.address() as net.AddressInfo).port
    const errors = await near.apply(
      certificateSecret('default', aliceKeys),
      authority.trustSecret(),
      cluster('c', [port], { transportSocket: clientTls([]), ...autoConfig }),
      listener('out', [{ filters: [hcm()] }]),
    )
    expect(errors).toEqual([])
    return { near, port: near.port('out') }
  }

  it('speaks HTTP/2 where the handshake says so', async () => {
    const server = http2.createSecureServer(tlsKeys(), (request, response) => response.end(request.httpVersion))
    const { near, port } = await behind(server)
    const answers = await Promise.all(Array.from({ length: 8 }, () => ask(port)))
    expect(answers.map(({ body }) => body)).toEqual(Array(8).fill('2.0'))
    await until(() => counter(near, 'cluster.c.upstream_rq_2xx') === 8, 'all are counted')
    expect(counter(near, 'cluster.c.upstream_cx_http2_total')).toBe(1)
  })

  it('speaks HTTP/1.1 where it says that, or nothing', async () => {
    const server = https.createServer(tlsKeys(), (request, response) => response.end(request.httpVersion))
    const { near, port } = await behind(server)
    expect(await ask(port)).toMatchObject({ status: 200, body: '1.1' })
    expect(await ask(port)).toMatchObject({ status: 200, body: '1.1' })
    await until(() => counter(near, 'cluster.c.upstream_rq_2xx') === 2, 'both are counted')
    expect(counter(near, 'cluster.c.upstream_cx_total')).toBe(1)
  })

  it('answers those that wait for a handshake that fails', async () => {
    const server = net.createServer((connection) => connection.destroy())
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
    const near = worker()
    await near.apply(
      certificateSecret('default', aliceKeys),
      authority.trustSecret(),
      cluster('c', [(server.address() as net.AddressInfo).port], {
        transportSocket: clientTls([]),
        ...autoConfig,
      }),
      listener('out', [{ filters: [hcm()] }]),
    )
    const answers = await Promise.all(Array.from({ length: 4 }, () => ask(near.port('out'))))
    expect(answers.map(({ status }) => status)).toEqual([503, 503, 503, 503])
    expect(answers[0]!.body).toContain('remote connection failure')
    await until(() => counter(near, 'cluster.c.upstream_rq_pending_failure_eject') === 4, 'all are counted')
    expect(near.stats.value('cluster.c.upstream_cx_active')).toBe(0)
  })

  it('needs TLS', async () => {
    const errors = await worker().apply(cluster('c', [1], autoConfig))
    expect(errors[0]?.message).toContain('non-ALPN transport socket')
  })
})
