/**
 * Timeouts at a coarse grain. A request arms two or three and nearly all are cancelled, so arming and cancelling are a
 * few pointer moves in a list, and one interval serves them all. A timeout fires up to one tick late, never early.
 */

/** Something that waits; make one by `new Timeout(callback)` and arm it again as often as needed. */
export class Timeout {
  /** Neighbours in the slot's list; null when not armed. */
  previous: Timeout | null = null
  next: Timeout | null = null
  dueTick = 0
  readonly fire: () => void
  constructor(fire: () => void) {
    this.fire = fire
  }
  get armed(): boolean {
    return this.next !== null
  }
}

const slots = 1024

export class TimerWheel {
  readonly tickMs: number
  private readonly lists: Timeout[] = []
  private tick = 0
  private readonly startMs: number
  private readonly clock: () => number
  private timer: NodeJS.Timeout | null = null
  private armed = 0

  /** `clock` gives ms that only grow. */
  constructor(tickMs = 5, clock: () => number = () => performance.now()) {
    this.tickMs = tickMs
    this.clock = clock
    this.startMs = clock()
    for (let i = 0; i < slots; i++) {
      const head = new Timeout(() => {})
      head.next = head
      head.previous = head
      this.lists.push(head)
    }
  }

  /** Arms (or arms anew) for `delayMs` from now. */
  arm(timeout: Timeout, delayMs: number): void {
    if (timeout.next !== null) this.cancel(timeout)
    if (this.armed++ === 0) this.wake()
    // The fraction of the current tick that is gone counts: up to one tick late, never early.
    const due = Math.max(this.tick + 1, Math.ceil((this.clock() - this.startMs + delayMs) / this.tickMs))
    timeout.dueTick = due
    const head = this.lists[due % slots]!
    const last = head.previous!
    last.next = timeout
    timeout.previous = last
    timeout.next = head
    head.previous = timeout
  }

  cancel(timeout: Timeout): void {
    if (timeout.next === null) return
    timeout.previous!.next = timeout.next
    timeout.next.previous = timeout.previous
    timeout.next = null
    timeout.previous = null
    this.armed--
  }

  private wake(): void {
    this.tick = Math.floor((this.clock() - this.startMs) / this.tickMs)
    if (this.timer === null) this.timer = setInterval(() => this.turn(), this.tickMs)
  }

  /** Fires what is due; called by the wheel's own interval. */
  turn(): void {
    const now = Math.floor((this.clock() - this.startMs) / this.tickMs)
    // After a long stall each slot is looked at once; what is due there fires.
    const from = Math.max(this.tick + 1, now - slots + 1)
    this.tick = now
    for (let tick = from; tick <= now; tick++) {
      const head = this.lists[tick % slots]!
      let timeout = head.next!
      while (timeout !== head) {
        const next: Timeout = timeout.next!
        if (timeout.dueTick <= now) {
          this.cancel(timeout)
          timeout.fire()
          // The callback may have changed the list: begin again.
          timeout = head.next!
          continue
        }
        timeout = next
      }
    }
    if (this.armed === 0 && this.timer !== null) {
      clearInterval(this.timer)
      this.timer = null
    }
  }

  /** Stops; nothing fires any more. */
  close(): void {
    if (this.timer !== null) clearInterval(this.timer)
    this.timer = null
  }
}
