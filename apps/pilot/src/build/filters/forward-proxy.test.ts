import { expect, test } from 'vitest'
import { defaultMeshSettings } from '../../model/mesh-settings.ts'
import { type Built, builtFor, httpOf, nodeOf, tcpOf } from '../../testing/built-for.ts'
import { envoyBinary, validateWithEnvoy } from '../../testing/real-envoy.ts'
import { staticBootstrap } from '../../testing/static-bootstrap.ts'

const host = '*.wild.example'

const yaml = (rule = ''): string => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: wild }
spec:
  hosts: ["${host}"]
  location: MESH_EXTERNAL
  resolution: DYNAMIC_DNS
  ports: [{ number: 80, name: http, protocol: HTTP }, { number: 443, name: tls, protocol: TLS }]
---
${rule}`
const rule = `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: wild }
spec: { host: "${host}", subsets: [{ name: a, labels: { a: b } }], trafficPolicy: { tls: { mode: SIMPLE } } }
`
const loopback = { prefix: '127.1.1', app: '127.1.1.2', services: { [host]: 17 } }
const local = nodeOf('sidecar', { INTERCEPTION_MODE: 'NONE', LOOPBACK: loopback })

/** Names of the filters before those that pass connections on, by what the chain takes. */
function filtersOf(built: Built, listener: string): string[][] {
  return [...(built.listeners.get(listener)?.filterChains ?? [])].map((chain) => [
    ...(chain.filterChainMatch?.serverNames ?? []),
    ...chain.filters.map(({ name }) => name),
  ])
}

test('hosts of a wildcard with DYNAMIC_DNS are looked up as clients name them', () => {
  const built = builtFor(yaml(), nodeOf('sidecar'))
  const cluster = built.clusters.get(`outbound|80||${host}`)
  expect(cluster?.clusterDiscoveryType).toMatchObject({ value: { name: 'envoy.clusters.dynamic_forward_proxy' } })
  const http = httpOf(built.listeners.get('0.0.0.0_80')?.filterChains.find(({ filters }) => filters[0]?.name.includes('http')))
  expect(http.httpFilters.map(({ name }) => name).slice(-2)).toEqual([
    'envoy.filters.http.dynamic_forward_proxy',
    'envoy.filters.http.router',
  ])
  expect(filtersOf(built, '0.0.0.0_443')).toContainEqual([
    host,
    'envoy.extensions.filters.network.sni_dynamic_forward_proxy',
    'envoy.filters.network.tcp_proxy',
  ])
})

test('no other host is reached by the address of one', () => {
  const built = builtFor(yaml(), local)
  const [routes] = [...built.routes.values()].filter(({ name }) => name.startsWith('*'))
  expect(routes?.virtualHosts.find(({ name }) => name === `${host}:80`)?.domains).toEqual([host, `${host}:80`])
  expect(filtersOf(built, '127.1.1.17_443')).toContainEqual([
    host,
    'envoy.extensions.filters.network.sni_dynamic_forward_proxy',
    'envoy.filters.network.tcp_proxy',
  ])
})

test('without such a service no request is looked at for it', () => {
  const built = builtFor(yaml().replaceAll('DYNAMIC_DNS', 'NONE'), nodeOf('sidecar'))
  expect(JSON.stringify([...built.listeners.values()])).not.toContain('dynamic_forward_proxy')
})

test('subsets of unknown hosts are none', () => {
  expect([...builtFor(yaml(rule), local).clusters.keys()].filter((name) => name.includes('wild'))).toEqual([
    `outbound|80||${host}`,
    `outbound|443||${host}`,
  ])
})

const anyHost = { ...defaultMeshSettings, outboundTrafficPolicy: 'ALLOW_ANY_DYNAMIC_DNS' as const }

test('with ALLOW_ANY_DYNAMIC_DNS a request whose host no service has goes where it says, at any port', () => {
  const built = builtFor(yaml(), nodeOf('sidecar'), anyHost)
  const rest = { name: 'allow_any_dynamic_dns', domains: ['*'], routes: [{ action: { value: forwarded } }] }
  expect(built.routes.get('80')?.virtualHosts.at(-1)).toMatchObject(rest)
  const virtual = built.listeners.get('virtualOutbound')
  expect(virtual?.filterChains.map(({ name }) => name)).toEqual([
    ...['virtualOutbound-blackhole', 'allow_any_dynamic_dns', 'virtualOutbound-catchall-tcp'],
  ])
  expect(httpOf(virtual?.filterChains[1]).routeSpecifier).toMatchObject({ value: { virtualHosts: [rest] } })
  expect(tcpOf(virtual?.filterChains[2])).toMatchObject({ clusterSpecifier: { value: 'PassthroughCluster' } })
  expect(built.clusters.has('AllowAnyDynamicDNSCluster')).toBe(true)
  const gateway = builtFor(yaml(), nodeOf('router'), anyHost)
  expect(gateway.clusters.has('AllowAnyDynamicDNSCluster')).toBe(false)
})
const forwarded = { clusterSpecifier: { $case: 'cluster', value: 'AllowAnyDynamicDNSCluster' } }

test.skipIf(envoyBinary === undefined)('Envoy takes all of it, with TLS too', async () => {
  for (const text of [yaml(), yaml(rule)])
    for (const node of [nodeOf('sidecar'), local])
      for (const mesh of [defaultMeshSettings, anyHost])
        expect(await validateWithEnvoy(staticBootstrap(builtFor(text, node, mesh)))).toBe('')
})
