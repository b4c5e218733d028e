const slices = 32

/** How much a count that only grows (and wraps around at 32 bits) has grown within the last interval, to a thirty-second of it. */
export class RecentCount {
  readonly intervalMs: number
  private readonly marks: { atMs: number; count: number }[] = []

  constructor(intervalMs: number) {
    this.intervalMs = intervalMs
  }

  /** Says that the count was `count` at a time, which is not before the last one that was noted. */
  note(count: number, nowMs: number): void {
    const last = this.marks.at(-1)
    if (last !== undefined && nowMs - last.atMs < this.intervalMs / slices) return
    this.marks.push({ atMs: nowMs, count })
    this.forget(nowMs)
  }

  /** The growth up to `count` within the interval before `nowMs`; 0 when nothing was noted in it. */
  since(count: number, nowMs: number): number {
    this.forget(nowMs)
    const first = this.marks[0]
    return first === undefined ? 0 : (count - first.count) | 0
  }

  private forget(nowMs: number): void {
    while (this.marks[0] !== undefined && nowMs - this.marks[0].atMs > this.intervalMs) this.marks.shift()
  }
}
