import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import tls from 'node:tls'
import { TcpProxy } from '@weft/contracts/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy'
import { FilterConfig } from '@weft/contracts/istio/filters/alpn'
import { MetadataExchange } from '@weft/contracts/istio/filters/metadata_exchange'
import { Config as PeerMetadata } from '@weft/contracts/istio/filters/peer_metadata'
import { PluginConfig } from '@weft/contracts/istio/filters/stats'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import type { MergedStat } from './observe/stats-reader.ts'
import { certificateSecret, TestAuthority } from './testing/certificates.ts'
import {
  any,
  cluster,
  connectionManager,
  downstreamTls,
  listener,
  routerFilter,
  routeTo,
  typed,
  upstreamTls,
  workloadTls,
} from './testing/resources.ts'
import { ask, Upstream, until, WorkerHarness } from './testing/worker-harness.ts'

/** Two sidecars with the filters that istiod gives them, over mutual TLS. */
const alice = 'spiffe://cluster.local/ns/front/sa/alice'
const bob = 'spiffe://cluster.local/ns/shop/sa/bob'
const exchange = 'istio-peer-exchange'
const inbound = { trafficDirection: 1 } as const
const outbound = { trafficDirection: 2 } as const

let authority: TestAuthority
let aliceKeys: { cert: string; key: string }
let bobKeys: { cert: string; key: string }
beforeAll(async () => {
  authority = await TestAuthority.create()
  aliceKeys = await authority.issue(alice)
  bobKeys = await authority.issue(bob)
})

const commonTls = (alpnProtocols: string[]) => ({ alpnProtocols, ...workloadTls() })
const serverTls = (alpn: string[]) => downstreamTls({ requireClientCertificate: true, commonTlsContext: commonTls(alpn) })
const clientTls = (alpn: string[]) => upstreamTls({ commonTlsContext: commonTls(alpn) })

const mxConfig = any(
  'envoy.tcp.metadataexchange.config.MetadataExchange',
  MetadataExchange.encode(MetadataExchange.fromPartial({ protocol: exchange })).finish(),
)
const mx = { name: 'istio.metadata_exchange', configType: { $case: 'typedConfig' as const, value: mxConfig } }
const statsConfig = PluginConfig.encode(
  PluginConfig.fromPartial({ tcpReportingDuration: { seconds: 0, nanos: 10_000_000 } }),
).finish()
const stats = typed('istio.stats', 'stats.PluginConfig', statsConfig)
const tcp = typed(
  'tcp',
  'envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy',
  TcpProxy.encode(TcpProxy.fromPartial({ statPrefix: 't', clusterSpecifier: { $case: 'cluster', value: 'c' } })).finish(),
)

const tlsInspector = typed('tls_inspector', 'envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector', new Uint8Array())

const nodeOf = (name: string, namespace: string) => ({
  NAME: `${name}-1`,
  NAMESPACE: namespace,
  WORKLOAD_NAME: name,
  CLUSTER_ID: 'Kubernetes',
  LABELS: { app: name, version: 'v1', 'service.istio.io/canonical-name': name },
})

function worker(name: string, namespace: string): WorkerHarness {
  const one = new WorkerHarness(5000, nodeOf(name, namespace))
  onTestFinished(() => one.close())
  return one
}

/** Chains of the two sidecars. */
interface Chains {
  near: Parameters<typeof listener>[1]
  far: Parameters<typeof listener>[1]
  offers: string[]
  cluster?: Parameters<typeof cluster>[2]
}

async function pair(application: number, { near: out, far: taken, offers, cluster: more = {} }: Chains) {
  const [near, far] = [worker('web', 'front'), worker('reviews', 'shop')]
  const errors = await far.apply(
    certificateSecret('default', bobKeys),
    authority.trustSecret(),
    cluster('c', [application]),
    listener('in', taken, { ...inbound, listenerFilters: [tlsInspector] }),
  )
  const toFar = cluster('c', [far.port('in')], { transportSocket: clientTls(offers), ...more })
  errors.push(
    ...(await near.apply(
      certificateSecret('default', aliceKeys),
      authority.trustSecret(),
      toFar,
      listener('out', out, outbound),
    )),
  )
  expect(errors).toEqual([])
  return { near, far, port: near.port('out') }
}

