import { expect, test } from 'vitest'
import { decide } from './decide.ts'
import { injectPod } from './inject.ts'
import { findSidecar, type Pod, readPod } from './pod.ts'
import { injectionSettings } from './settings.ts'
import { workloadOf } from './workload.ts'

const settings = injectionSettings()

function podWith(annotations: Record<string, string> = {}, spec: Record<string, unknown> = {}): Pod {
  const containers = [{ name: 'app', image: 'app:1', ports: [{ name: 'http', containerPort: 8080 }] }]
  return readPod({
    metadata: { name: 'web', namespace: 'shop', labels: { app: 'web' }, annotations },
    spec: { containers, ...spec },
  })
}

function inject(pod: Pod, values: unknown = {}, environment: Record<string, string> = {}): Pod {
  return injectPod({ pod, workload: workloadOf(pod), settings: injectionSettings({ values }), environment })
}

test('a sidecar finds Citadel and the Pilot of its revision, and says which it is of', () => {
  const pod = podWith()
  const canary = injectionSettings({ revision: 'canary', values: { global: { istioNamespace: 'mesh' } } })
  const injected = injectPod({ pod, workload: workloadOf(pod), settings: canary })
  const env = Object.fromEntries((findSidecar(injected)?.env ?? []).map(({ name, value }) => [name, value]))
  expect(env['CA_ADDR']).toBe('citadel.mesh.svc:15012')
  expect(JSON.parse(env['PROXY_CONFIG'] ?? '')).toEqual({ discoveryAddress: 'pilot-canary.mesh.svc:15012' })
  expect(injected.metadata.annotations?.['istio.io/rev']).toBe('canary')
})

test.for([
  ['as it is', podWith()],
  ['not native', podWith({ 'sidecar.istio.io/nativeSidecar': 'false' })],
  [
    'with a proxy container of its own',
    podWith({}, { containers: [{ name: 'istio-proxy', image: 'auto', args: ['x'] }, { name: 'app' }] }),
  ],
  ['with probes', podWith({}, { containers: [{ name: 'app', livenessProbe: { httpGet: { path: '/', port: 80 } } }] })],
  ['with metrics of its own', podWith({ 'prometheus.io/port': '9100', 'prometheus.io/scrape': 'true' })],
] as const)('injecting what was injected changes nothing: a pod %s', ([, pod]) => {
  const once = inject(pod)
  expect(inject(once)).toEqual(once)
})

test('the pod that is given stays as it is', () => {
  const pod = podWith({}, { containers: [{ name: 'app', livenessProbe: { tcpSocket: { port: 80 } } }] })
  const before = structuredClone(pod)
  inject(pod)
  expect(pod).toEqual(before)
})

test('the webhook may name cluster and network; the label of the pod goes first', () => {
  const environment = { ISTIO_META_CLUSTER_ID: 'east', ISTIO_META_NETWORK: 'n1' }
  const injected = inject(podWith(), {}, environment)
  expect(findSidecar(injected)?.env).toContainEqual({ name: 'ISTIO_META_CLUSTER_ID', value: 'east' })
  expect(injected.metadata.labels?.['topology.istio.io/network']).toBe('n1')
  const labelled = podWith()
  labelled.metadata.labels = { 'topology.istio.io/network': 'n2' }
  expect(findSidecar(inject(labelled, {}, environment))?.env).toContainEqual({ name: 'ISTIO_META_NETWORK', value: 'n2' })
})

test('probes of all kinds go through the agent; what is no probe of a request stays', () => {
  const container = {
    name: 'app',
    ports: [{ name: 'web', containerPort: 8443 }],
    readinessProbe: { httpGet: { path: '/ready', port: 'web', scheme: 'HTTPS' }, timeoutSeconds: 2 },
    livenessProbe: { grpc: { port: 9000, service: 'x' } },
    startupProbe: { exec: { command: ['true'] } },
    lifecycle: { preStop: { tcpSocket: { port: 7000 } } },
  }
  const injected = inject(podWith({}, { containers: [container] }))
  const [app] = injected.spec.containers
  expect(app?.readinessProbe).toEqual({
    httpGet: { path: '/app-health/app/readyz', port: 15020, scheme: 'HTTP' },
    timeoutSeconds: 2,
  })
  expect(app?.livenessProbe).toEqual({ httpGet: { path: '/app-health/app/livez', port: 15020 } })
  expect(app?.startupProbe).toEqual({ exec: { command: ['true'] } })
  const probers = findSidecar(injected)?.env?.find(({ name }) => name === 'ISTIO_KUBE_APP_PROBERS')?.value ?? ''
  expect(JSON.parse(probers)).toEqual({
    '/app-health/app/livez': { grpc: { port: 9000, service: 'x' } },
    '/app-health/app/readyz': { httpGet: { path: '/ready', port: 8443, scheme: 'HTTPS' }, timeoutSeconds: 2 },
    '/app-lifecycle/app/prestopz': { tcpSocket: { port: 7000 } },
  })
})

