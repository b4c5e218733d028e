import type { Router } from '@weft/contracts/envoy/extensions/filters/http/router/v3/router'
import { type HeaderName, headerName } from '@weft/http/header-name'
import type { HeaderTable } from '@weft/http/header-table'
import { isRetryOn } from '../../../routing/retry-policy.ts'
import type { FilterContext } from '../filter.ts'
import { RouterStats } from './router-stats.ts'

/** The router's own configuration, compiled. */
export interface RouterPlan {
  readonly stats: RouterStats
  /** No `x-envoy-` headers are written. */
  readonly suppressHeaders: boolean
  /** `x-envoy-expected-rq-timeout-ms` of the proxy before this one is the time limit. */
  readonly respectExpected: boolean
  /** Headers that a request must not have malformed. */
  readonly strictHeaders: readonly HeaderName[]
  /** Count responses by status. */
  readonly countStatuses: boolean
  /** Statuses of gRPC requests are not counted one by one. */
  readonly suppressGrpcCodes: boolean
}

export function compileRouter(source: Router, { stats, statPrefix }: Pick<FilterContext, 'stats' | 'statPrefix'>): RouterPlan {
  return {
    stats: new RouterStats(stats, statPrefix),
    suppressHeaders: source.suppressEnvoyHeaders,
    respectExpected: source.respectExpectedRqTimeout,
    strictHeaders: source.strictCheckHeaders.map(headerName),
    countStatuses: source.dynamicStats ?? true,
    suppressGrpcCodes: source.suppressGrpcRequestFailureCodeStats,
  }
}

/** The plan for copies of the same requests: they are counted apart, as those of no client. */
export function planOfCopies(plan: RouterPlan): RouterPlan {
  return { ...plan, stats: new RouterStats(plan.stats.store, 'http.async-client.') }
}

/** The first of these headers that is there and malformed, with its value; null: none. */
export function malformedHeader(headers: HeaderTable, strict: readonly HeaderName[]): [name: string, value: string] | null {
  for (const header of strict) {
    const value = headers.getAll(header)
    if (value === null) continue
    const words = header.name === 'x-envoy-retry-on' || header.name === 'x-envoy-retry-grpc-on'
    if (words ? !isRetryOn(value) : !/^\d+$/.test(value)) return [header.name, value]
  }
  return null
}
