import { endingSignals, onSignals } from '@weft/service/ending-signals'

const parentCheckMs = 1_000

/**
 * Resolves with undefined when the process is asked to stop: by SIGINT, SIGTERM or SIGHUP, or because npm, which
 * started it, is gone. A second signal, later than a second after the first, ends the process at once (the watchdog then
 * ends the mesh).
 */
export function untilStopped(): Promise<undefined> {
  return new Promise((resolve) => {
    const stop = (): void => resolve(undefined)
    onSignals(endingSignals, stop, () => process.exit(130))
    if (process.env['npm_lifecycle_event'] === undefined) return
    const parent = process.ppid
    const timer = setInterval(() => {
      if (process.ppid === parent) return
      clearInterval(timer)
      stop()
    }, parentCheckMs)
    timer.unref()
  })
}
