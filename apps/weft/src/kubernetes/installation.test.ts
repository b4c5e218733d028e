import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { isRecord } from '@weft/config/document'
import { decide } from '@weft/inject/decide'
import { injectPod } from '@weft/inject/inject'
import { readPod } from '@weft/inject/pod'
import { injectionSettings } from '@weft/inject/settings'
import { workloadOf } from '@weft/inject/workload'
import { KubernetesClient } from '@weft/kubernetes/client'
import { accessTo } from '@weft/kubernetes/testing/access-to'
import { expect, onTestFinished, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { applyObjects } from './apply-objects.ts'
import { installSettings } from './install-settings.ts'
import { installation } from './manifests/installation.ts'
import type { KubernetesObject } from './manifests/object.ts'

const installed = (values: unknown = {}, revision?: string): KubernetesObject[] =>
  installation(installSettings(injectionSettings({ values, ...(revision === undefined ? {} : { revision }) }), undefined))

interface PodSpec {
  serviceAccountName: string
  containers: { name: string; args?: string[]; volumeMounts?: { name: string }[]; securityContext: Record<string, unknown> }[]
  volumes?: { name: string; configMap?: { name: string } }[]
  securityContext: Record<string, unknown>
}
interface Workload extends KubernetesObject {
  spec: {
    selector: { matchLabels: Record<string, string> }
    template: { metadata: { labels: Record<string, string> }; spec: PodSpec }
    volumeClaimTemplates?: { metadata: { name: string } }[]
  }
}

const workloadsOf = (objects: KubernetesObject[]): Workload[] =>
  objects.filter((object): object is Workload => ['Deployment', 'StatefulSet'].includes(object.kind))
const named = (objects: KubernetesObject[], kind: string): string[] =>
  objects.filter((object) => object.kind === kind).map(({ metadata }) => metadata.name)

test.for([
  ['default', installed()],
  ['of a revision, in another namespace', installed({ global: { istioNamespace: 'mesh' } }, 'canary')],
] as const)('what an installation names is in it: %s', ([, objects]) => {
  const configMaps = [...named(objects, 'ConfigMap'), 'istio-ca-root-cert']
  for (const { metadata, spec } of workloadsOf(objects)) {
    const { template, selector } = spec
    expect(named(objects, 'ServiceAccount'), metadata.name).toContain(template.spec.serviceAccountName)
    expect(template.metadata.labels).toMatchObject(selector.matchLabels)
    const volumes = [...(template.spec.volumes ?? []), ...(spec.volumeClaimTemplates ?? []).map((claim) => claim.metadata)]
    for (const container of template.spec.containers) {
      for (const mount of container.volumeMounts ?? []) expect(volumes.map(({ name }) => name)).toContain(mount.name)
    }
    for (const { configMap } of template.spec.volumes ?? []) if (configMap) expect(configMaps).toContain(configMap.name)
  }
  for (const { kind, metadata, spec } of objects.filter((object) => object.kind === 'Service')) {
    const { selector } = spec as { selector: Record<string, string> }
    const found = workloadsOf(objects).filter(({ spec: { template } }) => {
      return Object.entries(selector).every(([key, value]) => template.metadata.labels[key] === value)
    })
    expect(found, `${kind} ${metadata.name}`).toHaveLength(1)
  }
  for (const { metadata, roleRef, subjects } of objects.filter(({ kind }) => /Binding$/.test(kind))) {
    const bound = roleRef as { kind: string; name: string }
    expect(named(objects, bound.kind)).toContain(bound.name)
    expect(named(objects, 'ServiceAccount'), metadata.name).toContain((subjects as { name: string }[])[0]?.name)
  }
})

test('nothing runs as root, can write to its image, has a capability, or may do more than it has to', () => {
  const objects = installed()
  for (const { metadata, spec } of workloadsOf(objects)) {
    expect(spec.template.spec.securityContext, metadata.name).toMatchObject({
      runAsNonRoot: true,
      seccompProfile: { type: 'RuntimeDefault' },
    })
    for (const container of spec.template.spec.containers) {
      expect(container.securityContext).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      })
    }
  }
  for (const { metadata, rules } of objects.filter(({ kind }) => /Role$/.test(kind))) {
    for (const { verbs, apiGroups, resources } of rules as { verbs: string[]; apiGroups: string[]; resources: string[] }[]) {
      expect(verbs).not.toContain('*')
      expect(apiGroups).not.toContain('*')
      if (!resources.includes('secrets')) continue
      // What a Gateway names as credentialName.
      expect(['weft-pilot-istio-system', 'istio-ingressgateway-sds']).toContain(metadata.name)
      expect(verbs).toEqual(['get', 'list', 'watch'])
    }
  }
  expect(named(objects, 'PodDisruptionBudget')).toEqual(['mixer', 'pilot', 'istio-ingressgateway'])
  expect(named(objects, 'HorizontalPodAutoscaler')).toEqual(['mixer', 'pilot', 'istio-ingressgateway'])
})

