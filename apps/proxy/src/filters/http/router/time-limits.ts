import type { RoutedExchange } from '../routed-exchange.ts'

/** What took too long, in the words of the response code details. */
export type TimeLimit =
  | 'response_timeout'
  | 'upstream_per_try_timeout'
  | 'upstream_per_try_idle_timeout'
  | 'upstream_max_stream_duration_reached'

const never = Number.POSITIVE_INFINITY

/** When a request's answer has to be there, and those of its tries (monotonic ms); the exchange's one timer looks at them. */
export class TimeLimits {
  private readonly exchange: Pick<RoutedExchange, 'watch'>
  /** How long the whole may take once the request is complete (ms; 0: any time). */
  wholeMs = 0
  /** How long a try may take, without its body (ms; 0: any time). */
  perTryMs = 0
  /** How long a try may say nothing (ms; 0: any time). */
  idleMs = 0
  /** How long a try may take, its body included (ms; 0: any time). */
  streamMs = 0
  whole = never
  private perTry = never
  private idle = never
  private stream = never

  constructor(exchange: Pick<RoutedExchange, 'watch'>) {
    this.exchange = exchange
  }

  /** Another request: it has all the time there is. */
  forget(): void {
    this.idleMs = 0
    this.disarm()
  }

  get next(): number {
    return Math.min(this.whole, this.perTry, this.idle, this.stream)
  }

  /** The request is complete: the time for all of it begins, and that of its try. */
  begin(now: number): void {
    if (this.wholeMs > 0) {
      this.whole = now + this.wholeMs
      this.exchange.watch(this.whole)
    }
    this.beginTry(now, true)
  }

  /** A try begins; `complete`: all of the request is there to be sent. */
  beginTry(now: number, complete: boolean): void {
    if (this.streamMs > 0) {
      this.stream = now + this.streamMs
      this.exchange.watch(this.stream)
    }
    if (this.perTryMs <= 0 || !complete) return
    this.perTry = now + this.perTryMs
    this.exchange.watch(this.perTry)
  }

  /** Upstream said something, or was asked. */
  noteActivity(now: number): void {
    this.idle = now + this.idleMs
    this.exchange.watch(this.idle)
  }

  /** The try's answer has begun. */
  answered(): void {
    this.perTry = never
  }

  /** No try is under way that could say something. */
  quiet(): void {
    this.idle = never
  }

  /** The try is over, another one will follow. */
  endTry(): void {
    this.perTry = never
    this.stream = never
  }

  /** The exchange is over. */
  disarm(): void {
    this.whole = never
    this.perTry = never
    this.idle = never
    this.stream = never
  }

  /** The first limit that is over, which is told once; null: none. */
  due(now: number): TimeLimit | null {
    if (now >= this.whole) {
      this.whole = never
      return 'response_timeout'
    }
    if (now >= this.idle) {
      this.idle = never
      return 'upstream_per_try_idle_timeout'
    }
    if (now >= this.perTry) {
      this.perTry = never
      return 'upstream_per_try_timeout'
    }
    if (now >= this.stream) {
      this.stream = never
      return 'upstream_max_stream_duration_reached'
    }
    return null
  }
}
