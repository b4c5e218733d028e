/** Two signals closer than this are one wish: npm hands on the Ctrl-C that the terminal has sent us already. */
const sameWishMs = 1_000
const parentCheckMs = 1_000

/**
 * Resolves with undefined when the process is asked to stop: by SIGINT, SIGTERM or SIGHUP, or because npm, which
 * started it, is gone. A second signal, later than a second after the first, ends the process at once (the watchdog then
 * ends the mesh).
 */
export function untilStopped(): Promise<undefined> {
  return new Promise((resolve) => {
    let askedAtMs: number | undefined
    const ask = (): void => {
      if (askedAtMs !== undefined && performance.now() - askedAtMs > sameWishMs) process.exit(130)
      askedAtMs ??= performance.now()
      resolve(undefined)
    }
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, ask)
    if (process.env['npm_lifecycle_event'] === undefined) return
    const parent = process.ppid
    const timer = setInterval(() => {
      if (process.ppid === parent) return
      clearInterval(timer)
      ask()
    }, parentCheckMs)
    timer.unref()
  })
}
