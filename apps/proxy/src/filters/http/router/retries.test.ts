import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { retryPlanFor } from '../../../routing/retry-policy.ts'
import { host, liveCluster } from '../../../upstream/testing.ts'
import { FakeExchange, routeOf, routerPlan } from './fake-exchange.ts'
import { KeptBody } from './kept-body.ts'
import { RequestCounts } from './request-counts.ts'
import { RequestPick } from './request-pick.ts'
import { Retries } from './retries.ts'
import { TimeLimits } from './time-limits.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

/** The retries of a request by a retry policy in YAML, whose body is there. */
function retrying(policy: string, circuitBreakers = '{}') {
  const { cluster, stats } = liveCluster(`name: c, circuit_breakers: ${circuitBreakers}`, `[{lb_endpoints: [${host(80)}]}]`)
  const exchange = new FakeExchange()
  onTestFinished(() => {
    exchange.downstream.timers.close()
    cluster.close()
  })
  const route = routeOf(exchange, `routes: [{match: {prefix: /}, route: {cluster: c, retry_policy: ${policy}}}]`)
  const forward = route.outcome.type === 'forward' ? route.outcome.forward : null
  const plan = retryPlanFor(forward?.retry ?? null, exchange.request)!
  const counts = new RequestCounts(exchange, routerPlan())
  counts.begin(cluster, route, '')
  const body = new KeptBody()
  body.begin()
  body.ended = true
  let tries = 0
  const limits = new TimeLimits({ watch: () => {} })
  const pick = new RequestPick(exchange)
  const retries = new Retries(exchange, { counts, limits, pick, body }, () => {
    tries++
  })
  retries.begin(plan, cluster.breakers[0])
  exchange.info.attemptCount = 1
  const value = (name: string) => stats.counter(`cluster.c.${name}`).value
  return { retries, plan, exchange, body, cluster, value, tries: () => tries }
}

describe('a retry policy', () => {
  it('wants another try for what it names, as long as there is one', () => {
    const { retries, exchange } = retrying('{retry_on: 5xx, num_retries: 1}')
    exchange.response.status = 200
    expect(retries.wantsOther(exchange.response)).toBe(false)
    exchange.response.status = 503
    expect(retries.wantsOther(exchange.response)).toBe(true)
    retries.left = 0
    expect(retries.wantsOther(exchange.response)).toBe(false)
  })

  it.each([
    ['connect-failure', 'connect-failure', 1],
    ['connect-failure', 'other', 0],
    ['5xx', 'other', 1],
    ['5xx', 'timeout', 1],
  ] as const)('that retries on %s has for a try that ended by %s so many others: %i', (on, kind, most) => {
    const { retries, exchange, tries, value } = retrying(`{retry_on: ${on}, num_retries: 1}`)
    expect(retries.tryAfter(kind)).toBe(most === 1)
    expect(retries.tryAfter(kind)).toBe(false)
    exchange.pass(1000)
    expect(tries()).toBe(most)
    expect(value('upstream_rq_retry')).toBe(most)
  })

  // As Envoy 1.40 does.
  it('makes no other try of a request that its headers leave out, whose tries have their time nevertheless', () => {
    const { retries, plan, exchange } = retrying(
      '{retry_on: 5xx, per_try_timeout: 0.5s, retriable_request_headers: [{name: x-a, present_match: true}]}',
    )
    exchange.response.status = 503
    expect([retries.wantsOther(exchange.response), plan.perTryTimeoutMs]).toEqual([false, 500])
  })

  it('counts a later try as one that helped when it fails by what the policy does not name', () => {
    const { retries, exchange, value } = retrying('{retry_on: connect-failure, num_retries: 1}')
    retries.noteSpent('other')
    exchange.info.attemptCount = 2
    retries.noteSpent('other')
    expect([value('upstream_rq_retry_success'), value('upstream_rq_retry_limit_exceeded')]).toEqual([1, 0])
  })

  it('wants none once a client has heard of the try by an interim answer, and the try gives its place back', () => {
    const { retries, exchange, cluster } = retrying('{retry_on: 5xx, num_retries: 2}', '{thresholds: [{max_retries: 1}]}')
    exchange.response.status = 503
    expect(retries.take()).toBe(true)
    retries.forgo()
    expect([retries.wantsOther(exchange.response), retries.tryAfter('other')]).toEqual([false, false])
    expect(cluster.breakers[0].take('retries')).toBe(true)
  })

  it('that is not there wants none', () => {
    const { retries, exchange, cluster } = retrying('{retry_on: 5xx}')
    retries.begin(null, cluster.breakers[0])
    exchange.response.status = 503
    expect([retries.left, retries.wantsOther(exchange.response), retries.tryAfter('other')]).toEqual([0, false, false])
    exchange.info.attemptCount = 2
    expect(retries.isLast(exchange.response)).toBe(false)
    retries.noteSpent('other')
    expect(exchange.info.responseFlags).toEqual([])
  })

  it('is spent when a try has given no answer, it would have had another for that, and has none', () => {
    const { retries, exchange } = retrying('{retry_on: connect-failure, num_retries: 1}')
    retries.noteSpent('connect-failure')
    retries.left = 0
    retries.noteSpent('other')
    expect(exchange.info.responseFlags).toEqual([])
    retries.noteSpent('connect-failure')
    expect(exchange.info.responseFlags).toEqual(['URX'])
  })

  it('is at its end with the failed try behind the last that it allows', () => {
    const { retries, exchange, value } = retrying('{retry_on: 5xx, num_retries: 1}')
    exchange.response.status = 503
    retries.left = 0
    expect(retries.isLast(exchange.response)).toBe(false)
    exchange.info.attemptCount = 2
    expect(retries.isLast(exchange.response)).toBe(true)
    exchange.response.status = 200
    expect(retries.isLast(exchange.response)).toBe(false)
    retries.noteLastFailed()
    expect(value('upstream_rq_retry_limit_exceeded')).toBe(1)
    expect(exchange.info.responseFlags).toEqual(['URX'])
  })
})

