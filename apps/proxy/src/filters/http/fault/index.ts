import type { FaultDelay, FaultRateLimit } from '@weft/contracts/envoy/extensions/filters/common/fault/v3/fault'
import { type FaultAbort, HTTPFault } from '@weft/contracts/envoy/extensions/filters/http/fault/v3/fault'
import type { FractionalPercent } from '@weft/contracts/envoy/type/v3/percent'
import { headerName } from '@weft/http/header-name'
import type { Counter, Gauge } from '../../../observe/stats.ts'
import { durationMs } from '../../../plan/duration.ts'
import { fractionOf, type Runtime } from '../../../plan/runtime.ts'
import { compileHeaderMatcher, type HeadMatcher } from '../../../routing/matchers/header-matcher.ts'
import { Timeout } from '../../../transport/timer-wheel.ts'
import type { CompiledHttpFilter, FilterContext, FilterStatus, HttpFilter, HttpFilterKind, HttpStream } from '../filter.ts'
import { Throttle } from './throttle.ts'

const delayHeader = headerName('x-envoy-fault-delay-request')
const delayPercentHeader = headerName('x-envoy-fault-delay-request-percentage')
const abortHeader = headerName('x-envoy-fault-abort-request')
const abortGrpcHeader = headerName('x-envoy-fault-abort-grpc-request')
const abortPercentHeader = headerName('x-envoy-fault-abort-request-percentage')
const downstreamNode = headerName('x-envoy-downstream-service-node')
const throughputHeader = headerName('x-envoy-fault-throughput-response')
const throughputPercentHeader = headerName('x-envoy-fault-throughput-response-percentage')
const denominators = [100, 10_000, 1_000_000]

/** `envoy.filters.http.fault`: delays and aborts, by share, by header, by runtime. */
export const fault: HttpFilterKind = {
  types: ['envoy.extensions.filters.http.fault.v3.HTTPFault'],
  routeTypes: ['envoy.extensions.filters.http.fault.v3.HTTPFault'],
  compile(bytes, context) {
    const stats = new FaultStats(context)
    const own = compileRules(bytes, context)
    return {
      start(_stream, routeConfig) {
        const rules = routeConfig === undefined ? own : (routeConfig as FaultRules)
        const idle = rules.delay === null && rules.abort === null && rules.rate === null
        return idle ? null : new FaultFilter(rules, stats, context)
      },
    } satisfies CompiledHttpFilter
  },
  compileRouteConfig: (bytes, _type, context) => compileRules(bytes, context),
}

class FaultStats {
  readonly delays: Counter
  readonly aborts: Counter
  readonly active: Gauge
  readonly overflow: Counter
  readonly throttled: Counter
  constructor(context: FilterContext) {
    const prefix = `${context.statPrefix}fault.`
    this.delays = context.stats.counter(`${prefix}delays_injected`)
    this.aborts = context.stats.counter(`${prefix}aborts_injected`)
    this.active = context.stats.gauge(`${prefix}active_faults`)
    this.overflow = context.stats.counter(`${prefix}faults_overflow`)
    this.throttled = context.stats.counter(`${prefix}response_rl_injected`)
  }
}

/** Whether chance strikes; `limit` (percent units of the configured denominator) caps what a header asks for. */
type Draw = (asked: number | null) => boolean

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
  }
}

function compileDraw(percentage: FractionalPercent | undefined, key: string, runtime: Runtime): Draw {
  const share = fractionOf(percentage)
  const unit = denominators[percentage?.denominator ?? 0] ?? 100
  return (asked) => {
    const configured = runtime.share(key, share)
    const wanted = asked === null ? configured : Math.min(configured, asked / unit)
    return wanted > 0 && runtime.random() < wanted
  }
}

function compileDelay(source: FaultDelay, config: HTTPFault, runtime: Runtime): FaultRules['delay'] {
  const fixed = source.faultDelaySecifier?.$case === 'fixedDelay' ? durationMs(source.faultDelaySecifier.value, 0) : null
  return {
    fixedMs: fixed,
    draw: compileDraw(source.percentage, config.delayPercentRuntime || 'fault.http.delay.fixed_delay_percent', runtime),
    durationKey: config.delayDurationRuntime || 'fault.http.delay.fixed_duration_ms',
  }
}

function compileRate(source: FaultRateLimit, config: HTTPFault, runtime: Runtime): FaultRules['rate'] {
  const key = config.responseRateLimitPercentRuntime || 'fault.http.rate_limit.response_percent'
  return {
    fixedBytes: source.limitType?.$case === 'fixedLimit' ? source.limitType.value.limitKbps * 1024 : null,
    draw: compileDraw(source.percentage, key, runtime),
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
    draw: compileDraw(source.percentage, config.abortPercentRuntime || 'fault.http.abort.abort_percent', runtime),
    statusKey: config.abortHttpStatusRuntime || 'fault.http.abort.http_status',
    grpcKey: config.abortGrpcStatusRuntime || 'fault.http.abort.grpc_status',
  }
}

/** One request's faults. */
class FaultFilter implements HttpFilter {
  private readonly rules: FaultRules
  private readonly stats: FaultStats
  private readonly context: FilterContext
  private timer: Timeout | null = null
  private active = false
  private throttle: Throttle | null = null
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
    const { rules, stats, context } = this
    if (!this.applies(stream)) return 'continue'
    this.limitRate(stream)
    const delayMs = this.delayOf(stream)
    if (delayMs > 0 && context.services !== null) {
      if (!this.enter()) return 'continue'
      stats.delays.inc()
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

  private applies(stream: HttpStream): boolean {
    const { cluster, nodes, headers } = this.rules
    if (cluster !== '' && stream.route?.cluster !== cluster) return false
    if (nodes.length > 0 && !nodes.includes(stream.request.headers.get(downstreamNode) ?? '')) return false
    for (let i = 0; i < headers.length; i++) if (!headers[i]!(stream.request)) return false
    return true
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
    if (!delay.draw(asked)) return 0
    return delay.fixedMs === null ? ms : this.context.runtime.number(delay.durationKey, ms)
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
    if (bytes === 0 || !rate.draw(asked) || !this.enter()) return
    this.stats.throttled.inc()
    this.throttle = new Throttle(
      bytes,
      {
        send: (data, endStream) => stream.injectResponseData(this, data, endStream),
        pause: () => stream.pauseResponse(),
        resume: () => stream.resumeResponse(),
      },
      services.timers,
    )
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
    } else if (status !== null) status = runtime.number(abort.statusKey, status)
    else grpcStatus = runtime.number(abort.grpcKey, grpcStatus ?? 0)
    if (!abort.draw(asked) || !this.enter()) return false
    this.stats.aborts.inc()
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
