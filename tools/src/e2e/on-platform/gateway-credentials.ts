import { readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rename, symlink, writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { makeCertificates } from '../../certificates.ts'
import { until } from '../../processes.ts'
import { expect, type Scenario } from '../scenario.ts'

const patienceMs = 60_000
/** Of the gateway. */
export const gatewayNamespace = 'istio-system'

interface Options {
  /** Keeps entries, such as tls.crt, as a credential of the gateway's namespace and account, in place of what it had. */
  keep(name: string, entries: Record<string, string>): Promise<unknown>
  /** Brings YAML in force. */
  configure(yaml: string): Promise<unknown>
  /** Of 127.0.0.1, where the gateway has the port `gatewayPort`. */
  port: number
  gatewayPort: number
  /** For certificates. */
  folder: string
}

/**
 * HTTPS at the gateway, with certificates that the platform keeps, as a Gateway's credentialName has it. Gives the name of the
 * credential for a.test that is left at the end, and the file of its authority.
 */
export async function gatewayCredentials(scenario: Scenario, options: Options): Promise<{ secret: string; ca: string }> {
  const { keep, configure, port, gatewayPort, folder } = options
  const [first, second] = [join(folder, 'first'), join(folder, 'second')]
  for (const each of [first, second]) await mkdir(each, { recursive: true })
  const [certificates, next] = [makeCertificates(first), makeCertificates(second)]
  const read = (path: string): string => readFileSync(path, 'utf8')
  const pair = ({ cert, key }: { cert: string; key: string }) => ({ 'tls.crt': read(cert), 'tls.key': read(key) })
  const page = (ca: string, client?: { cert: string; key: string }): Promise<number> =>
    secureStatus(port, { ca: read(ca), ...(client === undefined ? {} : { cert: read(client.cert), key: read(client.key) }) })

  scenario.section('HTTPS at the gateway')
  await scenario.attempt('the gateway serves with the certificate that credentialName names', async () => {
    await keep('shop', pair(certificates.server))
    await configure(secureGateway('SIMPLE', gatewayPort))
    await until(async () => (await page(certificates.ca).catch(() => 0)) === 200, 'a page over TLS', undefined, patienceMs)
    return undefined
  })
  await scenario.attempt('another certificate in it takes its place, and no request is lost', async () => {
    let [sent, lost, served] = [0, 0, 0]
    await keep('shop', pair(next.server))
    const both = `${read(certificates.ca)}${read(next.ca)}`
    const deadline = performance.now() + patienceMs
    while (served < 5 && performance.now() < deadline) {
      sent += 1
      const answered = await secureStatus(port, { ca: both }).catch(() => 0)
      if (answered !== 200) lost += 1
      if ((await page(next.ca).catch(() => 0)) === 200) served += 1
    }
    expect(lost === 0 && served === 5, `${lost} of ${sent} lost, ${served} with the new certificate`)
    return `${sent} requests`
  })
  await scenario.attempt('with MUTUAL, clients need a certificate of the authorities in NAME-cacert', async () => {
    await keep('shop-cacert', { cacert: read(next.ca) })
    await configure(secureGateway('MUTUAL', gatewayPort))
    const isClosed = async (): Promise<boolean> => (await page(next.ca).catch(() => 0)) === 0
    await until(isClosed, 'a client without a certificate to be refused', undefined, patienceMs)
    expect((await page(next.ca, next.client)) === 200, 'a client with a certificate gets no page')
    expect((await page(next.ca, next.stranger).catch(() => 0)) === 0, 'a certificate of nobody was taken')
    return undefined
  })
  return { secret: 'shop', ca: next.ca }
}

/** Writes a credential into a folder of them; all its files change at once, by a link. */
export async function writeCredential(folder: string, name: string, files: Readonly<Record<string, string>>): Promise<void> {
  await mkdir(folder, { recursive: true })
  const written = await mkdtemp(join(folder, '.written-'))
  for (const [file, text] of Object.entries(files)) await writeFile(join(written, file), text, { mode: 0o600 })
  await symlink(written, join(written, 'link'))
  await rename(join(written, 'link'), join(folder, name))
}

/** The status of the product page of a.test over TLS; throws where no connection comes about. */
export function secureStatus(port: number, tls: { ca: string; cert?: string; key?: string }): Promise<number> {
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

const secureGateway = (mode: string, port: number): string => `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: secure, namespace: ${gatewayNamespace} }
spec:
  selector: { istio: ingressgateway }
  servers:
    - port: { number: ${port}, name: https, protocol: HTTPS }
      hosts: [a.test]
      tls: { mode: ${mode}, credentialName: shop }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: secure, namespace: default }
spec:
  hosts: [a.test]
  gateways: [${gatewayNamespace}/secure]
  http:
    - route: [{ destination: { host: productpage.default.svc.cluster.local, port: { number: 9080 } } }]
`