test.for([
  [{ 'traffic.sidecar.istio.io/includeInboundPorts': '80,x' }, /'x' is not a port/],
  [{ 'traffic.sidecar.istio.io/excludeOutboundIPRanges': '10.0.0.0/33' }, /not a range/],
  [{ 'sidecar.istio.io/proxyCPU': 'lots' }, /quantity/],
  [{ 'proxy.istio.io/config': 'concurency: 2' }, /concurency/],
  [{ 'proxy.istio.io/config': '{' }, /YAML/],
  [{ 'proxy.istio.io/overrides': '[' }, /no JSON object/],
  [{ 'sidecar.istio.io/userVolume': '["x"]' }, /JSON object of objects/],
  [{ 'inject.istio.io/templates': 'sidecar,unknown' }, /"unknown" not found; have gateway, sidecar/],
  [{ 'prometheus.io/port': '15090' }, /one of the proxy's own/],
  [{ 'sidecar.istio.io/interceptionMode': 'MAGIC' }, /REDIRECT, TPROXY or NONE/],
] as const)('an annotation that cannot be followed is refused: %j', ([annotations, message]) => {
  expect(() => inject(podWith(annotations))).toThrow(message)
})

test("an operator's template is laid over the pod beside the others; a Go template is refused", () => {
  const templates = { extra: 'metadata: {labels: {extra: "yes"}}', go: 'spec: {{ .X }}' }
  const values = { sidecarInjectorWebhook: { templates, aliases: { both: ['sidecar', 'extra'] } } }
  const injected = inject(podWith({ 'inject.istio.io/templates': 'both' }), values)
  expect(injected.metadata.labels?.['extra']).toBe('yes')
  expect(findSidecar(injected)).toBeDefined()
  expect(() => inject(podWith({ 'inject.istio.io/templates': 'go' }), values)).toThrow(/Go template/)
})

test.for([
  ['enabled', {}, {}, {}, true],
  ['disabled', {}, {}, {}, false],
  ['disabled', { 'sidecar.istio.io/inject': 'true' }, {}, {}, true],
  ['enabled', { 'sidecar.istio.io/inject': 'false' }, { 'sidecar.istio.io/inject': 'true' }, {}, false],
  ['enabled', {}, { 'sidecar.istio.io/inject': 'false' }, {}, false],
  ['enabled', { 'sidecar.istio.io/inject': 'perhaps' }, {}, {}, true],
  ['enabled', { never: 'x' }, {}, {}, false],
  ['enabled', { never: 'x', 'sidecar.istio.io/inject': 'true' }, {}, {}, true],
  ['disabled', { tier: 'front' }, {}, {}, true],
  ['enabled', {}, {}, { hostNetwork: true }, false],
] as const)('policy %s, labels %j, annotations %j, spec %j: injected %s', ([autoInject, labels, annotations, spec, expected]) => {
  const sidecarInjectorWebhook = {
    neverInjectSelector: [{ matchExpressions: [{ key: 'never', operator: 'Exists' }] }, {}],
    alwaysInjectSelector: [{ matchLabels: { tier: 'front' } }],
  }
  const values = { global: { proxy: { autoInject } }, sidecarInjectorWebhook }
  const pod = readPod({ metadata: { labels, annotations }, spec: { containers: [], ...spec } })
  expect(decide(pod, 'shop', injectionSettings({ values })).inject).toBe(expected)
})

test("pods of Kubernetes' own namespaces are left alone", () => {
  const pod = readPod({ metadata: { labels: { 'sidecar.istio.io/inject': 'true' } }, spec: {} })
  expect(decide(pod, 'kube-system', settings)).toEqual({ inject: false, reason: "namespace kube-system is Kubernetes' own" })
})

test.for([
  [{ kind: 'ReplicaSet', name: 'web-5d9' }, { 'pod-template-hash': '5d9' }, 'Deployment', 'web'],
  [{ kind: 'ReplicaSet', name: 'web-77' }, { 'rollouts-pod-template-hash': '77' }, 'Rollout', 'web'],
  [{ kind: 'ReplicaSet', name: 'plain' }, {}, 'ReplicaSet', 'plain'],
  [{ kind: 'ReplicationController', name: 'web-1' }, { deploymentconfig: 'web' }, 'DeploymentConfig', 'web'],
  [{ kind: 'Job', name: 'nightly-28012345' }, {}, 'CronJob', 'nightly'],
  [{ kind: 'Job', name: 'once' }, {}, 'Job', 'once'],
  [{ kind: 'StatefulSet', name: 'db' }, {}, 'StatefulSet', 'db'],
] as const)('a pod of %j with labels %j belongs to the %s %s', ([owner, labels, kind, name]) => {
  const ownerReferences = [{ apiVersion: 'apps/v1', controller: true, ...owner }]
  const pod = readPod({ metadata: { generateName: 'x-', labels, ownerReferences }, spec: {} })
  expect(workloadOf(pod)).toMatchObject({ kind, name })
})

test.for([
  [{ spec: { containers: [{ image: 'x' }] } }, /spec.containers\[0\].name/],
  [{ metadata: { annotations: { a: true } }, spec: {} }, /metadata.annotations/],
  ['text', /a string, not an object/],
] as const)('what is no pod is told with its path: %j', ([value, message]) => {
  let told = ''
  try {
    readPod(value)
  } catch (thrown) {
    told = (thrown as { describe(): string }).describe()
  }
  expect(told).toMatch(message)
})
