import { OpenTelemetryConfig } from '@weft/contracts/envoy/config/trace/v3/opentelemetry'
import { expect, test, vi } from 'vitest'
import { grpcCollector } from '../../testing/grpc-collector.ts'
import { any, cluster, connectionManager, routeTo, typed } from '../../testing/resources.ts'
import { proxyTo, upstream } from '../../testing/test-proxy.ts'
import { ask } from '../../testing/worker-harness.ts'

type Tracing = NonNullable<Parameters<typeof connectionManager>[1]>['tracing']

/** A proxy that traces requests as it is told, to a collector of spans, and the origin behind it. */
async function tracingProxy(config: Parameters<(typeof OpenTelemetryConfig)['fromPartial']>[0], tracing: Tracing) {
  const otlp = await grpcCollector()
  const origin = await upstream()
  const grpcService = { targetSpecifier: { $case: 'envoyGrpc' as const, value: { clusterName: 'otlp' } } }
  const bytes = OpenTelemetryConfig.encode(OpenTelemetryConfig.fromPartial({ grpcService, ...config })).finish()
  const provider = typed('otel', 'envoy.config.trace.v3.OpenTelemetryConfig', bytes)
  const manager = connectionManager([routeTo('c')], { tracing: { provider, ...tracing } })
  const proxy = await proxyTo(origin.port, manager, cluster('otlp', [otlp.port]))
  proxy.setRuntime({ 'tracing.opentelemetry.flush_interval_ms': 10 })
  return { otlp, origin, port: proxy.port('in') }
}

const patience = { timeout: 30_000, interval: 100 }

test('spans go to a collector by OTLP over gRPC, and the trace goes on upstream', async () => {
  const { otlp, origin, port } = await tracingProxy({ serviceName: 'shop' }, { spawnUpstreamSpan: true })
  const trace = '4bf92f3577b34da6a3ce929d0e0e4736'
  await ask(port, '/a', { headers: { traceparent: `00-${trace}-00f067aa0ba902b7-01`, tracestate: 'a=b' } })
  const told = origin.requests[0]?.headers
  expect(told?.['traceparent']).toMatch(new RegExp(`^00-${trace}-[0-9a-f]{16}-01$`))
  expect(told?.['traceparent']).not.toContain('00f067aa0ba902b7')
  expect(told?.['tracestate']).toBe('a=b')
  await vi.waitFor(() => expect(otlp.calls.length).toBeGreaterThan(0), patience)
  const [call] = otlp.calls
  expect(call?.path).toBe('/opentelemetry.proto.collector.trace.v1.TraceService/Export')
  for (const part of ['shop', 'ingress', 'router c egress', Buffer.from(trace, 'hex').toString('latin1')])
    expect(call?.body).toContain(part)
})

const samplers = 'envoy.extensions.tracers.opentelemetry.samplers.v3.'

test.each([
  ['without a sampler', undefined, '00'],
  ['with one that always samples', 'AlwaysOnSamplerConfig', '01'],
])('a trace that its client does not sample goes on so: %s', async (_, name, flags) => {
  const sampler = name === undefined ? undefined : { name: 'sampler', typedConfig: any(`${samplers}${name}`, new Uint8Array()) }
  const { origin, port } = await tracingProxy({ sampler }, {})
  await ask(port, '/a', { headers: { traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00' } })
  expect(origin.requests[0]?.headers['traceparent']).toMatch(new RegExp(`-${flags}$`))
})

test('spans are named, and tagged, by formats, and the trace goes on nowhere where it is not to', async () => {
  const formats = {
    operation: 'op %REQ(:METHOD)%',
    upstreamOperation: 'up %UPSTREAM_CLUSTER%',
    customTags: [{ tag: 'formatted', type: { $case: 'value' as const, value: 'path %REQ(:PATH)%' } }],
  }
  const { otlp, origin, port } = await tracingProxy({}, { spawnUpstreamSpan: true, noContextPropagation: true, ...formats })
  await ask(port, '/a')
  expect(origin.requests[0]?.headers['traceparent']).toBeUndefined()
  await vi.waitFor(() => expect(otlp.calls.length).toBeGreaterThan(0), patience)
  for (const part of ['op GET', 'up c', 'path /a']) expect(otlp.calls[0]?.body).toContain(part)
  expect(otlp.calls[0]?.body).not.toContain('egress')
})