test('the control plane is not injected; the gateway is, as one', () => {
  for (const { metadata, spec } of workloadsOf(installed())) {
    const pod = readPod({ metadata: spec.template.metadata, spec: spec.template.spec })
    const settings = injectionSettings()
    const isGateway = metadata.name === 'istio-ingressgateway'
    expect(decide(pod, 'istio-system', settings).inject, metadata.name).toBe(isGateway)
    if (!isGateway) continue
    const injected = injectPod({ pod, workload: workloadOf(pod), settings })
    expect(injected.spec.containers).toMatchObject([
      { name: 'istio-proxy', image: 'weft/proxy:latest', args: ['proxy', 'router', ...Array(5).fill(expect.anything())] },
    ])
    expect(injected.spec.initContainers).toBeUndefined()
  }
})

test('a revision is a Pilot with its webhook beside what is there', () => {
  const objects = installed({}, 'canary')
  expect(workloadsOf(objects).map(({ metadata }) => metadata.name)).toEqual(['pilot-canary'])
  expect(named(objects, 'MutatingWebhookConfiguration')).toEqual(['istio-sidecar-injector-canary'])
  expect(named(objects, 'ValidatingWebhookConfiguration')).toEqual(['istio-validator-canary-istio-system'])
  const args = workloadsOf(objects)[0]?.spec.template.spec.containers[0]?.args ?? []
  expect(args).toEqual(
    expect.arrayContaining([
      '--revision=canary',
      '--webhook-dns-name=pilot-canary.istio-system.svc',
      '--citadel-address=citadel.istio-system.svc:15012',
    ]),
  )
})

test.for([
  [{ global: { istioNamespace: 'No Name' } }, /no name that Kubernetes takes/],
  [{ pilot: { autoscaleMin: 0 } }, /pilot.autoscaleMin/],
  [{ ingressGateway: { serviceType: 'Magic' } }, /ingressGateway.serviceType/],
] as const)('what cannot be installed is refused: %j', ([values, message]) => {
  expect(() => installed(values)).toThrow(message)
})

test('objects are applied server-side, in order, and a refusal names its object', async () => {
  const asked: { url: string; type: string | undefined; body: unknown }[] = []
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      asked.push({ url: request.url ?? '', type: request.headers['content-type'], body: JSON.parse(body) })
      const refused = request.url?.includes('configmaps/istio?') === true
      response.writeHead(refused ? 422 : 200).end(JSON.stringify(refused ? { kind: 'Status', message: 'too long' } : {}))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const client = new KubernetesClient(accessTo(`http://127.0.0.1:${(server.address() as AddressInfo).port}`))
  onTestFinished(() => client.close())
  const applied: string[] = []
  const objects = installed({ base: { enableIstioConfigCRDs: false } })
  await expect(applyObjects(client, objects, true, ({ kind }) => applied.push(kind))).rejects.toThrow(/too long/)
  expect(applied.slice(0, 2)).toEqual(['Namespace', 'ServiceAccount'])
  expect(asked[0]).toMatchObject({
    url: '/api/v1/namespaces/istio-system?fieldManager=weft&force=true&dryRun=All',
    type: 'application/apply-patch+yaml',
  })
  expect(asked.map(({ url }) => url.split('?')[0])).toContain('/apis/apps/v1/namespaces/istio-system/statefulsets/citadel')
})

test('the kustomize base in deploy/kubernetes is what `weft install` prints, but for the definitions', async () => {
  const file = join(import.meta.dirname, '../../../../deploy/kubernetes/base/weft.yaml')
  const parsed = parseAllDocuments(await readFile(file, 'utf8'))
  const objects = Array.isArray(parsed) ? parsed.map((document) => document.toJS() as unknown).filter(isRecord) : []
  const without = { base: { enableIstioConfigCRDs: false } }
  expect(objects, 'make it anew, as its kustomization.yaml says').toEqual(JSON.parse(JSON.stringify(installed(without))))
})
