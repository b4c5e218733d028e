import type { FaultDelay, FaultRateLimit } from '@weft/contracts/envoy/extensions/filters/common/fault/v3/fault'
import { type FaultAbort, HTTPFault } from '@weft/contracts/envoy/extensions/filters/http/fault/v3/fault'
import type { FractionalPercent } from '@weft/contracts/envoy/type/v3/percent'
import { headerName } from '@weft/http/header-name'
import type { Counter, Gauge, Stats } from '../../../observe/stats.ts'
import { durationMs } from '../../../plan/duration.ts'
import { fractionOf, type Runtime } from '../../../plan/runtime.ts'
import { compileHeaderMatcher, type HeadMatcher } from '../../../routing/matchers/header-matcher.ts'
import { Timeout } from '../../../transport/timer-wheel.ts'
import type { CompiledHttpFilter, FilterContext, FilterStatus, HttpFilter, HttpFilterKind, HttpStream } from '../filter.ts'
import { PacedBody } from '../paced-body.ts'
import { SteadyPace } from './steady-pace.ts'

const delayHeader = headerName('x-envoy-fault-delay-request')
const delayPercentHeader = headerName('x-envoy-fault-delay-request-percentage')
const abortHeader = headerName('x-envoy-fault-abort-request')
const abortGrpcHeader = headerName('x-envoy-fault-abort-grpc-request')
const abortPercentHeader = headerName('x-envoy-fault-abort-request-percentage')
const downstreamNode = headerName('x-envoy-downstream-service-node')
const downstreamCluster = headerName('x-envoy-downstream-service-cluster')
const throughputHeader = headerName('x-envoy-fault-throughput-response')
const throughputPercentHeader = headerName('x-envoy-fault-throughput-response-percentage')
/** What the runtime may say, for all under `fault.http.` and for one client's cluster under `fault.http.CLUSTER.`. */
const delayPercent = 'delay.fixed_delay_percent'
const delayDuration = 'delay.fixed_duration_ms'
const abortPercent = 'abort.abort_percent'
const abortStatus = 'abort.http_status'
const abortGrpcStatus = 'abort.grpc_status'
const denominators = [100, 10_000, 1_000_000]

/** `envoy.filters.http.fault`: delays and aborts, by share, by header, by runtime. */
export const fault: HttpFilterKind = {
  types: ['envoy.extensions.filters.http.fault.v3.HTTPFault'],
  routeTypes: ['envoy.extensions.filters.http.fault.v3.HTTPFault'],
  compile(bytes, context) {
    const stats = new FaultStats(context)
    const own = compileRules(bytes, context)
    return {
      isShared: true,
      start(_stream, routeConfig) {
        const rules = routeConfig === undefined ? own : (routeConfig as FaultRules)
        const idle = rules.delay === null && rules.abort === null && rules.rate === null
        return idle ? null : faultGate(rules, stats, context)
      },
    } satisfies CompiledHttpFilter
  },
  compileRouteConfig: (bytes, _type, context) => compileRules(bytes, context),
}

/** How many clusters of clients are counted apart. */
const mostClients = 1_000

class FaultStats {
  private readonly delays: Counter
  private readonly aborts: Counter
  readonly active: Gauge
  readonly overflow: Counter
  readonly throttled: Counter
  private readonly prefix: string
  private readonly stats: Stats
  /** Clusters of clients that are counted apart. */
  private readonly clients = new Set<string>()

  constructor(context: FilterContext) {
    const prefix = `${context.statPrefix}fault.`
    this.prefix = prefix
    this.stats = context.stats
    this.delays = context.stats.counter(`${prefix}delays_injected`)
    this.aborts = context.stats.counter(`${prefix}aborts_injected`)
    this.active = context.stats.gauge(`${prefix}active_faults`)
    this.overflow = context.stats.counter(`${prefix}faults_overflow`)
    this.throttled = context.stats.counter(`${prefix}response_rl_injected`)
  }

