import { PluginConfig as Plugin, type PluginConfig } from '@weft/contracts/istio/filters/stats'
import { describe, expect, onTestFinished, test } from 'vitest'
import { prometheusText } from '../../admin/prometheus.ts'
import type { ViewedStat } from '../../admin/stat-view.ts'
import { Stats } from '../../observe/stats.ts'
import { StatsReader } from '../../observe/stats-reader.ts'
import { StreamRecord } from '../../observe/stream-record.ts'
import { FakeContext } from '../http/fake-context.ts'
import { type FakeRequest, FakeStream } from '../http/fake-stream.ts'
import { istioStats } from '../http/istio-stats/index.ts'
import { WorkloadMetadata } from './workload-metadata.ts'

const node = {
  WORKLOAD_NAME: 'reviews-v1',
  NAMESPACE: 'shop',
  CLUSTER_ID: 'Kubernetes',
  ISTIO_VERSION: '1.31.0',
  LABELS: {
    app: 'reviews',
    version: 'v1',
    'service.istio.io/canonical-name': 'reviews',
    'service.istio.io/canonical-revision': 'v1',
  },
}
const peer = new WorkloadMetadata({
  workload: 'web-v2',
  namespace: 'front',
  service: 'web',
  revision: 'v2',
  app: 'web',
  version: 'v2',
  cluster: 'c1',
})
const spiffe = 'spiffe://cluster.local/ns/front/sa/web'
const own = 'spiffe://cluster.local/ns/shop/sa/reviews'

class Request extends FakeStream {
  readonly record = new StreamRecord()
  override get format() {
    return { ...super.format, info: this.record }
  }
}

interface Facts extends FakeRequest {
  code?: number
  flags?: string[]
  state?: Record<string, unknown>
  cluster?: string
  routeName?: string
  clusterMetadata?: Record<string, unknown>
  record?: Partial<StreamRecord>
}

/** Requests through the filter, so many through each version of it; gives all statistics in Prometheus's format, Istio's lines alone. */
async function counted(
  source: Partial<PluginConfig>,
  direction: 'inbound' | 'outbound',
  requests: readonly Facts[],
  perVersion = requests.length,
): Promise<string[]> {
  const reader = new StatsReader()
  const stats = new Stats((message) => reader.accept(0, message))
  const context = new FakeContext()
  onTestFinished(() => context.close())
  Object.assign(context.services.node.metadata, node)
  Object.assign(context, { stats, direction })
  const config = Buffer.from(Plugin.encode(Plugin.fromPartial(source)).finish())
  let filter = istioStats.compile(config, context)
  for (const [i, facts] of requests.entries()) {
    const { code = 200, flags = [], state = {}, cluster = 'c', routeName = '', clusterMetadata = {}, record, ...request } = facts
    if (i > 0 && i % perVersion === 0) filter = istioStats.compile(config, context)
    const stream = new Request(request)
    const { info } = { info: stream.record }
    info.reset(0)
    Object.assign(info, {
      responseCode: code,
      clusterName: cluster,
      routeName,
      endMs: 12.7,
      bytesReceived: 10,
      bytesSent: 20,
      ...record,
    })
    for (const flag of flags) info.addResponseFlag(flag)
    for (const [key, value] of Object.entries(state)) stream.filterState.set(key, value)
    stream.clusterMetadata = clusterMetadata
    stream.response.status = code
    const one = filter.start(stream, undefined)
    one?.onRequestHeaders?.(stream, true)
    one?.onComplete?.(stream)
  }
  stats.flush()
  const viewed = [...reader.all()].map(
    (stat): ViewedStat => (stat.kind === 'histogram' ? { ...stat, interval: stat.buckets, bounds: [] } : stat),
  )
  return prometheusText(viewed, undefined, [])
    .split('\n')
    .filter((line) => line.startsWith('istio_'))
}

/** The labels of a metric's only line. */
function labelsOf(lines: readonly string[], metric: string): Record<string, string> {
  const found = lines.filter((line) => line.startsWith(`${metric}{`))
  expect(found).toHaveLength(1)
  const pairs = [...found[0]!.matchAll(/(\w+)="([^"]*)"/g)].map(([, label = '', value = '']) => [label, value] as const)
  return Object.fromEntries(pairs)
}

const services = { istio: { services: [{ host: 'reviews.shop.svc.cluster.local', name: 'reviews', namespace: 'shop' }] } }
const mutual = {
  remoteAddress: '10.0.0.1',
  tls: {
    version: 'TLSv1.3',
    cipher: '',
    alpn: '',
    serverName: '',
    localUris: [own],
    peer: {
      subject: '',
      issuer: '',
      uris: [spiffe],
      dnsNames: [],
      serialNumber: '',
      fingerprint256: '',
      pem: '',
      verified: true,
      validFrom: new Date(0),
      validTo: new Date(0),
    },
  },
}

