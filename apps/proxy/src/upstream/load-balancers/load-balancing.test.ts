import { describe, expect, it } from 'vitest'
import type { Cluster } from '../cluster.ts'
import { cell, healthFlag } from '../endpoint-slab.ts'
import { host, liveCluster, picks, portOf, request } from '../testing.ts'

const three = `[{lb_endpoints: [${[1, 2, 3].map((port) => host(port)).join()}]}]`
const noPanic = 'common_lb_config: {healthy_panic_threshold: {value: 0}}'

function near(count: number | undefined, expected: number, tolerance: number): void {
  expect(count ?? 0).toBeGreaterThanOrEqual(expected - tolerance)
  expect(count ?? 0).toBeLessThanOrEqual(expected + tolerance)
}

describe('policies', () => {
  it('ROUND_ROBIN goes round, by weight where weights differ', () => {
    const { cluster, update } = liveCluster('name: x', three)
    expect(picks(cluster, 9)).toEqual({ 1: 3, 2: 3, 3: 3 })
    update(`[{lb_endpoints: [${host(1, 'load_balancing_weight: 1')}, ${host(2, 'load_balancing_weight: 3')}]}]`)
    const weighted = picks(cluster, 400)
    near(weighted[1], 100, 2)
    near(weighted[2], 300, 2)
  })

  it('RANDOM uses all hosts alike and no weights', () => {
    const { cluster } = liveCluster(
      'name: x, lb_policy: RANDOM',
      `[{lb_endpoints: [${host(1, 'load_balancing_weight: 9')}, ${host(2)}]}]`,
    )
    near(picks(cluster, 4000)[1], 2000, 200)
  })

  it('LEAST_REQUEST avoids the busy host, and by weight divides by what is active', () => {
    const { cluster, slab, update } = liveCluster(
      'name: x, lb_policy: LEAST_REQUEST, least_request_lb_config: {choice_count: 3}',
      three,
    )
    const busy = cluster.host.get('127.0.0.1:2')!
    slab.add(busy.slot, cell.activeRequests, 5)
    // It is picked only when all three choices fall on it: once in 27.
    near(picks(cluster, 2700)[2], 100, 60)
    update(`[{lb_endpoints: [${host(1, 'load_balancing_weight: 4')}, ${host(2, 'load_balancing_weight: 6')}]}]`)
    // 4/1 against 6/6.
    near(picks(cluster, 500)[2], 100, 5)
  })

  it('LEAST_REQUEST with a full scan always takes the least loaded', () => {
    const typed =
      '{"@type": type.googleapis.com/envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest, selection_method: FULL_SCAN}'
    const { cluster, slab } = liveCluster(
      `name: x, load_balancing_policy: {policies: [{typed_extension_config: {name: l, typed_config: ${typed}}}]}`,
      three,
    )
    for (const port of [1, 3]) slab.add(cluster.host.get(`127.0.0.1:${port}`)!.slot, cell.activeRequests, 1)
    expect(picks(cluster, 50)).toEqual({ 2: 50 })
  })

  // As Envoy 1.40 does.
  it.each(['RING_HASH', 'MAGLEV'])('%s has no hosts of localities without a weight, where weights count', (policy) => {
    const { cluster, update } = liveCluster(
      `name: x, lb_policy: ${policy}, common_lb_config: {locality_weighted_lb_config: {}}`,
      `[{locality: {region: a}, lb_endpoints: [${host(1)}]}]`,
    )
    expect(cluster.pick(request({}))).toBeNull()
    const weighted = `{locality: {region: b}, load_balancing_weight: 1, lb_endpoints: [${host(2)}]}`
    update(`[{locality: {region: a}, lb_endpoints: [${host(1)}]}, ${weighted}]`)
    expect(picks(cluster, 20)).toEqual({ 2: 20 })
  })

  it('RING_HASH has hosts for what no subset fits, whatever their localities’ weights, unless subsets look at those', () => {
    const subsets = 'lb_subset_config: {fallback_policy: ANY_ENDPOINT, subset_selectors: [{keys: [v]}]}'
    const { cluster } = liveCluster(
      `name: x, lb_policy: RING_HASH, common_lb_config: {locality_weighted_lb_config: {}}, ${subsets}`,
      `[{locality: {region: a}, lb_endpoints: [${host(1)}]}]`,
    )
    expect(picks(cluster, 5)).toEqual({ 1: 5 })
  })

  for (const type of ['ring_hash.v3.RingHash', 'maglev.v3.Maglev'])
    it(`${type} hashes by its own policy where it has one`, () => {
      const hashPolicy = '[{header: {header_name: x-own}}]'
      const typed = `{"@type": type.googleapis.com/envoy.extensions.load_balancing_policies.${type}, consistent_hashing_lb_config: {hash_policy: ${hashPolicy}}}`
      const { cluster } = liveCluster(
        `name: x, load_balancing_policy: {policies: [{typed_extension_config: {name: l, typed_config: ${typed}}}]}`,
        three,
      )
      let given = 0
      cluster.pick({
        ...request({}),
        hashInto(_into, ofBalancer) {
          if (ofBalancer != null) given++
          return false
        },
      })
      expect(given).toBe(1)
    })

  it('slow start gives a host that is new less than its weight', () => {
    const { cluster, update } = liveCluster(
      'name: x, round_robin_lb_config: {slow_start_config: {slow_start_window: 100s, min_weight_percent: {value: 10}}}',
      `[{lb_endpoints: [${host(1)}]}]`,
    )
    cluster.host.get('127.0.0.1:1')!.healthySinceMs = performance.now() - 200_000
    update(`[{lb_endpoints: [${host(1)}, ${host(2)}]}]`)
    near(picks(cluster, 1100)[2], 100, 5)
  })
})

