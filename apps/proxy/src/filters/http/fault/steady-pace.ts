import type { Pace } from '../paced-body.ts'

/** Portions a second: Envoy's. */
const portions = 16
const intervalMs = 1000 / portions

/** No faster than so many bytes a second. */
export class SteadyPace implements Pace {
  readonly pauseAbove: number
  readonly resumeAt: number
  private readonly bytesPerPortion: number
  private lastMs = performance.now() - intervalMs

  constructor(bytesPerSecond: number) {
    this.bytesPerPortion = Math.max(1, Math.floor(bytesPerSecond / portions))
    this.pauseAbove = Math.max(65_536, this.bytesPerPortion * portions)
    this.resumeAt = this.bytesPerPortion
  }

  take(wanted: number): number {
    const now = performance.now()
    // A pause doesn't add up to a burst longer than a second.
    const due = Math.min(portions, Math.floor((now - this.lastMs) / intervalMs + 1e-6))
    if (due <= 0) return 0
    this.lastMs = due === portions ? now : this.lastMs + due * intervalMs
    return Math.min(wanted, due * this.bytesPerPortion)
  }

  waitMs(): number {
    return Math.max(1, this.lastMs + intervalMs - performance.now())
  }
}
