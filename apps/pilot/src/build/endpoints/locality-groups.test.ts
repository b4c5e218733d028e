import { HealthStatus } from '@weft/contracts/envoy/config/core/v3/health_check'
import type { ClusterLoadAssignment } from '@weft/contracts/envoy/config/endpoint/v3/endpoint'
import { expect, test } from 'vitest'
import { buildSnapshot } from '../../model/build-snapshot.ts'
import { defaultMeshSettings } from '../../model/mesh-settings.ts'
import type { Workload } from '../../model/workload.ts'
import { FileRegistry } from '../../registries/file/file-registry.ts'
import type { ProxyNode } from '../../scope/proxy-node.ts'
import { scopeOf } from '../../scope/scope-of.ts'
import { builtFor, builtFrom, nodeOf } from '../../testing/built-for.ts'
import { objectsOf, snapshotOf } from '../../testing/snapshot-of.ts'
import { Builder } from '../builder.ts'

const cluster = 'outbound|80||web.test.example'
const localities = ['eu/eu-a/r1', 'eu/eu-a/r2', 'eu/eu-b', 'us/us-a', 'ap/ap-a']

/** A service with one endpoint in each locality, and a policy for it. */
function service(trafficPolicy: object | undefined, more: { annotations?: object; endpoints?: object[] } = {}): string {
  const endpoints = more.endpoints ?? localities.map((locality, index) => ({ address: `10.0.0.${index}`, locality }))
  const entry = {
    apiVersion: 'networking.istio.io/v1',
    kind: 'ServiceEntry',
    metadata: { name: 'web', annotations: more.annotations ?? {} },
    spec: {
      hosts: ['web.test.example'],
      ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
      resolution: 'STATIC',
      endpoints,
    },
  }
  const rule = {
    apiVersion: 'networking.istio.io/v1',
    kind: 'DestinationRule',
    metadata: { name: 'web' },
    spec: { host: 'web.test.example', trafficPolicy },
  }
  return [entry, ...(trafficPolicy === undefined ? [] : [rule])].map((object) => JSON.stringify(object)).join('\n---\n')
}

const proxyIn = (locality: string, metadata: Record<string, unknown> = {}) => {
  const [region = '', zone = '', subZone = ''] = locality.split('/')
  return { ...nodeOf('sidecar', metadata), locality: { region, zone, subZone } }
}

/** Each group as `priority weight locality: addresses`. */
function groupsOf(assignment: ClusterLoadAssignment | undefined): string[] {
  return (assignment?.endpoints ?? [])
    .map(({ priority, loadBalancingWeight, locality, lbEndpoints }) => {
      const { region, zone, subZone } = locality ?? { region: '', zone: '', subZone: '' }
      const place = [region, zone, subZone].filter((part) => part !== '').join('/')
      const addresses = lbEndpoints.map(({ hostIdentifier, healthStatus }) => {
        const address = hostIdentifier?.$case === 'endpoint' ? hostIdentifier.value.address?.address : undefined
        const text = address?.$case === 'socketAddress' ? address.value.address : ''
        return healthStatus === HealthStatus.UNHEALTHY ? `${text} down` : text
      })
      return `${priority} ${loadBalancingWeight} ${place}: ${addresses.join(' ')}`
    })
    .sort()
}

const plain = { connectionPool: { http: { http1MaxPendingRequests: 10 } } }
const outlierDetection = { consecutive5xxErrors: 5 }
const inEurope = proxyIn('eu/eu-a/r1')

test('without outlier detection nothing tells that near endpoints fail: all count the same', () => {
  const { endpoints } = builtFor(service(plain), inEurope)
  expect(groupsOf(endpoints.get(cluster)).every((group) => group.startsWith('0 1 '))).toBe(true)
})

test('with it the nearest are used first: sub-zone, zone, region, the rest', () => {
  const { endpoints, clusters } = builtFor(service({ outlierDetection }), inEurope)
  expect(groupsOf(endpoints.get(cluster))).toEqual([
    '0 1 eu/eu-a/r1: 10.0.0.0',
    '1 1 eu/eu-a/r2: 10.0.0.1',
    '2 1 eu/eu-b: 10.0.0.2',
    '3 1 ap/ap-a: 10.0.0.4',
    '3 1 us/us-a: 10.0.0.3',
  ])
  expect(clusters.get(cluster)?.commonLbConfig?.localityConfigSpecifier).toBeUndefined()
})