  /** Counts a fault; `client`: for the client's cluster besides, empty: for none. */
  injected(fault: 'delays' | 'aborts', client: string): void {
    this[fault].inc()
    if (client === '') return
    // Whoever sends requests says what they are called.
    if (this.clients.size < mostClients) this.clients.add(client)
    else if (!this.clients.has(client)) return
    this.stats.counter(`${this.prefix}${client}.${fault}_injected`).inc()
  }
}

/** Whether chance strikes; what a header asks for (in the configured denominator's units) is capped by the share. `client`: the client's cluster, which has a key of its own. */
type Draw = (asked: number | null, client: string) => boolean

interface FaultRules {
  delay: { fixedMs: number | null; draw: Draw; durationKey: string } | null
  abort: { status: number | null; grpcStatus: number | null; body: string; draw: Draw; statusKey: string; grpcKey: string } | null
  /** Response bytes a second; null bytes: as a header says. */
  rate: { fixedBytes: number | null; draw: Draw } | null
  headers: readonly HeadMatcher[]
  cluster: string
  nodes: readonly string[]
  maxActive: number
  maxActiveKey: string
  /** Dynamic metadata of requests that have a fault. */
  metadata: Readonly<Record<string, unknown>>
  countsClients: boolean
}

function compileRules(bytes: Uint8Array, context: FilterContext): FaultRules {
  const source = HTTPFault.decode(bytes)
  const { runtime } = context
  return {
    delay: source.delay === undefined ? null : compileDelay(source.delay, source, runtime),
    abort: source.abort === undefined ? null : compileAbort(source.abort, source, runtime, context),
    rate: source.responseRateLimit === undefined ? null : compileRate(source.responseRateLimit, source, runtime),
    headers: source.headers.map((matcher, i) => compileHeaderMatcher(matcher, `${context.path}.headers[${i}]`)),
    cluster: source.upstreamCluster,
    nodes: source.downstreamNodes,
    maxActive: source.maxActiveFaults ?? Number.POSITIVE_INFINITY,
    maxActiveKey: source.maxActiveFaultsRuntime || 'fault.http.max_active_faults',
    metadata: source.filterMetadata ?? {},
    countsClients: !source.disableDownstreamClusterStats,
  }
}

/** The runtime key by which a client's cluster has its own value. */
function clientKey(client: string, value: string): string {
  return `fault.http.${client}.${value}`
}

/** A number of the runtime, the client's cluster's own first. */
function numberFor(runtime: Runtime, client: string, value: string, key: string, fallback: number): number {
  const common = runtime.number(key, fallback)
  return client === '' ? common : runtime.number(clientKey(client, value), common)
}

/** `ofClient`: what a client's own share is called; empty: there is none. */
function compileDraw(percentage: FractionalPercent | undefined, key: string, ofClient: string, runtime: Runtime): Draw {
  const share = fractionOf(percentage)
  const unit = denominators[percentage?.denominator ?? 0] ?? 100
  return (asked, client) => {
    const configured = runtime.share(client === '' || ofClient === '' ? key : clientKey(client, ofClient), share)
    const wanted = asked === null ? configured : Math.min(configured, asked / unit)
    return wanted > 0 && runtime.random() < wanted
  }
}

function compileDelay(source: FaultDelay, config: HTTPFault, runtime: Runtime): FaultRules['delay'] {
  const fixed = source.faultDelaySecifier?.$case === 'fixedDelay' ? durationMs(source.faultDelaySecifier.value, 0) : null
  return {
    fixedMs: fixed,
    draw: compileDraw(source.percentage, config.delayPercentRuntime || `fault.http.${delayPercent}`, delayPercent, runtime),
    durationKey: config.delayDurationRuntime || `fault.http.${delayDuration}`,
  }
}

