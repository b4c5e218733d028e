import type { Readiness } from '@weft/service/admin-server'
import type { Logger } from '@weft/service/logger'

/** A registry, or a source of configuration. */
export interface Synced {
  readonly name: string
  readonly state: { readonly synced: boolean }
  subscribe(listener: () => void): () => void
}

export interface UntilSyncedOptions {
  readiness: Readiness
  logger: Logger
  /** Ends the waiting. */
  signal: AbortSignal
}

/** Waits for the first answer of all of them, however long it takes; meanwhile the service is not ready, and says why. */
export async function untilSynced(
  kind: 'registry' | 'config source',
  sources: readonly Synced[],
  { readiness, logger, signal }: UntilSyncedOptions,
): Promise<void> {
  const waiting = sources.filter(({ state }) => !state.synced)
  await Promise.all(
    waiting.map(async (source) => {
      const part = `${kind} ${source.name}`
      readiness.hold(part, 'its first answer is not in yet; /v1/status tells what is wrong')
      logger.info(`waiting for the first answer of the ${part}`)
      await firstAnswer(source, signal)
      readiness.release(part)
    }),
  )
}

function firstAnswer(source: Synced, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (!source.state.synced && !signal.aborted) return
      stop()
      signal.removeEventListener('abort', look)
      resolve()
    }
    const stop = source.subscribe(look)
    signal.addEventListener('abort', look)
    look()
  })
}
