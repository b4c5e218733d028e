import {
  RateLimitResponse_Code as Code,
  type RateLimitResponse_DescriptorStatus as DescriptorStatus,
  RateLimitResponse_RateLimit_Unit as Unit,
} from '@weft/contracts/envoy/service/ratelimit/v3/rls'

/** Seconds of each unit. */
const windows: Readonly<Record<number, number>> = {
  [Unit.SECOND]: 1,
  [Unit.MINUTE]: 60,
  [Unit.HOUR]: 3_600,
  [Unit.DAY]: 86_400,
  [Unit.WEEK]: 604_800,
  [Unit.MONTH]: 2_592_000,
  [Unit.YEAR]: 31_536_000,
}

/**
 * The `x-ratelimit-*` headers of draft 03: the limit nearest to its end, and every limit with its window. `isTold`: whether
 * that of the descriptor at an index is; none are where the nearest is not.
 */
export function limitHeaders(
  statuses: readonly DescriptorStatus[],
  isTold: (index: number) => boolean,
): [name: string, value: string][] {
  let nearest: DescriptorStatus | null = null
  let nearestTold = false
  let policies = ''
  for (const [index, status] of statuses.entries()) {
    const { currentLimit } = status
    if (currentLimit === undefined) continue
    const told = isTold(index)
    if (nearest === null || status.limitRemaining < nearest.limitRemaining) {
      nearest = status
      nearestTold = told
    }
    if (!told) continue
    const window = windows[currentLimit.unit]
    if (window === undefined) continue
    const name = currentLimit.name === '' ? '' : `;name="${currentLimit.name}"`
    policies += `, ${currentLimit.requestsPerUnit};w=${window}${name}`
  }
  if (nearest?.currentLimit === undefined || !nearestTold) return []
  return [
    ['x-ratelimit-limit', `${nearest.currentLimit.requestsPerUnit}${policies}`],
    ['x-ratelimit-remaining', String(nearest.limitRemaining)],
    ['x-ratelimit-reset', String(nearest.durationUntilReset?.seconds ?? 0)],
  ]
}

/** Seconds after which the limits that a request went over let one pass again: those of the slowest, one at least. */
export function retryAfter(statuses: readonly DescriptorStatus[]): number {
  const over = statuses.filter(({ code }) => code === Code.OVER_LIMIT)
  return Math.max(1, ...over.map(({ durationUntilReset }) => durationUntilReset?.seconds ?? 0))
}
