import { injectionSettings } from '@weft/inject/settings'
import { expect, test } from 'vitest'
import { answerReview, pathEnvironment } from './admission.ts'

const settings = injectionSettings()

function review(request: Record<string, unknown> = {}, apiVersion = 'admission.k8s.io/v1') {
  const object = { metadata: { generateName: 'web-' }, spec: { containers: [{ name: 'app', image: 'app' }] } }
  return {
    apiVersion,
    kind: 'AdmissionReview',
    request: { uid: 'u1', namespace: 'shop', operation: 'CREATE', object, ...request },
  }
}

const decoded = (patch: string | undefined): { op: string; path: string; value?: unknown }[] =>
  JSON.parse(Buffer.from(patch ?? '', 'base64').toString()) as { op: string; path: string }[]

test.for(['admission.k8s.io/v1', 'admission.k8s.io/v1beta1'])(
  'a pod is injected by a patch, in the version asked for: %s',
  (version) => {
    const { answer, outcome } = answerReview(review({ dryRun: true }, version), settings, { ISTIO_META_CLUSTER_ID: 'east' })
    expect(answer).toMatchObject({ apiVersion: version, kind: 'AdmissionReview' })
    expect(answer.response).toMatchObject({ uid: 'u1', allowed: true, patchType: 'JSONPatch' })
    expect(outcome).toBe('injected')
    const patch = decoded(answer.response.patch)
    expect(patch.find(({ path }) => path === '/spec/initContainers')?.value).toMatchObject([
      { name: 'istio-init' },
      { name: 'istio-proxy', env: expect.arrayContaining([{ name: 'ISTIO_META_CLUSTER_ID', value: 'east' }]) },
    ])
    // The namespace is the request's to say.
    expect(patch.filter(({ path }) => path.startsWith('/metadata/namespace')).map(({ value }) => value)).toEqual(['shop'])
  },
)

test.for([
  ['another resource', { resource: { group: 'apps', version: 'v1', resource: 'deployments' } }],
  ['an update', { operation: 'UPDATE' }],
  ['a subresource', { subResource: 'ephemeralcontainers' }],
  ['a pod that wants none', { object: { metadata: { labels: { 'sidecar.istio.io/inject': 'false' } }, spec: {} } }],
  ["Kubernetes' own namespace", { namespace: 'kube-system' }],
] as const)('%s is allowed without a patch', ([, request]) => {
  const { answer, outcome } = answerReview(review(request), settings, {})
  expect(answer.response).toEqual({ uid: 'u1', allowed: true })
  expect(outcome).toBe('skipped')
})

test('a pod that cannot be injected as it asks is refused with the reason', () => {
  const annotations = { 'sidecar.istio.io/proxyCPU': 'lots' }
  const { answer, outcome } = answerReview(review({ object: { metadata: { annotations }, spec: {} } }), settings, {})
  expect(answer.response).toMatchObject({ allowed: false, status: { message: expect.stringMatching(/quantity/), code: 400 } })
  expect(outcome).toBe('refused')
  expect(answerReview(review({ object: 3 }), settings, {}).answer.response.allowed).toBe(false)
})

test.for([{}, null, { apiVersion: 'v1', kind: 'AdmissionReview' }, { ...review(), apiVersion: 'admission.k8s.io/v2' }])(
  'what is no AdmissionReview is told: %j',
  (body) => {
    expect(() => answerReview(body, settings, {})).toThrow('not an AdmissionReview')
  },
)

test.for([
  ['/inject', {}],
  ['/inject/cluster/east/net/n1', { ISTIO_META_CLUSTER_ID: 'east', ISTIO_META_NETWORK: 'n1' }],
  ['/inject/my_var/a--slash--b/odd', { MY_VAR: 'a/b' }],
  ['/inject/a b/c/__proto__/d', { __PROTO__: 'd' }],
] as const)('the path %s means %j', ([path, environment]) => {
  expect(pathEnvironment(path)).toEqual(environment)
})
