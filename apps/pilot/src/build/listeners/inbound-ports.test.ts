import type { Cluster } from '@weft/contracts/envoy/config/cluster/v3/cluster'
import { describe, expect, test } from 'vitest'
import { type Built, builtFor, httpOf, nodeOf, tcpOf } from '../../testing/built-for.ts'
import { envoyBinary, validateWithEnvoy } from '../../testing/real-envoy.ts'
import { staticBootstrap } from '../../testing/static-bootstrap.ts'

const services = `
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { selector: { app: web }, ports: [{ name: http, port: 80, targetPort: 8080 }] }
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: web-1 }
spec: { address: 127.1.1.1, labels: { app: web } }
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: own-tls }
spec: { selector: { matchLabels: { app: web } }, portLevelMtls: { 8443: { mode: DISABLE } } }
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: web }
spec:
  workloadSelector: { labels: { app: web } }
  ingress:
    - { port: { number: 8080, name: http, protocol: HTTP }, defaultEndpoint: "127.0.0.1:9999" }
    - { port: { number: 7000, name: tcp, protocol: TCP }, defaultEndpoint: "unix:///run/app.sock" }
    - { port: { number: 7001, name: tcp-own, protocol: TCP }, defaultEndpoint: "0.0.0.0:7002" }
    - { port: { number: 7003, name: tcp-there, protocol: TCP } }
    - { port: { number: 7004, name: tcp-bound, protocol: TCP }, bind: 127.7.7.7, captureMode: NONE, defaultEndpoint: "127.0.0.1:7005" }
`
const own = `
    - { port: { number: 8443, name: https, protocol: HTTPS }, defaultEndpoint: "127.0.0.1:9998", tls: { mode: SIMPLE, serverCertificate: /c.pem, privateKey: /k.pem } }
`
const caught = nodeOf('sidecar', { LABELS: { app: 'web' } })
const onLoopback = nodeOf('sidecar', {
  LABELS: { app: 'web' },
  INTERCEPTION_MODE: 'NONE',
  LOOPBACK: { prefix: '127.1.1', app: '127.1.1.2' },
})

function addressOf({ clusters }: Built, port: number): string {
  const cluster: Cluster | undefined = clusters.get(`inbound|${port}||`)
  const host = cluster?.loadAssignment?.endpoints[0]?.lbEndpoints[0]?.hostIdentifier
  const address = host?.$case === 'endpoint' ? host.value.address?.address : undefined
  if (address?.$case === 'pipe') return address.value.path
  if (address?.$case === 'socketAddress') return `${address.value.address}:${address.value.portSpecifier?.value}`
  return cluster?.clusterDiscoveryType?.value === 4 ? 'where it was going' : 'nowhere'
}

describe("a Sidecar's ingress", () => {
  test('says which ports there are, and where the application is', () => {
    const built = builtFor(services, caught)
    expect([8080, 7000, 7001, 7003, 7004].map((port) => addressOf(built, port))).toEqual([
      '127.0.0.1:9999',
      '/run/app.sock',
      '127.1.1.1:7002',
      'where it was going',
      '127.0.0.1:7005',
    ])
  })

  test('on addresses of this machine the application is at its own', () => {
    const built = builtFor(services, onLoopback)
    expect([8080, 7001, 7003].map((port) => addressOf(built, port))).toEqual([
      '127.1.1.2:9999',
      '127.1.1.2:7002',
      '127.1.1.2:7003',
    ])
    expect([...built.listeners.keys()]).toEqual(expect.arrayContaining(['127.1.1.1_8080', '127.7.7.7_7004']))
  })

  test('a port that is bound has its own listener, the others are caught', () => {
    const { listeners } = builtFor(services, caught)
    const ports = listeners.get('virtualInbound')?.filterChains.map(({ filterChainMatch }) => filterChainMatch?.destinationPort)
    expect(ports).toEqual(expect.arrayContaining([8080, 7000, 7001, 7003]))
    expect(ports).not.toContain(7004)
    expect(tcpOf(listeners.get('127.7.7.7_7004')?.filterChains[0]).clusterSpecifier?.value).toBe('inbound|7004||')
  })

  test("where the mesh's TLS is off for a port, the sidecar ends the application's own", () => {
    const chains = builtFor(services + own, caught)
      .listeners.get('virtualInbound')
      ?.filterChains.filter(({ filterChainMatch }) => filterChainMatch?.destinationPort === 8443)
    expect(chains?.map(({ filterChainMatch }) => filterChainMatch?.transportProtocol)).toEqual(['tls'])
    expect(chains?.[0]?.transportSocket?.name).toBe('envoy.transport_sockets.tls')
    expect(httpOf(chains?.[0]).routeSpecifier?.$case).toBe('routeConfig')
  })

  test.skipIf(envoyBinary === undefined)('real Envoy takes it', async () => {
    for (const node of [caught, onLoopback]) expect(await validateWithEnvoy(staticBootstrap(builtFor(services, node)))).toBe('')
  })
})

test('what calls a port without a service is read as HTTP where it is HTTP', () => {
  const chains = builtFor(services, caught).listeners.get('virtualInbound')?.filterChains ?? []
  const http = chains.filter(({ name }) => name === 'virtualInbound-catchall-http')
  expect(http.length).toBeGreaterThan(0)
  const routes = httpOf(http[0]).routeSpecifier
  const action = routes?.$case === 'routeConfig' ? routes.value.virtualHosts[0]?.routes[0]?.action : undefined
  expect(action).toMatchObject({ value: { clusterSpecifier: { value: 'InboundPassthroughCluster' } } })
})
