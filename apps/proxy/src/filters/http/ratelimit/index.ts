import type { RuntimeFractionalPercent } from '@weft/contracts/envoy/config/core/v3/base'
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
import { headerName } from '@weft/http/header-name'
import type { ResponseHead } from '@weft/http/message'
import { WeftError } from '@weft/service/errors'
import { durationMs } from '../../../plan/duration.ts'
import { compileFraction } from '../../../plan/runtime.ts'
import {
  compileFilterRateLimits,
  type Descriptor,
  describeRequest,
  drawn,
  type RateLimitPolicy,
} from '../../../routing/rate-limits.ts'
import type { UnaryMethod } from '../../../upstream/grpc-client.ts'
import { ClusterCounters } from '../cluster-counters.ts'
import type { FilterContext, FilterStatus, HttpFilter, HttpFilterKind, HttpStream } from '../filter.ts'
import { compileGrpcService, type UnaryCall } from '../grpc-service.ts'
import { compileHeaderOptions, editHead, type HeadEdit } from '../head-edit.ts'
import { changeRequest, changeResponse, type HeaderChange, replyMisnamed } from '../header-changes.ts'
import { mergeMetadata } from '../metadata-merge.ts'
import { limitHeaders, retryAfter } from './limit-headers.ts'

const namespace = 'envoy.filters.http.ratelimit'
const rateLimited = headerName('x-envoy-ratelimited')
const retryAfterHeader = headerName('retry-after')
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
    const limits = compileFilterRateLimits(source.rateLimits, `${context.path}.rate_limits`)
    return { hostLimits: source.vhRateLimits, domain: source.domain, limits }
  },
}

interface RouteOverride {
  readonly hostLimits: HostLimits
  readonly domain: string
  /** Where there are any, they count instead of the filter's and the route's. */
  readonly limits: readonly RateLimitPolicy[]
}

const defaultOverride: RouteOverride = { hostLimits: HostLimits.OVERRIDE, domain: '', limits: [] }

interface Rules {
  readonly call: UnaryCall<RateLimitRequest, RateLimitResponse> | null
  readonly context: FilterContext
  readonly domain: string
  readonly stage: number
  readonly requestType: string
  readonly denyOnFailure: () => boolean
  readonly enabled: () => boolean
  readonly enforced: () => boolean
  /** The filter's own, which stand before those of routes. */
  readonly limits: readonly RateLimitPolicy[]
  readonly metadataNamespace: string
  readonly status: number
  readonly errorStatus: number
  readonly grpcStatus: number | undefined
  readonly headers: boolean
  readonly tellsLimited: boolean
  readonly tellsWhen: boolean
  readonly responseEdits: readonly HeadEdit[]
  readonly counters: ClusterCounters
  readonly statPrefix: string
}

