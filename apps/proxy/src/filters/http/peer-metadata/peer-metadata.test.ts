import { Config } from '@weft/contracts/istio/filters/peer_metadata'
import { headerName } from '@weft/http/header-name'
import { describe, expect, onTestFinished, test } from 'vitest'
import { structBytes, WorkloadMetadata, workloadOfNode } from '../../istio/workload-metadata.ts'
import { FakeContext } from '../fake-context.ts'
import { type FakeRequest, FakeStream } from '../fake-stream.ts'
import { peerMetadata } from './index.ts'

const peer = headerName('x-envoy-peer-metadata')
const id = headerName('x-envoy-peer-metadata-id')
const headers = { $case: 'istioHeaders' as const, value: { skipExternalClusters: false } }
const discovery = { $case: 'workloadDiscovery' as const, value: {} }
const inbound = {
  downstreamDiscovery: [{ methodSpecifier: headers }, { methodSpecifier: discovery }],
  downstreamPropagation: [{ methodSpecifier: headers }],
}
const outbound = { upstreamDiscovery: [{ methodSpecifier: headers }], upstreamPropagation: [{ methodSpecifier: headers }] }

function compiled(
  source: Parameters<typeof Config.fromPartial>[0],
  metadata: Record<string, unknown> = { NAME: 'me', NAMESPACE: 'ns' },
) {
  const context = new FakeContext()
  onTestFinished(() => context.close())
  Object.assign(context.services.node.metadata, metadata)
  return peerMetadata.compile(Buffer.from(Config.encode(Config.fromPartial(source)).finish()), context)
}

function run(
  source: Parameters<typeof Config.fromPartial>[0],
  request: FakeRequest,
  answer: Record<string, string> = {},
  prepare?: (stream: FakeStream) => void,
) {
  const stream = new FakeStream(request)
  prepare?.(stream)
  const filter = compiled(source).start(stream, undefined)
  expect(filter?.onRequestHeaders?.(stream, true)).toBe('continue')
  for (const [name, value] of Object.entries(answer)) stream.response.headers.append(headerName(name), value)
  expect(filter?.onResponseHeaders?.(stream, true)).toBe('continue')
  return stream
}

const told = Buffer.from(structBytes({ NAME: 'client', NAMESPACE: 'shop', LABELS: { app: 'web' } })).toString('base64')

describe('a server', () => {
  test('notes who asks, keeps that to itself, and answers who it is', () => {
    const stream = run(inbound, { headers: { 'x-envoy-peer-metadata': told, 'x-envoy-peer-metadata-id': 'client-1' } })
    const known = stream.filterState.get('downstream_peer')
    expect(known).toBeInstanceOf(WorkloadMetadata)
    expect(known).toMatchObject({ name: 'client', namespace: 'shop', app: 'web' })
    expect(stream.filterState.get('downstream_peer_obj')).toBe(known)
    expect([stream.request.headers.has(peer), stream.request.headers.has(id)]).toEqual([false, false])
    expect(stream.response.headers.get(id)).toBe('node')
    const own = Buffer.from(stream.response.headers.get(peer) ?? '', 'base64')
    expect(own.equals(structBytes(workloadOfNode({ metadata: { NAME: 'me', NAMESPACE: 'ns' } }).toStruct()))).toBe(true)
  })

  test('tells only who tells: a client outside the mesh hears nothing', () => {
    const stream = run(inbound, {})
    expect([stream.response.headers.has(peer), stream.response.headers.has(id)]).toEqual([false, false])
    expect(stream.filterState.size).toBe(0)
    const half = run(inbound, { headers: { 'x-envoy-peer-metadata-id': 'client-1' } })
    expect([half.response.headers.has(peer), half.response.headers.has(id)]).toEqual([false, true])
  })

  test.each([Buffer.from('junk').toString('base64'), ''])('is not troubled by %j', (value) => {
    const stream = run(inbound, { headers: { 'x-envoy-peer-metadata': value } })
    expect(stream.filterState.has('downstream_peer')).toBe(false)
    expect(stream.request.headers.has(peer)).toBe(false)
  })

  // As Envoy, for which what is no base64 is nothing, and nothing is a struct.
  test('notes nobody in particular for what is no base64', () => {
    const stream = run(inbound, { headers: { 'x-envoy-peer-metadata': '%%%' } })
    expect(stream.filterState.get('downstream_peer')).toEqual(new WorkloadMetadata({}))
  })

  test('knows two apart that call themselves the same', () => {
    const filter = compiled(inbound)
    const peers = [told, Buffer.from(structBytes({ NAME: 'other' })).toString('base64')].map((value) => {
      const stream = new FakeStream({ headers: { 'x-envoy-peer-metadata': value, 'x-envoy-peer-metadata-id': 'same' } })
      filter.start(stream, undefined)?.onRequestHeaders?.(stream, true)
      return stream.filterState.get('downstream_peer')
    })
    expect(peers).toMatchObject([{ name: 'client' }, { name: 'other' }])
  })
})

describe('a client', () => {
  test('tells who it is, and notes who answers', () => {
    const stream = run(outbound, {}, { 'x-envoy-peer-metadata': told, 'x-envoy-peer-metadata-id': 'server-1' })
    expect(stream.request.headers.get(id)).toBe('node')
    expect(stream.request.headers.has(peer)).toBe(true)
    expect(stream.filterState.get('upstream_peer')).toMatchObject({ name: 'client' })
    expect([stream.response.headers.has(peer), stream.response.headers.has(id)]).toEqual([false, false])
  })

  const skipping = {
    upstreamPropagation: [{ methodSpecifier: { $case: 'istioHeaders' as const, value: { skipExternalClusters: true } } }],
  }
  const route = { name: 'r', virtualHost: 'v', cluster: 'c', metadata: {} }
  test.each([
    [outbound, 'c', { external: true }, true],
    [skipping, 'c', { external: true }, false],
    [skipping, 'c', { external: false }, true],
    [skipping, 'c', {}, true],
    [skipping, 'PassthroughCluster', {}, false],
    [outbound, 'PassthroughCluster', {}, true],
    [outbound, 'c', { disable_mx: true }, false],
  ])('%j tells %s %j: %s', (source, cluster, istio, tells) => {
    const stream = run(source, { route: { ...route, cluster } }, {}, (one) => {
      one.clusterMetadata = { istio }
    })
    expect(stream.request.headers.has(peer)).toBe(tells)
  })
})

test('baggage tells and is heard, where it is asked for', () => {
  const baggage = { $case: 'baggage' as const, value: {} }
  const source = { downstreamDiscovery: [{ methodSpecifier: baggage }], upstreamPropagation: [{ methodSpecifier: baggage }] }
  const stream = run(source, { headers: { baggage: 'k8s.job.name=night,k8s.namespace.name=shop' } })
  expect(stream.filterState.get('downstream_peer')).toMatchObject({ workload: 'night', type: 'job', namespace: 'shop' })
  expect(stream.request.headers.get(headerName('baggage'))).toBe('k8s.namespace.name=ns,k8s.instance.name=me')
})
