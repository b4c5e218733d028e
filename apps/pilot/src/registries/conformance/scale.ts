import assert from 'node:assert/strict'
import { type Behaviour, behaviour } from './behaviour.ts'
import { many, reviews, v1, v2 } from './samples.ts'

const crowd = many(100, 100)

/** How it stands many, and how little it costs when nothing happens. */
export const scale: readonly Behaviour[] = [
  {
    name: '10,000 endpoints are known; one of them changes, and no other',
    needs: [],
    heavy: true,
    async run(platform, latencies) {
      const only = behaviour(this.name, crowd, async (it) => {
        await it.until(
          () => it.snapshot.services.every(({ name }) => it.endpoints(name).length === 100),
          '100 endpoints of each service',
        )
        assert.equal(it.snapshot.services.length, 100)
        const others = it.snapshot.endpoints.get('default/svc-8.default.svc.cluster.local')
        const changed = crowd.map((service) =>
          service.name !== 'svc-7'
            ? service
            : {
                ...service,
                instances: service.instances.map((one, index) => (index === 0 ? { ...one, address: '10.99.0.1' } : one)),
              },
        )
        await it.change(changed, () => it.places('svc-7').includes('10.99.0.1:9080'), 'the moved endpoint')
        await it.until(() => it.endpoints('svc-7').length === 100, 'the endpoint that moved to have left its old place')
        assert.equal(it.snapshot.endpoints.get('default/svc-8.default.svc.cluster.local'), others)
      })
      await only.run(platform, latencies)
    },
  },

  {
    ...behaviour('1,000 services are known, and each goes on being followed', many(1_000, 1), async (it) => {
      await it.until(() => it.snapshot.services.length === 1_000, '1,000 services')
      const services = many(1_000, 1)
      const last = services.at(-1)
      assert.ok(last !== undefined)
      const moved = { ...last, instances: last.instances.map((instance) => ({ ...instance, address: '10.99.0.2' })) }
      await it.change(
        [...services.slice(0, -1), moved],
        () => it.places(last.name)[0] === '10.99.0.2:9080',
        'the last of them to move',
      )
      await it.change(services.slice(0, 10), () => it.snapshot.services.length === 10, '10 services')
    }),
    heavy: true,
  },

  behaviour('while nothing happens nothing is asked and nothing told', [reviews(v1, v2)], async (it) => {
    let told = 0
    it.registry.subscribe(() => void told++)
    const quietMs = 2_000
    // It may still be busy with what came before.
    let before = -1
    let looks = 0
    await it.until(() => {
      const now = it.relay?.sent ?? 0
      looks = now === before ? looks + 1 : 0
      before = now
      return looks > 30
    }, 'it to have asked all it asks at the start')
    const sent = it.relay?.sent ?? 0
    // The one place where time itself is what is looked at.
    await new Promise((resolve) => setTimeout(resolve, quietMs))
    assert.equal((it.relay?.sent ?? 0) - sent, 0, 'bytes asked')
    assert.equal(told, 0)
    await it.change([reviews(v1)], () => it.places('reviews').length === 1, 'one endpoint')
  }),
]
