import { headerName } from '@weft/http/header-name'
import type { HeaderTable } from '@weft/http/header-table'
import type { RequestHead, ResponseHead } from '@weft/http/message'
import type { ResetReason } from '@weft/http/stream'
import { retriableResponse } from '../../../routing/retry-policy.ts'
import type { ForwardPlan } from '../../../routing/route-action.ts'
import type { Endpoint } from '../../../upstream/endpoint.ts'
import { noteLocalFailure, noteResponse } from '../../../upstream/outcome.ts'
import type { PooledConnection, PoolWaiter } from '../../../upstream/pool.ts'
import type { RoutedExchange } from '../routed-exchange.ts'
import { HedgedTry, type HedgeOwner } from './hedge.ts'
import type { Retries } from './retries.ts'
import type { UpstreamTry } from './upstream-try.ts'

const hedgeHeader = headerName('x-envoy-hedge-on-per-try-timeout')

/** Whether a request's tries may race: its route says so, or its own header. */
export function hedgesOf(forward: ForwardPlan, { headers }: RequestHead): boolean {
  if (headers.find(hedgeHeader) < 0) return forward.hedges
  return headers.get(hedgeHeader) === 'true' || forward.hedges
}

/** Whose tries race: it hears of them as of the only one. */
export interface RaceOwner extends PoolWaiter {
  /** The client's answer has begun. */
  readonly responding: boolean
  /** The try of `attempt` is over. */
  endTry(): void
  /** That try is given up. */
  dropTry(): void
}

/** Shared by requests whose tries don't race; never changed. */
const none: HedgedTry[] = []

/** The tries of one request that are under way at the same time (hedge_policy): the first good answer is the client's. */
export class RacingTries implements HedgeOwner {
  private readonly exchange: RoutedExchange
  private readonly owner: RaceOwner
  private readonly attempt: UpstreamTry
  private readonly retries: Retries
  /** The latest; null: none is under way that races. */
  current: HedgedTry | null = null
  /** Those before it whose time is up. */
  private older: HedgedTry[] = none

  constructor(exchange: RoutedExchange, owner: RaceOwner, attempt: UpstreamTry, retries: Retries) {
    this.exchange = exchange
    this.owner = owner
    this.attempt = attempt
    this.retries = retries
  }

  get hasOlder(): boolean {
    return this.older.length > 0
  }

  /** A try takes part. */
  enter(endpoint: Endpoint, connection: PooledConnection): HedgedTry {
    this.current = new HedgedTry(this, endpoint, connection)
    return this.current
  }

  /** The time of the latest is up, and it goes on beside the next one. */
  outlive(latest: HedgedTry): void {
    if (this.older === none) this.older = []
    this.older.push(latest)
    this.attempt.leave()
    this.current = null
  }

  giveUpOlder(): void {
    if (this.older.length === 0) return
    const { older } = this
    this.older = none
    for (const one of older) {
      this.attempt.settle(one.endpoint)
      one.giveUp()
    }
  }

  // HedgeOwner

  onHedgedHead(one: HedgedTry, endStream: boolean): void {
    const { exchange, retries, attempt } = this
    if (one !== this.current) {
      const at = this.older.indexOf(one)
      if (at < 0) return
      this.older.splice(at, 1)
      // Another try is under way for one whose answer asks for it.
      if (retries.plan !== null && retriableResponse(retries.plan, one.response)) {
        noteResponse(one.endpoint, one.response, one.response.status)
        attempt.settle(one.endpoint)
        if (!endStream) one.giveUp()
        return
      }
      this.owner.dropTry()
      retries.cancel()
      this.current = one
      attempt.resume(one.endpoint, one.connection, one.stream)
    }
    one.choose()
    const { response } = exchange
    response.clear()
    response.status = one.response.status
    response.version = one.response.version
    response.headers.copyFrom(one.response.headers)
    if (!retries.wantsOther(response)) this.giveUpOlder()
    this.owner.onResponseHead(endStream)
  }

  onHedgedReset(one: HedgedTry, reason: ResetReason, detail: string): void {
    const { owner, attempt, retries } = this
    if (one === this.current) {
      // Older ones may still answer, where no other try would follow.
      if (this.hasOlder && retries.left === 0 && !owner.responding) {
        noteLocalFailure(one.endpoint, 503)
        owner.endTry()
      } else owner.onResponseReset(reason, detail)
      return
    }
    const at = this.older.indexOf(one)
    if (at < 0) return
    this.older.splice(at, 1)
    noteLocalFailure(one.endpoint, 503)
    attempt.settle(one.endpoint)
    // It was the last that could have answered.
    if (!this.hasOlder && attempt.connection === null && attempt.waitingFor === null && !retries.isHeld)
      owner.onResponseReset(reason, detail)
  }

  onInterim(head: ResponseHead): void {
    this.owner.onInterim(head)
  }

  onResponseData(buffer: Buffer, start: number, end: number, endStream: boolean): void {
    this.owner.onResponseData(buffer, start, end, endStream)
  }

  onResponseTrailers(trailers: HeaderTable): void {
    this.owner.onResponseTrailers(trailers)
  }

  onRequestWritable(): void {
    this.owner.onRequestWritable()
  }
}
