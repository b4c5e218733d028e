import {
  InterceptingCall,
  type Interceptor,
  ListenerBuilder,
  type Metadata,
  RequesterBuilder,
  ResponderBuilder,
  ServerInterceptingCall,
  type ServerInterceptor,
  ServerListenerBuilder,
  status,
} from '@grpc/grpc-js'
import { type Context, context, propagation, ROOT_CONTEXT, type Span, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { resourceFromAttributes } from '@opentelemetry/resources'
import { BatchSpanProcessor, NodeTracerProvider } from '@opentelemetry/sdk-trace-node'
import type { GrpcTracing } from './grpc-tracing.ts'
import { setTraceSource } from './trace-context.ts'

/** Starts the OpenTelemetry SDK; loaded only when tracing is on. */
export function startOpenTelemetry(service: string, version: string): { grpc: GrpcTracing; stop(): Promise<void> } {
  const provider = new NodeTracerProvider({
    resource: resourceFromAttributes({
      'service.name': process.env['OTEL_SERVICE_NAME'] ?? service,
      'service.version': version,
    }),
    spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter(), { maxQueueSize: 2_048 })],
  })
  provider.register()
  setTraceSource(() => {
    const span = trace.getActiveSpan()?.spanContext()
    return span === undefined ? undefined : { trace_id: span.traceId, span_id: span.spanId }
  })
  return {
    grpc: { server: [serverInterceptor], client: [clientInterceptor] },
    async stop() {
      setTraceSource(undefined)
      await provider.shutdown()
    },
  }
}

const tracer = () => trace.getTracer('weft')

/** A call has the span `package.Service/Method`, named and annotated by OpenTelemetry's conventions for RPC. */
function startSpan(path: string, kind: SpanKind, parent: Context): Span {
  const [, service = '', method = ''] = path.split('/')
  const attributes = { 'rpc.system': 'grpc', 'rpc.service': service, 'rpc.method': method }
  return tracer().startSpan(`${service}/${method}`, { kind, attributes }, parent)
}

function endSpan(span: Span, code: number, details: string, isError: boolean): void {
  span.setAttribute('rpc.grpc.status_code', code)
  if (isError) span.setStatus({ code: SpanStatusCode.ERROR, message: details })
  span.end()
}

/** Codes that say the server failed; the others are the caller's doing (OpenTelemetry, RPC semantic conventions). */
const serverFaults: readonly number[] = [
  status.UNKNOWN,
  status.DEADLINE_EXCEEDED,
  status.UNIMPLEMENTED,
  status.INTERNAL,
  status.UNAVAILABLE,
  status.DATA_LOSS,
]

const serverInterceptor: ServerInterceptor = (method, call) => {
  let active = ROOT_CONTEXT
  let span: Span | undefined
  const within = (work: () => void): void => context.with(active, work)
  const listener = new ServerListenerBuilder()
    .withOnReceiveMetadata((metadata, next) => {
      const parent = propagation.extract(ROOT_CONTEXT, metadata, metadataGetter)
      span = startSpan(method.path, SpanKind.SERVER, parent)
      active = trace.setSpan(parent, span)
      within(() => next(metadata))
    })
    .withOnReceiveMessage((message, next) => within(() => next(message)))
    .withOnReceiveHalfClose((next) => within(next))
    .withOnCancel(() => span?.end())
    .build()
  const responder = new ResponderBuilder()
    .withStart((next) => next(listener))
    .withSendStatus((sent, next) => {
      const { code = status.UNKNOWN, details = '' } = sent
      if (span !== undefined) endSpan(span, code, details, serverFaults.includes(code))
      next(sent)
    })
    .build()
  return new ServerInterceptingCall(call, responder)
}

const clientInterceptor: Interceptor = (options, nextCall) => {
  let span: Span | undefined
  const requester = new RequesterBuilder()
    .withStart((metadata, listener, next) => {
      span = startSpan(options.method_definition.path, SpanKind.CLIENT, context.active())
      propagation.inject(trace.setSpan(context.active(), span), metadata, metadataSetter)
      const ending = new ListenerBuilder()
        .withOnReceiveStatus((received, pass) => {
          if (span !== undefined) endSpan(span, received.code, received.details, received.code !== status.OK)
          pass(received)
        })
        .build()
      next(metadata, { ...listener, ...ending })
    })
    .build()
  return new InterceptingCall(nextCall(options), requester)
}

const metadataGetter = {
  keys: (metadata: Metadata) => Object.keys(metadata.getMap()),
  get: (metadata: Metadata, key: string) => metadata.get(key).map(String),
}

const metadataSetter = {
  set: (metadata: Metadata, key: string, value: string) => metadata.set(key, value),
}