test('a region that is named to fail over to goes before the others, and priorities have no gaps', () => {
  const localityLbSetting = { failover: [{ from: 'sa', to: 'us' }] }
  const yaml = service({ outlierDetection, loadBalancer: { localityLbSetting } })
  const { endpoints, clusters } = builtFor(yaml, proxyIn('sa/sa-a'))
  expect(groupsOf(endpoints.get(cluster)).map((group) => group.slice(0, 6))).toEqual([
    '0 1 us',
    '1 1 ap',
    '1 1 eu',
    '1 1 eu',
    '1 1 eu',
  ])
  expect(clusters.get(cluster)?.commonLbConfig?.localityConfigSpecifier?.$case).toBe('localityWeightedLbConfig')
})

test('with zoneAwareLbSetting the whole region is used first, then the one named to fail over to', () => {
  const zoneAwareLbSetting = { failover: [{ from: 'eu', to: 'us' }] }
  const yaml = service({ outlierDetection, loadBalancer: { zoneAwareLbSetting } })
  expect(groupsOf(builtFor(yaml, inEurope).endpoints.get(cluster))).toEqual([
    '0 1 eu/eu-a/r1: 10.0.0.0',
    '0 1 eu/eu-a/r2: 10.0.0.1',
    '0 1 eu/eu-b: 10.0.0.2',
    '1 1 us/us-a: 10.0.0.3',
    '2 1 ap/ap-a: 10.0.0.4',
  ])
  const off = service({ outlierDetection, loadBalancer: { zoneAwareLbSetting: { ...zoneAwareLbSetting, enabled: false } } })
  expect(groupsOf(builtFor(off, inEurope).endpoints.get(cluster)).every((group) => group.startsWith('0 '))).toBe(true)
})

test('shares go to the localities that a rule names, divided by the weights of those that one name means', () => {
  const distribute = [
    { from: 'us/*', to: { 'us/us-a': 100 } },
    { from: 'eu/eu-a/*', to: { 'eu/eu-a/*': 70, 'us/*': 30 } },
  ]
  const yaml = service({ loadBalancer: { localityLbSetting: { distribute } } })
  const { endpoints, clusters } = builtFor(yaml, inEurope)
  expect(groupsOf(endpoints.get(cluster))).toEqual([
    '0 30 us/us-a: 10.0.0.3',
    '0 35 eu/eu-a/r1: 10.0.0.0',
    '0 35 eu/eu-a/r2: 10.0.0.1',
  ])
  expect(clusters.get(cluster)?.commonLbConfig?.localityConfigSpecifier?.$case).toBe('localityWeightedLbConfig')
  expect(groupsOf(builtFor(yaml, proxyIn('ap/ap-a')).endpoints.get(cluster))).toHaveLength(5)
})

test('labels decide where they are named: from the first on as many as agree; a value may be stated', () => {
  const instance = (address: string, version: string, network: string) => ({ address, labels: { version }, network })
  const endpoints = [instance('10.0.0.1', 'v1', 'n1'), instance('10.0.0.2', 'v2', 'n1'), instance('10.0.0.3', 'v1', 'n2')]
  const priorities = (failoverPriority: string[]): string[] => {
    const yaml = service({ outlierDetection, loadBalancer: { localityLbSetting: { failoverPriority } } }, { endpoints })
    const proxy = proxyIn('eu/eu-a', { LABELS: { version: 'v1' }, NETWORK: 'n1' })
    return groupsOf(builtFor(yaml, proxy).endpoints.get(cluster))
  }
  expect(priorities(['version'])).toEqual(['0 2 : 10.0.0.1 10.0.0.3', '1 1 : 10.0.0.2'])
  expect(priorities(['version=v2'])).toEqual(['0 1 : 10.0.0.2', '1 2 : 10.0.0.1 10.0.0.3'])
  expect(priorities(['topology.istio.io/network', 'version'])).toEqual(['0 1 : 10.0.0.1', '1 1 : 10.0.0.2', '2 1 : 10.0.0.3'])
})

