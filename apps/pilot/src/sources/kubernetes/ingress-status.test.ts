import { KubernetesClient } from '@weft/kubernetes/client'
import { accessTo } from '@weft/kubernetes/testing/access-to'
import { StubApiServer } from '@weft/kubernetes/testing/stub-api-server'
import { createLogger } from '@weft/service/logger'
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { defaultMeshSettings } from '../../model/mesh-settings.ts'
import { IngressStatus } from './ingress-status.ts'
import { KubernetesConfig } from './kubernetes-config.ts'
import { StatusWriter } from './status-writer.ts'

const patience = { timeout: 15_000, interval: 5 }
const logger = createLogger('test', 'silent')
const ingresses = '/apis/networking.k8s.io/v1/ingresses'
const namespace = 'istio-system'

let server: StubApiServer
beforeEach(async () => {
  server = await StubApiServer.start()
  onTestFinished(() => server.stop())
})

function client(): KubernetesClient {
  const one = new KubernetesClient(accessTo(server.url))
  onTestFinished(() => one.close())
  return one
}

function gateway(spec: object, addresses: object[] = []): void {
  server.put('/api/v1/services', {
    metadata: { name: 'istio-ingressgateway', namespace },
    spec,
    status: { loadBalancer: { ingress: addresses } },
  })
}

function ingress(name: string, spec: object, annotations: object = {}): void {
  server.put(ingresses, { metadata: { name, namespace: 'shop', annotations }, spec: { rules: [], ...spec } })
}

const addressesOf = (name: string): unknown =>
  (server.get(ingresses, 'shop', name)?.['status'] as { loadBalancer?: { ingress?: unknown } } | undefined)?.loadBalancer?.ingress

async function open(): Promise<KubernetesConfig> {
  const { ingress: settings } = defaultMeshSettings
  const config = new KubernetesConfig({ client: client(), followsIngresses: true, logger })
  const status = new IngressStatus({ client: client(), config, settings, namespace, logger })
  const writer = new StatusWriter({
    ...{ client: client(), config, ingress: status, logger, namespace, generation: () => 1 },
    proxies: { progress: () => ({ settled: [], refused: [], waiting: [] }), nacks: () => [], onProgress: () => () => {} },
    ...{ leaseName: 'weft-pilot-status', identity: 'pilot', leaseMs: 2_000 },
  })
  for (const one of [config, status, writer]) onTestFinished(() => one.close())
  await vi.waitFor(() => expect(config.state).toEqual({ synced: true, problem: undefined }), patience)
  return config
}

test('Ingresses and their classes are read without a definition', async () => {
  ingress('front', { ingressClassName: 'mesh' })
  server.put('/apis/networking.k8s.io/v1/ingressclasses', { metadata: { name: 'mesh' }, spec: { controller: 'x' } })
  const { current } = await open()
  expect([...current.objects.keys()].sort()).toEqual(['Ingress/shop/front', 'IngressClass/default/mesh'])
})

test('an Ingress of ours says where it is reached, also when that changes; those of others are left alone', async () => {
  gateway({ externalIPs: ['192.0.2.7'] }, [{ ip: '192.0.2.1' }, { hostname: 'lb.example' }])
  ingress('ours', {}, { 'kubernetes.io/ingress.class': 'istio' })
  ingress('other', {}, { 'kubernetes.io/ingress.class': 'nginx' })
  await open()
  const all = [{ ip: '192.0.2.1' }, { hostname: 'lb.example' }, { ip: '192.0.2.7' }]
  await vi.waitFor(() => expect(addressesOf('ours')).toEqual(all), patience)
  gateway({ type: 'ExternalName', externalName: 'edge.example' })
  await vi.waitFor(() => expect(addressesOf('ours')).toEqual([{ hostname: 'edge.example' }]), patience)
  gateway({})
  await vi.waitFor(() => expect(addressesOf('ours')).toBeUndefined(), patience)
  expect(server.get(ingresses, 'shop', 'other')?.['status']).toBeUndefined()
  const written = server.requests.filter((line) => line.startsWith('PATCH') && line.includes('/ours/'))
  expect(written).toHaveLength(3)
})