function compileRate(source: FaultRateLimit, config: HTTPFault, runtime: Runtime): FaultRules['rate'] {
  const key = config.responseRateLimitPercentRuntime || 'fault.http.rate_limit.response_percent'
  return {
    fixedBytes: source.limitType?.$case === 'fixedLimit' ? source.limitType.value.limitKbps * 1024 : null,
    draw: compileDraw(source.percentage, key, '', runtime),
  }
}

function compileAbort(source: FaultAbort, config: HTTPFault, runtime: Runtime, context: FilterContext): FaultRules['abort'] {
  const type = source.errorType
  if (type?.$case === 'httpStatus' && (type.value < 200 || type.value > 599))
    context.fail('abort.http_status', 'must be from 200 to 599')
  return {
    status: type?.$case === 'httpStatus' ? type.value : null,
    grpcStatus: type?.$case === 'grpcStatus' ? type.value : null,
    body: source.responseBody || 'fault filter abort',
    draw: compileDraw(source.percentage, config.abortPercentRuntime || `fault.http.${abortPercent}`, abortPercent, runtime),
    statusKey: config.abortHttpStatusRuntime || `fault.http.${abortStatus}`,
    grpcKey: config.abortGrpcStatusRuntime || `fault.http.${abortGrpcStatus}`,
  }
}

/** Has requests that the rules are about meet their faults: the others have nothing to do with it. */
function faultGate(rules: FaultRules, stats: FaultStats, context: FilterContext): HttpFilter {
  const gate: HttpFilter = {
    onRequestHeaders(stream) {
      if (!applies(rules, stream)) return 'continue'
      const filter = new FaultFilter(rules, stats, context)
      stream.replaceFilter(gate, filter)
      return filter.onRequestHeaders(stream)
    },
  }
  return gate
}

function applies({ cluster, nodes, headers }: FaultRules, stream: HttpStream): boolean {
  if (cluster !== '' && stream.route?.cluster !== cluster) return false
  if (nodes.length > 0 && !nodes.includes(stream.request.headers.get(downstreamNode) ?? '')) return false
  for (let i = 0; i < headers.length; i++) if (!headers[i]!(stream.request)) return false
  return true
}

/** The faults of one request that the rules are about. */
class FaultFilter implements HttpFilter {
  private readonly rules: FaultRules
  private readonly stats: FaultStats
  private readonly context: FilterContext
  private timer: Timeout | null = null
  private active = false
  /** The client's cluster, as it says itself; empty: it does not. */
  private client = ''
  private throttle: PacedBody | null = null
  /** Only where a rate is limited, so that other responses pass by. */
  readonly onResponseData?: NonNullable<HttpFilter['onResponseData']>
  readonly onResponseTrailers?: NonNullable<HttpFilter['onResponseTrailers']>

  constructor(rules: FaultRules, stats: FaultStats, context: FilterContext) {
    this.rules = rules
    this.stats = stats
    this.context = context
    if (rules.rate === null) return
    this.onResponseData = (_stream, data, endStream) => this.throttleData(data, endStream)
    this.onResponseTrailers = (stream) => this.throttleTrailers(stream)
  }

  onRequestHeaders(stream: HttpStream): FilterStatus {
    const { rules, context } = this
    this.client = stream.request.headers.get(downstreamCluster) ?? ''
    this.limitRate(stream)
    const delayMs = this.delayOf(stream)
    if (delayMs > 0 && context.services !== null && this.enter()) {
      this.inject(stream, 'delays')
      stream.info.addResponseFlag('DI')
      this.timer = new Timeout(() => {
        this.timer = null
        if (stream.done) return
        if (rules.abort !== null && this.abort(stream)) return
        if (this.throttle === null) this.leave()
        stream.continueRequest()
      })
      context.services.timers.arm(this.timer, delayMs)
      return 'stop'
    }
    if (rules.abort !== null && this.abort(stream)) return 'stop'
    return 'continue'
  }

