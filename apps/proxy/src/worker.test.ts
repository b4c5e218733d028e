import { once } from 'node:events'
import net from 'node:net'
import { HTTPFault } from '@weft/contracts/envoy/extensions/filters/http/fault/v3/fault'
import { RBAC } from '@weft/contracts/envoy/extensions/filters/http/rbac/v3/rbac'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  assignment,
  cluster,
  connectionManager,
  listener,
  routeConfiguration,
  routerFilter,
  routeTo,
  typed,
} from './testing/resources.ts'
import { proxyTo, upstream, worker } from './testing/test-proxy.ts'
import { ask, raw, until } from './testing/worker-harness.ts'
import { localAddress } from './transport/local-address.ts'

const prefix = (value: string) => ({ pathSpecifier: { $case: 'prefix' as const, value } })

describe('a worker', () => {
  it('carries requests to the endpoints of a cluster in turn, and sets the headers Envoy sets', async () => {
    const [a, b] = [await upstream(), await upstream()]
    const proxy = worker()
    expect(
      await proxy.apply(
        cluster('c', [a.port, b.port]),
        listener('in', [{ filters: [connectionManager([routeTo('c')], { useRemoteAddress: true })] }]),
      ),
    ).toEqual([])
    for (let i = 0; i < 4; i++) {
      const answer = await ask(proxy.port('in'), `/p${i}?q=1`, { method: 'POST', body: 'data' })
      expect(answer).toMatchObject({ status: 200, body: 'hello', headers: { server: 'envoy' } })
      expect(answer.headers['x-envoy-upstream-service-time']).toMatch(/^\d+$/)
    }
    expect(a.requests).toHaveLength(2)
    expect(b.requests).toHaveLength(2)
    expect(a.requests[0]).toMatchObject({
      method: 'POST',
      body: 'data',
      headers: { 'x-forwarded-for': localAddress, 'x-forwarded-proto': 'http', 'x-envoy-expected-rq-timeout-ms': '15000' },
    })
    expect(a.requests[0]!.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/)
    expect(proxy.stats.value('http.test.downstream_rq_2xx')).toBe(4)
    expect(proxy.stats.value('cluster.c.upstream_rq_200')).toBe(4)
  })

  it('answers direct responses, redirects, unknown routes and clusters', async () => {
    const proxy = worker()
    await proxy.apply(
      listener('in', [
        {
          filters: [
            connectionManager([
              {
                match: prefix('/tea'),
                action: {
                  $case: 'directResponse',
                  value: { status: 418, body: { specifier: { $case: 'inlineString', value: 'tea' } } },
                },
              },
              {
                match: prefix('/old'),
                action: {
                  $case: 'redirect',
                  value: { hostRedirect: 'new.test', pathRewriteSpecifier: { $case: 'prefixRewrite', value: '/new' } },
                },
              },
              routeTo('nowhere', '/lost'),
            ]),
          ],
        },
      ]),
    )
    const port = proxy.port('in')
    expect(await ask(port, '/tea')).toMatchObject({ status: 418, body: 'tea' })
    expect(await ask(port, '/old/x?y')).toMatchObject({ status: 301, headers: { location: 'http://new.test/new/x?y' } })
    expect(await ask(port, '/lost')).toMatchObject({ status: 503, body: '' })
    expect(await ask(port, '/other')).toMatchObject({ status: 404, body: '' })
  })

  it('tries again on 5xx as the policy says, and gives the last answer', async () => {
    let left = 2
    const up = await upstream((_q, response) => {
      response.statusCode = left-- > 0 ? 503 : 200
      response.end('done')
    })
    const proxy = worker()
    const retryPolicy = { retryOn: '5xx', numRetries: 2, retryBackOff: { baseInterval: { seconds: 0, nanos: 1e6 } } }
    await proxy.apply(
      cluster('c', [up.port]),
      listener('in', [{ filters: [connectionManager([routeTo('c', '/', { retryPolicy })])] }]),
    )
    expect(await ask(proxy.port('in'), '/', { method: 'PUT', body: 'again' })).toMatchObject({ status: 200, body: 'done' })
    expect(up.requests.map(({ body }) => body)).toEqual(['again', 'again', 'again'])
    expect(proxy.stats.value('cluster.c.upstream_rq_retry')).toBe(2)
  })

  it('says in Envoy’s words when there is no connection, and no time left', async () => {
    const slow = await upstream(() => {})
    const proxy = worker()
    const timeout = { seconds: 0, nanos: 50e6 }
    await proxy.apply(
      cluster('dead', [1]),
      cluster('slow', [slow.port]),
      cluster('empty', []),
      listener('in', [
        {
          filters: [
            connectionManager([routeTo('dead', '/dead'), routeTo('slow', '/slow', { timeout }), routeTo('empty', '/empty')]),
          ],
        },
      ]),
    )
    const port = proxy.port('in')
    const dead = await ask(port, '/dead')
    expect(dead.status).toBe(503)
    expect(dead.body).toBe('upstream connect error or disconnect/reset before headers. reset reason: remote connection failure')
    expect(await ask(port, '/slow')).toMatchObject({ status: 504, body: 'upstream request timeout' })
    expect(await ask(port, '/empty')).toMatchObject({ status: 503, body: 'no healthy upstream' })
  })

  it('injects faults and denies by RBAC, with the policy’s name in the details', async () => {
    const up = await upstream()
    const proxy = worker()
    const fault = HTTPFault.encode(
      HTTPFault.fromPartial({
        delay: {
          faultDelaySecifier: { $case: 'fixedDelay', value: { seconds: 0, nanos: 80e6 } },
          percentage: { numerator: 100 },
        },
        headers: [{ name: 'end-user', headerMatchSpecifier: { $case: 'exactMatch', value: 'jason' } }],
      }),
    ).finish()
    const rbac = RBAC.encode(
      RBAC.fromPartial({
        rules: {
          action: 1,
          policies: {
            'no-admin': {
              permissions: [
                {
                  rule: {
                    $case: 'urlPath',
                    value: { rule: { $case: 'path', value: { matchPattern: { $case: 'prefix', value: '/admin' } } } },
                  },
                },
              ],
              principals: [{ identifier: { $case: 'any', value: true } }],
            },
          },
        },
      }),
    ).finish()
    const httpFilters = [
      typed('envoy.filters.http.rbac', 'envoy.extensions.filters.http.rbac.v3.RBAC', rbac),
      typed('envoy.filters.http.fault', 'envoy.extensions.filters.http.fault.v3.HTTPFault', fault),
      routerFilter,
    ]
    await proxy.apply(
      cluster('c', [up.port]),
      listener('in', [{ filters: [connectionManager([routeTo('c')], { httpFilters })] }]),
    )
    const port = proxy.port('in')
    expect(await ask(port, '/admin')).toMatchObject({ status: 403, body: 'RBAC: access denied' })
    const began = performance.now()
    expect(await ask(port, '/', { method: 'POST', body: 'kept', headers: { 'end-user': 'jason' } })).toMatchObject({
      status: 200,
    })
    expect(performance.now() - began).toBeGreaterThan(79)
    expect(up.requests).toMatchObject([{ body: 'kept' }])
    expect(proxy.stats.value('http.test.rbac.denied')).toBe(1)
    expect(proxy.stats.value('http.test.fault.delays_injected')).toBe(1)
  })

  it('loses no request while routes, endpoints and clusters are replaced under load', async () => {
    const [a, b] = [await upstream((_q, r) => r.end('a')), await upstream((_q, r) => r.end('b'))]
    const proxy = worker()
    const rds = { $case: 'rds' as const, value: { routeConfigName: 'routes' } }
    const eds = { clusterDiscoveryType: { $case: 'type' as const, value: 3 as const }, loadAssignment: undefined }
    await proxy.apply(
      cluster('one', [], eds),
      assignment('one', [a.port]),
      routeConfiguration('routes', [routeTo('one')]),
      listener('in', [{ filters: [connectionManager([], { routeSpecifier: rds })] }]),
    )
    const port = proxy.port('in')
    let stop = false
    let answered = 0
    const seen: Record<string, number> = {}
    const client = async () => {
      const socket = net.connect(port, '127.0.0.1')
      socket.setEncoding('latin1')
      let text = ''
      let wake: () => void = () => {}
      socket.on('data', (piece: string) => {
        text += piece
        wake()
      })
      while (!stop) {
        socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n')
        while (!/\r\n\r\n[ab]$/.test(text)) {
          await new Promise<void>((resolve) => {
            wake = resolve
          })
        }
        const what = `${text.slice(9, 12)} ${text.slice(-1)}`
        seen[what] = (seen[what] ?? 0) + 1
        answered++
        text = ''
      }
      socket.destroy()
    }
    const clients = Array.from({ length: 8 }, client)
    for (let i = 0; i < 30; i++) {
      await proxy.apply(
        assignment('one', i % 2 === 0 ? [b.port] : [a.port]),
        cluster('two', [a.port], { connectTimeout: { seconds: i + 1, nanos: 0 } }),
      )
      await proxy.apply(routeConfiguration('routes', [routeTo(i % 3 === 0 ? 'two' : 'one')]))
      const before = answered
      await until(() => answered >= before + 2 * clients.length, 'requests under this configuration')
    }
    stop = true
    await Promise.all(clients)
    expect(Object.keys(seen).sort()).toEqual(['200 a', '200 b'])
    expect(proxy.stats.value('http.test.downstream_rq_5xx')).toBe(0)
  })

  it('keeps endpoints by cluster, also of one whose EDS service has the name of another cluster', async () => {
    const [a, b] = [await upstream((_q, r) => r.end('a')), await upstream((_q, r) => r.end('b'))]
    const proxy = worker()
    const eds = { clusterDiscoveryType: { $case: 'type' as const, value: 3 as const }, loadAssignment: undefined }
    const one = (seconds: number) =>
      cluster('one', [], { ...eds, edsClusterConfig: { serviceName: 'two' }, connectTimeout: { seconds, nanos: 0 } })
    await proxy.apply(
      one(1),
      cluster('two', [], eds),
      assignment('one', [a.port]),
      assignment('two', [b.port]),
      listener('in', [{ filters: [connectionManager([routeTo('one', '/one'), routeTo('two', '/two')])] }]),
    )
    const bodies = async () => [(await ask(proxy.port('in'), '/one')).body, (await ask(proxy.port('in'), '/two')).body]
    expect(await bodies()).toEqual(['a', 'b'])
    // A cluster that is made anew finds its own.
    await proxy.apply(one(2))
    expect(await bodies()).toEqual(['a', 'b'])
  })

  it('drops the stats of a cluster that goes, and keeps those of one that is replaced', async () => {
    const up = await upstream()
    const proxy = worker()
    const one = (seconds: number) => cluster('one', [up.port], { connectTimeout: { seconds, nanos: 0 } })
    await proxy.apply(
      one(1),
      cluster('one.more', [up.port]),
      listener('in', [{ filters: [connectionManager([routeTo('one', '/one'), routeTo('one.more', '/more')])] }]),
    )
    await ask(proxy.port('in'), '/one')
    await ask(proxy.port('in'), '/more')
    await proxy.apply(one(2))
    expect(proxy.stats.value('cluster.one.upstream_rq_total')).toBe(1)
    await proxy.apply({ kind: 'cluster', name: 'one', bytes: null })
    const left = [...proxy.stats.all()].map(({ name }) => name)
    expect(left.filter((name) => name.startsWith('cluster.one.') && !name.startsWith('cluster.one.more.'))).toEqual([])
    expect(proxy.stats.value('cluster.one.more.upstream_rq_200')).toBe(1)
    await proxy.apply(one(1))
    await ask(proxy.port('in'), '/one')
    expect(proxy.stats.value('cluster.one.upstream_rq_total')).toBe(1)
  })

  it('gives the next request on a connection that is already there the new version of its listener', async () => {
    const up = await upstream()
    const answering = (status: number) => ({
      match: { pathSpecifier: { $case: 'prefix' as const, value: '/' } },
      action: { $case: 'directResponse' as const, value: { status } },
    })
    const proxy = await proxyTo(up.port)
    const socket = net.connect(proxy.port('in'), '127.0.0.1')
    let text = ''
    socket.on('data', (piece) => {
      text += piece.toString('latin1')
    })
    onTestFinished(() => void socket.destroy())
    socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n')
    await expect.poll(() => text).toMatch(/^HTTP\/1.1 200 [\s\S]*hello/)
    await proxy.apply(listener('in', [{ filters: [connectionManager([answering(500)])] }]))
    await proxy.apply(listener('in', [{ filters: [connectionManager([answering(418)])] }]))
    text = ''
    socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n')
    await expect.poll(() => text).toMatch(/^HTTP\/1.1 418 [\s\S]*connection: close/i)
  })

  it('keeps the last good version of what it refuses, and says why', async () => {
    const up = await upstream()
    const proxy = worker()
    await proxy.apply(cluster('c', [up.port]), routeConfiguration('r', [routeTo('c')]))
    await proxy.apply(
      listener('in', [
        { filters: [connectionManager([], { routeSpecifier: { $case: 'rds', value: { routeConfigName: 'r' } } })] },
      ]),
    )
    const bad = { match: { pathSpecifier: { $case: 'safeRegex' as const, value: { regex: '(' } } }, action: routeTo('c').action }
    const errors = await proxy.apply(routeConfiguration('r', [bad]), cluster('d', [up.port], { lbPolicy: 7 }))
    expect(errors.map(({ kind, name }) => `${kind} ${name}`).sort()).toEqual(['cluster d', 'route r'])
    expect(errors.find(({ kind }) => kind === 'route')!.message).toContain('virtual_hosts[0].routes[0].match.safe_regex')
    expect(await ask(proxy.port('in'))).toMatchObject({ status: 200 })
  })

  it('lets the requests of a removed listener end, and says close', async () => {
    let answer: () => void = () => {}
    const up = await upstream((_q, response) => {
      answer = () => response.end('late')
    })
    const proxy = await proxyTo(up.port)
    const port = proxy.port('in')
    const pending = raw(port, 'GET / HTTP/1.1\r\nhost: a\r\n\r\n', (seen) => seen.endsWith('late'))
    await until(() => up.requests.length === 1, 'the request came through')
    await proxy.apply({ kind: 'listener', name: 'in', bytes: null })
    await expect(ask(port)).rejects.toThrow(/ECONNREFUSED/)
    answer()
    const text = await pending
    expect(text).toContain('connection: close')
    expect(text).toMatch(/late$/)
  })

  it('refuses what is ambiguous with 400 and closes', async () => {
    const up = await upstream()
    const proxy = await proxyTo(up.port)
    const text = await raw(
      proxy.port('in'),
      'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
    )
    expect(text).toMatch(/^HTTP\/1.1 400 Bad Request\r\n/)
    expect(text).toContain('connection: close')
    expect(up.requests).toEqual([])
  })

  it('takes back a request that is refused while its connection is being made, which the next one has then', async () => {
    const seen: string[] = []
    const server = net.createServer((socket) => {
      seen.push('')
      socket
        .on('error', () => {})
        .on('data', (data) => {
          seen[seen.length - 1] += data.toString('latin1')
        })
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    onTestFinished(() => void server.close())
    const proxy = await proxyTo((server.address() as net.AddressInfo).port)
    const refused = 'POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nx'
    expect(await raw(proxy.port('in'), refused)).toMatch(/^HTTP\/1.1 400 /)
    await until(() => seen.length === 1, 'the connection is made')
    expect(proxy.stats.value('cluster.c.upstream_rq_cancelled')).toBe(1)
    expect(await raw(proxy.port('in'), refused)).toMatch(/^HTTP\/1.1 400 /)
    await until(() => seen[0] !== '', 'a head comes')
    expect(seen).toEqual([expect.stringMatching(/^POST \/ HTTP\/1.1\r\n(.+\r\n)+\r\n$/)])
    expect(proxy.stats.value('cluster.c.upstream_rq_total')).toBe(1)
  })

  it('passes on of TE that trailers are wanted, written so', async () => {
    const up = await upstream()
    const proxy = await proxyTo(up.port)
    for (const te of ['trailers', 'gzip, trailers', 'Trailers', 'trailers;q=0', 'gzip'])
      await raw(proxy.port('in'), `GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\nte: ${te}\r\n\r\n`)
    expect(up.requests.map(({ headers }) => headers.te)).toEqual(['trailers', 'trailers', undefined, undefined, undefined])
  })

  it('waits for a connection within the breaker’s limits, and answers overflow beyond', async () => {
    const held: (() => void)[] = []
    const up = await upstream((_q, response) => held.push(() => response.end('ok')))
    const proxy = worker()
    const circuitBreakers = { thresholds: [{ maxConnections: 1, maxPendingRequests: 1 }] }
    await proxy.apply(
      cluster('c', [up.port], { circuitBreakers }),
      listener('in', [{ filters: [connectionManager([routeTo('c')])] }]),
    )
    const port = proxy.port('in')
    const first = ask(port)
    await until(() => held.length === 1, 'the first request came through')
    const second = ask(port)
    await until(() => proxy.stats.value('cluster.c.upstream_rq_pending_active') === 1, 'the second waits')
    const third = await ask(port)
    expect(third).toMatchObject({ status: 503, headers: { 'x-envoy-overloaded': 'true' } })
    held.shift()!()
    expect(await first).toMatchObject({ status: 200 })
    await until(() => held.length === 1, 'the second request came through')
    held.shift()!()
    expect(await second).toMatchObject({ status: 200 })
  })

  it('passes large bodies both ways with back-pressure', async () => {
    const up = await upstream((_q, response, body) => response.end(body))
    const proxy = await proxyTo(up.port)
    const body = 'x0123456789'.repeat(400_000)
    const answer = await ask(proxy.port('in'), '/', { method: 'POST', body })
    expect(answer.body.length).toBe(body.length)
    expect(answer.body).toBe(body)
  })

  it('passes an upgraded connection through', async () => {
    const up = net.createServer((socket) => {
      socket.once('data', () => {
        socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\r\n')
        socket.on('data', (bytes) => socket.write(bytes))
      })
      socket.on('error', () => {})
    })
    await new Promise<void>((resolve) => {
      up.listen(0, '127.0.0.1', resolve)
    })
    onTestFinished(() => void up.close())
    const at = up.address()
    const proxy = worker()
    await proxy.apply(
      cluster('c', [typeof at === 'object' && at !== null ? at.port : 0]),
      listener('in', [{ filters: [connectionManager([routeTo('c')], { upgradeConfigs: [{ upgradeType: 'websocket' }] })] }]),
    )
    const socket = net.connect(proxy.port('in'), '127.0.0.1')
    let seen = ''
    socket.setEncoding('latin1')
    socket.on('data', (piece: string) => {
      seen += piece
    })
    socket.write('GET / HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n')
    await until(() => seen.endsWith('\r\n\r\n'), 'the switch')
    expect(seen).toMatch(/^HTTP\/1.1 101 /)
    socket.write('ping')
    await until(() => seen.endsWith('ping'), 'the echo')
    socket.destroy()
  })

  it('what comes behind an upgrade reaches an endpoint that switched, and is no request of one that did not', async () => {
    let heard = ''
    const up = net.createServer((socket) => {
      socket.on('error', () => {}).setEncoding('latin1')
      socket.on('data', (bytes: string) => {
        heard += bytes
        if (bytes.startsWith('GET /no ')) socket.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno')
        else if (bytes.startsWith('GET /yes '))
          socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\r\n')
        else socket.write(`echo of ${bytes}`)
      })
    })
    up.listen(0, '127.0.0.1')
    await once(up, 'listening')
    onTestFinished(() => void up.close())
    const proxy = worker()
    await proxy.apply(
      cluster('c', [(up.address() as net.AddressInfo).port]),
      listener('in', [{ filters: [connectionManager([routeTo('c')], { upgradeConfigs: [{ upgradeType: 'websocket' }] })] }]),
    )
    const asking = async (path: string, end: string): Promise<void> => {
      const socket = net.connect(proxy.port('in'), '127.0.0.1')
      let seen = ''
      socket.setEncoding('latin1').on('data', (piece: string) => {
        seen += piece
      })
      socket.write(
        `GET ${path} HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\nGET /evil HTTP/1.1\r\n\r\n`,
      )
      await until(() => seen.endsWith(end), `the answer to ${path}`)
      socket.destroy()
    }
    await asking('/no', '\r\n\r\nno')
    expect(heard).not.toContain('evil')
    await asking('/yes', 'echo of GET /evil HTTP/1.1\r\n\r\n')
  })

  it('turns requests and connections away, or has them wait, while the process is short of something', async () => {
    const origin = await upstream()
    const proxy = await proxyTo(origin.port)
    const { state } = proxy
    const port = proxy.port('in')
    state.setShare('disable_http_keepalive', 1)
    expect((await ask(port, '/')).headers.connection).toBe('close')
    state.setShare('stop_accepting_requests', 1)
    expect(await ask(port, '/')).toMatchObject({ status: 503, body: 'envoy overloaded' })
    state.setShare('stop_accepting_requests', 0)
    state.setShare('reject_incoming_connections', 1)
    await expect(ask(port, '/')).rejects.toThrow(/ECONNRESET|socket hang up/)
    state.setShare('reject_incoming_connections', 0)
    state.setShare('stop_accepting_connections', 1)
    let answered = false
    const waiting = ask(port, '/').finally(() => {
      answered = true
    })
    await until(() => (proxy.stats.value('http.test.downstream_rq_total') ?? 0) === 2, 'the requests before')
    expect(answered).toBe(false)
    state.setShare('stop_accepting_connections', 0)
    expect((await waiting).status).toBe(200)
    expect(state.overloaded).toBe(true)
  })

  it('takes no more connections than all listeners may have together, but for those that do not count', async () => {
    const proxy = worker()
    const chains = [{ filters: [connectionManager([routeTo('c')])] }]
    await proxy.apply(listener('in', chains), listener('free', chains, { ignoreGlobalConnLimit: true }))
    proxy.state.maxConnections = 1
    const first = net.connect(proxy.port('in'), '127.0.0.1')
    await until(() => proxy.state.connectionShare === 1, 'the first connection')
    await expect(ask(proxy.port('in'), '/')).rejects.toThrow(/ECONNRESET|socket hang up/)
    expect((await ask(proxy.port('free'), '/')).status).toBe(503)
    first.destroy()
    await until(() => proxy.state.connectionShare === 0, 'the first to go')
    expect((await ask(proxy.port('in'), '/')).status).toBe(503)
  })
})
