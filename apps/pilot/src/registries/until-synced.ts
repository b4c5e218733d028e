import type { Readiness } from '@weft/service/admin-server'
import type { Logger } from '@weft/service/logger'
import type { Registry } from './registry.ts'

export interface UntilSyncedOptions {
  readiness: Readiness
  logger: Logger
  /** Ends the waiting. */
  signal: AbortSignal
}

/** Waits for the first answer of every registry, however long it takes; meanwhile the service is not ready, and says why. */
export async function untilSynced(
  registries: readonly Registry[],
  { readiness, logger, signal }: UntilSyncedOptions,
): Promise<void> {
  const waiting = registries.filter(({ state }) => !state.synced)
  await Promise.all(
    waiting.map(async (registry) => {
      const part = `registry ${registry.name}`
      readiness.hold(part, 'its first answer is not in yet; /v1/status tells what is wrong')
      logger.info(`waiting for the first answer of the registry ${registry.name}`)
      await firstAnswer(registry, signal)
      readiness.release(part)
    }),
  )
}

function firstAnswer(registry: Registry, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (!registry.state.synced && !signal.aborted) return
      stop()
      signal.removeEventListener('abort', look)
      resolve()
    }
    const stop = registry.subscribe(look)
    signal.addEventListener('abort', look)
    look()
  })
}
