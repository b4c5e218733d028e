import { ZipkinConfig_CollectorEndpointVersion as Version, ZipkinConfig } from '@weft/contracts/envoy/config/trace/v3/zipkin'
import type { PlanContext } from '../../plan/plan-context.ts'
import { invalid, unsupported } from '../../plan/problems.ts'
import { localAddress } from '../../transport/local-address.ts'
import { httpCall } from '../../upstream/http-client.ts'
import { BatchQueue } from '../batch-queue.ts'
import { maxSpans, randomId, Span } from './span.ts'
import { readB3, writeB3 } from './trace-headers.ts'
import type { Tracer } from './tracer.ts'

const prefix = 'tracing.zipkin.'

/** `envoy.tracers.zipkin`: B3 headers, and spans as JSON (v2) to a collector. null: only checking. */
export function compileZipkin(bytes: Uint8Array, path: string, context: PlanContext): Tracer | null {
  const source = ZipkinConfig.decode(bytes)
  if (source.collectorCluster === '') throw invalid(`${path}.collector_cluster`, 'a cluster is needed')
  if (source.collectorEndpoint === '') throw invalid(`${path}.collector_endpoint`, "the collector's path is needed")
  if (source.collectorEndpointVersion !== Version.HTTP_JSON)
    throw unsupported(`${path}.collector_endpoint_version`, 'a collector that takes no JSON', 'HTTP_JSON is what there is')
  const { services, runtime, stats } = context
  if (services === null) return null
  const counter = (name: string) => stats.counter(prefix + name)
  const answers = { sent: counter('reports_sent'), dropped: counter('reports_dropped') }
  const failures = { noCluster: counter('reports_skipped_no_cluster'), broken: counter('reports_dropped') }
  const shares = source.sharedSpanContext ?? true
  const queue = new BatchQueue<Span>({
    flushMs: () => runtime.number(`${prefix}flush_interval_ms`, 5000),
    sizeOf: () => 1,
    maxWaiting: maxSpans,
    fullSize: () => runtime.number(`${prefix}min_flush_spans`, 5),
    counters: { sent: counter('spans_sent'), dropped: counter('spans_dropped'), timer: counter('timer_flushed') },
    async send(spans) {
      if (services.cluster(source.collectorCluster) === undefined) {
        failures.noCluster.inc()
        return
      }
      try {
        const { status } = await httpCall(services, source.collectorCluster, source.collectorEndpoint, {
          method: 'POST',
          host: source.collectorHostname === '' ? source.collectorCluster : source.collectorHostname,
          headers: { 'content-type': 'application/json' },
          body: Buffer.from(JSON.stringify(spans.map((span) => spanJson(span, services.node.cluster)))),
          timeoutMs: runtime.number(`${prefix}request_timeout`, 5000),
          maxBytes: 64 * 1024,
        })
        if (status === 202) answers.sent.inc()
        else answers.dropped.inc()
      } catch {
        failures.broken.inc()
      }
    },
  })
  const newTraceId = () => (source.traceId128bit ? randomId(8) + randomId(8) : randomId(8))
  return {
    namedByHost: true,
    start(headers, name, kind, startMs, decided) {
      const given = readB3(headers)
      if (given === null || !('traceId' in given)) {
        const traceId = newTraceId()
        const spanId = traceId.slice(-16)
        return new Span({ traceId, spanId, parentId: '', sampled: given?.sampled ?? decided, name, kind, startMs })
      }
      const shared = kind === 'server' && shares
      const span = new Span({
        traceId: given.traceId,
        spanId: shared ? given.spanId : randomId(8),
        parentId: shared ? given.parentId : given.spanId,
        sampled: given.sampled ?? decided,
        name,
        kind,
        startMs,
      })
      span.remoteParent = true
      return span
    },
    child(parent, name, startMs) {
      const { traceId, spanId, sampled } = parent
      return new Span({ traceId, spanId: randomId(8), parentId: spanId, sampled, name, kind: 'client', startMs })
    },
    inject: writeB3,
    report(span) {
      span.shared = span.kind === 'server' && shares
      queue.add(span)
    },
    close: () => queue.close(),
  }
}

/** A span as Zipkin's v2 API has it. */
function spanJson(span: Span, service: string): Record<string, unknown> {
  const micros = (ms: number) => Math.round(ms * 1000)
  return {
    traceId: span.traceId,
    id: span.spanId,
    ...(span.parentId === '' ? {} : { parentId: span.parentId }),
    name: span.name,
    kind: span.kind === 'server' ? 'SERVER' : 'CLIENT',
    timestamp: micros(span.startMs),
    duration: Math.max(1, micros(span.endMs) - micros(span.startMs)),
    localEndpoint: { serviceName: service, ipv4: localAddress, port: 0 },
    annotations: [
      ...span.events.map(({ name, timeMs }) => ({ timestamp: micros(timeMs), value: name })),
      { timestamp: micros(span.endMs), value: span.kind === 'server' ? 'ss' : 'cr' },
    ],
    tags: Object.fromEntries(span.tags.filter(([, value]) => value !== '')),
    ...(span.shared ? { shared: true } : {}),
  }
}
