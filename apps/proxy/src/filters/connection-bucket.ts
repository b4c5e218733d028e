import type { RuntimeFeatureFlag } from '@weft/contracts/envoy/config/core/v3/base'
import type { TokenBucket } from '@weft/contracts/envoy/type/v3/token_bucket'
import { durationMs } from '../plan/duration.ts'
import type { PlanContext } from '../plan/plan-context.ts'
import { invalid } from '../plan/problems.ts'
import { TokenBuckets } from '../shared/token-buckets.ts'

/** A token bucket of connections, one for all workers. */
export interface ConnectionBucket {
  /** Takes a token; false: there is none. Always true while the runtime has the limit off. */
  take(): boolean
  close(): void
}

/** Compiles the bucket of a local rate limit filter; filters of the same `identity` share it. */
export function compileConnectionBucket(
  source: { tokenBucket: TokenBucket | undefined; runtimeEnabled: RuntimeFeatureFlag | undefined },
  identity: string,
  path: string,
  { services, runtime }: PlanContext,
): ConnectionBucket {
  const { tokenBucket, runtimeEnabled } = source
  if (tokenBucket === undefined) throw invalid(`${path}.token_bucket`, 'must be set')
  const intervalMs = durationMs(tokenBucket.fillInterval, 0)
  if (intervalMs < 50)
    throw invalid(`${path}.token_bucket.fill_interval`, 'local rate limit token bucket fill timer must be >= 50ms')
  const rate = { maxTokens: tokenBucket.maxTokens, perNanosecond: (tokenBucket.tokensPerFill ?? 1) / (intervalMs * 1e6) }
  const bucket = (services?.tokenBuckets ?? new TokenBuckets(1)).open(identity, rate)
  const isEnabled = () =>
    runtimeEnabled === undefined || runtime.boolean(runtimeEnabled.runtimeKey, runtimeEnabled.defaultValue ?? true)
  return { take: () => !isEnabled() || bucket.consume(), close: () => bucket.release() }
}
