import { expect, test } from 'vitest'
import { snapshotOf, snapshotsOf } from '../testing/snapshot-of.ts'
import type { Change } from './change.ts'
import { findDanglingReferences } from './references.ts'

const reviews = `
apiVersion: v1
kind: Service
metadata: { name: reviews }
spec:
  selector: { app: reviews }
  ports: [{ name: http, port: 9080 }]
`
const entry = (name: string, address: string, version: string): string => `---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: ${name} }
spec: { address: ${address}, labels: { app: reviews, version: ${version} }, serviceAccount: bookinfo-reviews }
`
const routed = (weight: number): string => `---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews }
spec:
  hosts: [reviews]
  http: [{ route: [{ destination: { host: reviews }, weight: ${weight} }] }]
`
const host = 'reviews.default.svc.cluster.local'

test('a Service takes the workloads of its namespace that its selector asks for', () => {
  const elsewhere = entry('other', '127.0.0.9', 'v9').replace(
    'metadata: { name: other }',
    'metadata: { name: other, namespace: prod }',
  )
  const snapshot = snapshotOf(
    reviews + entry('reviews-v1', '127.1.1.1', 'v1') + entry('reviews-v2', '127.1.2.1', 'v2') + elsewhere,
  )
  const endpoints = snapshot.endpoints.get(`default/${host}`)?.byPort.get(9080)
  expect(endpoints?.map(({ address, port, workload }) => [address, port, workload.labels['version'], workload.identity])).toEqual(
    [
      ['127.1.1.1', 9080, 'v1', 'spiffe://cluster.local/ns/default/sa/bookinfo-reviews'],
      ['127.1.2.1', 9080, 'v2', 'spiffe://cluster.local/ns/default/sa/bookinfo-reviews'],
    ],
  )
  expect(snapshot.servicesByHost.get(host)?.get('default')?.ports).toEqual([{ name: 'http', number: 9080, protocol: 'http' }])
})

test("a workload's own port of that name goes before the service's target port", () => {
  const yaml = (ports: string, target: string): string => `
apiVersion: v1
kind: Service
metadata: { name: a }
spec: { selector: { app: a }, ports: [{ name: http, port: 80${target} }] }
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: a-1 }
spec: { address: 127.0.0.1, labels: { app: a }${ports} }
`
  const portOf = (text: string): number | undefined =>
    snapshotOf(text).endpoints.get('default/a.default.svc.cluster.local')?.byPort.get(80)?.[0]?.port
  expect(portOf(yaml(', ports: { http: 8080 }', ', targetPort: 9090'))).toBe(8080)
  expect(portOf(yaml(', ports: { web: 8080 }', ', targetPort: web'))).toBe(8080)
  expect(portOf(yaml('', ', targetPort: 9090'))).toBe(9090)
  expect(portOf(yaml('', ''))).toBe(80)
})

test('a ServiceEntry is a service for each host, with its endpoints, its name when it has none, or selected workloads', () => {
  const snapshot = snapshotOf(`
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: inline }
spec:
  hosts: [a.example.com, b.example.com]
  ports: [{ number: 443, name: tls, protocol: TLS }]
  resolution: STATIC
  endpoints: [{ address: 10.0.0.1 }, { address: 10.0.0.2, ports: { tls: 8443 }, locality: eu/a }]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: dns }
spec: { hosts: [c.example.com], ports: [{ number: 80, name: http, protocol: HTTP }], resolution: DNS }
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: selecting }
spec:
  hosts: [d.internal]
  location: MESH_INTERNAL
  ports: [{ number: 80, name: http, protocol: HTTP, targetPort: 8080 }]
  resolution: STATIC
  workloadSelector: { labels: { app: d } }
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: d-1 }
spec: { address: 10.1.0.1, labels: { app: d } }
`)
  const at = (service: string, port: number): unknown =>
    snapshot.endpoints
      .get(`default/${service}`)
      ?.byPort.get(port)
      ?.map((endpoint) => `${endpoint.address}:${endpoint.port}`)
  expect(at('a.example.com', 443)).toEqual(['10.0.0.1:443', '10.0.0.2:8443'])
  expect(at('b.example.com', 443)).toEqual(['10.0.0.1:443', '10.0.0.2:8443'])
  expect(at('c.example.com', 80)).toEqual(['c.example.com:80'])
  expect(at('d.internal', 80)).toEqual(['10.1.0.1:8080'])
  const resolved = [...snapshot.services].map((service) => [service.host, service.resolution, service.meshExternal])
  expect(resolved).toContainEqual(['c.example.com', 'dns', true])
  expect(resolved).toContainEqual(['d.internal', 'static', false])
})

