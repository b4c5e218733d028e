import type { Reporter, TestModule } from 'vitest/node'

/** Prints the tests that passed only at their second try, so that nobody mistakes them for sound. */
export default class FlakyReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    for (const module of modules)
      for (const test of module.children.allTests('passed'))
        if (test.diagnostic()?.flaky) console.log(`passed at the second try only: ${module.relativeModuleId} > ${test.fullName}`)
  }
}
