import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { headerName } from '@weft/http/header-name'
import { HeaderTable } from '@weft/http/header-table'
import { ResponseHead } from '@weft/http/message'
import type { ClientStream, ResetReason } from '@weft/http/stream'
import { describe, expect, it, onTestFinished } from 'vitest'
import { until } from '../../../testing/worker-harness.ts'
import { cell } from '../../../upstream/endpoint-slab.ts'
import type { PooledConnection, PoolWaiter } from '../../../upstream/pool.ts'
import { host, liveCluster } from '../../../upstream/testing.ts'
import { FakeExchange, routeOf } from './fake-exchange.ts'
import { KeptBody } from './kept-body.ts'
import { UpstreamTry } from './upstream-try.ts'

/** Notes what it hears. */
class Waiter implements PoolWaiter {
  readonly response = new ResponseHead()
  ready: PooledConnection | null = null
  body = ''
  ended = false
  resets: string[] = []

  onPoolReady(connection: PooledConnection): void {
    this.ready = connection
  }
  onInterim(): void {}
  onResponseHead(endStream: boolean): void {
    this.ended ||= endStream
  }
  onResponseData(buffer: Buffer, start: number, end: number, endStream: boolean): void {
    this.body += buffer.latin1Slice(start, end)
    this.ended ||= endStream
  }
  onResponseTrailers(): void {}
  onResponseReset(reason: ResetReason): void {
    this.resets.push(reason)
  }
  onRequestWritable(): void {}
}

/** A try of a request to an origin that says hello. */
async function trying(limits = '{}', request: ConstructorParameters<typeof FakeExchange>[0] = {}) {
  const origin = http.createServer((_request, response) => response.end('hello'))
  await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve))
  const { port } = origin.address() as AddressInfo
  const { cluster, stats, slab } = liveCluster(
    `name: c, circuit_breakers: {thresholds: [${limits}]}`,
    `[{lb_endpoints: [${host(port)}]}]`,
  )
  onTestFinished(() => {
    cluster.close()
    origin.close()
  })
  const make = () => {
    const exchange = new FakeExchange(request)
    const route = routeOf(exchange, 'routes: [{match: {prefix: /}, route: {cluster: c}}]')
    const attempt = new UpstreamTry(exchange)
    attempt.begin(route.outcome.type === 'forward' ? route.outcome.forward : null)
    return { exchange, attempt }
  }
  const { exchange, attempt } = make()
  const endpoint = cluster.pick(null)!
  const waiter = new Waiter()
  /** What is under way, by the endpoint, the slab and the stats. */
  const active = () => [
    endpoint.active,
    slab.get(endpoint.slot, cell.activeRequests),
    slab.get(cluster.breakers[0].slot, cell.activeRequests),
    // A gauge that nobody has used is -0.
    stats.gauge('cluster.c.upstream_rq_active').value + 0,
  ]
  const body = new KeptBody()
  body.begin()
  body.ended = true
  /** Takes the connection that there is for the first. */
  const connected = (): PooledConnection => {
    const connection = attempt.acquire(endpoint, waiter)
    if (connection === null || connection === 'overflow') throw new Error('no connection')
    attempt.connect(connection)
    return connection
  }
  return { attempt, exchange, cluster, endpoint, waiter, active, body, connected, another: () => make().attempt }
}

describe('a try', () => {
  it('has its request on a connection, and is over', async () => {
    const { attempt, exchange, endpoint, waiter, active, body, connected } = await trying()
    const connection = connected()
    expect(active()).toEqual([1, 1, 1, 1])
    expect([exchange.info.upstreamEndpoint, exchange.info.upstreamConnection]).toEqual([endpoint, connection.link])
    expect(exchange.info.upstreamProtocol).toBe('HTTP/1.1')
    expect(attempt.send(attempt.open(connection, waiter), body)).toBe(true)
    await until(() => waiter.ended, 'the answer')
    expect(waiter.body).toBe('hello')
    attempt.end()
    attempt.end()
    expect(active()).toEqual([0, 0, 0, 0])
    expect([attempt.endpoint, attempt.connection, attempt.stream]).toEqual([null, null, null])
  })

  it('that waits for a connection is under way when it has one', async () => {
    const { attempt, endpoint, waiter, active, body, connected, another } = await trying('{max_connections: 1}')
    const connection = connected()
    attempt.send(attempt.open(connection, waiter), body)
    const [second, third] = [another(), another()]
    const [next, never] = [new Waiter(), new Waiter()]
    expect([second.acquire(endpoint, next), third.acquire(endpoint, never)]).toEqual([null, null])
    expect([second.waitingFor === endpoint, active()]).toEqual([true, [1, 1, 1, 1]])
    third.drop(never)
    await until(() => next.ready !== null, 'the connection to be free')
    attempt.end()
    second.waited()
    expect(second.connect(next.ready!)).toBe(endpoint)
    expect([second.waitingFor, active()]).toEqual([null, [1, 1, 1, 1]])
    second.end()
    expect([never.ready, active()]).toEqual([null, [0, 0, 0, 0]])
  })

  it.each([
    ['requests', '{max_requests: 0}'],
    ['requests that wait', '{max_pending_requests: 0}'],
  ])('is one too many where the cluster has all the %s it may have, and leaves no count', async (_what, limits) => {
    const { attempt, exchange, endpoint, waiter, active } = await trying(limits)
    expect(attempt.acquire(endpoint, waiter)).toBe('overflow')
    expect(active()).toEqual([0, 0, 0, 0])
    expect(exchange.info.upstreamEndpoint === null).toBe(limits.includes('pending'))
  })

  it('that is given up is reset, and no longer under way', async () => {
    const { attempt, waiter, active, body, connected } = await trying()
    const connection = connected()
    attempt.send(attempt.open(connection, waiter), body)
    attempt.drop(waiter)
    expect(active()).toEqual([0, 0, 0, 0])
    await new Promise((resolve) => setImmediate(resolve))
    expect([waiter.ended, waiter.body]).toEqual([false, ''])
  })

  it('that goes on by itself stays under way until it is settled', async () => {
    const { attempt, endpoint, waiter, active, body, connected } = await trying()
    const connection = connected()
    attempt.send(attempt.open(connection, waiter), body)
    attempt.leave()
    expect([attempt.connection, active()]).toEqual([null, [1, 1, 1, 1]])
    attempt.settle(endpoint)
    expect(active()).toEqual([0, 0, 0, 0])
  })
})