test('a change names what it touched and nothing else', () => {
  const base = reviews + entry('reviews-v1', '127.1.1.1', 'v1') + routed(100)
  const { snapshots, set } = snapshotsOf(base)
  const told: (readonly Change[])[] = []
  snapshots.subscribe(({ changes }) => void told.push(changes))
  const first = snapshots.current
  set(base + entry('reviews-v2', '127.1.2.1', 'v2'))
  set(`# a comment moves every line\n${base}${entry('reviews-v2', '127.1.2.1', 'v2')}`)
  set(base.replace('weight: 100', 'weight: 90'))
  expect(told).toEqual([
    [
      { kind: 'Endpoints', namespace: 'default', host },
      { kind: 'WorkloadEntry', namespace: 'default', host: 'reviews-v2' },
    ],
    [
      { kind: 'Endpoints', namespace: 'default', host },
      { kind: 'VirtualService', namespace: 'default', host },
      { kind: 'WorkloadEntry', namespace: 'default', host: 'reviews-v2' },
    ],
  ])
  expect(snapshots.current.version).toBe(first.version + 2)
})

test('an unchanged service keeps its very endpoint set', () => {
  const base = reviews + entry('reviews-v1', '127.1.1.1', 'v1')
  const { snapshots, set } = snapshotsOf(base)
  const before = snapshots.current.endpoints.get(`default/${host}`)
  expect(set(base + routed(100)).endpoints.get(`default/${host}`)).toBe(before)
})

test('short hosts are full names of their namespace, gateways are namespace/name, and Istio 1.0 fields have their form of today', () => {
  const [object] = snapshotOf(`
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata: { name: ratings, namespace: prod }
spec:
  hosts: [ratings]
  gateways: [mesh, front, other/back]
  http:
  - fault: { delay: { percent: 100, fixedDelay: 7s }, abort: { percent: 10, httpStatus: 500 } }
    appendRequestHeaders: { x-a: b }
    mirror: { host: shadow }
    route: [{ destination: { host: ratings, subset: v1 } }]
`).virtualServices
  expect(object?.spec.hosts).toEqual(['ratings.prod.svc.cluster.local'])
  expect(object?.spec.gateways).toEqual(['mesh', 'prod/front', 'other/back'])
  const route = object?.spec.http[0]
  expect(route?.route[0]?.destination?.host).toBe('ratings.prod.svc.cluster.local')
  expect(route?.mirror?.host).toBe('shadow.prod.svc.cluster.local')
  expect(route?.fault?.delay?.percentage).toEqual({ value: 100 })
  expect(route?.fault?.abort?.percentage).toEqual({ value: 10 })
  expect(route?.headers?.request?.add).toEqual({ 'x-a': 'b' })
})

test('DestinationRules of one namespace for one host are one: all subsets, the first policy', () => {
  const rule = (name: string, subset: string, simple: string): string => `---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: ${name} }
spec:
  host: reviews
  trafficPolicy: { loadBalancer: { simple: ${simple} } }
  subsets: [{ name: ${subset}, labels: { version: ${subset} } }, { name: same, labels: { from: ${name} } }]
`
  const [merged, ...others] = snapshotOf(rule('b', 'v2', 'RANDOM') + rule('a', 'v1', 'ROUND_ROBIN')).destinationRules
  expect(others).toEqual([])
  expect(merged?.spec.subsets.map(({ name, labels }) => [name, labels['from']])).toEqual([
    ['v1', undefined],
    ['same', 'a'],
    ['v2', undefined],
  ])
  expect(merged?.spec.trafficPolicy?.loadBalancer?.lbPolicy).toEqual({ $case: 'simple', value: 4 })
})

test('a delegate stands where it is named, narrowed by its root; what contradicts it falls away', () => {
  const [root, ...others] = snapshotOf(`
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: root }
spec:
  hosts: [shop.example.com]
  http:
  - match: [{ uri: { prefix: /api } }]
    delegate: { name: inner, namespace: prod }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: inner, namespace: prod }
spec:
  http:
  - match: [{ uri: { prefix: /api/v1 } }, { uri: { prefix: /other } }]
    route: [{ destination: { host: api } }]
  - match: [{ uri: { exact: /elsewhere } }]
    route: [{ destination: { host: api } }]
  - route: [{ destination: { host: rest } }]
`).virtualServices
  expect(others).toEqual([])
  const routes = root?.spec.http.map(({ match, route }) => [
    match.map(({ uri }) => uri?.matchType?.value),
    route[0]?.destination?.host,
  ])
  expect(routes).toEqual([
    [['/api/v1'], 'api.prod.svc.cluster.local'],
    [['/api'], 'rest.prod.svc.cluster.local'],
  ])
})

test('a VirtualService to a host that does not exist is a warning at its line, and is used', () => {
  const snapshot = snapshotOf(`${reviews}---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: wrong }
spec:
  hosts: [reviews]
  gateways: [nowhere]
  http:
  - route:
    - destination:
        host: reviewz
      weight: 50
    - destination: { host: reviews, subset: v3 }
      weight: 50
`)
  const found = findDanglingReferences(snapshot).map(({ severity, line, path, message }) => [severity, line, path, message])
  expect(found).toEqual([
    ['warning', 14, 'spec.gateways[0]', 'no Gateway default/nowhere'],
    ['warning', 18, 'spec.http[0].route[0].destination.host', 'no service has the host reviewz.default.svc.cluster.local'],
    [
      'warning',
      20,
      'spec.http[0].route[1].destination.subset',
      'no DestinationRule for reviews.default.svc.cluster.local has the subset "v3"',
    ],
  ])
  expect(snapshot.virtualServices).toHaveLength(1)
})
