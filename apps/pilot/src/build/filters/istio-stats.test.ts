import { UpstreamTlsContext } from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/tls'
import { Config as PeerMetadata } from '@weft/contracts/istio/filters/peer_metadata'
import { PluginConfig } from '@weft/contracts/istio/filters/stats'
import { expect, test } from 'vitest'
import { type Built, builtFor, httpOf, nodeOf, webService } from '../../testing/built-for.ts'

const drop = { overrides: [{ match: { metric: 'REQUEST_SIZE' }, disabled: true }] }
const telemetry = JSON.stringify({
  apiVersion: 'telemetry.istio.io/v1',
  kind: 'Telemetry',
  metadata: { name: 'metrics' },
  spec: { metrics: [{ providers: [{ name: 'prometheus' }], ...drop }] },
})

const build = (objects: string, metadata: Record<string, unknown>): Built =>
  builtFor(`${webService}${objects}`, nodeOf('sidecar', { LABELS: { app: 'web' }, ...metadata }, '1.1.1.1'))

/** Names of the filters of a chain for HTTP, and of one for TCP, and what `istio.stats` is set to in the first. */
function filtersOf({ listeners }: Built, listener: string, http: string, tcp: string) {
  const find = (name: string) =>
    listener === 'virtualInbound'
      ? listeners.get(listener)?.filterChains.find((chain) => chain.name === name)
      : listeners.get(name)?.filterChains[0]
  const filters = httpOf(find(http)).httpFilters
  const configOf = (name: string): Uint8Array => {
    const config = filters.find((one) => one.name === name)?.configType
    return config?.$case === 'typedConfig' ? config.value.value : Buffer.of()
  }
  return {
    http: filters.map(({ name }) => name.replace('envoy.filters.http.', '')),
    tcp: find(tcp)?.filters.map(({ name }) => name.replace('envoy.filters.network.', '')),
    stats: PluginConfig.decode(configOf('istio.stats')),
    peers: PeerMetadata.decode(configOf('istio.metadata_exchange')),
  }
}

test('our proxies count what a Telemetry asks for, as servers and as clients', () => {
  const built = build(telemetry, { WEFT_PROXY: true })
  const server = filtersOf(built, 'virtualInbound', '0.0.0.0_80', '0.0.0.0_90')
  expect(server.http).toEqual(['istio.metadata_exchange', 'grpc_stats', 'istio.stats', 'router'])
  expect(server.tcp).toEqual(['istio.metadata_exchange', 'istio.stats', 'tcp_proxy'])
  expect(server.stats).toMatchObject({ disableHostHeaderFallback: true, metrics: [{ name: 'request_bytes', drop: true }] })
  expect([server.peers.downstreamDiscovery.length, server.peers.upstreamDiscovery.length]).toEqual([1, 0])
  const client = filtersOf(built, '', '0.0.0.0_80', '10.0.0.1_90')
  expect(client.http).toContain('istio.stats')
  expect(client.tcp).toEqual(['istio.stats', 'tcp_proxy'])
  expect(client.stats.disableHostHeaderFallback).toBe(false)
  expect([client.peers.downstreamDiscovery.length, client.peers.upstreamDiscovery.length]).toEqual([0, 1])
})

test.each([
  ['nobody asks', '', { WEFT_PROXY: true }],
  ['the proxy is Envoy', telemetry, {}],
])('there are none of the filters where %s', (_why, objects, metadata) => {
  const { http, tcp } = filtersOf(build(objects, metadata), 'virtualInbound', '0.0.0.0_80', '0.0.0.0_90')
  expect([http.includes('istio.stats'), tcp]).toEqual([false, ['tcp_proxy']])
})

/** What connections to port 90 begin with, where the proxy is their client, and the protocols that it offers and takes. */
function exchangeOf({ clusters, listeners }: Built) {
  const cluster = clusters.get('outbound|90||web.default.svc.cluster.local')
  const sockets = [
    cluster?.transportSocketMatches[0]?.transportSocket,
    listeners.get('virtualInbound')?.filterChains.find(({ name }) => name === '0.0.0.0_90')?.transportSocket,
  ]
  // Of contexts of clients and of servers the first field is what both have.
  const protocols = sockets.map(
    (socket) => UpstreamTlsContext.decode(socket?.configType?.value.value ?? Buffer.of()).commonTlsContext?.alpnProtocols,
  )
  return { filters: cluster?.filters.map(({ name }) => name), protocols }
}

test('the ends of connections agree to tell each other who they are where both count connections, and only there', () => {
  expect(exchangeOf(build(telemetry, { WEFT_PROXY: true }))).toEqual({
    filters: ['istio.metadata_exchange'],
    protocols: [
      ['istio-peer-exchange', 'istio'],
      ['istio-peer-exchange', 'h2', 'http/1.1'],
    ],
  })
  for (const built of [build('', { WEFT_PROXY: true }), build(telemetry, {})])
    expect(exchangeOf(built)).toEqual({ filters: [], protocols: [['istio'], ['h2', 'http/1.1']] })
})
