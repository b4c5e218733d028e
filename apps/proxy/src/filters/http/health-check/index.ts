import { HealthCheck } from '@weft/contracts/envoy/extensions/filters/http/health_check/v3/health_check'
import { headerName } from '@weft/http/header-name'
import type { HeaderTable } from '@weft/http/header-table'
import type { Counter } from '../../../observe/stats.ts'
import { durationMs } from '../../../plan/duration.ts'
import { compileHeaderMatcher, type HeadMatcher } from '../../../routing/matchers/header-matcher.ts'
import type { WorkerServices } from '../../../worker-services.ts'
import type { FilterStatus, HttpFilter, HttpFilterKind, HttpStream } from '../filter.ts'

const checkedCluster = headerName('x-envoy-upstream-healthchecked-cluster')
const immediateFail = headerName('x-envoy-immediate-health-check-fail')
const degradedHeader = headerName('x-envoy-degraded')

/** `envoy.filters.http.health_check`: answers health checks for the proxy and what stands behind it. */
export const healthCheck: HttpFilterKind = {
  types: ['envoy.extensions.filters.http.health_check.v3.HealthCheck'],
  compile(bytes, context) {
    const source = HealthCheck.decode(bytes)
    const passThrough = source.passThroughMode ?? false
    const cacheMs = durationMs(source.cacheTime, 0)
    if (!passThrough && cacheMs >= 1)
      context.fail('cache_time', 'cache_time_ms must not be set when path_through_mode is disabled')
    const rules: Rules = {
      passThrough,
      matchers: source.headers.map((matcher, i) => compileHeaderMatcher(matcher, `${context.path}.headers[${i}]`)),
      clusters: Object.entries(source.clusterMinHealthyPercentages)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([name, percent]) => ({ name, minHealthy: percent.value })),
      cache: passThrough && cacheMs > 0 ? new AnswerCache(cacheMs) : null,
      counters: countersOf((name) => context.stats.counter(`${context.statPrefix}health_check.${name}`)),
    }
    const { services } = context
    return { start: () => (services === null ? null : new HealthCheckFilter(rules, services)) }
  },
}

interface Rules {
  readonly passThrough: boolean
  readonly matchers: readonly HeadMatcher[]
  readonly clusters: readonly { name: string; minHealthy: number }[]
  readonly cache: AnswerCache | null
  readonly counters: Counters
}

type Counters = ReturnType<typeof countersOf>

function countersOf(counter: (name: string) => Counter) {
  return {
    total: counter('request_total'),
    ok: counter('ok'),
    failed: counter('failed'),
    degraded: counter('degraded'),
    // By the details of the answer.
    health_check_cached: counter('cached_response'),
    health_check_failed_no_cluster_found: counter('failed_cluster_not_found'),
    health_check_failed_cluster_empty: counter('failed_cluster_empty'),
    health_check_failed_cluster_unhealthy: counter('failed_cluster_unhealthy'),
  }
}

/** The last answer of what stands behind, for a while. */
class AnswerCache {
  private readonly keepMs: number
  private until = 0
  private answer = { status: 200, degraded: false }

  constructor(keepMs: number) {
    this.keepMs = keepMs
  }

  get(): { status: number; degraded: boolean } | null {
    return performance.now() < this.until ? this.answer : null
  }

  set(status: number, degraded: boolean): void {
    this.answer = { status, degraded }
    this.until = performance.now() + this.keepMs
  }
}

interface Outcome {
  status: number
  details: string
  degraded?: boolean
}

class HealthCheckFilter implements HttpFilter {
  private readonly rules: Rules
  private readonly services: WorkerServices
  private isCheck = false
  private answersHere = false

  constructor(rules: Rules, services: WorkerServices) {
    this.rules = rules
    this.services = services
  }

  onRequestHeaders(stream: HttpStream, endStream: boolean): FilterStatus {
    const { matchers, passThrough, cache } = this.rules
    if (!matchers.every((matches) => matches(stream.request))) return 'continue'
    this.isCheck = true
    stream.info.isHealthCheck = true
    this.answersHere = !passThrough || this.services.processState.healthCheckFailed || cache?.get() != null
    if (!this.answersHere) return 'continue'
    if (endStream) this.answer(stream)
    return 'buffer'
  }

  onRequestData(stream: HttpStream, _data: Buffer, endStream: boolean): FilterStatus {
    if (!this.answersHere) return 'continue'
    if (endStream) this.answer(stream)
    return 'taken'
  }

  onRequestTrailers(stream: HttpStream, _trailers: HeaderTable): FilterStatus {
    if (!this.answersHere) return 'continue'
    this.answer(stream)
    return 'stop'
  }

  private answer(stream: HttpStream): void {
    const { status, details, degraded } = this.outcome()
    const { counters } = this.rules
    counters.total.inc()
    if (status === 200) counters.ok.inc()
    else counters.failed.inc()
    if (degraded === true) counters.degraded.inc()
    if (details in counters) counters[details as keyof Counters].inc()
    stream.reply(status, '', {
      details,
      ...(status === 200 ? {} : { flags: ['LH'] }),
      ...(degraded === true ? { headers: [[degradedHeader.name, '']] } : {}),
    })
  }

  private outcome(): Outcome {
    const { cache, clusters } = this.rules
    if (this.services.processState.healthCheckFailed) return { status: 503, details: 'health_check_failed' }
    const cached = cache?.get()
    if (cached != null) return { ...cached, details: 'health_check_cached' }
    for (const { name, minHealthy } of clusters) {
      const membership = this.services.cluster(name)?.membership()
      if (membership === undefined) return { status: 503, details: 'health_check_failed_no_cluster_found' }
      const { total, healthy, degraded } = membership
      if (total === 0) {
        if (minHealthy > 0) return { status: 503, details: 'health_check_failed_cluster_empty' }
      } else if (100 * (healthy + degraded) < total * minHealthy)
        return { status: 503, details: 'health_check_failed_cluster_unhealthy' }
    }
    return { status: 200, details: clusters.length > 0 ? 'health_check_ok_cluster_healthy' : 'health_check_ok' }
  }

  onResponseHeaders({ response }: HttpStream): FilterStatus {
    const { headers } = response
    if (this.isCheck) {
      if (!this.answersHere) this.rules.cache?.set(response.status, headers.has(degradedHeader))
      headers.set(checkedCluster, this.services.node.cluster)
    }
    if (this.services.processState.healthCheckFailed) headers.set(immediateFail, 'true')
    return 'continue'
  }
}