describe('the metrics of requests', () => {
  test('have the standard labels where a client in the mesh asks', async () => {
    const lines = await counted({ disableHostHeaderFallback: true }, 'inbound', [
      { connection: mutual, state: { downstream_peer: peer }, clusterMetadata: services },
      { connection: mutual, state: { downstream_peer: peer }, clusterMetadata: services },
    ])
    expect(labelsOf(lines, 'istio_requests_total')).toEqual({
      reporter: 'destination',
      source_workload: 'web-v2',
      source_canonical_service: 'web',
      source_canonical_revision: 'v2',
      source_workload_namespace: 'front',
      source_principal: spiffe,
      source_app: 'web',
      source_version: 'v2',
      source_cluster: 'c1',
      destination_workload: 'reviews-v1',
      destination_workload_namespace: 'shop',
      destination_principal: own,
      destination_app: 'reviews',
      destination_version: 'v1',
      destination_service: 'reviews.shop.svc.cluster.local',
      destination_canonical_service: 'reviews',
      destination_canonical_revision: 'v1',
      destination_service_name: 'reviews',
      destination_service_namespace: 'shop',
      destination_cluster: 'Kubernetes',
      request_protocol: 'http',
      response_code: '200',
      grpc_response_status: '',
      response_flags: '-',
      connection_security_policy: 'mutual_tls',
    })
    expect(lines.find((line) => line.startsWith('istio_requests_total'))).toMatch(/\} 2$/)
    expect(lines.find((line) => line.startsWith('istio_request_duration_milliseconds_sum'))).toMatch(/\} 24$/)
    expect(lines.find((line) => line.startsWith('istio_request_bytes_sum'))).toMatch(/\} 20$/)
    expect(lines.find((line) => line.startsWith('istio_response_bytes_sum'))).toMatch(/\} 40$/)
    expect(lines).toContain('istio_build{component="proxy",tag="1.31.0"} 1')
  })

  test('know nothing of a client outside', async () => {
    const lines = await counted({ disableHostHeaderFallback: true }, 'inbound', [{ code: 403 }])
    expect(labelsOf(lines, 'istio_requests_total')).toMatchObject({
      source_workload: 'unknown',
      source_canonical_revision: 'latest',
      source_principal: 'unknown',
      destination_service: 'reviews',
      response_code: '403',
      connection_security_policy: 'none',
    })
  })

  test.each([
    [{ clusterMetadata: services }, 'reviews.shop.svc.cluster.local', 'reviews'],
    [{ clusterMetadata: { istio: { services: [{ host: 'a.b.c' }] } } }, 'a.b.c', 'a'],
    [{ cluster: 'PassthroughCluster', authority: 'out.test:80' }, 'out.test:80', 'PassthroughCluster'],
    [{ routeName: 'block_all', authority: 'out.test' }, 'out.test', 'BlackHoleCluster'],
    [{ authority: 'out.test' }, 'out.test', 'out.test'],
    [{ authority: 'x', clusterMetadata: { istio: { services: 'odd' } } }, 'x', 'x'],
  ])('of a client name the service: %j', async (facts, host, name) => {
    const lines = await counted({}, 'outbound', [facts])
    expect(labelsOf(lines, 'istio_requests_total')).toMatchObject({
      reporter: 'source',
      source_workload: 'reviews-v1',
      destination_service: host,
      destination_service_name: name,
      connection_security_policy: 'unknown',
    })
  })

  test('tell of a server that does not tell of itself what the control plane says of its endpoint', async () => {
    const endpoint = { key: 'k', hostname: '', metadata: { istio: { workload: 'db-v1;data;db;v1;c2' } } }
    const lines = await counted({}, 'outbound', [
      { record: { upstreamEndpoint: endpoint as never }, flags: ['UF', 'URX'], code: 503 },
    ])
    expect(labelsOf(lines, 'istio_requests_total')).toMatchObject({
      destination_workload: 'db-v1',
      destination_workload_namespace: 'data',
      destination_canonical_service: 'db',
      destination_cluster: 'c2',
      response_flags: 'UF,URX',
    })
  })

  test('of a gateway before many servers tell of these', async () => {
    const state = { downstream_peer: peer, upstream_peer: new WorkloadMetadata({ workload: 'db-v1', identity: own }) }
    const lines = await counted({ reporter: 1 }, 'inbound', [{ state }])
    expect(labelsOf(lines, 'istio_requests_total')).toMatchObject({
      reporter: 'waypoint',
      source_workload: 'web-v2',
      destination_workload: 'db-v1',
      destination_principal: own,
      destination_app: 'unknown',
    })
  })

  test('of gRPC have its status, and count messages', async () => {
    const state = { 'envoy.filters.http.grpc_stats': { requests: 3, responses: 5 } }
    const headers = { 'content-type': 'application/grpc' }
    const lines = await counted({}, 'outbound', [{ isGrpc: true, headers, state }])
    expect(labelsOf(lines, 'istio_requests_total')).toMatchObject({ request_protocol: 'grpc', grpc_response_status: '2' })
    expect(lines.find((line) => line.startsWith('istio_request_messages_total'))).toMatch(/\} 3$/)
    expect(lines.find((line) => line.startsWith('istio_response_messages_total'))).toMatch(/\} 5$/)
    expect(labelsOf(lines, 'istio_request_messages_total')).not.toHaveProperty('response_code')
  })
})

