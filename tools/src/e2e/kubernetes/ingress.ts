import { readFile } from 'node:fs/promises'
import type { KubernetesServer } from '../../kubernetes/server.ts'
import { until } from '../../processes.ts'
import { gatewayNamespace, secureStatus } from '../on-platform/gateway-credentials.ts'
import { expect, type Scenario } from '../scenario.ts'
import { get } from '../traffic.ts'

const patienceMs = 60_000
const address = '192.0.2.10'

interface Options {
  server: KubernetesServer
  /** Of 127.0.0.1, where the gateway has its ports 80 and 443. */
  port: number
  tlsPort: number
  /** The name of a secret with a certificate for a.test, and a file with who issued it. */
  secret: string
  ca: string
}

/** Ingresses of Kubernetes, which the mesh's gateway serves. */
export async function ingressChecks(scenario: Scenario, { server, port, tlsPort, secret, ca }: Options): Promise<void> {
  const apply = (yaml: string): Promise<string> => server.kubectl(['apply', '-f', '-'], yaml)
  const status = async (path: string): Promise<number> =>
    (await get(`http://127.0.0.1:${port}${path}`, { host: 'a.test' }).catch(() => undefined))?.status ?? 0
  const untilStatus = (path: string, wanted: number): Promise<void> =>
    until(async () => (await status(path)) === wanted, `${wanted} for ${path}`, undefined, patienceMs)

  scenario.section('Ingress')
  await scenario.attempt('an Ingress whose class is of our controller is served, by its paths', async () => {
    await apply(`${ingressClass}---\n${ingress(secret)}`)
    await untilStatus('/productpage', 200)
    expect((await status('/api/v1/products')) === 200, 'what is below a prefix is not found')
    expect((await status('/api/v1/productsale')) === 404, 'a prefix is not of whole elements')
    expect((await status('/login')) === 404, 'a path of no rule is served')
    return undefined
  })
  await scenario.attempt('its secret is the certificate of its hosts', async () => {
    const authority = await readFile(ca, 'utf8')
    const isServed = async (): Promise<boolean> => (await secureStatus(tlsPort, { ca: authority }).catch(() => 0)) === 200
    await until(isServed, 'a page over TLS', undefined, patienceMs)
    return undefined
  })
  await scenario.attempt("its status says the addresses of the gateway's Service", async () => {
    const patch = JSON.stringify({ status: { loadBalancer: { ingress: [{ ip: address }] } } })
    const service = ['service', 'istio-ingressgateway', '-n', gatewayNamespace]
    await server.kubectl(['patch', ...service, '--subresource=status', '--type=merge', '-p', patch])
    const told = (): Promise<string> =>
      server.kubectl(['get', 'ingress', 'front', '-o', 'jsonpath={.status.loadBalancer.ingress[*].ip}'])
    await until(async () => (await told()) === address, 'the address in its status', undefined, patienceMs)
    return address
  })
  await scenario.attempt('it goes, and so do its routes', async () => {
    await server.kubectl(['delete', 'ingress', 'front'])
    await until(async () => (await status('/productpage')) !== 200, 'the page to be gone', undefined, patienceMs)
    return undefined
  })
}

const ingressClass = `apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: { name: mesh }
spec: { controller: istio.io/ingress-controller }
`

const ingress = (secret: string): string => `apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: front, namespace: default }
spec:
  ingressClassName: mesh
  tls: [{ hosts: [a.test], secretName: ${secret} }]
  rules:
    - host: a.test
      http:
        paths:
          - { path: /productpage, pathType: Exact, backend: { service: { name: productpage, port: { name: http } } } }
          - { path: /api/v1/products, pathType: Prefix, backend: { service: { name: productpage, port: { number: 9080 } } } }
`