describe('another try', () => {
  it('cannot be where the client has an answer, or a part of the body was not kept', () => {
    const { retries, exchange, body } = retrying('{retry_on: 5xx}')
    exchange.responseStarted = true
    expect(retries.take()).toBe(false)
    exchange.responseStarted = false
    body.ended = false
    expect(retries.take()).toBe(false)
    body.forRetries = true
    expect(retries.take()).toBe(true)
  })

  it('is not beyond what the cluster lets be under way, until others are over', () => {
    const { retries, exchange, cluster, value } = retrying('{retry_on: 5xx}', '{thresholds: [{max_retries: 1}]}')
    expect(cluster.breakers[0].take('retries')).toBe(true)
    expect(retries.take()).toBe(false)
    expect(exchange.info.responseFlags).toEqual(['UO'])
    expect(value('upstream_rq_retry_overflow')).toBe(1)
    cluster.breakers[0].release('retries')
    expect(retries.take()).toBe(true)
    // Its place is its own, however often it asks.
    expect(retries.take()).toBe(true)
    // It is given back once.
    retries.release()
    retries.release()
    expect([cluster.breakers[0].take('retries'), cluster.breakers[0].take('retries')]).toEqual([true, false])
  })

  it('follows after a part of the back-off, which doubles up to its most', () => {
    vi.spyOn(Math, 'random').mockReturnValue(0.999)
    const { retries, plan, exchange, value, tries } = retrying(
      '{retry_on: 5xx, num_retries: 9, retry_back_off: {base_interval: 0.1s, max_interval: 0.3s}}',
    )
    for (const [attempt, wait] of [
      [1, 100],
      [2, 200],
      [3, 300],
      [40, 300],
    ] as const) {
      exchange.info.attemptCount = attempt
      const before = tries()
      retries.schedule(plan)
      exchange.pass(wait - 5)
      expect(tries()).toBe(before)
      exchange.pass(10)
      expect(tries()).toBe(before + 1)
    }
    expect(retries.left).toBe(5)
    expect(value('upstream_rq_retry_backoff_exponential')).toBe(4)
  })

  it('follows not before the time that the answer asked for, and up to a half later', () => {
    vi.spyOn(Math, 'random').mockReturnValue(0.5)
    const { retries, plan, exchange, value, tries } = retrying('{retry_on: 5xx}')
    retries.schedule(plan, 1000)
    exchange.pass(1245)
    expect(tries()).toBe(0)
    exchange.pass(10)
    expect(tries()).toBe(1)
    expect(value('upstream_rq_retry_backoff_ratelimited')).toBe(1)
  })

  it('finds the answer of the one before gone, and where that was noted', () => {
    const { retries, plan, exchange, cluster } = retrying('{retry_on: 5xx}')
    const endpoint = cluster.pick(null)
    exchange.info.upstreamEndpoint = endpoint
    exchange.response.status = 503
    retries.schedule(plan)
    expect(exchange.response.status).toBe(0)
    expect(exchange.info.earlierAttempts).toEqual([{ endpoint, connectionId: 0, reached: false }])
  })

  it('does not follow where it was cancelled', () => {
    const { retries, plan, exchange, tries } = retrying('{retry_on: 5xx}')
    retries.cancel()
    retries.schedule(plan)
    retries.cancel()
    exchange.pass(10_000)
    expect(tries()).toBe(0)
  })

  it('takes its place at the cluster that the request was turned to', () => {
    const { retries, cluster } = retrying('{retry_on: 5xx}', '{thresholds: [{max_retries: 1}]}')
    const other = liveCluster('name: d, circuit_breakers: {thresholds: [{max_retries: 0}]}', '[]')
    onTestFinished(() => other.cluster.close())
    retries.turnTo(other.cluster.breakers[0])
    expect(retries.take()).toBe(false)
    retries.turnTo(cluster.breakers[0])
    expect(retries.take()).toBe(true)
  })
})
