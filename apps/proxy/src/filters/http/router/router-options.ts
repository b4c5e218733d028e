import { Router } from '@weft/contracts/envoy/extensions/filters/http/router/v3/router'
import { type HeaderName, headerName } from '@weft/http/header-name'
import type { HeaderTable } from '@weft/http/header-table'
import { isRetryOn } from '../../../routing/retry-policy.ts'

/** What of the router's own configuration requests depend on. */
export interface RouterOptions {
  /** No `x-envoy-` headers are written. */
  suppressHeaders: boolean
  /** `x-envoy-expected-rq-timeout-ms` of the proxy before this one is the time limit. */
  respectExpected: boolean
  /** Headers that a request must not have malformed. */
  strictHeaders: readonly HeaderName[]
  /** Count responses by status. */
  countStatuses: boolean
  /** Statuses of gRPC requests are not counted one by one. */
  suppressGrpcCodes: boolean
}

export const defaultRouterOptions: RouterOptions = {
  suppressHeaders: false,
  respectExpected: false,
  strictHeaders: [],
  countStatuses: true,
  suppressGrpcCodes: false,
}

export function compileRouterOptions(bytes: Uint8Array): RouterOptions {
  const source = Router.decode(bytes)
  return {
    suppressHeaders: source.suppressEnvoyHeaders,
    respectExpected: source.respectExpectedRqTimeout,
    strictHeaders: source.strictCheckHeaders.map(headerName),
    countStatuses: source.dynamicStats ?? true,
    suppressGrpcCodes: source.suppressGrpcRequestFailureCodeStats,
  }
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
