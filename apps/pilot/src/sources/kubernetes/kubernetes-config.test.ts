import type { Nack } from '@weft/config/pilot-api'
import { KubernetesClient } from '@weft/kubernetes/client'
import { accessTo } from '@weft/kubernetes/testing/access-to'
import { StubApiServer } from '@weft/kubernetes/testing/stub-api-server'
import { createLogger } from '@weft/service/logger'
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { KubernetesConfig, type KubernetesConfigOptions } from './kubernetes-config.ts'
import { type ProxyProgress, StatusWriter } from './status-writer.ts'

const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
const virtualServices = '/apis/networking.istio.io/v1/virtualservices'
const patience = { timeout: 10_000, interval: 5 }
const logger = createLogger('test', 'silent')

let server: StubApiServer

beforeEach(async () => {
  server = await StubApiServer.start()
  onTestFinished(() => server.stop())
})

function define(kind: string, plural: string, versions: string[], established = 'True'): void {
  server.put(definitions, {
    metadata: { name: `${plural}.networking.istio.io` },
    spec: {
      group: 'networking.istio.io',
      names: { kind, plural },
      versions: versions.map((name) => ({ name, served: true })),
    },
    status: { conditions: [{ type: 'Established', status: established }] },
  })
}

function route(
  name: string,
  weight: unknown,
  more: { generation?: number; collection?: string; namespace?: string; labels?: object } = {},
): void {
  const { generation = 1, collection = virtualServices, namespace = 'default', labels = {} } = more
  server.put(collection, {
    metadata: { name, namespace, generation, labels, managedFields: [] },
    spec: { hosts: ['reviews'], http: [{ route: [{ destination: { host: 'reviews' }, weight }] }] },
  })
}

async function open(options: Partial<KubernetesConfigOptions> = {}): Promise<KubernetesConfig> {
  const config = new KubernetesConfig({ client: new KubernetesClient(accessTo(server.url)), logger, ...options })
  onTestFinished(() => config.close())
  await vi.waitFor(() => expect(config.state).toEqual({ synced: true, problem: undefined }), patience)
  return config
}

test('objects of the kinds that are defined are read by the rules of files, in the newest version served', async () => {
  define('VirtualService', 'virtualservices', ['v1alpha3', 'v1beta1', 'v1'])
  route('good', 100)
  route('bad', 'many')
  const config = await open()
  expect([...config.current.objects.keys()]).toEqual(['VirtualService/default/good'])
  expect(config.current.problems).toMatchObject([
    { severity: 'error', file: 'virtualservices.networking.istio.io/default/bad', path: 'spec.http[0].route[0].weight' },
  ])
})

test('a kind that is defined later is followed from then on, and its objects go with its definition', async () => {
  const config = await open()
  expect(config.current.objects.size).toBe(0)
  define('VirtualService', 'virtualservices', ['v1beta1'], 'False')
  define('VirtualService', 'virtualservices', ['v1beta1'])
  route('a', 1, { collection: '/apis/networking.istio.io/v1beta1/virtualservices' })
  await vi.waitFor(() => expect(config.current.objects.size).toBe(1), patience)
  server.remove(definitions, undefined, 'virtualservices.networking.istio.io')
  await vi.waitFor(() => expect(config.current.objects.size).toBe(0), patience)
})

test('an object that turns bad leaves its last good version in force; one that is only touched tells nothing new', async () => {
  define('VirtualService', 'virtualservices', ['v1'])
  route('a', 1)
  const config = await open()
  const before = config.current.objects.get('VirtualService/default/a')
  route('a', 1, { generation: 1 })
  route('b', 1)
  await vi.waitFor(() => expect(config.current.objects.size).toBe(2), patience)
  expect(config.current.objects.get('VirtualService/default/a')).toBe(before)
  route('a', 'broken', { generation: 2 })
  await vi.waitFor(() => expect(config.current.problems).toHaveLength(1), patience)
  expect(config.current.objects.get('VirtualService/default/a')).toBe(before)
  server.remove(virtualServices, 'default', 'a')
  await vi.waitFor(() => expect(config.current.objects.size).toBe(1), patience)
})

