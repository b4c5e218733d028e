/** What asks a program to end. */
export const endingSignals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** Signals closer than this are one wish: npm, and `timeout`, hand on what their whole process group has been told already. */
const sameWishMs = 1_000

/** Calls `stop` with the first of the signals, and `hurry` with each that comes more than a second after it. */
export function onSignals(
  signals: readonly NodeJS.Signals[],
  stop: (signal: NodeJS.Signals) => void,
  hurry: (signal: NodeJS.Signals) => void,
): void {
  let firstMs: number | undefined
  for (const signal of signals) {
    process.on(signal, () => {
      const nowMs = performance.now()
      if (firstMs === undefined) {
        firstMs = nowMs
        stop(signal)
      } else if (nowMs - firstMs > sameWishMs) hurry(signal)
    })
  }
}
