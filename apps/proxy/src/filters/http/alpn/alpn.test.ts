import { FilterConfig } from '@weft/contracts/istio/filters/alpn'
import { expect, onTestFinished, test } from 'vitest'
import { withStatedNames } from '../../../upstream/requested-names.ts'
import { FakeContext } from '../fake-context.ts'
import { FakeStream } from '../fake-stream.ts'
import { alpn } from './index.ts'

const key = 'envoy.network.application_protocols'
const overrides = [
  { upstreamProtocol: 1, alpnOverride: ['istio-http/1.1', 'istio', 'http/1.1'] },
  { upstreamProtocol: 2, alpnOverride: ['istio-h2', 'istio', 'h2'] },
] as const

function run(cluster: string, httpVersion: 10 | 11 | 20, istio: Record<string, unknown> = {}): unknown {
  const context = new FakeContext({ known: 1 })
  onTestFinished(() => context.close())
  const handle = context.services.cluster('known')
  if (handle !== undefined)
    Object.assign(context.services, {
      cluster: (name: string) => (name === 'known' ? { ...handle, httpVersion: () => httpVersion } : undefined),
    })
  const source = FilterConfig.fromPartial({
    alpnOverride: overrides.map((one) => ({ ...one, alpnOverride: [...one.alpnOverride] })),
  })
  const stream = new FakeStream({ route: { name: 'r', virtualHost: 'v', cluster, metadata: {} } })
  stream.clusterMetadata = { istio }
  const filter = alpn.compile(Buffer.from(FilterConfig.encode(source).finish()), context).start(stream, undefined)
  expect(filter?.onRequestHeaders?.(stream, true)).toBe('continue')
  return stream.filterState.get(key)
}

test('what is offered goes by the HTTP that the cluster is spoken to by', () => {
  expect(run('known', 11)).toEqual(overrides[0].alpnOverride)
  expect(run('known', 20)).toEqual(overrides[1].alpnOverride)
})

test('nothing is said for other protocols, unknown clusters, and those that want none', () => {
  expect(run('known', 10)).toBeUndefined()
  expect(run('gone', 11)).toBeUndefined()
  expect(run('known', 11, { alpn_override: 'false' })).toBeUndefined()
  expect(run('known', 11, { alpn_override: 'true' })).toBeDefined()
})

test('filter state says what a handshake asks for, beside what the cluster does', () => {
  const auto = { sni: 'a.test', san: 'a.test' }
  expect(withStatedNames(null, null)).toBeNull()
  expect(withStatedNames(auto, new Map([['other', 'x']]))).toBe(auto)
  expect(withStatedNames(null, new Map([[key, ['istio', 'h2']]]))).toEqual({ sni: '', san: '', alpn: ['istio', 'h2'] })
  const state = new Map([
    [key, 'a,b'],
    ['envoy.network.upstream_server_name', 'b.test'],
  ])
  expect(withStatedNames(auto, state)).toEqual({ sni: 'b.test', san: 'a.test', alpn: ['a', 'b'] })
})
