import type { LabelSelector } from '@weft/inject/label-selector'
import { KubernetesClient } from '@weft/kubernetes/client'
import { accessTo } from '@weft/kubernetes/testing/access-to'
import { StubApiServer } from '@weft/kubernetes/testing/stub-api-server'
import { createLogger } from '@weft/service/logger'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { buildSnapshot } from '../../model/build-snapshot.ts'
import { defaultMeshSettings } from '../../model/mesh-settings.ts'
import type { Endpoint } from '../../model/workload.ts'
import { registryConformance } from '../conformance/in-vitest.ts'
import { KubernetesRegistry, type KubernetesRegistryOptions } from './kubernetes-registry.ts'
import { kubernetesPlatform } from './platform.ts'
import { stubApiServer } from './stub-server.ts'

describe('the conformance suite, on a stand-in of the API server', () => {
  registryConformance(async () => kubernetesPlatform(await stubApiServer()))
})

describe('what only Kubernetes has', () => {
  let server: StubApiServer
  let registry: KubernetesRegistry

  beforeEach(async () => {
    server = await StubApiServer.start()
  })
  afterEach(async () => {
    await registry.close()
    await server.stop()
  })

  async function open(options: Partial<KubernetesRegistryOptions> = {}): Promise<void> {
    const client = new KubernetesClient(accessTo(server.url))
    registry = new KubernetesRegistry({ client, mesh: defaultMeshSettings, logger: createLogger('test', 'silent'), ...options })
    await vi.waitFor(() => expect(registry.state).toEqual({ synced: true, problem: undefined }), 10_000)
  }

  function endpoints(host: string, port: number): Endpoint[] {
    const snapshot = buildSnapshot({ mesh: defaultMeshSettings, objects: new Map(), registries: [registry.contents] })
    return [...(snapshot.endpoints.get(`default/${host}.default.svc.cluster.local`)?.byPort.get(port) ?? [])]
  }

  function service(name: string, spec: object, annotations: Record<string, string> = {}): void {
    server.put('/api/v1/services', { metadata: { name, namespace: 'default', annotations }, spec })
  }

  function pod(name: string, ip: string, more: { labels?: object; spec?: object; status?: object } = {}): void {
    server.put('/api/v1/pods', {
      metadata: { name, namespace: 'default', labels: more.labels ?? {} },
      spec: { nodeName: 'node-1', containers: [], ...more.spec },
      status: { phase: 'Running', podIP: ip, conditions: [{ type: 'Ready', status: 'True' }], ...more.status },
    })
  }

  function slice(name: string, of: string, ports: object[], endpoints: object[], addressType = 'IPv4'): void {
    const metadata = { name, namespace: 'default', labels: { 'kubernetes.io/service-name': of } }
    server.put('/apis/discovery.k8s.io/v1/endpointslices', { metadata, addressType, ports, endpoints })
  }

  test('several slices are one service; a port that a slice does not name does not lead there', async () => {
    service('web', {
      ports: [
        { name: 'http', port: 80, targetPort: 'http' },
        { name: 'admin', port: 81, targetPort: 'admin' },
      ],
    })
    slice('web-a', 'web', [{ name: 'http', port: 8080 }], [{ addresses: ['10.0.0.1'] }])
    slice(
      'web-b',
      'web',
      [
        { name: 'http', port: 9090 },
        { name: 'admin', port: 9091 },
      ],
      [{ addresses: ['10.0.0.2'] }],
    )
    await open()
    expect(endpoints('web', 80).map(({ address, port }) => [address, port])).toEqual([
      ['10.0.0.1', 8080],
      ['10.0.0.2', 9090],
    ])
    expect(endpoints('web', 81).map(({ address, port }) => [address, port])).toEqual([['10.0.0.2', 9091]])
  })

  test('ready, serving and terminating say how an endpoint is', async () => {
    service('web', { ports: [{ port: 80 }] })
    slice(
      'web-a',
      'web',
      [{ name: '', port: 8080 }],
      [
        { addresses: ['10.0.0.1'], conditions: {} },
        { addresses: ['10.0.0.2'], conditions: { ready: false, serving: true, terminating: true } },
        { addresses: ['10.0.0.3'], conditions: { ready: false, serving: false, terminating: true } },
        { addresses: ['10.0.0.4'], conditions: { ready: false } },
      ],
    )
    await open()
    expect(endpoints('web', 80).map(({ workload }) => workload.health)).toEqual(['healthy', 'draining', 'unhealthy', 'unhealthy'])
  })

  test('locality is the node’s, or the zone of the slice, or what the pod’s label says', async () => {
    const labels = {
      'topology.kubernetes.io/region': 'eu',
      'topology.kubernetes.io/zone': 'eu-a',
      'topology.istio.io/subzone': 'rack-1',
    }
    server.put('/api/v1/nodes', { metadata: { name: 'node-1', labels } })
    service('web', { ports: [{ port: 80 }] })
    pod('web-1', '10.0.0.1')
    pod('web-2', '10.0.0.2', { labels: { 'istio-locality': 'us.us-b.rack-9' } })
    slice(
      'web-a',
      'web',
      [{ name: '', port: 8080 }],
      [
        { addresses: ['10.0.0.1'], targetRef: { kind: 'Pod', name: 'web-1' } },
        { addresses: ['10.0.0.2'], targetRef: { kind: 'Pod', name: 'web-2' } },
        { addresses: ['10.0.0.3'], nodeName: 'node-9', zone: 'eu-c' },
      ],
    )
    await open()
    const localities = (): string[] =>
      endpoints('web', 80).map(({ workload: { locality } }) => `${locality.region}/${locality.zone}/${locality.subZone}`)
    expect(localities()).toEqual(['eu/eu-a/rack-1', 'us/us-b/rack-9', '/eu-c/'])
    server.put('/api/v1/nodes', { metadata: { name: 'node-1', labels: { ...labels, 'topology.kubernetes.io/zone': 'eu-z' } } })
    await vi.waitFor(() => expect(localities()[0]).toBe('eu/eu-z/rack-1'))
  })

  test("a node's heartbeat tells nothing", async () => {
    server.put('/api/v1/nodes', { metadata: { name: 'node-1' } })
    pod('web-1', '10.0.0.1')
    await open()
    let told = 0
    registry.subscribe(() => void told++)
    server.put('/api/v1/nodes', { metadata: { name: 'node-1' }, status: { heartbeat: 1 } })
    pod('web-2', '10.0.0.2')
    await vi.waitFor(() => expect(registry.contents.workloads).toHaveLength(2))
    expect(told).toBe(1)
  })

  test('the network of the root namespace is that of all pods that say none', async () => {
    const labels = { 'topology.istio.io/network': 'east' }
    server.put('/api/v1/namespaces', { metadata: { name: 'istio-system', labels } })
    pod('a', '10.0.0.1')
    pod('b', '10.0.0.2', { labels: { 'topology.istio.io/network': 'west' } })
    await open()
    expect(registry.contents.workloads.map(({ network }) => network)).toEqual(['east', 'west'])
  })

  test('pods that have ended, have no address or share their node’s are no workloads', async () => {
    pod('a', '10.0.0.1')
    pod('ended', '10.0.0.2', { status: { phase: 'Succeeded' } })
    pod('pending', '', { status: { phase: 'Pending' } })
    pod('host', '192.168.0.1', { spec: { hostNetwork: true } })
    await open()
    expect(registry.contents.workloads.map(({ name }) => name)).toEqual(['a'])
  })

  test('a pod of a deployment is known by its name', async () => {
    server.put('/api/v1/pods', {
      metadata: {
        name: 'web-5d4f-x7z',
        namespace: 'default',
        generateName: 'web-5d4f-',
        labels: { 'pod-template-hash': '5d4f' },
        ownerReferences: [{ apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web-5d4f', uid: '1', controller: true }],
      },
      spec: { containers: [] },
      status: { phase: 'Running', podIP: '10.0.0.1' },
    })
    await open()
    expect(registry.contents.workloads).toMatchObject([{ name: 'web', key: 'default/web-5d4f-x7z' }])
  })

  test('an ExternalName leads to its name, a headless service to its pods', async () => {
    service('outside', { type: 'ExternalName', externalName: 'db.example.com', ports: [{ name: 'tcp', port: 5432 }] })
    service('peers', { clusterIP: 'None', ports: [{ name: 'tcp', port: 7000 }] })
    slice('peers-a', 'peers', [{ name: 'tcp', port: 7000 }], [{ addresses: ['10.0.0.1'], hostname: 'peers-0' }])
    await open()
    const known = new Map(registry.contents.services.map(({ service: one }) => [one.name, one]))
    expect(known.get('outside')).toMatchObject({ resolution: 'dns', meshExternal: true })
    expect(endpoints('outside', 5432).map(({ address }) => address)).toEqual(['db.example.com'])
    expect(known.get('peers')).toMatchObject({ resolution: 'passthrough', headless: true })
    expect(endpoints('peers', 7000).map(({ address }) => address)).toEqual(['10.0.0.1'])
  })

  test('of a dual-stack service the endpoints are those of its first family', async () => {
    service('web', { ports: [{ port: 80 }], ipFamilies: ['IPv6', 'IPv4'] })
    slice('web-4', 'web', [{ name: '', port: 8080 }], [{ addresses: ['10.0.0.1'] }])
    slice('web-6', 'web', [{ name: '', port: 8080 }], [{ addresses: ['fd00::1'] }], 'IPv6')
    await open()
    expect(endpoints('web', 80).map(({ address }) => address)).toEqual(['fd00::1'])
  })

  test('annotations say whom a service is for, and which identities its servers may have', async () => {
    service(
      'web',
      { ports: [{ port: 80 }] },
      {
        'networking.istio.io/exportTo': '., other',
        'alpha.istio.io/kubernetes-serviceaccounts': 'legacy',
        'alpha.istio.io/canonical-serviceaccounts': 'spiffe://other/ns/a/sa/b',
      },
    )
    await open()
    expect(registry.contents.services[0]?.service).toMatchObject({
      exportTo: ['.', 'other'],
      subjectAltNames: ['spiffe://cluster.local/ns/default/sa/legacy', 'spiffe://other/ns/a/sa/b'],
    })
  })

  test('a selector finds the workloads of other registries, and pods only by slices', async () => {
    service('web', { ports: [{ name: 'http', port: 80, targetPort: 8080 }], selector: { app: 'web' } })
    pod('web-1', '10.0.0.1', { labels: { app: 'web' } })
    await open()
    expect(endpoints('web', 80)).toEqual([])
    const [own] = registry.contents.workloads
    const machine = { ...own!, key: 'default/vm', name: 'vm', address: '10.9.0.1', origin: 'WorkloadEntry/default/vm' }
    const other = { services: [], workloads: [machine] }
    const registries = [registry.contents, other]
    const snapshot = buildSnapshot({ mesh: defaultMeshSettings, objects: new Map(), registries })
    const found = snapshot.endpoints.get('default/web.default.svc.cluster.local')?.byPort.get(80) ?? []
    expect(found.map(({ address, port }) => [address, port])).toEqual([['10.9.0.1', 8080]])
  })

  test("a pod's new label reaches its endpoints; what the API server changes otherwise tells nothing", async () => {
    service('web', { ports: [{ port: 80 }] })
    pod('web-1', '10.0.0.1', { labels: { version: 'v1' } })
    slice('web-a', 'web', [{ name: '', port: 8080 }], [{ addresses: ['10.0.0.1'], targetRef: { kind: 'Pod', name: 'web-1' } }])
    await open()
    let told = 0
    registry.subscribe(() => void told++)
    server.put('/api/v1/services', {
      metadata: { name: 'web', namespace: 'default', annotations: {}, managedFields: [{}] },
      spec: { ports: [{ port: 80 }] },
      status: { loadBalancer: {} },
    })
    pod('web-1', '10.0.0.1', { labels: { version: 'v2' } })
    await vi.waitFor(() => expect(endpoints('web', 80)[0]?.workload.labels).toEqual({ version: 'v2' }))
    expect(told).toBe(1)
  })

  test('with namespaces named, nothing of the cluster as a whole is asked for', async () => {
    service('web', { ports: [{ port: 80 }] })
    server.put('/api/v1/services', { metadata: { name: 'web', namespace: 'other' }, spec: { ports: [{ port: 80 }] } })
    server.put('/api/v1/services', { metadata: { name: 'web', namespace: 'third' }, spec: { ports: [{ port: 80 }] } })
    await open({ namespaces: ['default', 'other'] })
    expect(registry.contents.services.map(({ service: { namespace } }) => namespace).sort()).toEqual(['default', 'other'])
    expect(server.requests.every((line) => line.includes('/namespaces/default/') || line.includes('/namespaces/other/'))).toBe(
      true,
    )
  })

  test('with discoverySelectors only the namespaces that one selects are in the mesh, as their labels say now', async () => {
    const namespace = (name: string, labels: object) => server.put('/api/v1/namespaces', { metadata: { name, labels } })
    namespace('default', { mesh: 'on' })
    namespace('other', {})
    service('web', { ports: [{ port: 80 }] })
    pod('web-1', '10.0.0.1')
    server.put('/api/v1/services', { metadata: { name: 'web', namespace: 'other' }, spec: { ports: [{ port: 80 }] } })
    const discoverySelectors: LabelSelector[] = [{ matchLabels: { mesh: 'on' } }, { matchLabels: { team: 'pay' } }]
    await open({ mesh: { ...defaultMeshSettings, discoverySelectors } })
    const known = (): string[] => registry.contents.services.map(({ service: one }) => one.namespace).sort()
    expect(known()).toEqual(['default'])
    expect(registry.contents.workloads).toHaveLength(1)
    namespace('other', { team: 'pay' })
    await vi.waitFor(() => expect(known()).toEqual(['default', 'other']))
    namespace('default', {})
    await vi.waitFor(() => expect(known()).toEqual(['other']))
    expect(registry.contents.workloads).toEqual([])
  })

  test('objects that cannot be read are passed over', async () => {
    server.put('/api/v1/services', { metadata: { name: 'bad', namespace: 'default' }, spec: { ports: 'none' } })
    server.put('/api/v1/pods', { metadata: { name: 'bad', namespace: 'default' }, spec: 5 })
    slice('bad', 'web', [{ port: 'x' }], [{ addresses: [] }])
    service('web', { ports: [{ port: 80 }] })
    await open()
    expect(registry.contents.services.map(({ service: { name } }) => name)).toEqual(['web'])
  })
})
