import { OpenTelemetryConfig } from '@weft/contracts/envoy/config/trace/v3/opentelemetry'
import { afterEach, expect, test, vi } from 'vitest'
import { startGrpcCollector } from '../../testing/grpc-collector.ts'
import { any, cluster, connectionManager, listener, routeTo } from '../../testing/resources.ts'
import { ask, Upstream, WorkerHarness } from '../../testing/worker-harness.ts'

const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

test('spans go to a collector by OTLP over gRPC, and the trace goes on upstream', async () => {
  const otlp = await startGrpcCollector()
  closers.push(() => otlp.close())
  const up = new Upstream()
  await up.listen()
  closers.push(() => up.close())
  const proxy = new WorkerHarness()
  closers.push(() => proxy.close())
  const config = OpenTelemetryConfig.encode(
    OpenTelemetryConfig.fromPartial({
      serviceName: 'shop',
      grpcService: { targetSpecifier: { $case: 'envoyGrpc', value: { clusterName: 'otlp' } } },
    }),
  ).finish()
  const tracing = {
    spawnUpstreamSpan: true,
    provider: {
      name: 'otel',
      configType: { $case: 'typedConfig' as const, value: any('envoy.config.trace.v3.OpenTelemetryConfig', config) },
    },
  }
  const manager = connectionManager([routeTo('main')], { tracing })
  expect(
    await proxy.apply(cluster('main', [up.port]), cluster('otlp', [otlp.port]), listener('in', [{ filters: [manager] }])),
  ).toEqual([])
  const trace = '4bf92f3577b34da6a3ce929d0e0e4736'
  await ask(proxy.port('in'), '/a', { headers: { traceparent: `00-${trace}-00f067aa0ba902b7-01`, tracestate: 'a=b' } })
  const told = up.requests[0]?.headers
  expect(told?.['traceparent']).toMatch(new RegExp(`^00-${trace}-[0-9a-f]{16}-01$`))
  expect(told?.['traceparent']).not.toContain('00f067aa0ba902b7')
  expect(told?.['tracestate']).toBe('a=b')
  await vi.waitFor(() => expect(otlp.calls.length).toBeGreaterThan(0), { timeout: 30_000, interval: 100 })
  const [call] = otlp.calls
  expect(call?.path).toBe('/opentelemetry.proto.collector.trace.v1.TraceService/Export')
  for (const part of ['shop', 'ingress', 'router main egress', Buffer.from(trace, 'hex').toString('latin1')])
    expect(call?.body).toContain(part)
})

const samplers = 'envoy.extensions.tracers.opentelemetry.samplers.v3.'

test.each([
  ['without a sampler', undefined, '00'],
  ['with one that always samples', 'AlwaysOnSamplerConfig', '01'],
])('a trace that its client does not sample goes on so: %s', async (_, sampler, flags) => {
  const up = new Upstream()
  await up.listen()
  closers.push(() => up.close())
  const proxy = new WorkerHarness()
  closers.push(() => proxy.close())
  const config = OpenTelemetryConfig.encode(
    OpenTelemetryConfig.fromPartial({
      grpcService: { targetSpecifier: { $case: 'envoyGrpc', value: { clusterName: 'main' } } },
      ...(sampler === undefined
        ? {}
        : { sampler: { name: 'sampler', typedConfig: any(`${samplers}${sampler}`, new Uint8Array()) } }),
    }),
  ).finish()
  const configType = { $case: 'typedConfig' as const, value: any('envoy.config.trace.v3.OpenTelemetryConfig', config) }
  const manager = connectionManager([routeTo('main')], { tracing: { provider: { name: 'otel', configType } } })
  expect(await proxy.apply(cluster('main', [up.port]), listener('in', [{ filters: [manager] }]))).toEqual([])
  await ask(proxy.port('in'), '/a', { headers: { traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00' } })
  expect(up.requests[0]?.headers['traceparent']).toMatch(new RegExp(`-${flags}$`))
})

test('spans are named, and tagged, by formats, and the trace goes on nowhere where it is not to', async () => {
  const otlp = await startGrpcCollector()
  closers.push(() => otlp.close())
  const up = new Upstream()
  await up.listen()
  closers.push(() => up.close())
  const proxy = new WorkerHarness()
  closers.push(() => proxy.close())
  const target = { $case: 'envoyGrpc' as const, value: { clusterName: 'otlp' } }
  const config = OpenTelemetryConfig.encode(
    OpenTelemetryConfig.fromPartial({ grpcService: { targetSpecifier: target } }),
  ).finish()
  const tracing = {
    spawnUpstreamSpan: true,
    operation: 'op %REQ(:METHOD)%',
    upstreamOperation: 'up %UPSTREAM_CLUSTER%',
    noContextPropagation: true,
    customTags: [{ tag: 'formatted', type: { $case: 'value' as const, value: 'path %REQ(:PATH)%' } }],
    provider: {
      name: 'otel',
      configType: { $case: 'typedConfig' as const, value: any('envoy.config.trace.v3.OpenTelemetryConfig', config) },
    },
  }
  const manager = connectionManager([routeTo('main')], { tracing })
  await proxy.apply(cluster('main', [up.port]), cluster('otlp', [otlp.port]), listener('in', [{ filters: [manager] }]))
  await ask(proxy.port('in'), '/a')
  expect(up.requests[0]?.headers['traceparent']).toBeUndefined()
  await vi.waitFor(() => expect(otlp.calls.length).toBeGreaterThan(0), { timeout: 30_000, interval: 100 })
  for (const part of ['op GET', 'up main', 'path /a']) expect(otlp.calls[0]?.body).toContain(part)
  expect(otlp.calls[0]?.body).not.toContain('egress')
})
