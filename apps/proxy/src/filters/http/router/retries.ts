import type { ResponseHead } from '@weft/http/message'
import { type RetryPlan, retriableReset, retriableResponse } from '../../../routing/retry-policy.ts'
import { Timeout } from '../../../transport/timer-wheel.ts'
import type { CircuitBreaker } from '../../../upstream/circuit-breaker.ts'
import type { RoutedExchange } from '../routed-exchange.ts'
import type { KeptBody } from './kept-body.ts'
import type { RequestCounts } from './request-counts.ts'
import type { RequestPick } from './request-pick.ts'
import type { TimeLimits } from './time-limits.ts'

/** What another try of a request has to do with. */
interface RetriedRequest {
  counts: RequestCounts
  limits: TimeLimits
  pick: RequestPick
  body: KeptBody
}

/** How often a request may be tried again and for what, and the wait before the next try. */
export class Retries {
  private readonly exchange: RoutedExchange
  private readonly counts: RequestCounts
  private readonly limits: TimeLimits
  private readonly pick: RequestPick
  private readonly body: KeptBody
  /** Another try is due. */
  private readonly again: () => void
  plan: RetryPlan | null = null
  left = 0
  private breaker: CircuitBreaker | null = null
  /** It counts among the retries that the cluster lets be under way at a time. */
  isHeld = false
  private timer: Timeout | null = null

  constructor(exchange: RoutedExchange, request: RetriedRequest, again: () => void) {
    this.exchange = exchange
    this.counts = request.counts
    this.limits = request.limits
    this.pick = request.pick
    this.body = request.body
    this.again = again
  }

  /** Another request. null: it is tried once. */
  begin(plan: RetryPlan | null, breaker: CircuitBreaker | null): void {
    this.plan = plan
    this.breaker = breaker
    this.left = plan === null ? 0 : plan.retries
    this.isHeld = false
  }

  /** Whether the policy has another try for such an answer. */
  wantsOther(response: ResponseHead): boolean {
    return this.plan !== null && this.left > 0 && retriableResponse(this.plan, response)
  }

  /** Whether this was the last try that the policy has, and failed too. */
  isLast(response: ResponseHead): boolean {
    const { plan } = this
    if (plan === null || this.left > 0 || this.exchange.info.attemptCount <= plan.retries) return false
    return retriableResponse(plan, response)
  }

  /** Schedules another try for one that ended without an answer, if the policy has one for that and there can be one. */
  tryAfter(kind: Parameters<typeof retriableReset>[1]): boolean {
    const { plan } = this
    if (plan === null || this.left === 0 || !retriableReset(plan, kind) || !this.take()) return false
    this.schedule(plan)
    return true
  }

  /** Whether there can be another try: the client has no answer yet, all of the request is at hand, and its cluster lets it be. */
  take(): boolean {
    const { exchange, body } = this
    if (exchange.responseStarted || (!body.ended && !body.forRetries)) return false
    if (!this.isHeld && this.breaker?.take('retries') !== true) {
      this.counts.retryOverflow()
      exchange.info.addResponseFlag('UO')
      return false
    }
    this.isHeld = true
    return true
  }

  /** Every try that the policy has was made, and the last one failed too. */
  noteLastFailed(): void {
    this.counts.retryLimitExceeded()
    this.exchange.info.addResponseFlag('URX')
  }

  /**
   * A try gave no answer, and there is no other: the policy would have had one for that, if it had any left. A later try that fails
   * in a way that the policy has none for counts as one that helped, as in Envoy.
   */
  noteSpent(kind: Parameters<typeof retriableReset>[1]): void {
    const { plan } = this
    if (plan === null) return
    if (!retriableReset(plan, kind)) {
      if (this.exchange.info.attemptCount > 1) this.counts.retrySuccess()
    } else if (this.left === 0) this.noteLastFailed()
  }

  /** Gives the place among the retries of the cluster back. */
  release(): void {
    if (!this.isHeld) return
    this.isHeld = false
    this.breaker?.release('retries')
  }

  /** No other try takes the place of the one under way, however that ends. */
  forgo(): void {
    this.release()
    this.begin(null, null)
  }

  /** `breaker`: of the cluster that the request goes to now. */
  turnTo(breaker: CircuitBreaker): void {
    this.breaker = breaker
  }

  /** Another try follows in the time that an answer asked for (ms), or at the next step of the back-off (null). */
  schedule(plan: RetryPlan, askedMs: number | null = null): void {
    const { info, response, downstream } = this.exchange
    this.counts.retry(askedMs !== null)
    this.left--
    if (info.upstreamEndpoint !== null) {
      this.pick.noteTried(info.upstreamEndpoint)
      info.earlierAttempts ??= []
      info.earlierAttempts.push({
        endpoint: info.upstreamEndpoint,
        connectionId: info.upstreamConnection?.id ?? 0,
        reached: info.reachedUpstream,
      })
    }
    response.clear()
    this.limits.endTry()
    const ceiling = Math.min(plan.maxMs, plan.baseMs * 2 ** Math.min(20, info.attemptCount - 1))
    this.timer ??= new Timeout(this.again)
    downstream.timers.arm(this.timer, askedMs === null ? Math.random() * ceiling : askedMs * (1 + Math.random() / 2))
  }

  /** No try follows any more. */
  cancel(): void {
    if (this.timer !== null) this.exchange.downstream.timers.cancel(this.timer)
  }
}