for (const policy of ['lb_policy: RING_HASH', 'lb_policy: MAGLEV, maglev_lb_config: {table_size: 1009}']) {
  describe(`consistent hashing by ${policy}`, () => {
    const keys = Array.from({ length: 400 }, (_, i) => `key-${i}`)
    const choose = (cluster: Cluster) => keys.map((key) => portOf(cluster, request({ key })))

    it('sends a key to the same host whatever the order of hosts, and moves few others when one goes', () => {
      const { cluster, update } = liveCluster(
        `name: x, ${policy}`,
        `[{lb_endpoints: [${[1, 2, 3, 4].map((port) => host(port)).join()}]}]`,
      )
      const before = choose(cluster)
      expect(new Set(before).size).toBe(4)
      update(`[{lb_endpoints: [${[3, 1, 4, 2].map((port) => host(port)).join()}]}]`)
      expect(choose(cluster)).toEqual(before)
      update(`[{lb_endpoints: [${[1, 2, 3].map((port) => host(port)).join()}]}]`)
      const moved = choose(cluster).filter((port, i) => before[i] !== 4 && before[i] !== port)
      expect(moved.length).toBeLessThan(60)
    })

    it('gives hosts their share by weight', () => {
      const { cluster } = liveCluster(
        `name: x, ${policy}`,
        `[{lb_endpoints: [${host(1, 'load_balancing_weight: 1')}, ${host(2, 'load_balancing_weight: 3')}]}]`,
      )
      const counts = choose(cluster).filter((port) => port === 2).length
      near(counts, 300, 60)
    })

    it('leaves out the unhealthy, and comes back to the same hosts', () => {
      const { cluster, slab } = liveCluster(`name: x, ${policy}`, three)
      const before = choose(cluster)
      const { slot } = cluster.host.get('127.0.0.1:2')!
      slab.setHealth(slot, healthFlag.failedOutlierCheck, true)
      expect(choose(cluster)).not.toContain(2)
      slab.setHealth(slot, healthFlag.failedOutlierCheck, false)
      expect(choose(cluster)).toEqual(before)
    })

    it('with bounded loads passes what is too much on to others', () => {
      const { cluster, slab } = liveCluster(
        `name: x, ${policy}, common_lb_config: {consistent_hashing_lb_config: {hash_balance_factor: 120}}`,
        three,
      )
      const port = portOf(cluster, request({ key: 'k' }))
      slab.add(cluster.host.get(`127.0.0.1:${port}`)!.slot, cell.activeRequests, 50)
      const other = portOf(cluster, request({ key: 'k' }))
      expect(other).not.toBe(port)
      expect(portOf(cluster, request({ key: 'k' }))).toBe(other)
    })
  })
}

