import type { Cluster } from '@weft/contracts/envoy/config/cluster/v3/cluster'

/** What outlier detection of a cluster looks at in workers: thresholds at which the main thread has to be told. */
export interface OutlierRows {
  /** Failures that came to be here (connect failure, timeout, reset) are counted apart from answers. */
  split: boolean
  consecutive5xx: number
  consecutiveGateway: number
  consecutiveLocal: number
}

/** As a cluster's `outlier_detection` says; null: nobody looks for outliers. */
export function outlierRows({ outlierDetection: config }: Cluster): OutlierRows | null {
  if (config === undefined) return null
  return {
    split: config.splitExternalLocalOriginErrors,
    consecutive5xx: config.consecutive5xx ?? 5,
    consecutiveGateway: config.consecutiveGatewayFailure ?? 5,
    consecutiveLocal: config.consecutiveLocalOriginFailure ?? 5,
  }
}
