import type { Tracing as RouteTracingProto } from '@weft/contracts/envoy/config/route/v3/route_components'
import type { HttpConnectionManager_Tracing } from '@weft/contracts/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager'
import { type FractionalPercent, FractionalPercent_DenominatorType, type Percent } from '@weft/contracts/envoy/type/v3/percent'
import { headerName } from '@weft/http/header-name'
import type { PlanContext } from '../../plan/plan-context.ts'
import { invalid, unsupported } from '../../plan/problems.ts'
import { compileFraction, type Runtime } from '../../plan/runtime.ts'
import type { FormatContext } from '../format/context.ts'
import { compileTextFormat, type TextFormat } from '../format/text-format.ts'
import { wallTime } from '../stream-record.ts'
import { compileCustomTags, type SpanTag } from './custom-tags.ts'
import { compileOpenTelemetry } from './opentelemetry.ts'
import { decideTrace, type RequestIdUse, type Sampling, type TraceReason } from './sampling.ts'
import type { Span } from './span.ts'
import { describeAttempt, describeRequest, type SpanDetails } from './span-tags.ts'
import type { Tracer } from './tracer.ts'
import { compileZipkin } from './zipkin.ts'

const decorator = headerName('x-envoy-decorator-operation')

/** A request as tracing sees it. */
export interface TracedRequest extends FormatContext {
  readonly route: TracedRoute | null
  span: Span | null
}

/** How spans are called, by the requests that they are of; null: as ever. */
interface SpanNames {
  ofRequest: TextFormat | null
  ofAttempt: TextFormat | null
}

/** What a route says of its requests' spans. */
export interface RouteTracing {
  names: SpanNames
  sampling: Sampling
  tags: readonly SpanTag[]
}

/** A route, as far as its requests' spans go. */
export interface TracedRoute {
  /** How its requests are traced, where not as others; null: as others. */
  readonly tracing: RouteTracing | null
  /** What its requests' spans are called; null: as others. `propagate`: the other side is told. */
  readonly decorator: { operation: string; propagate: boolean } | null
}

/** `tracing` of a connection manager, compiled. */
export class TracingPlan {
  private readonly tracer: Tracer | null
  private readonly sampling: Sampling
  private readonly tags: readonly SpanTag[]
  private readonly details: SpanDetails
  private readonly operation: 'ingress' | 'egress'
  private readonly names: SpanNames
  private readonly propagates: boolean
  private readonly spawnsUpstream: boolean
  private readonly requestIds: RequestIdUse
  private readonly count: Readonly<Record<TraceReason, () => void>>

  constructor(
    source: HttpConnectionManager_Tracing,
    path: string,
    statPrefix: string,
    requestIds: RequestIdUse,
    childSpans: boolean,
    context: PlanContext,
  ) {
    const { runtime, stats, services } = context
    this.tracer = compileTracer(source, path, context)
    this.sampling = compileSampling(runtime, {
      client: ofPercent(source.clientSampling),
      random: ofPercent(source.randomSampling),
      overall: ofPercent(source.overallSampling),
    })
    this.tags = compileCustomTags(source.customTags, `${path}.custom_tags`)
    this.details = {
      nodeId: services?.node.id ?? '',
      zone: services?.node.locality.zone ?? '',
      maxPathLength: source.maxPathTagLength ?? 256,
      verbose: source.verbose,
    }
    this.operation = context.direction === 'outbound' ? 'egress' : 'ingress'
    this.names = compileSpanNames(source, path)
    this.propagates = !source.noContextPropagation
    this.spawnsUpstream = source.spawnUpstreamSpan ?? childSpans
    this.requestIds = requestIds
    const counter = (name: string) => {
      const one = stats.counter(`${statPrefix}tracing.${name}`)
      return () => one.inc()
    }
    this.count = {
      none: counter('not_traceable'),
      sampled: counter('random_sampling'),
      client: counter('client_enabled'),
      forced: counter('service_forced'),
    }
  }

  /** A request came, and its route is known: its span begins. */
  begin(request: TracedRequest): void {
    const head = request.request
    if (head === null) return
    const { route, info } = request
    const { headers } = head
    const reason = decideTrace(headers, route?.tracing?.sampling ?? this.sampling, this.requestIds)
    info.isTraced = reason !== 'none'
    this.count[reason]()
    const { tracer, operation } = this
    if (tracer === null) return
    const kind = this.spawnsUpstream || operation === 'ingress' ? 'server' : 'client'
    const name = tracer.namedByHost ? head.authority : operation
    const span = tracer.start(headers, name, kind, wallTime(info.startMs), info.isTraced)
    const naming = this.naming('ofRequest', request)
    const decorated = route?.decorator ?? null
    if (naming === null && decorated !== null) span.name = decorated.operation
    if (naming !== null) span.name = naming(request) || span.name
    else if (operation === 'ingress') {
      // Who sent the request names it better.
      const given = headers.get(decorator)
      if (given !== null) {
        span.name = given
        headers.remove(decorator)
      }
    } else if (decorated?.propagate === true) headers.set(decorator, decorated.operation)
    request.span = span
  }

