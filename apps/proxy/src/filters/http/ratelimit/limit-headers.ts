import {
  type RateLimitResponse_DescriptorStatus as DescriptorStatus,
  RateLimitResponse_RateLimit_Unit as Unit,
} from '@weft/contracts/envoy/service/ratelimit/v3/rls'

/** Seconds of each unit. */
const windows: Readonly<Record<number, number>> = {
  [Unit.SECOND]: 1,
  [Unit.MINUTE]: 60,
  [Unit.HOUR]: 3_600,
  [Unit.DAY]: 86_400,
  [Unit.MONTH]: 2_592_000,
  [Unit.YEAR]: 31_536_000,
}

/** The `x-ratelimit-*` headers of draft 03: the limit nearest to its end, and every limit with its window. */
export function limitHeaders(statuses: readonly DescriptorStatus[]): [name: string, value: string][] {
  let nearest: DescriptorStatus | null = null
  let policies = ''
  for (const status of statuses) {
    const { currentLimit } = status
    if (currentLimit === undefined) continue
    if (nearest === null || status.limitRemaining < nearest.limitRemaining) nearest = status
    const window = windows[currentLimit.unit]
    if (window === undefined) continue
    const name = currentLimit.name === '' ? '' : `;name="${currentLimit.name}"`
    policies += `, ${currentLimit.requestsPerUnit};w=${window}${name}`
  }
  if (nearest?.currentLimit === undefined) return []
  return [
    ['x-ratelimit-limit', `${nearest.currentLimit.requestsPerUnit}${policies}`],
    ['x-ratelimit-remaining', String(nearest.limitRemaining)],
    ['x-ratelimit-reset', String(nearest.durationUntilReset?.seconds ?? 0)],
  ]
}