test("a service's own preference needs no outlier detection; a rule that turns it off does", () => {
  const annotations = { 'networking.istio.io/traffic-distribution': 'PreferClose' }
  const near = builtFor(service(undefined, { annotations }), inEurope)
  expect(groupsOf(near.endpoints.get(cluster))).toEqual([
    '0 1 eu/eu-a/r1: 10.0.0.0',
    '0 1 eu/eu-a/r2: 10.0.0.1',
    '1 1 eu/eu-b: 10.0.0.2',
    '2 1 ap/ap-a: 10.0.0.4',
    '2 1 us/us-a: 10.0.0.3',
  ])
  const off = builtFor(service({ loadBalancer: { localityLbSetting: { enabled: false } } }, { annotations }), inEurope)
  expect(groupsOf(off.endpoints.get(cluster)).every((group) => group.startsWith('0 '))).toBe(true)
})

test("MeshConfig's setting holds where nothing else is said", () => {
  const localityLbSetting = {
    enabled: true,
    distribute: [{ from: '*', to: { 'us/*': 100 } }],
    failover: [],
    failoverPriority: [],
  }
  const { endpoints } = builtFor(service(undefined), inEurope, { ...defaultMeshSettings, localityLbSetting })
  expect(groupsOf(endpoints.get(cluster))).toEqual(['0 100 us/us-a: 10.0.0.3'])
})

test('a service that is local to nodes has but the endpoints on the caller’s', () => {
  const place = { locality: { region: '', zone: '', subZone: '' }, network: '', labels: {}, serviceAccount: '', identity: '' }
  const workload = (name: string, node: string, address: string): Workload => ({
    ...{ ...place, key: `default/${name}`, name, namespace: 'default', address, node, ports: { http: 8080 } },
    ...{ weight: 0, health: 'healthy', tlsMode: 'disabled', origin: `Pod/default/${name}` },
  })
  const yaml = `apiVersion: v1
kind: Service
metadata: { name: agent }
spec: { ports: [{ name: http, port: 80 }], internalTrafficPolicy: Local }
`
  const files = new FileRegistry(defaultMeshSettings)
  files.update(objectsOf(yaml))
  const workloads = [workload('a', 'node-1', '10.0.0.1'), workload('b', 'node-2', '10.0.0.2')]
  const services = files.contents.services.map((service) => ({ ...service, workloads, exact: true }))
  const snapshot = buildSnapshot({ mesh: defaultMeshSettings, objects: new Map(), registries: [{ services, workloads }] })
  const seen = (proxy: ProxyNode): string[] =>
    groupsOf(builtFrom(snapshot, proxy).endpoints.get('outbound|80||agent.default.svc.cluster.local'))
  expect(seen(nodeOf('sidecar', { NODE_NAME: 'node-1' }))).toEqual(['0 1 : 10.0.0.1'])
  // What does not say where it runs is known by its address.
  expect(seen(nodeOf('sidecar', {}, '10.0.0.2'))).toEqual(['0 1 : 10.0.0.2'])
  expect(seen(nodeOf('router', { NODE_NAME: 'node-3' }))).toEqual([])
})

test('proxies share what they see alike: all of a locality where localities count, all of them where they do not', () => {
  const proxies = [proxyIn('eu/eu-a/r1'), proxyIn('eu/eu-a/r1'), proxyIn('us/us-a')]
  const sets = (yaml: string): unknown[] => {
    const snapshot = snapshotOf(yaml)
    const builder = new Builder()
    builder.begin(snapshot, undefined)
    return proxies.map((proxy) => {
      const { resources } = builder.build(scopeOf(snapshot, proxy))
      return resources.get('type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment')
    })
  }
  const [a, b, c] = sets(service({ outlierDetection }))
  expect(a).toBe(b)
  expect(a).not.toBe(c)
  const [d, e, f] = sets(service(plain))
  expect(d).toBe(e)
  expect(d).toBe(f)
})