/** A server that says hello first, where it is to, and echoes. */
async function server(greets: boolean): Promise<number> {
  const one = net.createServer((connection) => {
    connection.on('error', () => {})
    if (greets) connection.write('hello ')
    connection.pipe(connection)
  })
  one.listen(0, '127.0.0.1')
  await once(one, 'listening')
  onTestFinished(() => void one.close())
  return (one.address() as AddressInfo).port
}

/** What a connection hears until it is as long as that. */
function hear(connection: net.Socket, length: number): Promise<string> {
  onTestFinished(() => void connection.destroy())
  return new Promise((resolve) => {
    let text = ''
    connection.on('error', () => resolve(text))
    connection.on('close', () => resolve(text))
    connection.on('data', (chunk) => {
      text += chunk.toString('latin1')
      if (text.length >= length) resolve(text)
    })
  })
}

/** The only series of a metric that there is. */
function series(proxy: WorkerHarness, metric: string): MergedStat | undefined {
  const found = [...proxy.stats.all()].filter(({ name }) => name.startsWith(`istiocustom.istio_${metric}.`))
  expect(found.length).toBeLessThan(2)
  return found[0]
}

const amountOf = (stat: MergedStat | undefined) => (stat === undefined || stat.kind === 'histogram' ? undefined : stat.value)
const serving = [exchange, 'h2', 'http/1.1']
const tcpChains = (
  offers = [exchange, 'istio'],
  filters: { name: string; typedConfig: typeof mxConfig }[] = [{ name: mx.name, typedConfig: mxConfig }],
): Chains => ({
  near: [{ filters: [stats, tcp] }],
  far: [{ transportSocket: serverTls(serving), filters: [mx, stats, tcp] }],
  offers,
  cluster: { filters },
})
const known = {
  source_workload: 'web',
  source_workload_namespace: 'front',
  source_principal: alice,
  destination_workload: 'reviews',
  destination_workload_namespace: 'shop',
  destination_principal: bob,
  request_protocol: 'tcp',
}

describe('TCP between sidecars', () => {
  it.each([
    ['the client', false, 'ping'],
    ['the server', true, 'hello ping'],
  ])('is introduced on both sides where %s speaks first, and the applications see nothing of it', async (_who, greets, heard) => {
    const { near, far, port } = await pair(await server(greets), tcpChains())
    const connection = net.connect(port, '127.0.0.1')
    const text = hear(connection, heard.length)
    if (greets)
      await until(() => series(near, 'tcp_connections_opened_total') !== undefined, 'the greeting to introduce the server')
    connection.write('ping')
    expect(await text).toBe(heard)
    for (const [proxy, reporter] of [
      [near, 'source'],
      [far, 'destination'],
    ] as const) {
      // While it is open.
      await until(() => amountOf(series(proxy, 'tcp_received_bytes_total')) === 4, `the ${reporter} to count`)
      const opened = series(proxy, 'tcp_connections_opened_total')
      expect(opened).toMatchObject({ value: 1, tags: { ...known, reporter } })
      expect(opened?.tags['connection_security_policy']).toBe(reporter === 'source' ? 'unknown' : 'mutual_tls')
      await until(() => amountOf(series(proxy, 'tcp_sent_bytes_total')) === heard.length, `the ${reporter} to count what it sent`)
      expect(proxy.stats.value('metadata_exchange.alpn_protocol_found')).toBe(1)
    }
    expect(series(far, 'tcp_connections_closed_total')).toBeUndefined()
    connection.end()
    for (const proxy of [near, far])
      await until(() => amountOf(series(proxy, 'tcp_connections_closed_total')) === 1, 'both to count the end')
  })

  it('goes as it is where the other side does not introduce itself', async () => {
    const { near, far, port } = await pair(await server(false), tcpChains(['h2']))
    const connection = net.connect(port, '127.0.0.1', () => connection.write('ping'))
    expect(await hear(connection, 4)).toBe('ping')
    await until(() => series(far, 'tcp_connections_opened_total') !== undefined, 'the server to give up')
    expect(series(far, 'tcp_connections_opened_total')?.tags).toMatchObject({
      source_workload: 'unknown',
      source_principal: alice,
    })
    expect(near.stats.value('metadata_exchange.alpn_protocol_not_found')).toBe(1)
    expect(far.stats.value('metadata_exchange.alpn_protocol_not_found')).toBe(1)
  })

  it.each([
    ['no introduction', 'GET / HTTP/1.1\r\n'],
    ['one that is too long', '\x3d\x23\x04\x67\xff\xff\xff\xff and more'],
    ['a part of one', '\x3d\x23\x04\x67\x00\x00'],
  ])('takes %s for what the client has to say', async (_what, bytes) => {
    const { far } = await pair(await server(false), tcpChains())
    const connection = tls.connect({
      port: far.port('in'),
      host: '127.0.0.1',
      ...aliceKeys,
      rejectUnauthorized: false,
      ALPNProtocols: [exchange],
    })
    const text = hear(connection, 1_000)
    connection.end(Buffer.from(bytes, 'latin1'))
    const heard = await text
    // Behind the server's own introduction.
    const introduced = Buffer.from(heard, 'latin1')
    expect(introduced.readUInt32BE(0)).toBe(0x3d230467)
    expect(introduced.subarray(8 + introduced.readUInt32BE(4)).toString('latin1')).toBe(bytes)
    expect(far.stats.value('metadata_exchange.initial_header_not_found')).toBe(1)
  })
})

