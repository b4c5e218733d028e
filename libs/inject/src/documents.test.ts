import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isRecord } from '@weft/config/document'
import { WeftError } from '@weft/service/errors'
import { expect, test } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { injectDocuments } from './documents.ts'
import { injectionSettings } from './settings.ts'

const settings = injectionSettings()

const deployment = `# a shop
apiVersion: v1
kind: Service
metadata: {name: web}   # stays
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web   # the web
spec:
  template:
    metadata:
      labels: {app: web}
    spec:
      containers:
        # the application
        - name: app
          image: app:1
`

test('comments, order and other objects stay as they were written', () => {
  const { text, injected, skipped } = injectDocuments(deployment, 'web.yaml', settings)
  expect([injected, skipped]).toEqual([1, []])
  expect(text).toContain('# a shop\napiVersion: v1\nkind: Service\nmetadata: {name: web}   # stays\n---\n')
  expect(text).toContain('# the web')
  expect(text).toContain('# the application')
  expect(injectDocuments(text, 'web.yaml', settings).text).toBe(text)
})

test('a text without workloads is given back as it is', () => {
  const text = 'kind:   Service\napiVersion: v1\n\n---\n# nothing\n'
  expect(injectDocuments(text, 'x.yaml', settings)).toEqual({ text, injected: 0, skipped: [] })
})

test.for([
  ['v1', 'Pod', []],
  ['v1', 'ReplicationController', ['spec', 'template']],
  ['apps/v1', 'Deployment', ['spec', 'template']],
  ['apps/v1', 'StatefulSet', ['spec', 'template']],
  ['apps/v1', 'DaemonSet', ['spec', 'template']],
  ['apps/v1', 'ReplicaSet', ['spec', 'template']],
  ['batch/v1', 'Job', ['spec', 'template']],
  ['batch/v1', 'CronJob', ['spec', 'jobTemplate', 'spec', 'template']],
  ['apps.openshift.io/v1', 'DeploymentConfig', ['spec', 'template']],
] as const)('%s %s, alone, in a list and as JSON', ([apiVersion, kind, path]) => {
  let object: Record<string, unknown> = { spec: { containers: [{ name: 'app', image: 'app:1' }] } }
  for (const key of path.toReversed()) object = { [key]: object }
  object = { apiVersion, kind, metadata: { name: 'web' }, ...object }
  for (const [text, at] of [
    [JSON.stringify(object), []],
    [JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [object] }), ['items', 0]],
  ] as const) {
    const injected = injectDocuments(text, 'x.json', settings)
    expect(injected.injected).toBe(1)
    const pod = [...at, ...path].reduce<unknown>((value, key) => (value as Record<string, unknown>)[key], parse(injected.text))
    expect(pod).toMatchObject({ metadata: { labels: { 'service.istio.io/canonical-name': 'web' } } })
    expect(pod).toMatchObject({ spec: { initContainers: [{ name: 'istio-init' }, { name: 'istio-proxy' }] } })
  }
})

test('a value that several objects share by an alias is changed in one only', () => {
  const text = `apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Pod
  metadata: &meta {name: a}
  spec: &spec {containers: [{name: app}]}
- apiVersion: v1
  kind: Pod
  metadata: {<<: *meta, annotations: {sidecar.istio.io/inject: "false"}}
  spec: *spec
`
  const { items } = parse(injectDocuments(text, 'x.yaml', settings).text) as { items: { spec: unknown }[] }
  expect(items[0]?.spec).toHaveProperty('initContainers')
  expect(items[1]?.spec).toEqual({ containers: [{ name: 'app' }] })
})

test.for([
  ['broken', 'kind: Pod\nspec: {a: [}', 2, /broken YAML/],
  [
    'annotation',
    deployment.replace('labels: {app: web}', 'annotations:\n        sidecar.istio.io/proxyCPU: lots'),
    14,
    /quantity/,
  ],
  ['type', deployment.replace('- name: app\n', '- name: [app]\n'), 17, /expected string/],
  ['no pod', 'apiVersion: apps/v1\nkind: Deployment\nspec: {}', 3, /cannot be read/],
] as const)('what is wrong is told with its line: %s', ([, text, line, message]) => {
  let error: WeftError | undefined
  try {
    injectDocuments(text, 'x.yaml', settings)
  } catch (thrown) {
    error = WeftError.from(thrown)
  }
  expect(error?.message).toMatch(message)
  expect(error?.where).toMatchObject({ file: 'x.yaml', line })
})

test('what is left alone is told with the reason', () => {
  const text = deployment.replace('    spec:\n', '    spec:\n      hostNetwork: true\n')
  const skipped = ['Deployment web is not injected: it has host networking enabled']
  expect(injectDocuments(text, 'x.yaml', settings)).toEqual({ text, injected: 0, skipped })
})

test('hostile texts end in an error or pass', () => {
  const nested = `apiVersion: v1\nkind: Pod\nspec: ${'{a: '.repeat(5_000)}1${'}'.repeat(5_000)}`
  const bomb = `apiVersion: v1\nkind: Pod\na: &a [${'x,'.repeat(50)}]\nb: &b [${'*a,'.repeat(50)}]\nc: [${'*b,'.repeat(50)}]\n`
  const prototype = '{"apiVersion":"v1","kind":"Pod","__proto__":{"spec":{}},"constructor":{"x":1}}'
  for (const text of [nested, bomb, prototype, '\0', '- a\n- b', '"x"', 'apiVersion: v1\nkind: List\nitems: [1, null, {}]']) {
    try {
      injectDocuments(text, 'x.yaml', settings)
    } catch (thrown) {
      expect(thrown).toBeInstanceOf(WeftError)
    }
  }
  expect({}).not.toHaveProperty('spec')
}, 120_000)

const samples = ['samples', 'samples-1.0']
  .map((name) => join(import.meta.dirname, '../../../../shared/cases', name))
  .filter(existsSync)
if (samples.length === 0) console.log("Istio's samples are not here: none is injected")

test.skipIf(samples.length === 0)(
  "every workload of Istio's samples is injected, and once more changes nothing",
  () => {
    const withSpire = injectionSettings({ values: { sidecarInjectorWebhook: { templates: { spire: '' } } } })
    let count = 0
    for (const folder of samples) {
      for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((each) => each.endsWith('.yaml'))) {
        const text = readFileSync(join(folder, name), 'utf8')
        if (text.includes('templates: grpc-agent')) {
          expect(() => injectDocuments(text, name, withSpire)).toThrow('requested template "grpc-agent" not found')
          continue
        }
        const once = injectDocuments(text, name, withSpire)
        count += once.injected
        const parsed = parseAllDocuments(once.text)
        for (const document of Array.isArray(parsed) ? parsed : []) {
          const value: unknown = document.toJS()
          if (isRecord(value) && value['kind'] === 'Deployment' && value['apiVersion'] === 'apps/v1') {
            expect(JSON.stringify(value), name).toMatch(/istio-proxy|hostNetwork|"sidecar.istio.io\/inject":"false"/)
          }
        }
        expect(injectDocuments(once.text, name, withSpire).text, name).toBe(once.text)
      }
    }
    expect(count).toBeGreaterThan(50)
  },
  120_000,
)
