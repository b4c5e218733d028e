/** A check failed: the scenario goes on to its end only where later checks don't build on it. */
export class CheckFailed extends Error {}

/** What a scenario runs with: it tells what it checks, and registers what has to be ended. */
export interface Scenario {
  /** Says what the next checks are about. */
  section(title: string): void
  /** Counts one check and prints it; a failed one ends the scenario unless `go` says to go on. */
  check(what: string, ok: boolean, detail?: string, go?: 'on'): void
  /**
   * Counts one check that passes unless `assertion` throws; what it gives is printed beside it. The scenario goes on
   * after a failed one; false says that it failed.
   */
  attempt(what: string, assertion: () => string | undefined | Promise<string | undefined>): Promise<boolean>
  /** A part that cannot run here, with the reason; counted as skipped, never as passed. */
  skip(what: string, reason: string): void
  /** Registers what to end when the scenario is over, also when it failed; later ones first. */
  cleanup(close: () => void | Promise<void>): void
}

export interface ScenarioResult {
  passed: number
  failed: number
  skipped: number
}

/**
 * Runs one scenario and prints its checks as they come. Where `interrupted` rejects before it is over, what it registered is ended
 * as after a failure; what it goes on to start in spite of that ends with this process, and no check counts any more.
 */
export async function runScenario(
  name: string,
  run: (scenario: Scenario) => Promise<void>,
  interrupted: Promise<never> = new Promise(() => undefined),
): Promise<ScenarioResult> {
  const result: ScenarioResult = { passed: 0, failed: 0, skipped: 0 }
  const closers: (() => void | Promise<void>)[] = []
  let isInterrupted = false
  interrupted.catch(() => {
    isInterrupted = true
  })
  const never = new Promise<never>(() => undefined)
  const scenario: Scenario = {
    section: (title) => console.log(`\n${title}`),
    check(what, ok, detail, go) {
      if (isInterrupted) throw new CheckFailed('interrupted')
      result[ok ? 'passed' : 'failed']++
      console.log(
        `  ${ok ? 'ok    ' : 'FAILED'} ${what}${detail === undefined || (ok && detail.length > 160) ? '' : `: ${detail}`}`,
      )
      if (!ok && go !== 'on') throw new CheckFailed(what)
    },
    async attempt(what, assertion) {
      const started = performance.now()
      const took = (): string => `(${((performance.now() - started) / 1000).toFixed(1)} s)`
      try {
        const detail = await (isInterrupted ? never : assertion())
        if (isInterrupted) return never
        result.passed++
        console.log(`  ok     ${what}${detail === undefined ? '' : `: ${detail}`} ${took()}`)
        return true
      } catch (error) {
        if (isInterrupted) return never
        result.failed++
        const reason = error instanceof Error ? error.message : String(error)
        console.log(`  FAILED ${what} ${took()}\n         ${reason.replaceAll('\n', '\n         ')}`)
        return false
      }
    },
    skip(what, reason) {
      result.skipped++
      console.log(`  skip   ${what}: ${reason}`)
    },
    cleanup: (close) => void closers.push(close),
  }
  console.log(`scenario ${name}`)
  try {
    await Promise.race([run(scenario), interrupted])
  } catch (error) {
    if (!(error instanceof CheckFailed)) {
      result.failed++
      console.log(`  FAILED ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)
    }
  } finally {
    for (const close of closers.reverse()) {
      await Promise.resolve()
        .then(close)
        .catch((error: unknown) => console.log(`  (ending a part failed: ${String(error)})`))
    }
  }
  const { passed, failed, skipped } = result
  console.log(`${name}: ${passed} passed, ${failed} failed, ${skipped} skipped${isInterrupted ? ', interrupted' : ''}`)
  return result
}

/** Fails the check that is being attempted, with a message. */
export function expect(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(message)
}
