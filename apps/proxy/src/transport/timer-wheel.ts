/**
 * Timeouts at a coarse grain. A request arms two or three and nearly all are cancelled, so arming and cancelling are a
 * few pointer moves in a list, and one timer of Node's serves them all, which sleeps until there is something to do. A timeout fires up to one
 * tick late, never early.
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
/** With more timeouts than this, whatever has a slot is looked at when its time comes: to find the one that is due next would take longer. */
const fewArmed = 1000
/** Of a wheel that is to be left asleep. */
const always = Number.NEGATIVE_INFINITY
const never = Number.POSITIVE_INFINITY

export class TimerWheel {
  readonly tickMs: number
  private readonly lists: Timeout[] = []
  private tick = 0
  private readonly startMs: number
  private readonly clock: () => number
  private timer: NodeJS.Timeout | null = null
  /** When `timer` wakes the wheel. */
  private wakeTick = never
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
    if (this.armed++ === 0) this.tick = this.now()
    // The fraction of the current tick that is gone counts: up to one tick late, never early.
    const due = Math.max(this.tick + 1, Math.ceil((this.clock() - this.startMs + delayMs) / this.tickMs))
    timeout.dueTick = due
    const head = this.lists[due % slots]!
    const last = head.previous!
    last.next = timeout
    timeout.previous = last
    timeout.next = head
    head.previous = timeout
    if (due < this.wakeTick) this.sleepUntil(due)
  }

  cancel(timeout: Timeout): void {
    if (timeout.next === null) return
    timeout.previous!.next = timeout.next
    timeout.next.previous = timeout.previous
    timeout.next = null
    timeout.previous = null
    this.armed--
  }

  private now(): number {
    return Math.floor((this.clock() - this.startMs) / this.tickMs)
  }

  private sleepUntil(tick: number): void {
    if (this.timer !== null) clearTimeout(this.timer)
    this.wakeTick = tick
    this.timer = setTimeout(this.turn, Math.max(1, Math.ceil(this.startMs + tick * this.tickMs - this.clock())))
  }

  /** Fires what is due; called by the wheel's own timer. */
  readonly turn = (): void => {
    const now = this.now()
    // After a long sleep each slot is looked at once; what is due there fires.
    const from = Math.max(this.tick + 1, now - slots + 1)
    this.tick = now
    // What is armed meanwhile is seen to at the end.
    this.wakeTick = always
    try {
      for (let tick = from; tick <= now; tick++) this.fireDue(this.lists[tick % slots]!, now)
    } finally {
      if (this.timer !== null) clearTimeout(this.timer)
      this.timer = null
      this.wakeTick = never
      if (this.armed > 0) this.sleepUntil(this.nextTick(now))
    }
  }

  private fireDue(head: Timeout, now: number): void {
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

  /** When there is something to do next; a round of the wheel from now, if not before. */
  private nextTick(now: number): number {
    for (let tick = now + 1; tick < now + slots; tick++) {
      const head = this.lists[tick % slots]!
      for (let timeout = head.next!; timeout !== head; timeout = timeout.next!)
        if (timeout.dueTick <= tick || this.armed > fewArmed) return tick
    }
    return now + slots
  }

  /** Stops; nothing fires any more. */
  close(): void {
    if (this.timer !== null) clearTimeout(this.timer)
    this.timer = null
    this.wakeTick = always
  }
}
