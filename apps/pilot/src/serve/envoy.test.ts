import { createServer, get, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { startFakeSecrets } from '../testing/fake-secrets.ts'
import { envoyBinary, startEnvoy } from '../testing/real-envoy.ts'
import { startPilot } from '../testing/start-pilot.ts'

if (envoyBinary === undefined) console.log('skipped: real Envoy is not driven by Pilot (set WEFT_ENVOY to the binary of Envoy)')

/** An application that answers with what it was asked. */
async function application(address: string): Promise<number> {
  const server = createServer((request, response) => response.end(JSON.stringify({ url: request.url, headers: request.headers })))
  await new Promise<void>((resolve) => server.listen(0, address, resolve))
  onTestFinished(() => void server.close())
  return (server.address() as AddressInfo).port
}

const mesh = (port: number, http: string): string => `
apiVersion: v1
kind: Service
metadata: { name: reviews }
spec: { selector: { app: reviews }, ports: [{ name: http, port: ${port} }] }
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: reviews-v1 }
spec:
  address: 127.91.2.1
  ports: { http: ${port} }
  labels: { app: reviews, security.istio.io/tlsMode: istio }
  serviceAccount: reviews
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: strict, namespace: istio-system }
spec: { mtls: { mode: STRICT } }
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: front }
spec: { selector: { istio: ingressgateway }, servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: ["*"] }] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews }
spec:
  hosts: [reviews, front.example.com]
  gateways: [mesh, front]
  http: ${http}
`

const reviewsHost = 'reviews.default.svc.cluster.local'
interface Answer {
  url: string
  headers: IncomingHttpHeaders
}

describe.skipIf(envoyBinary === undefined)('real Envoy (WEFT_ENVOY), driven by Pilot', () => {
  test.each(['GRPC', 'DELTA_GRPC'] as const)(
    'carries requests from a sidecar and a gateway, over mutual TLS, to a sidecar that refuses plaintext (%s)',
    async (api) => {
      const port = await application('127.91.2.2')
      const direct = '[{ route: [{ destination: { host: reviews } }] }]'
      const pilot = await startPilot(mesh(port, direct))
      onTestFinished(() => pilot.close())
      const secrets = await startFakeSecrets()
      onTestFinished(() => secrets.close())
      const gatewayPort = await freePort()
      const common = { pilotPort: pilot.port, secretsPort: secrets.port, api }
      const sidecar = (name: string, octet: number, services: Record<string, number>) =>
        startEnvoy({
          ...common,
          nodeId: `sidecar~127.91.${octet}.1~${name}.default~default.svc.cluster.local`,
          metadata: {
            NAMESPACE: 'default',
            SERVICE_ACCOUNT: name,
            LABELS: { app: name },
            INTERCEPTION_MODE: 'NONE',
            LOOPBACK: { prefix: `127.91.${octet}`, app: `127.91.${octet}.2`, services },
          },
        })
      const [server, client, gateway] = await Promise.all([
        sidecar('reviews', 2, {}),
        sidecar('web', 3, { [reviewsHost]: 16 }),
        startEnvoy({
          ...common,
          nodeId: 'router~127.91.4.1~gateway.istio-system~istio-system.svc.cluster.local',
          metadata: {
            NAMESPACE: 'istio-system',
            LABELS: { istio: 'ingressgateway' },
            LOOPBACK: { bind: '127.0.0.1', ports: { '80': gatewayPort } },
          },
        }),
      ])
      for (const envoy of [server, client, gateway]) onTestFinished(() => envoy.close())
      await server.listening(`127.91.2.1_${port}`)
      await client.listening(`127.91.3.16_${port}`)
      await gateway.listening(`127.0.0.1_${gatewayPort}`)

      const throughSidecar = await ask(`http://127.91.3.16:${port}/a`)
      expect(throughSidecar.url).toBe('/a')
      expect(throughSidecar.headers['x-forwarded-client-cert']).toContain('URI=spiffe://cluster.local/ns/default/sa/web')
      const throughGateway = await ask(`http://127.0.0.1:${gatewayPort}/b`, 'front.example.com')
      expect(throughGateway.headers['x-forwarded-client-cert']).toContain('URI=spiffe://cluster.local/ns/istio-system/sa/default')
      await expect(fetch(`http://127.91.2.1:${port}/c`)).rejects.toThrow()

      pilot.set(
        mesh(
          port,
          '[{ match: [{ uri: { prefix: /old } }], rewrite: { uri: / }, route: [{ destination: { host: reviews } }] }, { directResponse: { status: 418 } }]',
        ),
      )
      await expect.poll(async () => (await fetch(`http://127.91.3.16:${port}/a`)).status, { timeout: 5_000 }).toBe(418)
      expect((await ask(`http://127.91.3.16:${port}/old/x`)).url).toBe('/x')
      expect(pilot.statuses.nacks()).toEqual([])
    },
    60_000,
  )
})

function ask(url: string, host?: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = get(url, { headers: host === undefined ? {} : { host } }, (response) => {
      let text = ''
      response.on('data', (chunk: Buffer) => {
        text += chunk.toString()
      })
      response.on('end', () => {
        if (response.statusCode === 200) resolve(JSON.parse(text) as Answer)
        else reject(new Error(`${url} answers ${response.statusCode}: ${text}`))
      })
    })
    call.on('error', reject)
  })
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}