describe('priorities and health', () => {
  const two = (first: string, second: string, policy = '') =>
    `[{priority: 0, lb_endpoints: [${first}]}, {priority: 1, lb_endpoints: [${second}]}]${policy}`

  it('overprovisioning lets a priority carry all until too few are well', () => {
    const { cluster, slab } = liveCluster('name: x', two([1, 2, 3, 4].map((port) => host(port)).join(), host(9)))
    const fail = (port: number) => slab.setHealth(cluster.host.get(`127.0.0.1:${port}`)!.slot, healthFlag.failedActiveCheck, true)
    fail(1)
    expect(picks(cluster, 200)[9]).toBeUndefined()
    fail(2)
    // 140 % of a half: 70.
    near(picks(cluster, 2000)[9], 600, 120)
  })

  it('degraded hosts come after every healthy one', () => {
    const { cluster } = liveCluster('name: x', two(host(1, 'health_status: DEGRADED'), host(2)))
    expect(picks(cluster, 50)).toEqual({ 2: 50 })
  })

  it('draining hosts are not counted among those that should be well', () => {
    const { cluster } = liveCluster('name: x', two(`${host(1, 'health_status: DRAINING')}, ${host(2)}`, host(3)))
    expect(picks(cluster, 50)).toEqual({ 2: 50 })
  })

  it('panics when too few are well, counts it, and does not with a threshold of 0', () => {
    const one = `[{lb_endpoints: [${host(1)}, ${[2, 3, 4].map((port) => host(port, 'health_status: UNHEALTHY')).join()}]}]`
    const panicking = liveCluster('name: x', one)
    expect(Object.keys(picks(panicking.cluster, 80))).toEqual(['1', '2', '3', '4'])
    expect(panicking.stats.counter('cluster.x.lb_healthy_panic').value).toBe(80)
    expect(picks(liveCluster(`name: x, ${noPanic}`, one).cluster, 20)).toEqual({ 1: 20 })
    const failing = liveCluster('name: x, common_lb_config: {zone_aware_lb_config: {fail_traffic_on_panic: true}}', one)
    expect(picks(failing.cluster, 5)).toEqual({ 0: 5 })
    expect(failing.stats.counter('cluster.x.upstream_cx_none_healthy').value).toBe(5)
  })

  it('weights of localities count where that is configured', () => {
    const localities = `[{locality: {zone: a}, load_balancing_weight: 1, lb_endpoints: [${host(1)}]}, {locality: {zone: b}, load_balancing_weight: 3, lb_endpoints: [${host(2)}, ${host(3)}]}]`
    const counts = picks(liveCluster('name: x, common_lb_config: {locality_weighted_lb_config: {}}', localities).cluster, 400)
    near(counts[1], 100, 3)
    near(counts[2], 150, 3)
  })

  it('zone-aware routing keeps in the own zone what this zone can carry', () => {
    const zones = {
      version: 1,
      healthy: [
        { locality: '\0here\0', hosts: 1 },
        { locality: '\0there\0', hosts: 1 },
      ],
      healthyPercent: 100,
    }
    const localities = `[{locality: {zone: here}, lb_endpoints: [${host(1)}]}, {locality: {zone: there}, lb_endpoints: [${[2, 3, 4].map((port) => host(port)).join()}]}]`
    const { cluster, stats } = liveCluster(
      'name: x, common_lb_config: {zone_aware_lb_config: {min_cluster_size: 2}}',
      localities,
      new Map(),
      {
        localCluster: 'me',
        localZones: () => zones,
      },
    )
    near(picks(cluster, 2000)[1], 1000, 150)
    expect(stats.counter('cluster.x.lb_zone_routing_sampled').value).toBeGreaterThan(800)
  })
})