  /** How such spans of the request are named by configuration; null: it says nothing of that. */
  private naming(kind: keyof SpanNames, request: TracedRequest): TextFormat | null {
    return request.route?.tracing?.names[kind] ?? this.names[kind]
  }

  /** A response goes back: the other side may tell its name for what was asked. */
  respond(request: TracedRequest, span: Span): void {
    const headers = request.response?.headers
    if (headers === undefined || this.naming('ofRequest', request) !== null) return
    const decorated = request.route?.decorator ?? null
    if (this.operation === 'ingress') {
      if (decorated?.propagate === true && span.name === decorated.operation) headers.set(decorator, decorated.operation)
      return
    }
    const given = headers.get(decorator)
    if (given === null) return
    span.name = given
    headers.remove(decorator)
  }

  /** A try goes out. Gives its own span, where there is one. */
  attempt(request: TracedRequest, span: Span, nowMs: number): Span | null {
    const headers = request.request?.headers
    const { tracer } = this
    if (tracer === null || headers === undefined) return null
    const child = this.spawnsUpstream ? this.child(tracer, request, span, nowMs) : null
    if (this.propagates) tracer.inject(child ?? span, headers)
    return child
  }

  private child(tracer: Tracer, request: TracedRequest, span: Span, nowMs: number): Span {
    const name = this.naming('ofAttempt', request)?.(request) || `router ${request.info.clusterName} egress`
    return tracer.child(span, name, wallTime(nowMs))
  }

  endAttempt(request: TracedRequest, span: Span, status: number, reason: string, nowMs: number): void {
    if (!span.sampled) return
    span.endMs = wallTime(nowMs)
    describeAttempt(span, request, status, reason, this.details, this.tagsOf(request.route))
    this.tracer?.report(span)
  }

  /** The request is over. */
  end(request: TracedRequest, span: Span): void {
    if (!span.sampled) return
    span.endMs = wallTime(request.info.endMs)
    describeRequest(span, request, this.details, this.tagsOf(request.route))
    this.tracer?.report(span)
  }

  private tagsOf(route: TracedRoute | null): readonly SpanTag[] {
    const own = route?.tracing?.tags
    if (own === undefined || own.length === 0) return this.tags
    return [...this.tags.filter(({ key }) => !own.some((one) => one.key === key)), ...own]
  }

  /** What logs tell of a span. */
  identify({ traceId, spanId }: Span): { traceId: string; spanId: string | null } {
    return { traceId, spanId: this.tracer?.namedByHost === true ? null : spanId }
  }

  close(): void {
    this.tracer?.close()
  }
}

function compileTracer({ provider }: HttpConnectionManager_Tracing, path: string, context: PlanContext): Tracer | null {
  const config = provider?.configType?.value
  if (provider === undefined) return null
  if (config === undefined)
    throw invalid(`${path}.provider`, `Didn't find a registered implementation for '${provider.name}' with type URL: ''`)
  const at = `${path}.provider.typed_config`
  switch (config.typeUrl.split('/').pop()) {
    case 'envoy.config.trace.v3.ZipkinConfig':
      return compileZipkin(config.value, at, context)
    case 'envoy.config.trace.v3.OpenTelemetryConfig':
      return compileOpenTelemetry(config.value, at, context)
    default:
      throw unsupported(at, `tracer '${config.typeUrl || provider.name}'`)
  }
}

/** A route's own shares; what it does not say is all. */
export function compileRouteTracing(source: RouteTracingProto, path: string, runtime: Runtime): RouteTracing {
  const { clientSampling, randomSampling, overallSampling } = source
  const all = ofPercent(undefined)
  return {
    sampling: compileSampling(runtime, {
      client: clientSampling ?? all,
      random: randomSampling ?? all,
      overall: overallSampling ?? all,
    }),
    names: compileSpanNames(source, path),
    tags: compileCustomTags(source.customTags, `${path}.custom_tags`),
  }
}

function compileSpanNames(
  { operation, upstreamOperation }: { operation: string; upstreamOperation: string },
  path: string,
): SpanNames {
  const compile = (text: string, field: string) => (text === '' ? null : compileTextFormat(text, `${path}.${field}`, ''))
  return { ofRequest: compile(operation, 'operation'), ofAttempt: compile(upstreamOperation, 'upstream_operation') }
}

function compileSampling(runtime: Runtime, shares: Record<keyof Sampling, FractionalPercent>): Sampling {
  const draw = (runtimeKey: string, defaultValue: FractionalPercent) => compileFraction(runtime, { runtimeKey, defaultValue })
  return {
    client: draw('tracing.client_enabled', shares.client),
    random: draw('tracing.random_sampling', shares.random),
    overall: draw('tracing.global_enabled', shares.overall),
  }
}

/** In hundredths of a percent, which is what runtime values count too; absent: all. */
function ofPercent(percent: Percent | undefined): FractionalPercent {
  return {
    numerator: percent === undefined ? 10_000 : Math.round(percent.value * 100),
    denominator: FractionalPercent_DenominatorType.TEN_THOUSAND,
  }
}
