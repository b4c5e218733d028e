import { expect, test } from 'vitest'
import { snapshotOf } from '../testing/snapshot-of.ts'
import { parseNode } from './parse-node.ts'
import type { ProxyNode } from './proxy-node.ts'
import { scopeOf } from './scope-of.ts'

function sidecar(namespace: string, metadata: Record<string, unknown> = {}, ip = '127.1.1.1'): ProxyNode {
  const id = `sidecar~${ip}~web.${namespace}~${namespace}.svc.cluster.local`
  return parseNode({ id, metadata: { NAMESPACE: namespace, ...metadata }, locality: undefined })
}

const service = (name: string, namespace: string, annotations = ''): string => `---
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: ${namespace}${annotations} }
spec: { selector: { app: ${name} }, ports: [{ name: http, port: 80 }] }
`

test('a node id and its metadata are read; a bad id says what it has to be', () => {
  const proxy = sidecar('prod', {
    LABELS: { app: 'web' },
    SERVICE_ACCOUNT: 'web',
    INTERCEPTION_MODE: 'NONE',
    WEFT_PROXY: true,
    INSTANCE_IPS: '127.1.1.1,::1',
    LOOPBACK: { prefix: '127.1.1', app: '127.1.1.2', services: { 'a.prod.svc.cluster.local': 16 } },
  })
  expect(proxy).toMatchObject({
    type: 'sidecar',
    ip: '127.1.1.1',
    ips: ['127.1.1.1', '::1'],
    name: 'web.prod',
    namespace: 'prod',
    labels: { app: 'web' },
    interceptionMode: 'NONE',
    isWeft: true,
    loopback: { type: 'sidecar', prefix: '127.1.1', app: '127.1.1.2', services: { 'a.prod.svc.cluster.local': 16 } },
  })
  expect(() => parseNode({ id: 'web-1', metadata: undefined, locality: undefined })).toThrow(/type~ip~name\.namespace~domain/)
})

test('exportTo decides which services a namespace sees', () => {
  const annotation = ", annotations: { networking.istio.io/exportTo: '.' }"
  const snapshot = snapshotOf(service('public', 'prod') + service('private', 'prod', annotation))
  const hosts = (namespace: string): string[] => scopeOf(snapshot, sidecar(namespace)).services.map(({ name }) => name)
  expect(hosts('prod')).toEqual(['private', 'public'])
  expect(hosts('other')).toEqual(['public'])
})

test("a Sidecar narrows egress to its hosts; its selector goes before the namespace's, and that before the root's", () => {
  const egress = (name: string, namespace: string, hosts: string, selector = ''): string => `---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: ${name}, namespace: ${namespace} }
spec: { ${selector}egress: [{ hosts: [${hosts}] }] }
`
  const snapshot = snapshotOf(
    service('a', 'prod') +
      service('b', 'other') +
      service('c', 'other') +
      egress('default', 'istio-system', '"./*"') +
      egress('default', 'prod', '"./*", other/b.other.svc.cluster.local') +
      egress('web', 'prod', '"other/*"', 'workloadSelector: { labels: { app: web } }, '),
  )
  const seen = (namespace: string, labels = {}): string[] =>
    scopeOf(snapshot, sidecar(namespace, { LABELS: labels })).services.map(({ name }) => name)
  expect(seen('prod')).toEqual(['a', 'b'])
  expect(seen('prod', { app: 'web' })).toEqual(['b', 'c'])
  expect(seen('other')).toEqual([])
})

test("DestinationRule: the client's namespace, then the service's, then the root's; the most specific host of each", () => {
  const rule = (name: string, namespace: string, host: string, exportTo = '*'): string => `---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: ${name}, namespace: ${namespace} }
spec: { host: "${host}", exportTo: ["${exportTo}"] }
`
  const host = 'a.prod.svc.cluster.local'
  const ruleAt = (yaml: string, namespace: string): string | undefined =>
    scopeOf(snapshotOf(service('a', 'prod') + yaml), sidecar(namespace)).destinationRule(host)?.metadata.name
  const root = rule('root', 'istio-system', '*.local')
  const server = rule('wide', 'prod', '*.prod.svc.cluster.local') + rule('exact', 'prod', 'a')
  const client = rule('client', 'web', host)
  expect(ruleAt(root, 'web')).toBe('root')
  expect(ruleAt(root + server, 'web')).toBe('exact')
  expect(ruleAt(root + server + client, 'web')).toBe('client')
  expect(ruleAt(root + server + client, 'third')).toBe('exact')
  expect(ruleAt(root + rule('hidden', 'prod', 'a', '.'), 'web')).toBe('root')
  expect(ruleAt(root + rule('hidden', 'prod', 'a', '.'), 'prod')).toBe('hidden')
})