describe('subsets', () => {
  const labelled = `[{lb_endpoints: [${host(1, 'metadata: {filter_metadata: {envoy.lb: {v: "1", stage: prod}}}')}, ${host(2, 'metadata: {filter_metadata: {envoy.lb: {v: "2", stage: prod}}}')}, ${host(3, 'metadata: {filter_metadata: {envoy.lb: {v: "2", stage: dev}}}')}]}]`
  const ports = (cluster: Cluster, metadata?: Record<string, unknown>) =>
    Object.keys(picks(cluster, 30, request(metadata === undefined ? {} : { metadata }))).map(Number)

  it('a request goes to the subset that has just what it asks for, else by the fallback', () => {
    const { cluster, stats } = liveCluster(
      'name: x, lb_subset_config: {fallback_policy: DEFAULT_SUBSET, default_subset: {stage: dev}, subset_selectors: [{keys: [v]}, {keys: [stage, v]}]}',
      labelled,
    )
    expect(ports(cluster, { v: '1' })).toEqual([1])
    expect(ports(cluster, { v: '2' })).toEqual([2, 3])
    expect(ports(cluster, { v: '2', stage: 'dev' })).toEqual([3])
    expect(ports(cluster, { v: '7' })).toEqual([3])
    expect(ports(cluster, { v: 1 })).toEqual([3])
    expect(ports(cluster)).toEqual([3])
    expect(stats.counter('cluster.x.lb_subsets_selected').value).toBe(90)
    expect(stats.counter('cluster.x.lb_subsets_fallback').value).toBe(90)
  })

  it('a selector has a fallback of its own, also to fewer keys', () => {
    const { cluster } = liveCluster(
      'name: x, lb_subset_config: {fallback_policy: NO_FALLBACK, subset_selectors: [{keys: [v], fallback_policy: ANY_ENDPOINT}, {keys: [v, stage], fallback_policy: KEYS_SUBSET, fallback_keys_subset: [v]}]}',
      labelled,
    )
    expect(ports(cluster, { v: '9' })).toEqual([1, 2, 3])
    expect(ports(cluster, { v: '2', stage: 'nope' })).toEqual([2, 3])
    expect(ports(cluster, { color: 'red' })).toEqual([0])
  })

  it('tries the list of alternatives in turn', () => {
    const { cluster } = liveCluster(
      'name: x, lb_subset_config: {fallback_policy: NO_FALLBACK, metadata_fallback_policy: FALLBACK_LIST, subset_selectors: [{keys: [v]}, {keys: [v, stage]}]}',
      labelled,
    )
    expect(ports(cluster, { fallback_list: [{ v: '9' }, { v: '1' }] })).toEqual([1])
    expect(ports(cluster, { v: '2', fallback_list: [{ stage: 'dev' }] })).toEqual([3])
  })

  it('follows what endpoints become', () => {
    const { cluster, stats, update } = liveCluster(
      'name: x, lb_subset_config: {fallback_policy: NO_FALLBACK, subset_selectors: [{keys: [v]}]}',
      labelled,
    )
    update(`[{lb_endpoints: [${host(1, 'metadata: {filter_metadata: {envoy.lb: {v: "3"}}}')}]}]`)
    expect(ports(cluster, { v: '3' })).toEqual([1])
    expect(ports(cluster, { v: '1' })).toEqual([0])
    expect(stats.counter('cluster.x.lb_subsets_removed').value).toBe(4)
  })
})

describe('clusters that choose otherwise', () => {
  it('an aggregate cluster is the priorities of its clusters, one after the other', () => {
    const siblings = new Map<string, Cluster>()
    liveCluster('name: one', `[{lb_endpoints: [${host(1)}, ${host(2, 'health_status: UNHEALTHY')}]}]`, siblings)
    liveCluster('name: two', `[{lb_endpoints: [${host(3)}]}]`, siblings)
    const type =
      '{name: envoy.clusters.aggregate, typed_config: {"@type": type.googleapis.com/envoy.extensions.clusters.aggregate.v3.ClusterConfig, clusters: [one, gone, two]}}'
    const { cluster } = liveCluster(`name: x, lb_policy: CLUSTER_PROVIDED, cluster_type: ${type}`, '[]', siblings)
    const counts = picks(cluster, 2000)
    near(counts[1], 1400, 120)
    near(counts[3], 600, 120)
    expect(cluster.pick()?.cluster.name).toMatch(/one|two/)
  })

  it('an ORIGINAL_DST cluster goes where a header says, if it is an address', () => {
    const { cluster, stats } = liveCluster(
      'name: x, type: ORIGINAL_DST, lb_policy: CLUSTER_PROVIDED, original_dst_lb_config: {use_http_header: true}',
      '[]',
    )
    const to = (value: string) => cluster.pick(request({ headers: { 'x-envoy-original-dst-host': value } }))
    expect(to('127.0.0.1:81')?.key).toBe('127.0.0.1:81')
    expect(to('127.0.0.1:81')).toBe(to('127.0.0.1:81'))
    expect(to('[::1]:82')?.key).toBe('[::1]:82')
    for (const bad of ['localhost:80', '127.0.0.1', '127.0.0.1:99999', '::1:80']) expect(to(bad)).toBeNull()
    expect(stats.counter('cluster.x.original_dst_host_invalid').value).toBe(4)
    cluster.close()
  })

  it('a retry gets another host than those it refuses, as far as there are', () => {
    const { cluster } = liveCluster('name: x', three)
    const context = request({ attempts: 50, accepts: ({ key }) => key === '127.0.0.1:2' })
    expect(picks(cluster, 30, context)).toEqual({ 2: 30 })
    expect(Object.keys(picks(cluster, 30, request({ attempts: 2, accepts: () => false }))).length).toBe(3)
  })
})
