import type { LocalRateLimit } from '@weft/contracts/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit'
import type { TokenBucket as TokenBucketProto } from '@weft/contracts/envoy/type/v3/token_bucket'
import { durationMs } from '../../../plan/duration.ts'
import type { Descriptor } from '../../../routing/rate-limits.ts'
import { type BucketRate, type TokenBucket, TokenBuckets } from '../../../shared/token-buckets.ts'
import type { FilterContext } from '../filter.ts'

/** What a limiter says of a request, and the bucket that decided (null: none did). */
interface Taken {
  allowed: boolean
  bucket: TokenBucket | null
  /** It only counts. */
  shadow: boolean
  /** Whether the limit is told in `x-ratelimit-*`; null: as the filter says. */
  told: boolean | null
}

/** The live buckets of a configuration. */
export interface Limiter {
  readonly countsByDescriptors: boolean
  /** `sharers`: how many proxies have the buckets together, of which a part is this one's. */
  take(descriptors: readonly Descriptor[], sharers: number): Taken
  close(): void
}

/** Opens the buckets: those that `owner` shares with all workers, or (null) some of its own. */
export type OpenLimiter = (owner: '' | null) => Limiter

/** Buckets that values make which the configuration leaves open, unless it says how many; the one used longest ago goes. */
const defaultMaxDynamic = 20

interface Limit {
  readonly bucket: TokenBucket
  readonly shadow: boolean
}

interface DescriptorRule {
  readonly key: string
  readonly rate: BucketRate
  readonly shadow: boolean
  /** Entries of which the value is open (each value has a bucket of its own); null: all are given. */
  readonly open: readonly { key: string; value: string }[] | null
}

/** Compiles the buckets of a configuration; null: it limits nothing. */
export function compileBuckets(source: LocalRateLimit, identity: string, context: FilterContext): OpenLimiter | null {
  const byDefault = source.tokenBucket === undefined ? null : rateOf(source.tokenBucket, 'token_bucket', context)
  const seen = new Set<string>()
  const rules = source.descriptors.map(({ entries, tokenBucket, shadowMode: shadow }, i): DescriptorRule => {
    const path = `descriptors[${i}]`
    if (tokenBucket === undefined) return context.fail(`${path}.token_bucket`, 'must be set')
    const key = keyOf(entries)
    if (seen.has(key)) return context.fail(path, 'duplicate descriptor in the local rate descriptor')
    seen.add(key)
    const rate = rateOf(tokenBucket, `${path}.token_bucket`, context)
    return { key, rate, shadow, open: entries.some(({ value }) => value === '') ? entries : null }
  })
  if (byDefault === null && rules.length === 0) return null
  const consumesDefault = source.alwaysConsumeDefaultTokenBucket ?? true
  const maxDynamic = source.maxDynamicDescriptors ?? defaultMaxDynamic
  if (maxDynamic < 1) return context.fail('max_dynamic_descriptors', 'must be at least 1')
  return (owner) => {
    const shared = owner === null ? null : (context.services?.tokenBuckets ?? null)
    const own = shared ?? new TokenBuckets(rules.length + 1 + maxDynamic)
    return openLimiter(own, identity, byDefault, rules, { consumesDefault, maxDynamic })
  }
}

function openLimiter(
  buckets: TokenBuckets,
  identity: string,
  byDefault: BucketRate | null,
  rules: readonly DescriptorRule[],
  { consumesDefault, maxDynamic }: { consumesDefault: boolean; maxDynamic: number },
): Limiter {
  const base = byDefault === null ? null : buckets.open(`${identity}\ndefault`, byDefault)
  const given = new Map<string, Limit>(
    rules
      .filter(({ open }) => open === null)
      .map(({ key, rate, shadow }) => [key, { bucket: buckets.open(`${identity}\n${key}`, rate), shadow }]),
  )
  const open = rules.filter((rule) => rule.open !== null)
  const dynamic = new Map<string, Limit>()

  const dynamicLimit = (descriptor: Descriptor): Limit | undefined => {
    const rule = open.find((one) => fits(one.open ?? [], descriptor.entries))
    if (rule === undefined) return undefined
    const key = keyOf(descriptor.entries)
    const limit = dynamic.get(key) ?? { bucket: buckets.open(`${identity}\n${rule.key}\n${key}`, rule.rate), shadow: rule.shadow }
    dynamic.delete(key)
    dynamic.set(key, limit)
    if (dynamic.size > maxDynamic) {
      const [oldest] = dynamic
      if (oldest !== undefined) {
        oldest[1].bucket.release()
        dynamic.delete(oldest[0])
      }
    }
    return limit
  }

  return {
    countsByDescriptors: rules.length > 0,
    take(descriptors, sharers) {
      const now = process.hrtime.bigint()
      const matched: (Limit & { hits: number; told: boolean | null })[] = []
      for (const descriptor of descriptors) {
        const limit = given.get(keyOf(descriptor.entries)) ?? dynamicLimit(descriptor)
        if (limit !== undefined) matched.push({ ...limit, hits: descriptor.hits ?? 1, told: descriptor.told })
      }
      // The slowest first: it is the one to tell of.
      if (matched.length > 1) matched.sort((a, b) => a.bucket.rate.perNanosecond - b.bucket.rate.perNanosecond)
      let outcome: Taken = { allowed: true, shadow: false, bucket: matched[0]?.bucket ?? base, told: matched[0]?.told ?? null }
      for (const { bucket, hits, shadow, told } of matched) {
        if (bucket.consume(now, hits * sharers)) continue
        if (!shadow) return { allowed: false, bucket, shadow, told }
        // A limit that only counts is told where no other decides.
        if (outcome.allowed) outcome = { allowed: false, bucket, shadow, told }
      }
      if (base === null || (matched.length > 0 && !consumesDefault) || base.consume(now, sharers)) return outcome
      return { allowed: false, bucket: base, shadow: false, told: null }
    },
    close() {
      base?.release()
      for (const { bucket } of given.values()) bucket.release()
      for (const { bucket } of dynamic.values()) bucket.release()
    },
  }
}

function rateOf(source: TokenBucketProto, path: string, context: FilterContext): BucketRate {
  const intervalMs = durationMs(source.fillInterval, 0)
  if (intervalMs < 50) return context.fail(`${path}.fill_interval`, 'local rate limit token bucket fill timer must be >= 50ms')
  const tokens = source.tokensPerFill ?? 1
  if (tokens < 1) return context.fail(`${path}.tokens_per_fill`, 'must be at least 1')
  return { maxTokens: source.maxTokens, perNanosecond: tokens / (intervalMs * 1e6) }
}

function keyOf(entries: readonly { key: string; value: string }[]): string {
  return entries.map(({ key, value }) => `${key.length}:${key}${value.length}:${value}`).join()
}

/** Whether a request's entries are those of a rule, open values standing for any. */
function fits(rule: readonly { key: string; value: string }[], entries: readonly { key: string; value: string }[]): boolean {
  return (
    rule.length === entries.length &&
    rule.every(({ key, value }, i) => entries[i]?.key === key && (value === '' || entries[i]?.value === value))
  )
}