describe('HTTP between sidecars', () => {
  const headers = { $case: 'istioHeaders' as const, value: { skipExternalClusters: false } }
  const peers = (source: Parameters<typeof PeerMetadata.fromPartial>[0]) =>
    typed(
      'istio.metadata_exchange',
      'io.istio.http.peer_metadata.Config',
      PeerMetadata.encode(PeerMetadata.fromPartial(source)).finish(),
    )
  const metrics = typed('istio.stats', 'stats.PluginConfig', statsConfig)
  const override = { upstreamProtocol: 1, alpnOverride: ['istio-http/1.1', 'istio', 'http/1.1'] } as const
  const alpn = typed(
    'istio.alpn',
    'istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig',
    FilterConfig.encode(
      FilterConfig.fromPartial({ alpnOverride: [{ ...override, alpnOverride: [...override.alpnOverride] }] }),
    ).finish(),
  )

  it('is introduced by headers, offers what the filter says, and counts on both sides', async () => {
    const up = new Upstream((asked, response) => response.end(String(asked.headers['x-envoy-peer-metadata'] ?? 'nothing')))
    await up.listen()
    onTestFinished(() => up.close())
    const client = [
      alpn,
      peers({ upstreamDiscovery: [{ methodSpecifier: headers }], upstreamPropagation: [{ methodSpecifier: headers }] }),
      metrics,
    ]
    const serves = [
      peers({ downstreamDiscovery: [{ methodSpecifier: headers }], downstreamPropagation: [{ methodSpecifier: headers }] }),
      metrics,
    ]
    const manager = (filters: typeof client) => connectionManager([routeTo('c')], { httpFilters: [...filters, routerFilter] })
    const ofIstio = { filterChainMatch: { applicationProtocols: ['istio-http/1.1'] } }
    const { near, far, port } = await pair(up.port, {
      near: [{ filters: [manager(client)] }],
      // Another chain for those that do not offer it.
      far: [
        { ...ofIstio, transportSocket: serverTls(['http/1.1']), filters: [manager(serves)] },
        { transportSocket: serverTls(serving), filters: [mx, tcp] },
      ],
      offers: [exchange, 'istio'],
      cluster: { filters: [{ name: mx.name, typedConfig: mxConfig }] },
    })
    for (let i = 0; i < 3; i++) {
      const { status, body, headers: seen } = await ask(port, `/${i}`)
      expect([status, body]).toEqual([200, 'nothing'])
      expect(seen['x-envoy-peer-metadata']).toBeUndefined()
    }
    for (const [proxy, reporter] of [
      [near, 'source'],
      [far, 'destination'],
    ] as const) {
      await until(() => amountOf(series(proxy, 'requests_total')) === 3, `the ${reporter} to count`)
      const tags = { ...known, request_protocol: 'http', response_code: '200', reporter }
      expect(series(proxy, 'requests_total')).toMatchObject({ tags })
      expect(series(proxy, 'request_duration_milliseconds')).toMatchObject({ kind: 'histogram', count: 3 })
    }
    // They are on one connection, as without the filter.
    expect(near.stats.value('cluster.c.upstream_cx_total')).toBe(1)
  })
})
