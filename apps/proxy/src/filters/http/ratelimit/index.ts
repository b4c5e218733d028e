import {
  RateLimitPerRoute_VhRateLimitsOptions as HostLimits,
  RateLimit,
  RateLimitPerRoute,
} from '@weft/contracts/envoy/extensions/filters/http/ratelimit/v3/rate_limit'
import {
  RateLimitResponse_Code as Code,
  RateLimitRequest,
  RateLimitResponse,
} from '@weft/contracts/envoy/service/ratelimit/v3/rls'
import { StatusCode } from '@weft/contracts/envoy/type/v3/http_status'
import { RateLimitUnit } from '@weft/contracts/envoy/type/v3/ratelimit_unit'
import { headerName } from '@weft/http/header-name'
import { WeftError } from '@weft/service/errors'
import { durationMs } from '../../../plan/duration.ts'
import { type Descriptor, describeRequest, drawn } from '../../../routing/rate-limits.ts'
import type { UnaryMethod } from '../../../upstream/grpc-client.ts'
import { ClusterCounters } from '../cluster-counters.ts'
import type { FilterContext, FilterStatus, HttpFilter, HttpFilterKind, HttpStream } from '../filter.ts'
import { compileGrpcService, type UnaryCall } from '../grpc-service.ts'
import { compileHeaderOptions, editHead, type HeadEdit } from '../head-edit.ts'
import { mergeMetadata } from '../metadata-merge.ts'
import { limitHeaders } from './limit-headers.ts'

const namespace = 'envoy.filters.http.ratelimit'
const rateLimited = headerName('x-envoy-ratelimited')
const internalHeader = headerName('x-envoy-internal')
const defaultTimeoutMs = 20

const shouldRateLimit: UnaryMethod<RateLimitRequest, RateLimitResponse> = {
  path: '/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit',
  encode: (request) => RateLimitRequest.encode(request).finish(),
  decode: (bytes) => RateLimitResponse.decode(bytes),
}

/** `envoy.filters.http.ratelimit`: a rate limit service decides, by what the route's rate limits say of the request. */
export const ratelimit: HttpFilterKind = {
  types: ['envoy.extensions.filters.http.ratelimit.v3.RateLimit'],
  routeTypes: ['envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute'],
  compile(bytes, context) {
    const rules = compileRules(RateLimit.decode(bytes), context)
    return {
      start(_stream, routeConfig) {
        if (rules.call === null) return null
        return new RatelimitFilter(rules, routeConfig === undefined ? defaultOverride : (routeConfig as RouteOverride))
      },
    }
  },
  compileRouteConfig(bytes, _type, context): RouteOverride {
    const source = RateLimitPerRoute.decode(bytes)
    if (source.rateLimits.length > 0) context.fail('rate_limits', 'rate limits of an override are not supported')
    return { hostLimits: source.vhRateLimits, domain: source.domain }
  },
}

interface RouteOverride {
  readonly hostLimits: HostLimits
  readonly domain: string
}

const defaultOverride: RouteOverride = { hostLimits: HostLimits.OVERRIDE, domain: '' }

interface Rules {
  readonly call: UnaryCall<RateLimitRequest, RateLimitResponse> | null
  readonly context: FilterContext
  readonly domain: string
  readonly stage: number
  readonly requestType: string
  readonly denyOnFailure: boolean
  readonly status: number
  readonly errorStatus: number
  readonly grpcStatus: number | undefined
  readonly headers: boolean
  readonly tellsLimited: boolean
  readonly responseEdits: readonly HeadEdit[]
  readonly counters: ClusterCounters
  readonly statPrefix: string
}

function compileRules(source: RateLimit, context: FilterContext): Rules {
  const code = source.rateLimitedStatus?.code ?? StatusCode.TooManyRequests
  const service = source.rateLimitService?.grpcService
  return {
    call: compileGrpcService(service, shouldRateLimit, 'rate_limit_service.grpc_service', context, {
      timeoutMs: durationMs(source.timeout, defaultTimeoutMs),
      fallbackMs: defaultTimeoutMs,
    }),
    context,
    domain: source.domain,
    stage: source.stage,
    requestType: source.requestType === '' ? 'both' : source.requestType,
    denyOnFailure: source.failureModeDeny,
    status: code < 400 ? StatusCode.TooManyRequests : code,
    errorStatus: source.statusOnError?.code || StatusCode.InternalServerError,
    grpcStatus: source.rateLimitedAsResourceExhausted ? 8 : undefined,
    headers: source.enableXRatelimitHeaders === 1,
    tellsLimited: !source.disableXEnvoyRatelimitedHeader,
    responseEdits: compileHeaderOptions(source.responseHeadersToAdd, `${context.path}.response_headers_to_add`),
    counters: new ClusterCounters(context.stats),
    statPrefix: source.statPrefix === '' ? 'ratelimit.' : `ratelimit.${source.statPrefix}.`,
  }
}

