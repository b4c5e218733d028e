import { describe, expect, it, onTestFinished } from 'vitest'
import { Stats } from '../../../observe/stats.ts'
import { liveCluster } from '../../../upstream/testing.ts'
import { FakeExchange, routeOf, routerPlan } from './fake-exchange.ts'
import { RequestCounts } from './request-counts.ts'
import { RouterStats } from './router-stats.ts'

const plainRoute = 'routes: [{match: {prefix: /}, route: {cluster: c}}]'

/** The counts of a request to cluster `c`. */
function counting(settings: {
  route?: string
  apart?: string
  internal?: boolean
  request?: ConstructorParameters<typeof FakeExchange>[0]
  plan?: Parameters<typeof routerPlan>[0]
}) {
  const { cluster, stats } = liveCluster('name: c', '[]')
  onTestFinished(() => cluster.close())
  const exchange = new FakeExchange(settings.request)
  exchange.internal = settings.internal ?? false
  const own = new Stats(null)
  const counts = new RequestCounts(exchange, routerPlan({ stats: new RouterStats(own, 'http.test.'), ...settings.plan }))
  counts.begin(cluster, routeOf(exchange, settings.route ?? plainRoute), settings.apart ?? '')
  const value = (name: string) => stats.counter(`cluster.c.${name}`).value
  return { counts, exchange, value, group: (name: string) => own.counter(name).value }
}

describe('an answer', () => {
  it.each([
    [false, 'external.'],
    [true, 'internal.'],
  ])('counts for its cluster by status, class and origin (from within: %s)', (internal, origin) => {
    const { counts, value } = counting({ internal })
    counts.response(503)
    const names = ['503', '5xx', 'completed'].flatMap((name) => [`upstream_rq_${name}`, `${origin}upstream_rq_${name}`])
    expect(names.map(value)).toEqual([1, 1, 1, 1, 1, 1])
    expect(value('upstream_rq_2xx')).toBe(0)
  })

  it('of gRPC counts without its HTTP status where the router is told so', () => {
    const plan = { suppressGrpcCodes: true }
    const grpc = counting({ request: { isGrpc: true }, plan })
    grpc.counts.response(200)
    expect(['upstream_rq_200', 'upstream_rq_2xx', 'upstream_rq_completed'].map(grpc.value)).toEqual([0, 0, 1])
    const plain = counting({ plan })
    plain.counts.response(200)
    expect(plain.value('upstream_rq_200')).toBe(1)
  })

  it('counts nowhere where statuses are not counted, nor does its time', () => {
    const { counts, value, group } = counting({
      plan: { countStatuses: false },
      route: 'routes: [{match: {prefix: /}, stat_prefix: r, route: {cluster: c}}]',
    })
    counts.response(200, true)
    counts.took(5, true)
    expect(['upstream_rq_completed', 'canary.upstream_rq_200'].map(value)).toEqual([0, 0])
    expect(group('vhost.h.route.r.upstream_rq_200')).toBe(0)
  })

  it('counts under the name that the request asks for too, and of a canary under that', () => {
    const { counts, value } = counting({ apart: 'mine.' })
    counts.response(200)
    expect([value('mine.upstream_rq_200'), value('mine.external.upstream_rq_200')]).toEqual([1, 1])
    expect(value('canary.upstream_rq_200')).toBe(0)
    counts.response(200, true)
    expect([value('canary.upstream_rq_200'), value('mine.canary.upstream_rq_200')]).toEqual([1, 1])
  })
})

describe('a request', () => {
  it('counts for its virtual cluster and its route, from zero on', () => {
    const host =
      'virtual_clusters: [{name: v, headers: [{name: x, string_match: {exact: "1"}}]}],' +
      ' routes: [{match: {prefix: /}, stat_prefix: r, route: {cluster: c}}]'
    const { counts, exchange, group } = counting({ route: host, request: { headers: { x: '1' } } })
    expect(exchange.info.virtualCluster).toBe('v')
    counts.tried()
    counts.response(404)
    for (const of of ['vhost.h.vcluster.v.', 'vhost.h.route.r.']) {
      const names = ['total', '404', '4xx', 'completed', 'retry'].map((name) => `${of}upstream_rq_${name}`)
      expect(names.map(group)).toEqual([1, 1, 1, 1, 0])
    }
  })

  it('counts for the cluster that it was turned to', () => {
    const { counts, value } = counting({})
    const other = liveCluster('name: d', '[]')
    onTestFinished(() => other.cluster.close())
    counts.turnTo(other.cluster)
    counts.response(200)
    expect([value('upstream_rq_200'), other.stats.counter('cluster.d.upstream_rq_200').value]).toEqual([0, 1])
  })

  it('that is forgotten counts for nobody', () => {
    const { counts, value } = counting({})
    counts.forget()
    counts.response(200)
    counts.retry(false)
    expect([value('upstream_rq_200'), value('upstream_rq_retry')]).toEqual([0, 0])
  })

  it('tried again counts by what its wait was', () => {
    const { counts, value } = counting({})
    counts.retry(false)
    counts.retry(true)
    counts.retrySuccess()
    counts.retryOverflow()
    counts.retryLimitExceeded()
    const names = ['', '_backoff_exponential', '_backoff_ratelimited', '_success', '_overflow', '_limit_exceeded']
    expect(names.map((name) => value(`upstream_rq_retry${name}`))).toEqual([2, 1, 1, 1, 1, 1])
  })

  it.each([
    ['response_timeout', 'upstream_rq_timeout'],
    ['upstream_per_try_timeout', 'upstream_rq_per_try_timeout'],
    ['upstream_per_try_idle_timeout', 'upstream_rq_per_try_idle_timeout'],
    ['upstream_max_stream_duration_reached', 'upstream_rq_max_duration_reached'],
  ] as const)('that was too slow counts by its limit: %s', (limit, name) => {
    const { counts, value } = counting({})
    counts.timeout(limit)
    expect(value(name)).toBe(1)
  })
})

describe('a try that ended without an answer counts', () => {
  it.each([
    ['HTTP/1.1', 'protocol-error', '', 'upstream_cx_protocol_error'],
    ['HTTP/2', 'protocol-error', 'PROTOCOL_ERROR', 'upstream_rq_tx_reset'],
    ['HTTP/2', 'protocol-error', 'other', null],
    ['HTTP/1.1', 'connect-failure', '', 'upstream_rq_pending_failure_eject'],
    ['HTTP/2', 'connection-closed', '', 'upstream_rq_pending_failure_eject'],
    ['HTTP/1.1', 'connection-closed', '', null],
    ['HTTP/2', 'remote-reset', 'CANCEL', 'upstream_rq_rx_reset'],
    ['HTTP/2', 'remote-reset', 'CONNECT_ERROR', null],
    ['HTTP/1.1', 'remote-reset', '', 'upstream_rq_rx_reset'],
  ] as const)('of %s for %s (%s): %s', (protocol, reason, detail, name) => {
    const { counts, value } = counting({})
    counts.reset(reason, detail, protocol === 'HTTP/2')
    const names = [
      'upstream_cx_protocol_error',
      'upstream_rq_tx_reset',
      'upstream_rq_rx_reset',
      'upstream_rq_pending_failure_eject',
    ]
    expect(names.filter((one) => value(one) > 0)).toEqual(name === null ? [] : [name])
  })
})