test('PeerAuthentication: the port, then the workload, then the namespace, then the mesh', () => {
  const policy = (name: string, namespace: string, spec: string): string => `---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: ${name}, namespace: ${namespace} }
spec: { ${spec} }
`
  const mesh = policy('default', 'istio-system', 'mtls: { mode: STRICT }')
  const namespace = policy('default', 'prod', 'mtls: { mode: PERMISSIVE }')
  const workload = policy(
    'web',
    'prod',
    'selector: { matchLabels: { app: web } }, mtls: { mode: STRICT }, portLevelMtls: { 8080: { mode: DISABLE } }',
  )
  const mode = (yaml: string, port: number, labels = {}): string =>
    scopeOf(snapshotOf(yaml), sidecar('prod', { LABELS: labels })).inboundMtls(port)
  expect(mode(service('a', 'prod'), 80)).toBe('PERMISSIVE')
  expect(mode(mesh, 80)).toBe('STRICT')
  expect(mode(mesh + namespace, 80)).toBe('PERMISSIVE')
  expect(mode(mesh + namespace + workload, 80, { app: 'web' })).toBe('STRICT')
  expect(mode(mesh + namespace + workload, 8080, { app: 'web' })).toBe('DISABLE')
  expect(mode(mesh + namespace + workload, 8080, { app: 'other' })).toBe('PERMISSIVE')
})

test('a router gets the servers of the Gateways that select it, with the VirtualServices bound to them', () => {
  const snapshot = snapshotOf(`
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: front, namespace: prod }
spec:
  selector: { istio: ingressgateway }
  servers:
  - { port: { number: 80, name: http, protocol: HTTP }, hosts: ["*.example.com"] }
  - { port: { number: 81, name: http-own, protocol: HTTP }, hosts: ["./*"] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: shop, namespace: web }
spec: { hosts: [shop.example.com], gateways: [prod/front], http: [{ route: [{ destination: { host: shop } }] }] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: unbound, namespace: web }
spec: { hosts: [shop.example.com], http: [{ route: [{ destination: { host: shop } }] }] }
`)
  const router = (labels: Record<string, string>): ProxyNode =>
    parseNode({
      id: 'router~127.0.0.1~gw.istio-system~istio-system.svc.cluster.local',
      metadata: { LABELS: labels },
      locality: undefined,
    })
  const servers = scopeOf(snapshot, router({ istio: 'ingressgateway' })).gatewayServers
  expect(servers.map(({ index, virtualServices }) => [index, virtualServices.map(({ metadata }) => metadata.name)])).toEqual([
    [0, ['shop']],
    [1, []],
  ])
  expect(scopeOf(snapshot, router({ istio: 'other' })).gatewayServers).toEqual([])
})

test('a sidecar knows its workload and which service ports lead to it', () => {
  const snapshot = snapshotOf(`${service('a', 'prod')}---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: web, namespace: prod }
spec: { address: 127.1.1.1, labels: { app: a }, ports: { http: 8080 }, serviceAccount: a }
`)
  const scope = scopeOf(snapshot, sidecar('prod'))
  expect(scope.workload?.key).toBe('prod/web')
  expect(scope.instances.map(({ service: { host }, port, endpoint }) => [host, port.number, endpoint.port])).toEqual([
    ['a.prod.svc.cluster.local', 80, 8080],
  ])
  expect(scopeOf(snapshot, sidecar('prod', {}, '127.9.9.9')).instances).toEqual([])
})

test('a change concerns only the proxies whose scope it touches', () => {
  const annotation = ", annotations: { networking.istio.io/exportTo: '.' }"
  const snapshot = snapshotOf(service('public', 'prod') + service('private', 'prod', annotation))
  const concerned = (namespace: string, host: string): boolean =>
    scopeOf(snapshot, sidecar(namespace)).dependsOn({
      kind: 'Endpoints',
      namespace: 'prod',
      host: `${host}.prod.svc.cluster.local`,
    })
  expect(concerned('prod', 'private')).toBe(true)
  expect(concerned('other', 'private')).toBe(false)
  expect(concerned('other', 'public')).toBe(true)
})