class RatelimitFilter implements HttpFilter {
  private readonly rules: Rules
  private readonly override: RouteOverride
  private readonly abort = new AbortController()
  private answer: RateLimitResponse | null = null
  private calling = false

  constructor(rules: Rules, override: RouteOverride) {
    this.rules = rules
    this.override = override
  }

  onRequestHeaders(stream: HttpStream): FilterStatus {
    const { rules, override } = this
    const { call, context } = rules
    if (call === null || !drawn(context.runtime, 'ratelimit.http_filter_enabled')) return 'continue'
    if (rules.requestType !== 'both') {
      const internal = stream.request.headers.get(internalHeader) === 'true'
      if (internal !== (rules.requestType === 'internal')) return 'continue'
    }
    const descriptors = this.descriptors(stream)
    if (descriptors.length === 0) return 'continue'
    const request = RateLimitRequest.fromPartial({
      domain: override.domain === '' ? rules.domain : override.domain,
      descriptors: descriptors.map(({ entries, limit }) => ({
        entries,
        ...(limit === null ? {} : { limit: { requestsPerUnit: limit.requestsPerUnit, unit: unitOf(limit.unit) } }),
      })),
    })
    this.calling = true
    call(request, this.abort.signal).then(
      (answer) => this.onAnswer(stream, answer),
      (error: unknown) => this.onError(stream, WeftError.from(error)),
    )
    return 'stop'
  }

  private descriptors(stream: HttpStream): Descriptor[] {
    const { rules, override } = this
    const { runtime, services } = rules.context
    const descriptors: Descriptor[] = []
    const limits = stream.route?.rateLimits
    if (limits == null || services?.cluster(stream.clusterName) === undefined) return descriptors
    const describe = (policies: typeof limits.own) =>
      describeRequest(policies, rules.stage, stream, services.node.cluster, runtime, descriptors)
    describe(limits.own)
    const { hostLimits } = override
    const byDefault = hostLimits === HostLimits.OVERRIDE && limits.own.length === 0
    if (limits.includeHost || hostLimits === HostLimits.INCLUDE || byDefault) describe(limits.ofHost)
    return descriptors
  }

  private count(stream: HttpStream, name: string): void {
    this.rules.counters.inc(stream.clusterName, this.rules.statPrefix + name)
  }

  private onAnswer(stream: HttpStream, answer: RateLimitResponse): void {
    if (stream.done) return
    const { rules } = this
    this.calling = false
    this.answer = answer
    if (answer.dynamicMetadata !== undefined) mergeMetadata(stream.metadata(namespace), answer.dynamicMetadata)
    if (answer.overallCode !== Code.OVER_LIMIT) {
      this.count(stream, 'ok')
      for (const { key, value } of answer.requestHeadersToAdd) stream.request.headers.append(headerName(key), value)
      stream.continueRequest()
      return
    }
    this.count(stream, 'over_limit')
    rules.counters.response(stream.clusterName, rules.status)
    if (!drawn(rules.context.runtime, 'ratelimit.http_filter_enforcing')) {
      stream.continueRequest()
      return
    }
    stream.reply(rules.status, answer.rawBody, {
      details: 'request_rate_limited',
      flags: ['RL'],
      ...(rules.grpcStatus === undefined ? {} : { grpcStatus: rules.grpcStatus }),
      edit: (response) => {
        if (rules.tellsLimited) response.headers.set(rateLimited, 'true')
        editHead(rules.responseEdits, stream.format, response)
      },
    })
  }

  private onError(stream: HttpStream, error: WeftError): void {
    if (stream.done) return
    const { rules } = this
    this.calling = false
    this.count(stream, 'error')
    rules.context.services?.log('debug', `ratelimit: ${error.message}`)
    if (rules.denyOnFailure) {
      stream.reply(rules.errorStatus, '', { details: 'rate_limiter_error', flags: ['RLSE'] })
      return
    }
    this.count(stream, 'failure_mode_allowed')
    stream.continueRequest()
  }

  onResponseHeaders(stream: HttpStream): FilterStatus {
    const { answer } = this
    if (answer === null) return 'continue'
    const { headers } = stream.response
    if (this.rules.headers) for (const [name, value] of limitHeaders(answer.statuses)) headers.set(headerName(name), value)
    for (const { key, value } of answer.responseHeadersToAdd) headers.append(headerName(key), value)
    return 'continue'
  }

  onComplete(): void {
    if (this.calling) this.abort.abort()
  }
}

function unitOf(name: string): RateLimitUnit {
  const units: Readonly<Record<string, RateLimitUnit>> = RateLimitUnit
  return units[name.toUpperCase()] ?? RateLimitUnit.UNKNOWN
}
