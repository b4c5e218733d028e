/** Requests of a second. */
interface Sample {
  readonly sinceMs: number
  total: number
  succeeded: number
}

const sampleMs = 1000

/** How many requests there were in a window of time that moves on, and how many of them went well. */
export class RecentRequests {
  private readonly windowMs: number
  private readonly now: () => number
  private readonly samples: Sample[] = []
  private all = 0
  private good = 0

  /** `now`: monotonic ms. */
  constructor(windowMs: number, now: () => number = () => performance.now()) {
    this.windowMs = windowMs
    this.now = now
  }

  record(succeeded: boolean): void {
    const last = this.current()
    last.total++
    this.all++
    if (!succeeded) return
    last.succeeded++
    this.good++
  }

  get counts(): { total: number; succeeded: number } {
    this.current()
    return { total: this.all, succeeded: this.good }
  }

  /** Requests a second over the window. */
  get rate(): number {
    this.current()
    return this.all / (this.windowMs / 1000)
  }

  private current(): Sample {
    const { samples, windowMs } = this
    const now = this.now()
    for (let first = samples[0]; first !== undefined && now - first.sinceMs >= windowMs; first = samples[0]) {
      samples.shift()
      this.all -= first.total
      this.good -= first.succeeded
    }
    const last = samples.at(-1)
    if (last !== undefined && now - last.sinceMs < sampleMs) return last
    const next = { sinceMs: now, total: 0, succeeded: 0 }
    samples.push(next)
    return next
  }
}
