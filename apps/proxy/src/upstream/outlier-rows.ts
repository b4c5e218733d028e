import type { Cluster } from '@weft/contracts/envoy/config/cluster/v3/cluster'
import type { HeadMatcher } from '../routing/matchers/header-matcher.ts'

/** What outlier detection of a cluster looks at in workers: thresholds at which the main thread has to be told. */
export interface OutlierRows {
  /** Failures that came to be here (connect failure, timeout, reset) are counted apart from answers. */
  split: boolean
  consecutive5xx: number
  consecutiveGateway: number
  consecutiveLocal: number
  /** Endpoints whose answers say that they are degraded count as that for a while. */
  detectsDegraded: boolean
  /** Tells errors by an answer's head; null: by its status. */
  isError: HeadMatcher | null
}

/** As a cluster's `outlier_detection` says; null: nobody looks for outliers. */
export function outlierRows(cluster: { source: Cluster; errorMatcher: HeadMatcher | null }): OutlierRows | null {
  const config = cluster.source.outlierDetection
  if (config === undefined) return null
  return {
    split: config.splitExternalLocalOriginErrors,
    consecutive5xx: config.consecutive5xx ?? 5,
    consecutiveGateway: config.consecutiveGatewayFailure ?? 5,
    consecutiveLocal: config.consecutiveLocalOriginFailure ?? 5,
    detectsDegraded: config.detectDegradedHosts === true,
    isError: cluster.errorMatcher,
  }
}
