import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { liveCluster } from '../../../upstream/testing.ts'
import { ClusterTarget } from './cluster-target.ts'
import { FakeExchange, routeOf } from './fake-exchange.ts'
import { RequestPick } from './request-pick.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

function target(action: string, live: readonly string[], request: ConstructorParameters<typeof FakeExchange>[0] = {}) {
  const exchange = new FakeExchange(request)
  for (const name of live) {
    const { cluster } = liveCluster(`name: ${name}, alt_stat_name: ${name}-stats`, '[]')
    onTestFinished(() => cluster.close())
    exchange.clusters.set(name, cluster)
  }
  const one = new ClusterTarget(exchange, new RequestPick(exchange))
  one.choose(routeOf(exchange, `routes: [{match: {prefix: /}, ${action}}]`))
  return { target: one, exchange }
}

const halves = 'weighted_clusters: {clusters: [{name: a, weight: 1}, {name: b, weight: 1}]}'

describe('where a route leads', () => {
  it('is its cluster, which the log is told of', () => {
    const { target: to, exchange } = target('route: {cluster: a}', ['a'])
    expect(to.choice?.name).toBe('a')
    expect([exchange.info.clusterName, exchange.info.clusterStatName]).toEqual(['a', 'a-stats'])
    expect(to.cluster).toBeNull()
    expect(to.find()).toBe(exchange.clusters.get('a'))
    expect(to.cluster).toBe(exchange.clusters.get('a'))
  })

  it('is nowhere where its cluster is not there, and becomes it when that has come', () => {
    const { target: to, exchange } = target('route: {cluster: a}', [])
    expect([to.choice?.name, exchange.info.clusterName]).toEqual(['a', ''])
    expect(to.find()).toBeNull()
    const { cluster } = liveCluster('name: a', '[]')
    onTestFinished(() => cluster.close())
    exchange.clusters.set('a', cluster)
    expect(to.find()).toBe(cluster)
  })

  it('is nowhere for a route that answers by itself, and without a route', () => {
    const { target: to } = target('direct_response: {status: 200}', ['a'])
    expect([to.forward, to.choice, to.find()]).toEqual([null, null, null])
    to.choose(null)
    expect([to.forward, to.choice, to.find()]).toEqual([null, null, null])
  })

  it('is what a header of the request says', () => {
    const route = 'route: {cluster_header: x-to}'
    expect(target(route, ['b'], { headers: { 'x-to': 'b' } }).target.choice?.name).toBe('b')
    expect(target(route, ['b']).target.choice).toBeNull()
  })

  it.each([
    [0, 'a'],
    [0.499, 'a'],
    [0.5, 'b'],
    [0.999, 'b'],
  ])('is drawn by weight: %d leads to %s', (draw, name) => {
    vi.spyOn(Math, 'random').mockReturnValue(draw)
    expect(target(`route: {${halves}}`, ['a', 'b']).target.choice?.name).toBe(name)
  })

  it('is the same for requests with the same hash, where the route says so', () => {
    const route =
      'route: {weighted_clusters: {use_hash_policy: true, clusters: [{name: a, weight: 50}, {name: b, weight: 50}]}, hash_policy: [{header: {header_name: x-user}}]}'
    const of = (user: number) => target(route, [], { headers: { 'x-user': `user-${user}` } }).target.choice?.name
    const users = Array.from({ length: 64 }, (_, i) => i)
    const first = users.map(of)
    expect(new Set(first)).toEqual(new Set(['a', 'b']))
    expect(users.map(of)).toEqual(first)
  })
})

describe('a cluster drawn anew', () => {
  const again = (draw: number, live: readonly string[]) => {
    const random = vi.spyOn(Math, 'random').mockReturnValue(0)
    const { target: to, exchange } = target(`route: {${halves}}`, live)
    to.find()
    random.mockReturnValue(draw)
    return { drawn: to.redraw(), to, exchange }
  }

  it('takes the place of the one before, in the log too', () => {
    const { drawn, to, exchange } = again(0.9, ['a', 'b'])
    expect(drawn).toBe(exchange.clusters.get('b'))
    expect([to.cluster, to.choice?.name]).toEqual([drawn, 'b'])
    expect([exchange.info.clusterName, exchange.info.clusterStatName]).toEqual(['b', 'b-stats'])
  })

  it('is none where it is the same', () => {
    const { drawn, to } = again(0.1, ['a', 'b'])
    expect([drawn, to.choice?.name]).toEqual([null, 'a'])
  })

  it('is none where it is not there: the one before stays', () => {
    const { drawn, to, exchange } = again(0.9, ['a'])
    expect([drawn, to.choice?.name, to.cluster]).toEqual([null, 'a', exchange.clusters.get('a')])
  })

  it('is none where the route has but one', () => {
    const { target: to } = target('route: {cluster: a}', ['a'])
    to.find()
    expect(to.redraw()).toBeNull()
  })
})
