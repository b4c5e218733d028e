import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { until } from '../../processes.ts'
import type { MeshUnderTest } from '../mesh-under-test.ts'
import { expect, type Scenario } from '../scenario.ts'
import { get } from '../traffic.ts'

const patienceMs = 30_000

/** Kinds besides those of Istio's samples: Telemetry, EnvoyFilter, and Ingress of Kubernetes. */
export async function kindsChecks(scenario: Scenario, mesh: MeshUnderTest): Promise<void> {
  scenario.section('Telemetry, EnvoyFilter and Ingress')
  const file = async (name: string, yaml: string): Promise<string> => {
    const path = join(mesh.stateFolder, `${name}.yaml`)
    await writeFile(path, yaml)
    return path
  }
  await scenario.attempt('a Telemetry logs accesses of one workload, as far as its filter says', async () => {
    const applied = await file('telemetry', telemetry)
    const { log } = mesh.part('details-v1-sidecar')
    const url = `http://${mesh.outbound('productpage-v1', 'details')}:9080`
    // The mesh logs everything without it; what is asked for after it is known by this.
    const mark = 'after-telemetry'
    const lines = async (): Promise<string[]> => (await readFile(log, 'utf8')).split('\n').filter((text) => text.includes(mark))
    await mesh.apply(applied)
    expect((await get(`${url}/details/0?${mark}`)).status === 200, 'details does not answer')
    await get(`${url}/nothing?${mark}`)
    await until(async () => (await lines()).length > 0, 'a line in the log of details', undefined, patienceMs)
    const [line = '', ...more] = await lines()
    expect(more.length === 0 && line.includes('/nothing') && line.includes(' 404 '), [line, ...more].join('\n'))
    const { code, output } = await mesh.weft('delete', '-f', applied)
    expect(code === 0, output)
    return line.slice(0, 80)
  })
  await scenario.attempt('an EnvoyFilter puts a filter into one workload, and takes it out again', async () => {
    const applied = await file('envoy-filter', envoyFilter)
    const answeredBy = async (service: string, path: string): Promise<string | string[] | undefined> =>
      (await get(`http://${mesh.outbound('productpage-v1', service)}:9080${path}`)).headers['x-answered-by']
    await mesh.apply(applied)
    await until(
      async () => (await answeredBy('details', '/details/0')) === 'details',
      'the header of the filter',
      undefined,
      patienceMs,
    )
    expect((await answeredBy('ratings', '/ratings/0')) === undefined, 'ratings is patched too')
    const { code, output } = await mesh.weft('delete', '-f', applied)
    expect(code === 0, output)
    await until(async () => (await answeredBy('details', '/details/0')) === undefined, 'it to be gone', undefined, patienceMs)
    return undefined
  })
  await scenario.attempt('an Ingress is served by the gateway, and goes when it is deleted', async () => {
    const applied = await file('ingress', ingress)
    const { gatewayPorts } = mesh.state()
    const url = `http://127.0.0.1:${gatewayPorts['80']}/details/0`
    const status = async (): Promise<number> => (await get(url, { host: 'details.test' }).catch(() => undefined))?.status ?? 0
    await mesh.apply(applied)
    await until(async () => (await status()) === 200, `an answer from ${url}`, undefined, patienceMs)
    expect((await get(url, { host: 'other.test' }).catch(() => undefined))?.status === 404, 'another host is served')
    const { code, output } = await mesh.weft('delete', '-f', applied)
    expect(code === 0, output)
    await until(async () => (await status()) !== 200, 'it to be gone', undefined, patienceMs)
    return undefined
  })
}

const telemetry = `apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: { name: failures, namespace: default }
spec:
  selector: { matchLabels: { app: details } }
  accessLogging: [{ providers: [{ name: envoy }], match: { mode: SERVER }, filter: { expression: response.code >= 400 } }]
`

const envoyFilter = `apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: { name: say-who, namespace: default }
spec:
  workloadSelector: { labels: { app: details } }
  configPatches:
    - applyTo: HTTP_FILTER
      match:
        context: SIDECAR_INBOUND
        listener:
          filterChain:
            filter: { name: envoy.filters.network.http_connection_manager, subFilter: { name: envoy.filters.http.router } }
      patch:
        operation: INSERT_BEFORE
        value:
          name: say-who
          typed_config:
            "@type": type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation
            mutations: { response_mutations: [{ append: { header: { key: x-answered-by, value: details } } }] }
`

const ingress = `apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: details, namespace: default, annotations: { kubernetes.io/ingress.class: istio } }
spec:
  rules:
    - host: details.test
      http:
        paths: [{ path: /details, pathType: Prefix, backend: { service: { name: details, port: { number: 9080 } } } }]
`
