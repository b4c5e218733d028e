import assert from 'node:assert/strict'
import { type Behaviour, behaviour } from './behaviour.ts'
import { http, ratings, reviews, v1, v2 } from './samples.ts'

/** How services and endpoints come, change and go. */
export const presence: readonly Behaviour[] = [
  behaviour('a platform that holds nothing is known to hold nothing', [], async (it) => {
    assert.equal(it.registry.state.problem, undefined)
    assert.deepEqual(it.snapshot.services, [])
  }),

  behaviour(
    'services that are there when it opens are known, each with its endpoints',
    [reviews(v1, v2), ratings],
    async (it) => {
      assert.deepEqual(it.places('reviews'), ['10.0.0.1:9080', '10.0.0.2:9081'])
      assert.deepEqual(it.places('ratings'), ['10.0.0.3:7070'])
      assert.equal(it.snapshot.services.length, 2)
    },
  ),

  behaviour('a service has the host that configuration names it by', [reviews(v1)], async (it) => {
    const service = it.service('reviews')
    assert.equal(service?.host, 'reviews.default.svc.cluster.local')
    assert.equal(service.meshExternal, false)
    assert.equal(service.resolution, 'static')
  }),

  behaviour('a new service appears', [reviews(v1)], async (it) => {
    await it.change([reviews(v1), ratings], () => it.places('ratings').length === 1, 'ratings')
  }),

  behaviour('a service that is gone disappears', [reviews(v1), ratings], async (it) => {
    await it.change([ratings], () => it.service('reviews') === undefined, 'reviews to go')
    assert.deepEqual(it.places('ratings'), ['10.0.0.3:7070'])
  }),

  behaviour('a new endpoint appears', [reviews(v1)], async (it) => {
    await it.change([reviews(v1, v2)], () => it.places('reviews').length === 2, 'a second endpoint')
    assert.deepEqual(it.places('reviews'), ['10.0.0.1:9080', '10.0.0.2:9081'])
  }),

  behaviour('an endpoint that is gone disappears', [reviews(v1, v2)], async (it) => {
    await it.change([reviews(v2)], () => it.places('reviews').length === 1, 'one endpoint')
    assert.deepEqual(it.places('reviews'), ['10.0.0.2:9081'])
  }),

  behaviour('when the last endpoint goes, none is left', [reviews(v1), ratings], async (it) => {
    await it.change([reviews(), ratings], () => it.places('reviews').length === 0, 'no endpoint of reviews')
  }),

  behaviour(
    'a service without endpoints is a service',
    [reviews()],
    async (it) => {
      assert.deepEqual(it.service('reviews')?.ports, [{ name: 'http', number: 9080, protocol: 'http' }])
      await it.change([reviews(v1)], () => it.places('reviews').length === 1, 'its first endpoint')
    },
    ['empty services'],
  ),

  behaviour('everything goes', [reviews(v1, v2), ratings], async (it) => {
    await it.change([], () => it.snapshot.services.length === 0, 'nothing')
  }),

  behaviour('a service that went and came back is there once, with its new endpoints', [reviews(v1)], async (it) => {
    await it.change([], () => it.service('reviews') === undefined, 'reviews to go')
    await it.change([reviews(v2)], () => it.places('reviews').length === 1, 'reviews to come back')
    assert.deepEqual(it.places('reviews'), ['10.0.0.2:9081'])
    assert.equal(it.snapshot.services.length, 1)
  }),

  behaviour('a renamed service is known by its new name alone', [reviews(v1), ratings], async (it) => {
    const renamed = { ...reviews({ ...v1, name: 'opinions-v1' }), name: 'opinions' }
    await it.change(
      [renamed, ratings],
      () => it.places('opinions').length === 1 && it.service('reviews') === undefined,
      'opinions in place of reviews',
    )
  }),

  behaviour('an endpoint that moved is at its new address alone', [reviews(v1, v2)], async (it) => {
    await it.change(
      [reviews({ ...v1, address: '10.0.9.9' }, v2)],
      () => it.places('reviews').includes('10.0.9.9:9080') && it.places('reviews').length === 2,
      'the new address in place of the old',
    )
  }),

  behaviour(
    'an instance that is registered twice is one endpoint',
    [reviews(v1, { ...v1, name: 'reviews-again' })],
    async (it) => {
      assert.deepEqual(it.places('reviews'), ['10.0.0.1:9080'])
    },
  ),

  behaviour('an address that two services share is an endpoint of both', [reviews(v1)], async (it) => {
    const other = { ...reviews({ ...v1, name: 'opinions-v1' }), name: 'opinions' }
    await it.change([reviews(v1), other], () => it.places('opinions').length === 1, 'opinions')
    assert.deepEqual(it.places('opinions'), it.places('reviews'))
  }),

  behaviour(
    'services of one name in two namespaces are two',
    [reviews(v1), { ...reviews({ ...v2, name: 'other-v2' }), namespace: 'other' }],
    async (it) => {
      assert.deepEqual(it.places('reviews'), ['10.0.0.1:9080'])
      assert.deepEqual(it.places('reviews', undefined, 'other'), ['10.0.0.2:9081'])
      await it.change([reviews(v1)], () => it.service('reviews', 'other') === undefined, 'the other namespace to be empty')
      assert.deepEqual(it.places('reviews'), ['10.0.0.1:9080'])
    },
    ['namespaces'],
  ),

  behaviour('an unchanged service and its endpoints stay the very objects they were', [reviews(v1)], async (it) => {
    const service = it.service('reviews')
    const set = it.snapshot.endpoints.get('default/reviews.default.svc.cluster.local')
    await it.change([reviews(v1), ratings], () => it.places('ratings').length === 1, 'ratings')
    assert.equal(it.service('reviews'), service)
    assert.equal(it.snapshot.endpoints.get('default/reviews.default.svc.cluster.local'), set)
  }),

  behaviour('an endpoint that changed is no change of its service', [reviews(v1)], async (it) => {
    const service = it.service('reviews')
    const kinds = new Set<string>()
    const stop = it.snapshots.subscribe(({ changes }) => {
      for (const { kind } of changes) if (kind === 'Service' || kind === 'Endpoints') kinds.add(kind)
    })
    await it.change([reviews(v1, { ...v2, ports: { http: 9080 } })], () => it.places('reviews').length === 2, 'a second endpoint')
    stop()
    assert.equal(it.service('reviews'), service)
    assert.deepEqual([...kinds], ['Endpoints'])
  }),

  behaviour('nothing is told when nothing changed', [reviews(v1)], async (it) => {
    let told = 0
    const stop = it.snapshots.subscribe(() => void told++)
    await it.platform.set([reviews(v1)])
    await it.change([reviews(v1, v2)], () => it.places('reviews').length === 2, 'a second endpoint')
    stop()
    assert.equal(told, 1)
  }),

  behaviour('nothing is told to who left', [reviews(v1)], async (it) => {
    let told = 0
    it.registry.subscribe(() => void told++)()
    await it.change([reviews(v1, v2)], () => it.places('reviews').length === 2, 'a second endpoint')
    assert.equal(told, 0)
  }),

  behaviour('a registry that is closed is silent', [reviews(v1)], async (it) => {
    await it.registry.close()
    let told = 0
    it.registry.subscribe(() => void told++)
    await it.platform.set([reviews(v1, v2)])
    // Another registry sees the change: this one had its time.
    const { UnderTest } = await import('./under-test.ts')
    const other = await UnderTest.open(it.platform, [reviews(v1, v2)])
    await other.until(() => other.places('reviews').length === 2, 'the change in another registry').finally(() => other.close())
    assert.equal(told, 0)
    await it.until(() => (it.relay?.open ?? 0) === 0, 'its connections to be closed')
  }),

  behaviour('two registries on one platform know the same', [reviews(v1)], async (it) => {
    const { UnderTest } = await import('./under-test.ts')
    const other = await UnderTest.open(it.platform, [reviews(v1)])
    try {
      await it.change([reviews(v1, v2)], () => it.places('reviews').length === 2, 'a second endpoint')
      await other.until(() => other.places('reviews').length === 2, 'a second endpoint in the other registry')
    } finally {
      await other.close()
    }
  }),

  behaviour('what came and went at once does not stay', [reviews(v1)], async (it) => {
    await it.platform.set([reviews(v1), ratings])
    await it.platform.set([reviews(v1, v2)])
    await it.until(() => it.places('reviews').length === 2 && it.service('ratings') === undefined, 'the last state')
  }),

  behaviour('of a burst of changes the last one stands', [reviews(v1)], async (it) => {
    for (let round = 1; round <= 30; round++) {
      await it.platform.set([
        reviews({ ...v1, labels: { app: 'reviews', version: `v${round}` } }, ...(round % 2 === 0 ? [v2] : [])),
      ])
    }
    await it.until(
      () => it.places('reviews').length === 2 && it.endpoints('reviews')[0]?.workload.labels['version'] === 'v30',
      'the last of 30 changes',
    )
  }),

  behaviour('two services that change at once are both known', [reviews(v1), ratings], async (it) => {
    const moved = { ...ratings, instances: ratings.instances.map((instance) => ({ ...instance, address: '10.0.9.3' })) }
    await it.change(
      [reviews(v1, v2), moved],
      () => it.places('reviews').length === 2 && it.places('ratings')[0] === '10.0.9.3:7070',
      'both changes',
    )
  }),

  behaviour(
    'what is written by halves is not known before it is whole',
    [reviews(v1)],
    async (it) => {
      const finish = await it.platform.writeHalf?.([reviews(v1, v2)])
      await it.until(() => it.registry.state.synced, 'the registry to look')
      assert.deepEqual(it.places('reviews'), ['10.0.0.1:9080'])
      assert.deepEqual(it.service('reviews')?.ports, [{ ...http, protocol: 'http' }])
      await finish?.()
      await it.until(() => it.places('reviews').length === 2, 'the whole')
    },
    ['half-written'],
  ),
]