describe('what a configuration changes', () => {
  const metric = (change: Partial<PluginConfig['metrics'][number]>) => ({
    metrics: [{ name: '', dimensions: {}, tagsToRemove: [], match: '', drop: false, ...change }],
  })

  test('drops a metric', async () => {
    const lines = await counted(metric({ name: 'request_bytes', drop: true }), 'outbound', [{}])
    expect(lines.some((line) => line.startsWith('istio_request_bytes'))).toBe(false)
    expect(lines.some((line) => line.startsWith('istio_response_bytes'))).toBe(true)
  })

  test('takes labels away, sets and adds others', async () => {
    const dimensions = {
      destination_app: "'fixed'",
      method: 'request.method',
      own_cluster: 'xds.node.metadata.CLUSTER_ID',
      own_id: 'xds.node.id',
      to_cluster: 'xds.cluster_name',
      peer_role: "filter_state.upstream_peer.labels['role']",
      broken: 'request.(',
      missing: 'request.headers["none"].x',
    }
    const change = metric({ name: 'requests_total', dimensions, tagsToRemove: ['source_principal', 'not_a_label'] })
    const state = { upstream_peer: new WorkloadMetadata({ app: 'db' }, { role: 'store' }) }
    const lines = await counted(change, 'outbound', [{ method: 'PUT', state }])
    const labels = labelsOf(lines, 'istio_requests_total')
    expect(labels).toMatchObject({
      ...{ destination_app: 'fixed', method: 'PUT', peer_role: 'store', missing: 'unknown' },
      ...{ own_cluster: 'Kubernetes', own_id: 'node', to_cluster: 'c' },
    })
    expect(labels).not.toHaveProperty('source_principal')
    expect(labels).not.toHaveProperty('broken')
    expect(labelsOf(lines, 'istio_request_bytes_sum')).toMatchObject({ destination_app: 'db', source_principal: 'unknown' })
  })

  test('counts metrics of its own', async () => {
    const definitions = [
      { name: 'size', value: 'request.size', type: 0 as const },
      { name: 'word', value: "'many'", type: 1 as const },
      { name: 'spread', value: '7', type: 2 as const },
      { name: 'requests_total', value: '9', type: 0 as const },
    ]
    const lines = await counted({ definitions, ...metric({ dimensions: { verb: 'request.method' } }) }, 'outbound', [{}, {}])
    expect(lines).toContain('istio_size{verb="GET"} 20')
    expect(lines).toContain('istio_word{verb="GET"} 0')
    expect(lines).toContain('istio_spread_sum{verb="GET"} 14')
    expect(lines.filter((line) => line.startsWith('istio_requests_total'))).toHaveLength(1)
  })
})

test('what peers say of themselves makes only so many series, whatever becomes of the configuration', async () => {
  const peers = Array.from({ length: 5_003 }, (_, i) => ({
    state: { downstream_peer: new WorkloadMetadata({ workload: `w${i}` }) },
  }))
  const dropped = ['request_duration_milliseconds', 'request_bytes', 'response_bytes']
  const metrics = dropped.map((name) => ({ name, dimensions: {}, tagsToRemove: [], match: '', drop: true }))
  // Each is seen once more by a later version of the filter.
  const lines = await counted({ metrics }, 'inbound', [...peers, ...peers], peers.length)
  const counts = lines.filter((line) => line.startsWith('istio_requests_total'))
  expect(counts).toHaveLength(5_000)
  expect(counts.every((line) => line.endsWith(' 2'))).toBe(true)
})
