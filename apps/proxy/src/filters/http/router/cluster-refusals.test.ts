import { ClusterLoadAssignment } from '@weft/contracts/envoy/config/endpoint/v3/endpoint'
import { describe, expect, it, onTestFinished } from 'vitest'
import { liveCluster } from '../../../upstream/testing.ts'
import { refusedByCluster } from './cluster-refusals.ts'
import { FakeExchange, routeOf, routerPlan } from './fake-exchange.ts'
import { RequestCounts } from './request-counts.ts'

/** A request to a cluster of which so many in a hundred are dropped, and kept out by the runtime; `draw`: 0 ≤ x < 1. */
function asked(percent: number, { maintenance = 0, draw = 0.5, suppressHeaders = false }) {
  const { cluster, stats } = liveCluster('name: c', '[]')
  onTestFinished(() => cluster.close())
  const dropOverloads = percent === 0 ? [] : [{ category: 'all', dropPercentage: { numerator: percent } }]
  const assignment = ClusterLoadAssignment.fromPartial({ clusterName: 'c', policy: { dropOverloads } })
  cluster.setEndpoints({ assignment, slots: {} })
  const { runtime } = cluster.plan
  runtime.random = () => draw
  runtime.replace({ 'upstream.maintenance_mode.c': maintenance })
  const exchange = new FakeExchange()
  const plan = routerPlan({ suppressHeaders })
  const counts = new RequestCounts(exchange, plan)
  counts.begin(cluster, routeOf(exchange, 'routes: [{match: {prefix: /}, route: {cluster: c}}]'), '')
  const refused = refusedByCluster(exchange, plan, cluster, counts)
  return { refused, exchange, count: (name: string) => stats.counter(`cluster.c.${name}`).value }
}

describe('a cluster', () => {
  it('takes requests, as a rule', () => {
    const { refused, exchange } = asked(0, {})
    expect({ refused, replied: exchange.replied }).toEqual({ refused: false, replied: null })
  })

  it('in maintenance takes the share of requests that the runtime leaves it', () => {
    expect(asked(0, { maintenance: 30, draw: 0.3 }).refused).toBe(false)
    const { refused, exchange, count } = asked(0, { maintenance: 30, draw: 0.29 })
    expect(refused).toBe(true)
    expect(exchange.replied).toMatchObject({
      status: 503,
      body: 'maintenance mode',
      options: { details: 'maintenance_mode', flags: ['UO'], headers: [['x-envoy-overloaded', 'true']] },
    })
    expect([count('upstream_rq_maintenance_mode'), count('upstream_rq_503')]).toEqual([1, 1])
  })

  it('in maintenance adds no headers of Envoy’s where the router writes none', () => {
    const { exchange } = asked(0, { maintenance: 100, suppressHeaders: true })
    expect(exchange.replied?.options.headers).toEqual([])
  })

  it('drops the share of requests that its control plane says', () => {
    expect(asked(30, { draw: 0.3 }).refused).toBe(false)
    const { exchange, count } = asked(30, { draw: 0.29 })
    expect(exchange.replied).toMatchObject({
      status: 503,
      body: 'drop overload',
      options: { details: 'drop_overload', flags: ['DO'], headers: [['x-envoy-drop-overload', 'true']] },
    })
    expect([count('upstream_rq_maintenance_mode'), count('upstream_rq_503')]).toEqual([0, 1])
  })

  it('drops all, and says that it does', () => {
    const { exchange } = asked(100, { draw: 0.999 })
    expect(exchange.replied).toMatchObject({
      body: 'unconditional drop overload',
      options: { flags: ['UDO'], headers: [['x-envoy-unconditional-drop-overload', 'true']] },
    })
  })
})