function compileRules(source: RateLimit, context: FilterContext): Rules {
  const code = source.rateLimitedStatus?.code ?? StatusCode.TooManyRequests
  const service = source.rateLimitService?.grpcService
  const { runtime } = context
  const fraction = (given: RuntimeFractionalPercent | undefined, byDefault: () => boolean) =>
    given === undefined ? byDefault : compileFraction(runtime, given)
  return {
    call: compileGrpcService(service, shouldRateLimit, 'rate_limit_service.grpc_service', context, {
      timeoutMs: durationMs(source.timeout, defaultTimeoutMs),
      fallbackMs: defaultTimeoutMs,
    }),
    context,
    domain: source.domain,
    stage: source.stage,
    requestType: source.requestType === '' ? 'both' : source.requestType,
    denyOnFailure: fraction(source.failureModeDenyPercent, () => source.failureModeDeny),
    enabled: fraction(source.filterEnabled, () => drawn(runtime, 'ratelimit.http_filter_enabled')),
    enforced: fraction(source.filterEnforced, () => drawn(runtime, 'ratelimit.http_filter_enforcing')),
    limits: compileFilterRateLimits(source.rateLimits, `${context.path}.rate_limits`),
    metadataNamespace: source.metadataNamespace || namespace,
    status: code < 400 ? StatusCode.TooManyRequests : code,
    errorStatus: source.statusOnError?.code || StatusCode.InternalServerError,
    grpcStatus: source.rateLimitedAsResourceExhausted ? 8 : undefined,
    headers: source.enableXRatelimitHeaders === 1,
    tellsWhen: source.enableRetryAfterHeader,
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
  /** Of each descriptor that was sent, whether its limit is told. */
  private told: readonly (boolean | null)[] = []
  private enforced = false
  private calling = false
  private asked: HttpStream | null = null

  constructor(rules: Rules, override: RouteOverride) {
    this.rules = rules
    this.override = override
  }

  onRequestHeaders(stream: HttpStream): FilterStatus {
    const { rules } = this
    const { call } = rules
    if (call === null || !rules.enabled()) return 'continue'
    if (rules.requestType !== 'both') {
      const internal = stream.request.headers.get(internalHeader) === 'true'
      if (internal !== (rules.requestType === 'internal')) return 'continue'
    }
    this.asked = stream
    const request = this.request(stream, false)
    if (request === null) return 'continue'
    this.calling = true
    call(request, this.abort.signal).then(
      (answer) => this.onAnswer(stream, answer),
      (error: unknown) => this.onError(stream, WeftError.from(error)),
    )
    return 'stop'
  }

  /** What the service is asked; null: there is nothing to ask about. */
  private request(stream: HttpStream, onDone: boolean): RateLimitRequest | null {
    const { rules, override } = this
    const descriptors = this.descriptors(stream, onDone)
    if (descriptors.length === 0) return null
    if (!onDone) this.told = descriptors.map(({ told }) => told)
    return RateLimitRequest.fromPartial({
      domain: override.domain === '' ? rules.domain : override.domain,
      hitsAddend: hitsOf(stream),
      descriptors: descriptors.map(({ entries, limit, hits, negative }) => ({
        entries,
        ...(limit === null ? {} : { limit }),
        ...(hits === null ? {} : { hitsAddend: hits }),
        isNegativeHits: negative,
      })),
    })
  }

  private descriptors(stream: HttpStream, onDone: boolean): Descriptor[] {
    const { rules, override } = this
    const { runtime, services } = rules.context
    const descriptors: Descriptor[] = []
    const { route } = stream
    if (route == null || services?.cluster(stream.clusterName) === undefined) return descriptors
    const localCluster = services.node.cluster
    const describe = (policies: readonly RateLimitPolicy[], stage: number) =>
      describeRequest(policies, { stage, onDone, localCluster, runtime }, stream, descriptors)
    const own = override.limits.length > 0 ? override.limits : rules.limits
    const limits = route.rateLimits
    if (own.length > 0) describe(own, 0)
    else if (limits != null) {
      describe(limits.own, rules.stage)
      const { hostLimits } = override
      const byDefault = hostLimits === HostLimits.OVERRIDE && limits.own.length === 0
      if (limits.includeHost || hostLimits === HostLimits.INCLUDE || byDefault) describe(limits.ofHost, rules.stage)
    }
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
    if (answer.dynamicMetadata !== undefined) mergeMetadata(stream.metadata(rules.metadataNamespace), answer.dynamicMetadata)
    if (answer.overallCode !== Code.OVER_LIMIT) {
      this.count(stream, 'ok')
      this.letPass(stream, answer)
      return
    }
    this.count(stream, 'over_limit')
    rules.counters.response(stream.clusterName, rules.status)
    if (!rules.enforced()) {
      this.letPass(stream, answer)
      return
    }
    this.enforced = true
    stream.reply(rules.status, answer.rawBody, {
      details: 'request_rate_limited',
      flags: ['RL'],
      ...(rules.grpcStatus === undefined ? {} : { grpcStatus: rules.grpcStatus }),
      edit: (response) => {
        this.tell(response, answer)
        editHead(rules.responseEdits, stream.format, response)
      },
    })
  }

  private letPass(stream: HttpStream, { requestHeadersToAdd }: RateLimitResponse): void {
    const misnamed = changeRequest(stream.request, requestHeadersToAdd.map(addition))
    if (misnamed !== null) replyMisnamed(stream, misnamed)
    else stream.continueRequest()
  }

  /** What the client is told: what the service says, then its limits. */
  private tell(response: ResponseHead, { overallCode, responseHeadersToAdd, statuses }: RateLimitResponse): void {
    const { rules, told } = this
    const limits = limitHeaders(statuses, (index) => told[index] ?? rules.headers)
    changeResponse(response, [...responseHeadersToAdd, ...limits.map(([key, value]) => ({ key, value }))].map(addition))
    if (overallCode === Code.OVER_LIMIT && rules.tellsLimited) response.headers.set(rateLimited, 'true')
  }

  private onError(stream: HttpStream, error: WeftError): void {
    if (stream.done) return
    const { rules } = this
    this.calling = false
    this.count(stream, 'error')
    rules.context.services?.log('debug', `ratelimit: ${error.message}`)
    if (rules.denyOnFailure()) {
      stream.reply(rules.errorStatus, '', { details: 'rate_limiter_error', flags: ['RLSE'] })
      return
    }
    this.count(stream, 'failure_mode_allowed')
    stream.continueRequest()
  }

  onResponseHeaders(stream: HttpStream): FilterStatus {
    const { answer } = this
    if (answer === null) return 'continue'
    const { rules } = this
    const { headers } = stream.response
    // Its own answer has been told before it was given a type.
    if (!this.enforced) this.tell(stream.response, answer)
    if (
      this.enforced &&
      rules.tellsWhen &&
      stream.response.status === StatusCode.TooManyRequests &&
      !headers.has(retryAfterHeader)
    )
      headers.set(retryAfterHeader, String(retryAfter(answer.statuses)))
    return 'continue'
  }

  onComplete(): void {
    const { asked, rules } = this
    if (this.calling) {
      this.abort.abort()
      return
    }
    const request = asked === null ? null : this.request(asked, true)
    if (request === null) return
    // Nobody waits for this answer, which changes nothing any more.
    rules.call?.(request, this.abort.signal).catch((error: unknown) => {
      rules.context.services?.log('debug', `ratelimit: ${WeftError.from(error).message}`)
    })
  }
}

/** A header that the service adds; of names that stand once the values are joined. */
function addition({ key, value }: { key: string; value: string }): HeaderChange {
  return { name: key.toLowerCase(), value: Buffer.from(value).toString('latin1'), how: 'add' }
}

/** How many hits a request counts for, by what another filter left for this one; 0: one. */
function hitsOf({ filterState }: HttpStream): number {
  const hits = Number(filterState.get('envoy.ratelimit.hits_addend') ?? 0)
  return Number.isInteger(hits) && hits > 0 && hits <= 0xffffffff ? hits : 0
}
