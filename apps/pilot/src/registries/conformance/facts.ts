import assert from 'node:assert/strict'
import { type Behaviour, behaviour } from './behaviour.ts'
import type { PlatformPort } from './platform.ts'
import { http, reviews, v1, v2 } from './samples.ts'

/** A service with one port of this kind. */
function withPort(port: PlatformPort) {
  return { name: 'reviews', ports: [port], instances: [{ ...v1, ports: { [port.name]: port.number } }] }
}

const admin: PlatformPort = { name: 'grpc-admin', number: 7070 }
/** These have a check. */
const checked1 = { ...v1, healthy: true }
const checked2 = { ...v2, healthy: true }
const onBoth = { ...v1, ports: { http: 9080, 'grpc-admin': 17070 } }

/** What is known of a service and its endpoints besides that they are there. */
export const facts: readonly Behaviour[] = [
  behaviour('a port leads to the port that the endpoint says', [reviews({ ...v1, ports: { http: 19080 } })], async (it) => {
    assert.equal(it.endpoints('reviews')[0]?.port, 19080)
  }),

  behaviour('an endpoint at another port is known there', [reviews(v1, v2)], async (it) => {
    await it.change(
      [reviews({ ...v1, ports: { http: 18080 } }, v2)],
      () => it.places('reviews').includes('10.0.0.1:18080') && it.places('reviews').length === 2,
      'the new port in place of the old',
    )
  }),

  behaviour("a service's own port may change", [reviews(v1)], async (it) => {
    await it.change(
      [{ ...reviews(v1), ports: [{ name: 'http', number: 80 }] }],
      () => it.service('reviews')?.ports[0]?.number === 80,
      'port 80',
    )
    await it.until(() => it.places('reviews', 80)[0] === '10.0.0.1:9080', 'its endpoint behind port 80')
  }),

  behaviour(
    'of several ports each leads to its own',
    [{ name: 'reviews', ports: [http, admin], instances: [onBoth] }],
    async (it) => {
      assert.deepEqual(
        [...(it.service('reviews')?.ports ?? [])].sort((a, b) => a.number - b.number),
        [
          { name: 'grpc-admin', number: 7070, protocol: 'grpc' },
          { name: 'http', number: 9080, protocol: 'http' },
        ],
      )
      assert.deepEqual(it.places('reviews', 9080), ['10.0.0.1:9080'])
      assert.deepEqual(it.places('reviews', 7070), ['10.0.0.1:17070'])
    },
  ),

  behaviour('a second port comes and goes', [reviews(v1)], async (it) => {
    const both = { name: 'reviews', ports: [http, admin], instances: [onBoth] }
    await it.change([both], () => it.places('reviews', 7070)[0] === '10.0.0.1:17070', 'the second port')
    assert.deepEqual(it.places('reviews', 9080), ['10.0.0.1:9080'])
    await it.change([reviews(v1)], () => it.service('reviews')?.ports.length === 1, 'one port')
    assert.deepEqual(it.places('reviews', 9080), ['10.0.0.1:9080'])
  }),

  ...(
    [
      [{ name: 'http-api', number: 80 }, 'http'],
      [{ name: 'http2', number: 80 }, 'http2'],
      [{ name: 'grpc', number: 80 }, 'grpc'],
      [{ name: 'grpc-web', number: 80 }, 'grpc-web'],
      [{ name: 'https', number: 443 }, 'https'],
      [{ name: 'tls', number: 443 }, 'tls'],
      [{ name: 'tcp-data', number: 5000 }, 'tcp'],
      [{ name: 'data', number: 5000 }, 'auto'],
      [{ name: 'data', number: 3306 }, 'tcp'],
      [{ name: 'data', number: 5000, protocol: 'grpc' }, 'grpc'],
    ] as const
  ).map(([port, protocol]) =>
    behaviour(
      `a port '${port.name}' ${port.number}${'protocol' in port ? ` said to be ${port.protocol}` : ''} speaks ${protocol}`,
      [withPort(port)],
      async (it) => assert.deepEqual(it.service('reviews')?.ports[0]?.protocol, protocol),
    ),
  ),

  behaviour('a protocol may change', [withPort({ name: 'data', number: 5000, protocol: 'tcp' })], async (it) => {
    await it.change(
      [withPort({ name: 'data', number: 5000, protocol: 'http' })],
      () => it.service('reviews')?.ports[0]?.protocol === 'http',
      'http',
    )
  }),

  behaviour('labels of endpoints are known', [reviews(v1, v2)], async (it) => {
    const labels = it.endpoints('reviews').map(({ workload }) => workload.labels)
    assert.deepEqual(
      labels.map(({ app, version }) => [app, version]),
      [
        ['reviews', 'v1'],
        ['reviews', 'v2'],
      ],
    )
  }),

  behaviour('a label may change', [reviews(v1, v2)], async (it) => {
    await it.change(
      [reviews({ ...v1, labels: { app: 'reviews', version: 'v3' } }, v2)],
      () => it.endpoints('reviews')[0]?.workload.labels['version'] === 'v3',
      'version v3',
    )
    assert.equal(it.endpoints('reviews')[1]?.workload.labels['version'], 'v2')
  }),

  behaviour('a label may go', [reviews(v1)], async (it) => {
    await it.change(
      [reviews({ ...v1, labels: { app: 'reviews' } })],
      () => it.endpoints('reviews')[0]?.workload.labels['version'] === undefined,
      'no version',
    )
    assert.equal(it.places('reviews').length, 1)
  }),

  behaviour(
    'an endpoint that fails its check is unhealthy, and healthy when it passes again',
    [reviews(checked1, checked2)],
    async (it) => {
      const health = () => it.endpoints('reviews').map(({ workload }) => workload.health)
      assert.deepEqual(health(), ['healthy', 'healthy'])
      const takesNone = () =>
        it.endpoints('reviews').every((endpoint) => endpoint.workload.health !== 'healthy' || endpoint.address !== v1.address)
      await it.change([reviews({ ...v1, healthy: false }, checked2)], takesNone, 'the first to take no requests')
      assert.equal(it.endpoints('reviews').find(({ address }) => address === v2.address)?.workload.health, 'healthy')
      await it.change([reviews(checked1, checked2)], () => health().join() === 'healthy,healthy', 'both to be healthy')
    },
  ),

  behaviour('when all endpoints fail, none is healthy, and the service stays', [reviews(checked1, checked2)], async (it) => {
    await it.change(
      [reviews({ ...v1, healthy: false }, { ...v2, healthy: false })],
      () => it.endpoints('reviews').every(({ workload }) => workload.health !== 'healthy'),
      'none to be healthy',
    )
    assert.notEqual(it.service('reviews'), undefined)
  }),

  behaviour('a service whose endpoints fail from the start is known', [reviews({ ...v1, healthy: false })], async (it) => {
    assert.notEqual(it.service('reviews'), undefined)
    assert.ok(it.endpoints('reviews').every(({ workload }) => workload.health !== 'healthy'))
    await it.change([reviews(checked1)], () => it.endpoints('reviews')[0]?.workload.health === 'healthy', 'it to be healthy')
  }),

  behaviour('a check that flaps ends as it ended', [reviews(checked1)], async (it) => {
    for (const healthy of [false, true, false, true, false]) await it.platform.set([reviews({ ...v1, healthy })])
    await it.until(() => it.endpoints('reviews').every(({ workload }) => workload.health !== 'healthy'), 'it to have failed')
    await it.platform.set([reviews(checked1)])
    await it.until(() => it.endpoints('reviews')[0]?.workload.health === 'healthy', 'it to be healthy')
  }),

  behaviour(
    'endpoints have their locality',
    [reviews({ ...v1, locality: { region: 'eu', zone: 'eu-a' } }, { ...v2, locality: { region: 'eu', zone: 'eu-b' } })],
    async (it) => {
      await it.until(() => it.endpoints('reviews').every(({ workload }) => workload.locality.zone !== ''), 'the localities')
      assert.deepEqual(
        it.endpoints('reviews').map(({ workload: { locality } }) => `${locality.region}/${locality.zone}`),
        ['eu/eu-a', 'eu/eu-b'],
      )
    },
  ),

  behaviour('endpoints have their network', [reviews({ ...v1, network: 'east' }, { ...v2, network: 'west' })], async (it) => {
    assert.deepEqual(
      it.endpoints('reviews').map(({ workload }) => workload.network),
      ['east', 'west'],
    )
  }),

  behaviour(
    'endpoints have their weight, and it may change',
    [reviews({ ...v1, weight: 5 }, v2)],
    async (it) => {
      assert.equal(it.endpoints('reviews')[0]?.workload.weight, 5)
      await it.change([reviews({ ...v1, weight: 7 }, v2)], () => it.endpoints('reviews')[0]?.workload.weight === 7, 'weight 7')
    },
    ['weights'],
  ),

  behaviour('a service account is an identity', [reviews({ ...v1, serviceAccount: 'bookinfo-reviews' })], async (it) => {
    const [endpoint] = it.endpoints('reviews')
    assert.equal(endpoint?.workload.identity, 'spiffe://cluster.local/ns/default/sa/bookinfo-reviews')
    assert.equal(endpoint.workload.serviceAccount, 'bookinfo-reviews')
  }),

  behaviour(
    'an endpoint with a sidecar takes mutual TLS, one without does not',
    [reviews({ ...v1, sidecar: true, serviceAccount: 'bookinfo-reviews' }, v2)],
    async (it) => {
      assert.deepEqual(
        it.endpoints('reviews').map(({ workload }) => workload.tlsMode),
        ['istio', 'disabled'],
      )
    },
  ),

  behaviour('an endpoint may be at an IPv6 address', [reviews({ ...v1, address: 'fd00::1' })], async (it) => {
    assert.deepEqual(
      it.endpoints('reviews').map(({ address, port }) => [address, port]),
      [['fd00::1', 9080]],
    )
  }),

  behaviour('an endpoint is found by its address', [reviews(v1, v2)], async (it) => {
    assert.deepEqual(
      it.snapshot.workloads.byAddress.get('10.0.0.2').map(({ labels }) => labels['version']),
      ['v2'],
    )
  }),
]
