import { longestTimerMs } from './timer-bounds.ts'

/** A promise that somebody resolves, at most once; `done` says whether that has happened. */
export class Deferred {
  readonly promise: Promise<void>
  done = false
  #resolve: () => void = () => undefined

  constructor() {
    this.promise = new Promise((resolve) => {
      this.#resolve = resolve
    })
  }

  resolve(): void {
    this.done = true
    this.#resolve()
  }

  /** Resolves true when it is resolved within `timeoutMs` (0: no bound), false when not. */
  async within(timeoutMs: number): Promise<boolean> {
    if (this.done) return true
    if (timeoutMs <= 0) {
      await this.promise
      return true
    }
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), Math.min(timeoutMs, longestTimerMs))
    })
    try {
      return await Promise.race([this.promise.then(() => true), late])
    } finally {
      clearTimeout(timer)
    }
  }
}
