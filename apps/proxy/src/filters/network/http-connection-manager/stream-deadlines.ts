import type { ProcessState } from '../../../shared/process-state.ts'
import { monotonicMs } from '../../../transport/clock.ts'
import { Timeout, type TimerWheel } from '../../../transport/timer-wheel.ts'

/** What of a request took too long. */
export type StreamLimit = 'duration' | 'request' | 'head' | 'idle'

/** The limits of the connection manager (ms; 0: none). */
interface StreamLimits {
  readonly maxStreamMs: number
  readonly requestMs: number
  readonly requestHeadersMs: number
  readonly streamIdleMs: number
}

/** How often to look whether a limit has got shorter, where it may. */
export const scaledLookMs = 500

/** Of a time that does not come. */
export const never = Number.POSITIVE_INFINITY

/** When a request has to be over, or to have moved on (monotonic ms), and the one lazily armed timer that looks at that. */
export class StreamDeadlines {
  private readonly timers: TimerWheel
  private readonly limits: StreamLimits
  private readonly overload: ProcessState
  private readonly timer: Timeout
  private dueMs = never
  private stream = never
  private request = never
  private head = never
  private idleMs = never
  /** When something last came or went. */
  lastActivityMs = 0

  /** `onTimer`: it is time to ask what is `due`. */
  constructor(timers: TimerWheel, limits: StreamLimits, overload: ProcessState, onTimer: () => void) {
    this.timers = timers
    this.overload = overload
    this.limits = limits
    this.timer = new Timeout(() => {
      this.dueMs = never
      onTimer()
    })
  }

  /** A request begins. */
  begin(now: number): void {
    const { maxStreamMs, requestMs, requestHeadersMs, streamIdleMs } = this.limits
    this.lastActivityMs = now
    this.stream = maxStreamMs > 0 ? now + maxStreamMs : never
    this.request = requestMs > 0 ? now + requestMs : never
    this.head = requestHeadersMs > 0 ? now + requestHeadersMs : never
    this.limitIdle(streamIdleMs)
    this.watch(this.head)
  }

  /** How long it may stand still (ms; 0: any time). */
  limitIdle(idleMs: number): void {
    this.idleMs = idleMs > 0 ? idleMs : never
    if (idleMs > 0) this.watch(this.lastActivityMs + idleMs)
    if (this.request < this.dueMs) this.watch(this.request)
    if (this.stream < this.dueMs) this.watch(this.stream)
  }

  /** When it has to be over. */
  limitStream(atMs: number): void {
    this.stream = atMs
    this.watch(atMs)
  }

  /** The request's head is there. */
  headComplete(): void {
    this.head = never
  }

  /** The request is there. */
  requestComplete(): void {
    this.request = never
  }

  get next(): number {
    return Math.min(this.idleAtMs, this.request, this.stream, this.head)
  }

  /** The first limit that is over; null: none. */
  due(now: number): StreamLimit | null {
    if (now >= this.stream) return 'duration'
    if (now >= this.request) return 'request'
    if (now >= this.head) return 'head'
    return now >= this.idleAtMs ? 'idle' : null
  }

  private get idleAtMs(): number {
    return this.idleMs === never ? never : this.lastActivityMs + this.overload.scaled('stream-idle', this.idleMs)
  }

  /**
   * Has the timer look at this time or before. It is not disarmed when a request ends: the next one of the connection
   * nearly always wants to wait longer, so that arming is rare.
   */
  watch(atMs: number): void {
    if (atMs === never || (atMs >= this.dueMs && this.timer.armed)) return
    const now = monotonicMs()
    this.dueMs = this.overload.isScaled('stream-idle') ? Math.min(atMs, now + scaledLookMs) : atMs
    this.timers.arm(this.timer, Math.max(0, this.dueMs - now))
  }

  /** The connection is closed: nothing waits any more. */
  dispose(): void {
    this.timers.cancel(this.timer)
  }
}
