import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { builtFor, builtFrom, nodeOf } from '../testing/built-for.ts'
import { envoyBinary, validateWithEnvoy } from '../testing/real-envoy.ts'
import { snapshotOf } from '../testing/snapshot-of.ts'
import { staticBootstrap } from '../testing/static-bootstrap.ts'

/** Istio's own samples, where they are beside the repository. */
const samples = join(import.meta.dirname, '../../../../../shared/cases')
const folders = [
  'samples/bookinfo/networking',
  'samples/bookinfo/platform/kube',
  'samples/httpbin',
  'samples/helloworld',
  'samples/tcp-echo',
  'samples/sleep',
  'samples/external',
  'samples/websockets',
  'samples-1.0/bookinfo/networking',
]
const files = folders
  .map((folder) => join(samples, folder))
  .filter(existsSync)
  .flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)))
  .filter((file) => file.endsWith('.yaml'))

if (files.length === 0) console.log("skipped: Istio's samples are not beside the repository")
if (envoyBinary === undefined) console.log('skipped: what is built is not validated by real Envoy (set WEFT_ENVOY)')

/** Every endpoint on this machine's loopback, so that sidecars have something to stand beside. */
const workloads = ['productpage', 'reviews', 'ratings', 'details', 'tcp-echo'].map(
  (app, index) => `
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: ${app}-v1 }
spec: { address: 127.5.${index + 1}.1, labels: { app: ${app}, version: v1 }, serviceAccount: ${app} }
---
`,
)
const services = files.filter(
  (file) => file.includes('platform/kube') || /(httpbin|helloworld|tcp-echo-services|sleep)\.yaml$/.test(file),
)

const bookinfo = join(samples, 'samples/bookinfo/platform/kube/bookinfo.yaml')

const nodes = {
  'a sidecar that catches connections': nodeOf('sidecar', { LABELS: { app: 'productpage' } }, '127.5.1.1'),
  'a sidecar on loopback addresses': nodeOf(
    'sidecar',
    { LABELS: { app: 'tcp-echo' }, INTERCEPTION_MODE: 'NONE', LOOPBACK: { prefix: '127.5.5', app: '127.5.5.2' } },
    '127.5.5.1',
  ),
  'the ingress gateway': nodeOf('router', { NAMESPACE: 'istio-system', LABELS: { istio: 'ingressgateway' } }),
}

describe.skipIf(files.length === 0)("Istio's samples, as they are", () => {
  test('every one builds for every kind of proxy, with all that it refers to', () => {
    for (const file of files) {
      const context = [bookinfo, file].map((one) => readFileSync(one, 'utf8')).join('\n---\n')
      const snapshot = snapshotOf(`${workloads.join('')}${context}`)
      for (const node of Object.values(nodes)) expect(builtFrom(snapshot, node).clusters.size, file).toBeGreaterThan(0)
    }
  })

  test.skipIf(envoyBinary === undefined).each(Object.entries(nodes))(
    'real Envoy finds nothing to refuse in what is built of them for %s',
    async (_name, node) => {
      const text = [...new Set([...services, ...files])].map((file) => readFileSync(file, 'utf8')).join('\n---\n')
      const built = builtFor(`${workloads.join('')}${text}`, node)
      expect(built.listeners.size).toBeGreaterThan(1)
      expect(await validateWithEnvoy(staticBootstrap(built))).toBe('')
    },
  )
})
