import type { Bag } from '@weft/attributes/bag'
import { WeftError } from '@weft/service/errors'
import type { QuotaCall, QuotaGrant } from '../adapter.ts'
import { guarded, HandlerFailure, LazyCall, type LiveHandler, type OnError } from './handler.ts'
import { matches } from './match.ts'
import type { DispatchMetrics } from './metrics.ts'
import type { Plan } from './plan.ts'

/** A quota that nobody counts is granted in full for this long. */
const UNKNOWN_VALID_MS = 60_000
/** A grant that stands in for a failed handler is asked for again soon. */
const STANDIN_VALID_MS = 1_000

export interface QuotaRequest {
  /** An instance's name, or its full name. */
  name: string
  amount: number
  bestEffort: boolean
  /** The request's deduplication id; empty when it has none. */
  dedupId: string
}

class LazyQuotaCall extends LazyCall implements QuotaCall {
  readonly amount: number
  readonly bestEffort: boolean
  readonly dedupId: string

  constructor(amount: number, bestEffort: boolean, dedupId: string) {
    super()
    this.amount = amount
    this.bestEffort = bestEffort
    this.dedupId = dedupId
  }
}

/**
 * Asks all handlers that count a quota for this request. Where several do, the least amount and the shortest time hold.
 */
export async function allocate(
  plan: Plan,
  bag: Bag,
  request: QuotaRequest,
  deadlineMs: number,
  metrics: DispatchMetrics,
): Promise<QuotaGrant> {
  const startMs = performance.now()
  const { name, amount, bestEffort } = request
  const dedupId = request.dedupId === '' ? '' : `${request.dedupId}${name}`
  const grants: (QuotaGrant | Promise<QuotaGrant>)[] = []
  for (const rule of plan.quota.candidates(bag)) {
    if (!rule.actions.some(({ instances }) => instances.some((instance) => isNamed(instance, name)))) continue
    if (!matches(rule, bag, metrics)) continue
    for (const { handler, handle, instances } of rule.actions) {
      for (const planned of instances) {
        if (!isNamed(planned, name)) continue
        try {
          const instance = planned.build(bag)
          const grant = guarded(handler, metrics, deadlineMs, new LazyQuotaCall(amount, bestEffort, dedupId), (call) =>
            handle(instance, call),
          )
          grants.push(
            grant instanceof Promise
              ? grant.then((later) => settled(later, handler, amount, metrics))
              : settled(grant, handler, amount, metrics),
          )
        } catch (thrown) {
          metrics.instanceFailed(planned.name, WeftError.from(thrown))
          grants.push(standIn(handler.onError, amount))
        }
      }
    }
  }
  if (grants.length === 0) {
    metrics.quota('unknown', performance.now() - startMs)
    return { amount, validDurationMs: UNKNOWN_VALID_MS }
  }
  const grant = strictest(await Promise.all(grants))
  const result = grant.amount === 0 && amount !== 0 ? 'denied' : grant.amount < Math.abs(amount) ? 'partial' : 'granted'
  metrics.quota(result, performance.now() - startMs)
  return grant
}

function isNamed(instance: { name: string; shortName: string }, name: string): boolean {
  return instance.shortName === name || instance.name === name
}

function settled(grant: QuotaGrant | HandlerFailure, handler: LiveHandler, amount: number, metrics: DispatchMetrics): QuotaGrant {
  if (grant instanceof HandlerFailure) return standIn(handler.onError, amount)
  // Adapters in JavaScript may give anything.
  if (Number.isFinite(grant?.amount) && Number.isFinite(grant?.validDurationMs)) return grant
  metrics.handlerFailed(
    handler,
    new WeftError('internal', 'its answer is no grant', { hint: 'return { amount, validDurationMs }' }),
  )
  return standIn(handler.onError, amount)
}

function standIn(onError: OnError, amount: number): QuotaGrant {
  return { amount: onError === 'allow' ? Math.abs(amount) : 0, validDurationMs: STANDIN_VALID_MS }
}

function strictest(grants: readonly QuotaGrant[]): QuotaGrant {
  let amount = Number.POSITIVE_INFINITY
  let validDurationMs = Number.POSITIVE_INFINITY
  for (const grant of grants) {
    amount = Math.min(amount, grant.amount)
    // 0 is without end.
    if (grant.validDurationMs > 0) validDurationMs = Math.min(validDurationMs, grant.validDurationMs)
  }
  return { amount, validDurationMs: validDurationMs === Number.POSITIVE_INFINITY ? 0 : validDurationMs }
}