test('of namespaces that no discovery selector selects nothing is read, nor is anything written there', async () => {
  const namespace = (name: string, labels: object) => server.put('/api/v1/namespaces', { metadata: { name, labels } })
  namespace('default', { mesh: 'on' })
  namespace('other', {})
  define('VirtualService', 'virtualservices', ['v1'])
  route('a', 1)
  route('b', 'broken', { namespace: 'other' })
  const config = await open({ discoverySelectors: [{ matchLabels: { mesh: 'on' } }] })
  expect([...config.current.objects.keys()]).toEqual(['VirtualService/default/a'])
  expect(config.current.problems).toEqual([])
  expect([...config.objects.keys()]).toEqual(['virtualservices.networking.istio.io/default/a'])
  namespace('default', {})
  namespace('other', { mesh: 'on' })
  await vi.waitFor(() => expect(config.current.problems).toHaveLength(1), patience)
  await vi.waitFor(() => expect(config.current.objects.size).toBe(0), patience)
})

test.for([
  ['default', ['a', 'of-default']],
  ['canary', ['a', 'of-canary']],
] as const)('an object that names a revision is read by that one alone: %s', async ([revision, names]) => {
  define('VirtualService', 'virtualservices', ['v1'])
  route('a', 1)
  route('of-default', 1, { labels: { 'istio.io/rev': 'default' } })
  route('of-canary', 1, { labels: { 'istio.io/rev': 'canary' } })
  const config = await open({ revision })
  expect([...config.current.objects.keys()]).toEqual(names.map((name) => `VirtualService/default/${name}`))
})

const settled: ProxyProgress = {
  progress: () => ({ settled: ['a', 'b'], refused: [], waiting: [] }),
  nacks: () => [],
  onProgress: () => () => {},
}

function writer(config: KubernetesConfig, proxies: ProxyProgress, identity = 'pilot-1'): StatusWriter {
  const client = new KubernetesClient(accessTo(server.url))
  const one = new StatusWriter({
    client,
    config,
    proxies,
    generation: () => 1,
    namespace: 'istio-system',
    leaseName: 'weft-pilot-status',
    identity,
    logger,
    leaseMs: 2_000,
  })
  onTestFinished(() => one.close())
  return one
}

function statusOf(name: string): unknown {
  return server.get(virtualServices, 'default', name)?.['status']
}

test('what became of each object is written back once, by one of several replicas', async () => {
  define('VirtualService', 'virtualservices', ['v1'])
  route('good', 1)
  route('bad', 'many')
  const config = await open()
  const writers = [writer(config, settled), writer(config, settled, 'pilot-2')]
  await vi.waitFor(() => {
    expect(statusOf('good')).toMatchObject({ conditions: [{ status: 'True', message: '2/2 proxies up to date' }] })
    expect(statusOf('bad')).toMatchObject({ conditions: [{ status: 'False', reason: 'Invalid' }] })
  }, patience)
  expect(writers.filter(({ leads }) => leads)).toHaveLength(1)
  route('good', 2, { generation: 2 })
  await vi.waitFor(() => expect(statusOf('good')).toMatchObject({ observedGeneration: 2 }), patience)
  const patches = server.requests.filter((line) => line.startsWith('PATCH') && line.includes('/good/'))
  expect(patches).toHaveLength(2)
})

test('an object is reconciled only when proxies have answered, and says what one of them refused', async () => {
  define('VirtualService', 'virtualservices', ['v1'])
  route('a', 1)
  const config = await open()
  let waiting = ['slow']
  let nacks: Nack[] = []
  let tell = (): void => {}
  const one = writer(config, {
    progress: () => ({ settled: ['a'], refused: [], waiting }),
    nacks: () => nacks,
    onProgress: (listener) => {
      tell = listener
      return () => {}
    },
  })
  await vi.waitFor(() => expect(one.leads).toBe(true), patience)
  expect(statusOf('a')).toBeUndefined()
  waiting = []
  tell()
  await vi.waitFor(() => expect(statusOf('a')).toMatchObject({ conditions: [{ status: 'True' }] }), patience)
  const objects = [{ object: 'VirtualService/default/a', file: 'f', line: 1 }]
  nacks = [{ node: 'sidecar~1', resourceType: 'RouteConfiguration', resource: '9080', message: 'no such filter', objects }]
  tell()
  await vi.waitFor(() => expect(statusOf('a')).toMatchObject({ conditions: [{ status: 'False', reason: 'Rejected' }] }), patience)
})
