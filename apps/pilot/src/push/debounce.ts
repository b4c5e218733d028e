/**
 * Calls `run` once changes have been quiet for `quietMs`, and at the latest `mostMs` after the first of them. Gives
 * what to call at each change, and how to end it.
 */
export function createDebounce(quietMs: number, mostMs: number, run: () => void): { touch(): void; close(): void } {
  let timer: NodeJS.Timeout | undefined
  let firstMs = 0
  return {
    touch: () => {
      const nowMs = performance.now()
      if (timer === undefined) firstMs = nowMs
      else clearTimeout(timer)
      const waitMs = Math.max(0, Math.min(quietMs, firstMs + mostMs - nowMs))
      timer = setTimeout(() => {
        timer = undefined
        run()
      }, waitMs)
    },
    close: () => {
      clearTimeout(timer)
      timer = undefined
    },
  }
}
