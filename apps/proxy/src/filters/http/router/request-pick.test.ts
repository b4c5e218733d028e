import { describe, expect, it, onTestFinished } from 'vitest'
import { Hash64 } from '../../../upstream/load-balancers/hash64.ts'
import { MetadataCriteria } from '../../../upstream/load-balancers/metadata-criteria.ts'
import type { PriorityLoads } from '../../../upstream/load-balancers/priority-load.ts'
import { host, liveCluster } from '../../../upstream/testing.ts'
import { FakeExchange, routeOf } from './fake-exchange.ts'
import { RequestPick } from './request-pick.ts'

/** A request of a route to a cluster with an endpoint in each of two priorities. */
function picking(action: string, request: ConstructorParameters<typeof FakeExchange>[0] = {}) {
  const localities = [0, 1].map((priority) => `{priority: ${priority}, lb_endpoints: [${host(80 + priority)}]}`)
  const { cluster } = liveCluster('name: c', `[${localities.join(', ')}]`)
  onTestFinished(() => cluster.close())
  const exchange = new FakeExchange(request)
  const { outcome } = routeOf(exchange, `routes: [{match: {prefix: /}, route: {cluster: c, ${action}}}]`)
  if (outcome.type !== 'forward' || outcome.forward.cluster.type !== 'one') throw new Error('the route leads nowhere')
  const pick = new RequestPick(exchange)
  pick.begin(outcome.forward, outcome.forward.cluster.choice, outcome.forward.retry)
  const first = cluster.pick(null)!
  return { pick, exchange, first }
}

const previous = (name: string, more: string) =>
  `retry_policy: {retry_on: 5xx, ${more}: [{name: p, typed_config: {'@type': type.googleapis.com/envoy.extensions.retry.host.${name}}}]}`

describe('a request as load balancers see it', () => {
  it('asks for the metadata of its route, and for what a filter said over that', () => {
    const { pick, exchange } = picking('metadata_match: {filter_metadata: {envoy.lb: {a: one, b: two}}}')
    expect(pick.metadataMatch?.key).toBe(new MetadataCriteria({ a: 'one', b: 'two' }).key)
    exchange.metadata('envoy.lb')['b'] = 'three'
    expect(pick.metadataMatch?.key).toBe(new MetadataCriteria({ a: 'one', b: 'three' }).key)
    expect(picking('').pick.metadataMatch).toBeNull()
  })

  it('accepts any endpoint at first, and at a retry none that it has been to, where its policy says so', () => {
    const { pick, first } = picking(previous('previous_hosts.v3.PreviousHostsPredicate', 'retry_host_predicate'))
    expect([pick.accepts(first), pick.hostAttempts]).toEqual([true, 1])
    pick.noteTried(first)
    expect([pick.accepts(first), pick.hostAttempts]).toEqual([false, 2])
    const careless = picking('retry_policy: {retry_on: 5xx}')
    careless.pick.noteTried(careless.first)
    expect([careless.pick.accepts(careless.first), careless.pick.hostAttempts]).toEqual([true, 1])
  })

  it('leaves out the priorities that were tried after every so many tries, until none is left', () => {
    const type = 'type.googleapis.com/envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig'
    const { pick, first } = picking(
      `retry_policy: {retry_on: 5xx, retry_priority: {name: p, typed_config: {'@type': ${type}, update_frequency: 2}}}`,
    )
    const asked: boolean[][] = []
    const shares = {
      priorityCount: 2,
      loadsWithout(excluded: readonly boolean[]): PriorityLoads | null {
        asked.push([...excluded])
        return excluded.every((is) => is) ? null : { healthy: [0, 100], degraded: [0, 0], panic: [false, false] }
      },
    }
    expect(pick.priorityLoads(shares)).toBeNull()
    pick.noteTried(first)
    expect(pick.priorityLoads(shares)).toBeNull()
    pick.noteTried(first)
    const loads = pick.priorityLoads(shares)
    expect([loads?.healthy, asked]).toEqual([[0, 100], [[true, false]]])
    pick.noteTried({ ...first, isCanary: false, priority: 1 })
    // Not looked at anew before the next two are over.
    expect([pick.priorityLoads(shares), asked.length]).toEqual([loads, 1])
    pick.noteTried({ ...first, isCanary: false, priority: 1 })
    expect(pick.priorityLoads(shares)).not.toBeNull()
    expect(asked.slice(1)).toEqual([
      [true, true],
      [false, false],
    ])
  })

  it('has a cookie made where a policy hashes by one that is not there, once', () => {
    const action = 'hash_policy: [{cookie: {name: s, ttl: 60s, path: /}}]'
    const { pick } = picking(action)
    const [one, other] = [new Hash64(), new Hash64()]
    expect([pick.hashInto(one), pick.hashInto(other)]).toEqual([true, true])
    expect(pick.cookies).toEqual([expect.stringMatching(/^s="[0-9a-f]+"; Max-Age=60; Path=\/; HttpOnly$/)])
    expect(other.toHex()).toBe(one.toHex())
    const known = picking(action, { headers: { cookie: 's=mine' } })
    expect([known.pick.hashInto(one), known.pick.cookies]).toEqual([true, null])
    expect(picking('').pick.hashInto(one)).toBe(false)
  })

  it('wants to go where it was going before it was caught on the way', () => {
    const directLocal = { address: '127.0.0.1', port: 15_001 }
    const connection = { localAddress: '10.0.0.1', localPort: 80, directLocal }
    expect(picking('', { connection }).pick.originalDestination).toBe('10.0.0.1:80')
    expect(picking('', { connection: { ...connection, localAddress: 'fd00::1' } }).pick.originalDestination).toBe('[fd00::1]:80')
    expect(picking('').pick.originalDestination).toBeNull()
  })
})
