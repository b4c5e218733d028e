import { LocalRateLimit } from '@weft/contracts/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit'
import { StatusCode } from '@weft/contracts/envoy/type/v3/http_status'
import { headerName } from '@weft/http/header-name'
import type { Counter } from '../../../observe/stats.ts'
import { compileFraction } from '../../../plan/runtime.ts'
import { compileFilterRateLimits, type Descriptor, describeRequest, type RateLimitPolicy } from '../../../routing/rate-limits.ts'
import type { TokenBucket } from '../../../shared/token-buckets.ts'
import type { FilterContext, FilterStatus, HttpFilter, HttpFilterKind, HttpStream } from '../filter.ts'
import { compileHeaderOptions, editHead, type HeadEdit } from '../head-edit.ts'
import { compileBuckets, type Limiter, type OpenLimiter } from './limiter.ts'

const limitHeader = headerName('x-ratelimit-limit')
const remainingHeader = headerName('x-ratelimit-remaining')
const retryAfterHeader = headerName('retry-after')
const resetHeader = headerName('x-ratelimit-reset')

/** `envoy.filters.http.local_ratelimit`: token buckets, one for all workers, by descriptors of the request too. */
export const localRatelimit: HttpFilterKind = {
  types: ['envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit'],
  routeTypes: ['envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit'],
  compile(bytes, context) {
    const own = compileRules(bytes, context)
    return {
      start(_stream, routeConfig) {
        const rules = routeConfig instanceof Rules ? routeConfig : own
        return new LocalRatelimitFilter(rules, context)
      },
      close: () => own.close(),
    }
  },
  compileRouteConfig(bytes, _type, context) {
    if (LocalRateLimit.decode(bytes).tokenBucket === undefined)
      context.fail('token_bucket', 'local rate limit token bucket must be set for per filter configs')
    return compileRules(bytes, context)
  },
}

interface RatelimitStats {
  readonly enabled: Counter
  readonly enforced: Counter
  readonly rateLimited: Counter
  readonly ok: Counter
  readonly shadow: Counter
}

/** A configuration, compiled; its buckets begin with the first request. */
class Rules {
  readonly status: number
  readonly grpcStatus: number | undefined
  readonly stage: number
  readonly enabled: () => boolean
  readonly enforced: () => boolean
  readonly requestEdits: readonly HeadEdit[]
  readonly responseEdits: readonly HeadEdit[]
  readonly headers: boolean
  readonly tellsWhen: boolean
  /** How limits of the virtual host count: OVERRIDE, INCLUDE, IGNORE. */
  readonly hostLimits: number
  readonly stats: RatelimitStats
  /** How many proxies share the buckets. */
  readonly sharers: () => number
  /** The filter's own, which stand before those of routes. */
  readonly limits: readonly RateLimitPolicy[]
  readonly limiterOf: OpenLimiter | null
  private readonly perConnection: boolean
  private shared: Limiter | null = null
  /** Limiters of connections, dropped with them. */
  private readonly ofConnections = new WeakMap<object, Limiter>()

  constructor(source: LocalRateLimit, context: FilterContext, identity: string) {
    const code = source.status?.code ?? StatusCode.TooManyRequests
    this.status = code < 400 ? StatusCode.TooManyRequests : code
    this.grpcStatus = source.rateLimitedAsResourceExhausted ? 8 : undefined
    this.stage = source.stage
    this.enabled = source.filterEnabled === undefined ? () => false : compileFraction(context.runtime, source.filterEnabled)
    this.enforced = source.filterEnforced === undefined ? () => false : compileFraction(context.runtime, source.filterEnforced)
    this.requestEdits = compileHeaderOptions(
      source.requestHeadersToAddWhenNotEnforced,
      `${context.path}.request_headers_to_add_when_not_enforced`,
    )
    this.responseEdits = compileHeaderOptions(source.responseHeadersToAdd, `${context.path}.response_headers_to_add`)
    this.headers = source.enableXRatelimitHeaders === 1
    this.tellsWhen = source.enableRetryAfterHeader
    this.hostLimits = source.vhRateLimits
    const stat = (name: string) => context.stats.counter(`${source.statPrefix}.http_local_rate_limit.${name}`)
    this.stats = {
      enabled: stat('enabled'),
      enforced: stat('enforced'),
      rateLimited: stat('rate_limited'),
      ok: stat('ok'),
      shadow: stat('shadow_mode'),
    }
    this.perConnection = source.localRateLimitPerDownstreamConnection
    this.sharers = source.localClusterRateLimit === undefined ? () => 1 : () => clusterSize(context)
    source.rateLimits.forEach(({ limit }, i) => {
      if (limit !== undefined) context.fail(`rate_limits[${i}].limit`, "'limit' field is not supported here")
    })
    this.limits = compileFilterRateLimits(source.rateLimits, `${context.path}.rate_limits`)
    this.limiterOf = compileBuckets(source, identity, context)
  }

