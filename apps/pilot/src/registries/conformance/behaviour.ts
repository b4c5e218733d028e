import type { Feature, Platform, PlatformService } from './platform.ts'
import { UnderTest } from './under-test.ts'

/** One thing that every registry has to do. */
export interface Behaviour {
  name: string
  /** What the platform has to have for it. */
  needs: readonly Feature[]
  /** It takes too much for a unit test. */
  heavy?: boolean
  /** Throws when it does not hold. The platform holds nothing when it begins. */
  run(platform: Platform, latencies: number[]): Promise<void>
}

/** A behaviour of a registry that is opened on a platform with these services. */
export function behaviour(
  name: string,
  services: readonly PlatformService[],
  run: (it: UnderTest) => Promise<void>,
  needs: readonly Feature[] = [],
): Behaviour {
  return {
    name,
    needs,
    async run(platform, latencies) {
      const it = await UnderTest.open(platform, services, latencies)
      try {
        await run(it)
      } finally {
        await it.close()
      }
    },
  }
}

/** Why a platform cannot show a behaviour; undefined where it can. */
export function whyNot(behaviour: Behaviour, platform: Platform): string | undefined {
  for (const feature of behaviour.needs) {
    const reason = platform.lacks[feature]
    if (reason !== undefined) return reason
  }
  return undefined
}
