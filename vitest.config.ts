import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['apps/*/src/**/*.test.ts', 'libs/*/src/**/*.test.ts', 'tools/src/**/*.test.ts'],
    globalSetup: 'tools/src/test/generated-code.ts',
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 20_000,
    hookTimeout: 20_000,
    // Many tests run real processes against real clocks on a shared machine: a second try, and the run says which needed it.
    retry: 1,
  },
})