  limiter(stream: HttpStream): Limiter | null {
    if (this.limiterOf === null) return null
    if (!this.perConnection) {
      this.shared ??= this.limiterOf('')
      return this.shared
    }
    let limiter = this.ofConnections.get(stream.connection)
    if (limiter === undefined) {
      limiter = this.limiterOf(null)
      this.ofConnections.set(stream.connection, limiter)
    }
    return limiter
  }

  close(): void {
    this.shared?.close()
    this.shared = null
  }
}

/** How many proxies are in the cluster that this one is in; 1 while that is not known. */
function clusterSize({ services }: FilterContext): number {
  const total = services?.localCluster === undefined ? 0 : (services.cluster(services.localCluster)?.membership().total ?? 0)
  return Math.max(1, total)
}

function compileRules(bytes: Uint8Array, context: FilterContext): Rules {
  return new Rules(LocalRateLimit.decode(bytes), context, `${context.path}\n${Buffer.from(bytes).toString('latin1')}`)
}

class LocalRatelimitFilter implements HttpFilter {
  private readonly rules: Rules
  private readonly context: FilterContext
  private bucket: TokenBucket | null = null
  private told: boolean | null = null

  constructor(rules: Rules, context: FilterContext) {
    this.rules = rules
    this.context = context
  }

  onRequestHeaders(stream: HttpStream): FilterStatus {
    const { rules } = this
    const { stats } = rules
    if (!rules.enabled()) return 'continue'
    stats.enabled.inc()
    const limiter = rules.limiter(stream)
    if (limiter === null) {
      stats.ok.inc()
      return 'continue'
    }
    const { allowed, bucket, shadow, told } = limiter.take(
      limiter.countsByDescriptors ? this.descriptors(stream) : [],
      rules.sharers(),
    )
    this.bucket = bucket
    this.told = told
    if (allowed) {
      stats.ok.inc()
      return 'continue'
    }
    stats.rateLimited.inc()
    if (shadow) {
      stats.shadow.inc()
      return 'continue'
    }
    if (!rules.enforced()) {
      editHead(rules.requestEdits, stream.format, stream.request)
      return 'continue'
    }
    stats.enforced.inc()
    stream.reply(rules.status, 'local_rate_limited', {
      details: 'local_rate_limited',
      nextFlag: 'RL',
      ...(rules.grpcStatus === undefined ? {} : { grpcStatus: rules.grpcStatus }),
      edit: (response) => {
        editHead(rules.responseEdits, stream.format, response)
        const { headers, status } = response
        if (rules.tellsWhen && bucket !== null && status === StatusCode.TooManyRequests && !headers.has(retryAfterHeader))
          headers.set(retryAfterHeader, String(Math.max(1, Math.ceil(bucket.untilNext() / 1e9))))
      },
    })
    return 'stop'
  }

  private descriptors(stream: HttpStream): Descriptor[] {
    const { rules, context } = this
    const descriptors: Descriptor[] = []
    const scope = {
      stage: rules.stage,
      onDone: false,
      localCluster: context.services?.node.cluster ?? '',
      runtime: context.runtime,
    }
    const describe = (policies: readonly RateLimitPolicy[]) => describeRequest(policies, scope, stream, descriptors)
    const limits = stream.route?.rateLimits
    if (rules.limits.length > 0) describeRequest(rules.limits, { ...scope, stage: 0 }, stream, descriptors)
    else if (limits != null) {
      describe(limits.own)
      const included = limits.includeHost || rules.hostLimits === 1 || (rules.hostLimits === 0 && limits.own.length === 0)
      if (included) describe(limits.ofHost)
    }
    return descriptors
  }

  onResponseHeaders({ response: { headers } }: HttpStream): FilterStatus {
    const { bucket, told } = this
    if (bucket === null || !(told ?? this.rules.headers)) return 'continue'
    headers.set(limitHeader, String(bucket.rate.maxTokens))
    headers.set(remainingHeader, String(bucket.remaining()))
    headers.set(resetHeader, String(Math.ceil(bucket.untilNext() / 1e9)))
    return 'continue'
  }
}