describe('an answer, for outlier detection,', () => {
  const noted = async (isGrpc: boolean, note: (attempt: UpstreamTry, headers: HeaderTable) => void) => {
    const { attempt, exchange, cluster, endpoint, connected } = await trying('{}', { isGrpc })
    connected()
    note(attempt, exchange.response.headers)
    const { slab } = cluster
    return [slab.get(endpoint.slot, cell.requestsSuccess), slab.get(endpoint.slot, cell.requestsError)]
  }
  const status = headerName('grpc-status')

  it('is its status', async () => {
    expect(await noted(false, (attempt) => attempt.noteAnswer(200, false))).toEqual([1, 0])
    expect(await noted(false, (attempt) => attempt.noteAnswer(503, false))).toEqual([0, 1])
  })

  it('of gRPC is the status in its headers, or its trailers', async () => {
    const inHeaders = await noted(true, (attempt, headers) => {
      headers.set(status, '14')
      attempt.noteAnswer(200, true)
    })
    expect(inHeaders).toEqual([0, 1])
    const inTrailers = await noted(true, (attempt) => {
      attempt.noteAnswer(200, false)
      const trailers = new HeaderTable()
      trailers.set(status, '0')
      attempt.noteTrailers(trailers)
    })
    expect(inTrailers).toEqual([1, 0])
  })

  it('of gRPC without one is that of HTTP', async () => {
    expect(await noted(true, (attempt) => attempt.noteAnswer(503, false))).toEqual([0, 1])
    expect(await noted(true, (attempt) => attempt.noteAnswer(200, true))).toEqual([1, 0])
    expect(await noted(true, (attempt) => attempt.noteAnswer(200, false))).toEqual([0, 0])
  })
})

describe('a request that got no answer may be unseen', () => {
  const unseen = async (
    reason: ResetReason,
    detail: string,
    more: Partial<PooledConnection> & { method?: string; unanswered?: boolean },
  ): Promise<boolean> => {
    const { attempt, endpoint, connected } = await trying('{}', { method: more.method ?? 'GET' })
    const { link } = connected()
    const { protocol, connected: isConnected, requests, requestTaken } = more
    const connection: PooledConnection = {
      link,
      protocol: protocol ?? 'HTTP/1.1',
      connected: isConnected ?? true,
      requests: requests ?? 1,
      requestTaken: requestTaken ?? false,
      begin: () => {
        throw new Error('nothing is sent on it')
      },
    }
    attempt.end()
    attempt.acquire(endpoint, new Waiter())
    attempt.connect(connection)
    const { unanswered } = more
    if (unanswered !== undefined) attempt.stream = { unanswered } as ClientStream
    return attempt.mayBeUnseen(reason, detail)
  }

  it.each([
    ['the connection was used before, and closed', 'connection-closed', '', {}, true],
    ['its method may be sent twice', 'connection-closed', '', { method: 'PUT' }, true],
    ['its method may not be sent twice', 'connection-closed', '', { method: 'POST' }, false],
    ['it was the first on its connection', 'connection-closed', '', { requests: 0 }, false],
    ['a part of the answer has come', 'connection-closed', '', { unanswered: false }, false],
    ['upstream had all of it', 'connection-closed', '', { requestTaken: true }, false],
    ['the handshake was not done', 'connection-closed', '', { connected: false }, false],
    ['of HTTP/2, whose GOAWAY would say so', 'connection-closed', '', { protocol: 'HTTP/2' }, false],
    ['GOAWAY says so', 'refused-stream', 'goaway', { protocol: 'HTTP/2', method: 'POST' }, true],
    ['the stream alone was refused', 'refused-stream', 'REFUSED_STREAM', { protocol: 'HTTP/2' }, false],
    ['it was reset', 'remote-reset', '', {}, false],
  ] as const)('%s', async (_what, reason, detail, more, is) => {
    expect(await unseen(reason, detail, more)).toBe(is)
  })
})
