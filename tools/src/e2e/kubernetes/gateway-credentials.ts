import { readFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { request } from 'node:https'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { makeCertificates } from '../../certificates.ts'
import type { KubernetesServer } from '../../kubernetes/server.ts'
import { until } from '../../processes.ts'
import { expect, type Scenario } from '../scenario.ts'

const patienceMs = 60_000
const namespace = 'istio-system'

interface Options {
  server: KubernetesServer
  /** Of 127.0.0.1, where the gateway has its port 8443. */
  port: number
  folder: string
}

/** HTTPS at the gateway, with certificates that are Secrets of the cluster, as a Gateway's credentialName has it. */
export async function gatewayCredentials(scenario: Scenario, { server, port, folder }: Options): Promise<void> {
  const [first, second] = [join(folder, 'first'), join(folder, 'second')]
  for (const each of [first, second]) await mkdir(each, { recursive: true })
  const [certificates, next] = [makeCertificates(first), makeCertificates(second)]
  const read = (path: string): string => readFileSync(path, 'utf8')
  const secret = (name: string, data: Record<string, string>): Promise<string> =>
    server.kubectl(
      ['apply', '-f', '-'],
      JSON.stringify({ apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace }, stringData: data }),
    )
  const pair = ({ cert, key }: { cert: string; key: string }) => ({ 'tls.crt': read(cert), 'tls.key': read(key) })
  const page = (ca: string, client?: { cert: string; key: string }): Promise<number> =>
    status(port, { ca: read(ca), ...(client === undefined ? {} : { cert: read(client.cert), key: read(client.key) }) })

  scenario.section('HTTPS at the gateway')
  await scenario.attempt("a Gateway's credentialName is a Secret: the gateway serves with its certificate", async () => {
    await secret('shop', pair(certificates.server))
    await server.kubectl(['apply', '-f', '-'], secureGateway('SIMPLE'))
    await until(async () => (await page(certificates.ca).catch(() => 0)) === 200, 'a page over TLS', undefined, patienceMs)
    return undefined
  })
  await scenario.attempt('another certificate in the Secret takes its place, and no request is lost', async () => {
    let [sent, lost, served] = [0, 0, 0]
    await secret('shop', pair(next.server))
    const both = `${read(certificates.ca)}${read(next.ca)}`
    const deadline = performance.now() + patienceMs
    while (served < 5 && performance.now() < deadline) {
      sent += 1
      const answered = await status(port, { ca: both }).catch(() => 0)
      if (answered !== 200) lost += 1
      if ((await page(next.ca).catch(() => 0)) === 200) served += 1
    }
    expect(lost === 0 && served === 5, `${lost} of ${sent} lost, ${served} with the new certificate`)
    return `${sent} requests`
  })
  await scenario.attempt('with MUTUAL, clients need a certificate of the authorities in NAME-cacert', async () => {
    await secret('shop-cacert', { cacert: read(next.ca) })
    await server.kubectl(['apply', '-f', '-'], secureGateway('MUTUAL'))
    const isClosed = async (): Promise<boolean> => (await page(next.ca).catch(() => 0)) === 0
    await until(isClosed, 'a client without a certificate to be refused', undefined, patienceMs)
    expect((await page(next.ca, next.client)) === 200, 'a client with a certificate gets no page')
    expect((await page(next.ca, next.stranger).catch(() => 0)) === 0, 'a certificate of nobody was taken')
    return undefined
  })
}

/** The status of the product page over TLS; throws where no connection comes about. */
function status(port: number, tls: { ca: string; cert?: string; key?: string }): Promise<number> {
  const options = { host: '127.0.0.1', port, path: '/productpage', servername: 'a.test', headers: { host: 'a.test' }, ...tls }
  return new Promise((resolve, reject) => {
    const sent = request({ ...options, agent: false, timeout: 10_000 }, (response) => {
      response.resume()
      const { authorized } = response.socket as TLSSocket
      response.on('end', () => (authorized ? resolve(response.statusCode ?? 0) : reject(new Error('another authority'))))
    })
    sent.on('timeout', () => sent.destroy(new Error('no answer')))
    sent.on('error', reject)
    sent.end()
  })
}

const secureGateway = (mode: string): string => `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: secure, namespace: ${namespace} }
spec:
  selector: { istio: ingressgateway }
  servers:
    - port: { number: 8443, name: https, protocol: HTTPS }
      hosts: [a.test]
      tls: { mode: ${mode}, credentialName: shop }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: secure, namespace: default }
spec:
  hosts: [a.test]
  gateways: [${namespace}/secure]
  http:
    - route: [{ destination: { host: productpage.default.svc.cluster.local, port: { number: 9080 } } }]
`
