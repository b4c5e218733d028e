import { afterAll, test } from 'vitest'
import { whyNot } from './behaviour.ts'
import type { Platform } from './platform.ts'
import { suite } from './suite.ts'

/** The suite (without what is heavy: `npm run e2e -- registries` has all) as tests on one platform, which each of them leaves empty. `describe` a registry and call this in it. */
export function registryConformance(makePlatform: () => Promise<Platform>): void {
  let platform: Promise<Platform> | undefined
  const latencies: number[] = []
  for (const behaviour of suite.filter(({ heavy }) => heavy !== true)) {
    test(behaviour.name, { timeout: 120_000 }, async ({ skip }) => {
      platform ??= makePlatform()
      const on = await platform
      const reason = whyNot(behaviour, on)
      if (reason !== undefined) return skip(reason)
      await on.set([])
      await behaviour.run(on, latencies)
    })
  }
  afterAll(async () => {
    await (await platform)?.close()
  })
}
