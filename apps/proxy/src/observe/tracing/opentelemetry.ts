import { OpenTelemetryConfig } from '@weft/contracts/envoy/config/trace/v3/opentelemetry'
import { durationMs } from '../../plan/duration.ts'
import type { PlanContext } from '../../plan/plan-context.ts'
import { invalid, unsupported } from '../../plan/problems.ts'
import { grpcClient } from '../../upstream/grpc-client.ts'
import { grpcTarget } from '../../upstream/grpc-target.ts'
import { httpCall } from '../../upstream/http-client.ts'
import { proxyVersion } from '../../version.ts'
import type { WorkerServices } from '../../worker-services.ts'
import { checkFormatters } from '../access-log/access-log.ts'
import { BatchQueue } from '../batch-queue.ts'
import { ConnectionRecord } from '../connection-record.ts'
import { compileTextFormat } from '../format/text-format.ts'
import { StreamRecord } from '../stream-record.ts'
import { encodeSpans } from './otlp.ts'
import { compileResource } from './resource.ts'
import { maxSpans, randomId, Span } from './span.ts'
import { readW3c, writeW3c } from './trace-headers.ts'
import type { Tracer } from './tracer.ts'

const prefix = 'tracing.opentelemetry.'
/** A sampler by which what the client's trace says does not count, and the connection manager's decision does. */
const alwaysOn = '/envoy.extensions.tracers.opentelemetry.samplers.v3.AlwaysOnSamplerConfig'
const method = '/opentelemetry.proto.collector.trace.v1.TraceService/Export'

/** `envoy.tracers.opentelemetry`: W3C headers, and spans by OTLP over gRPC or HTTP. null: only checking. */
export function compileOpenTelemetry(bytes: Uint8Array, path: string, context: PlanContext): Tracer | null {
  const source = OpenTelemetryConfig.decode(bytes)
  const resource = compileResource(source, path)
  const version = source.setInstrumentationScope === false ? null : proxyVersion
  const ignoresParent = source.sampler !== undefined
  if (ignoresParent && !source.sampler?.typedConfig?.typeUrl.endsWith(alwaysOn))
    throw unsupported(`${path}.sampler`, `sampler '${source.sampler?.name}'`)
  if (source.grpcService !== undefined && source.httpService !== undefined)
    throw invalid(path, 'OpenTelemetry Tracer cannot have both gRPC and HTTP exporters configured.', 'keep one')
  if (source.grpcService === undefined && source.httpService === undefined)
    throw invalid(path, 'OpenTelemetry Tracer must have a gRPC or an HTTP exporter configured.')
  const { services, runtime, stats } = context
  const send = compileSend(source, path, services)
  if (services === null) return null
  const counter = (name: string) => stats.counter(prefix + name)
  const queue = new BatchQueue<Span>({
    flushMs: () => runtime.number(`${prefix}flush_interval_ms`, 5000),
    sizeOf: () => 1,
    maxWaiting: maxSpans,
    fullSize: () => runtime.number(`${prefix}min_flush_spans`, 512),
    counters: { sent: counter('spans_sent'), dropped: counter('spans_dropped'), timer: counter('timer_flushed') },
    async send(spans) {
      try {
        await send(encodeSpans(spans, { resource, version }))
      } catch (error) {
        services.log('error', `spans can't be exported: ${error instanceof Error ? error.message : String(error)}`)
      }
    },
  })
  return {
    namedByHost: false,
    start(headers, name, kind, startMs, decided) {
      const given = readW3c(headers)
      const span = new Span({
        traceId: given?.traceId ?? randomId(16),
        spanId: randomId(8),
        parentId: given?.spanId ?? '',
        sampled: ignoresParent ? decided : (given?.sampled ?? decided),
        name,
        kind,
        startMs,
      })
      span.remoteParent = given !== null
      span.traceState = given?.traceState ?? ''
      return span
    },
    child(parent, name, startMs) {
      const { traceId, spanId, sampled } = parent
      const span = new Span({ traceId, spanId: randomId(8), parentId: spanId, sampled, name, kind: 'client', startMs })
      span.traceState = parent.traceState
      return span
    },
    inject: writeW3c,
    report: (span) => queue.add(span),
    close: () => queue.close(),
  }
}

/** Nothing is known of a request that these headers could tell. */
const nobody = new ConnectionRecord(
  { id: 0, remoteAddress: '', remotePort: 0, localAddress: '', localPort: 0, tls: null, serverName: '' },
  new StreamRecord(),
)

/** How a collector is reached; without one spans are dropped. */
function compileSend(
  { grpcService, httpService }: OpenTelemetryConfig,
  path: string,
  services: WorkerServices | null,
): (message: Uint8Array) => Promise<void> {
  if (grpcService !== undefined) {
    const deadlineMs = durationMs(grpcService.timeout, 5000)
    const { cluster, metadata } = grpcTarget(grpcService, `${path}.grpc_service`, deadlineMs)
    if (services === null) return async () => {}
    const client = grpcClient(services, cluster)
    const exportMethod = { path: method, encode: (message: Uint8Array) => message, decode: () => null }
    return async (message) => {
      await client.unary(exportMethod, message, { deadlineMs, metadata })
    }
  }
  if (httpService === undefined) return async () => {}
  const { httpUri, requestHeadersToAdd } = httpService
  const cluster = httpUri?.httpUpstreamType?.value ?? ''
  if (httpUri === undefined || cluster === '') throw invalid(`${path}.http_service.http_uri`, 'a URI and its cluster are needed')
  const headers: Record<string, string> = {
    'content-type': 'application/x-protobuf',
    'user-agent': `OTel-OTLP-Exporter-Weft/${proxyVersion}`,
  }
  checkFormatters(httpService.formatters, `${path}.http_service.formatters`)
  const added = requestHeadersToAdd.flatMap(({ header }, i) => {
    if (header === undefined) return []
    const at = `${path}.http_service.request_headers_to_add[${i}].header.value`
    return [{ name: header.key.toLowerCase(), value: compileTextFormat(header.value, at) }]
  })
  const timeoutMs = durationMs(httpUri.timeout, 5000)
  return async (message) => {
    if (services === null) return
    for (const { name, value } of added) headers[name] = value(nobody)
    const options = { method: 'POST', headers, body: message, timeoutMs, maxBytes: 64 * 1024 }
    const { status } = await httpCall(services, cluster, httpUri.uri, options)
    if (status !== 200) throw new Error(`the collector answered with status ${status}`)
  }
}
