import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['apps/*/src/**/*.test.ts', 'libs/*/src/**/*.test.ts', 'tools/src/**/*.test.ts'],
    globalSetup: 'tools/src/test/generated-code.ts',
    pool: 'forks',
    maxWorkers: 2,
    // The files of a worker share its modules: loading them anew for each took more than all tests. So no test replaces a module, and
    // what it changes of the process it puts back.
    isolate: false,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Many tests run real processes against real clocks on a shared machine: a second try, and the run says which needed it.
    retry: 1,
  },
})