  private delayOf(stream: HttpStream): number {
    const { delay } = this.rules
    if (delay === null) return 0
    const { headers } = stream.request
    let ms = delay.fixedMs
    let asked: number | null = null
    if (ms === null) {
      ms = digits(headers.get(delayHeader))
      if (ms === null) return 0
      asked = digits(headers.get(delayPercentHeader))
    }
    if (!delay.draw(asked, this.client)) return 0
    return delay.fixedMs === null ? ms : numberFor(this.context.runtime, this.client, delayDuration, delay.durationKey, ms)
  }

  private limitRate(stream: HttpStream): void {
    const { rate } = this.rules
    const { services } = this.context
    if (rate === null || services === null) return
    const { headers } = stream.request
    let bytes = rate.fixedBytes
    let asked: number | null = null
    if (bytes === null) {
      bytes = (digits(headers.get(throughputHeader)) ?? 0) * 1024
      asked = digits(headers.get(throughputPercentHeader))
    }
    if (bytes === 0 || !rate.draw(asked, this.client) || !this.enter()) return
    this.stats.throttled.inc()
    this.throttle = new PacedBody(new SteadyPace(bytes), services.timers, {
      send: (data, endStream) => stream.injectResponseData(this, data, endStream),
      pause: () => stream.pauseResponse(),
      resume: () => stream.resumeResponse(),
    })
  }

  private throttleData(data: Buffer, endStream: boolean): FilterStatus {
    if (this.throttle === null) return 'continue'
    this.throttle.write(data, endStream)
    return 'taken'
  }

  private throttleTrailers(stream: HttpStream): FilterStatus {
    return this.throttle?.endWith(() => stream.continueResponse()) === true ? 'stop' : 'continue'
  }

  private abort(stream: HttpStream): boolean {
    const { abort } = this.rules
    if (abort === null) return false
    const { headers } = stream.request
    const { runtime } = this.context
    let { status, grpcStatus } = abort
    let asked: number | null = null
    if (status === null && grpcStatus === null) {
      status = digits(headers.get(abortHeader))
      if (status !== null && (status < 200 || status > 599)) status = null
      grpcStatus = status === null ? digits(headers.get(abortGrpcHeader)) : null
      if (status === null && grpcStatus === null) return false
      asked = digits(headers.get(abortPercentHeader))
    } else if (status !== null) status = numberFor(runtime, this.client, abortStatus, abort.statusKey, status)
    else grpcStatus = numberFor(runtime, this.client, abortGrpcStatus, abort.grpcKey, grpcStatus ?? 0)
    if (!abort.draw(asked, this.client) || !this.enter()) return false
    this.inject(stream, 'aborts')
    stream.reply(status ?? 200, abort.body, {
      details: 'fault_filter_abort',
      flags: ['FI'],
      ...(grpcStatus === null ? {} : { grpcStatus }),
    })
    return true
  }

  /** Takes one of the active faults that are allowed. */
  private enter(): boolean {
    if (this.active) return true
    const { stats, rules, context } = this
    if (stats.active.value >= context.runtime.number(rules.maxActiveKey, rules.maxActive)) {
      stats.overflow.inc()
      return false
    }
    stats.active.inc()
    this.active = true
    return true
  }

  /** A fault strikes: it is counted, and told to other filters and logs. */
  private inject(stream: HttpStream, fault: 'delays' | 'aborts'): void {
    const { rules, stats, client } = this
    stats.injected(fault, rules.countsClients ? client : '')
    Object.assign(stream.metadata('envoy.filters.http.fault'), rules.metadata)
  }

  private leave(): void {
    if (!this.active) return
    this.active = false
    this.stats.active.dec()
  }

  onComplete(): void {
    if (this.timer !== null) this.context.services?.timers.cancel(this.timer)
    this.timer = null
    this.throttle?.close()
    this.leave()
  }
}

function digits(text: string | null): number | null {
  return text !== null && /^\d{1,9}$/.test(text) ? Number(text) : null
}
