import { onSignals } from './ending-signals.ts'
import { WeftError } from './errors.ts'
import type { Logger } from './logger.ts'

/** Something with a life: it is closed in the reverse order of its registration. */
type Closer = () => void | Promise<void>

/** What a running service owns, and the signal that tells its background tasks to end. */
export interface Lifecycle {
  readonly signal: AbortSignal
  /** Registers what has to be closed; later ones are closed first. */
  onStop(name: string, close: Closer): void
  /** Starts the stop; resolves when all is closed. */
  stop(reason: string): Promise<void>
}

export interface ServiceOptions {
  name: string
  logger: Logger
  /** Longest time that stopping may take before the process ends anyway. */
  drainMs?: number
  start(lifecycle: Lifecycle): Promise<void>
}

/** A life of its own, without signals and without ending the process: what `runService` uses, and tests. */
export function createLifecycle(name: string, logger: Logger): Lifecycle {
  const closers: { name: string; close: Closer }[] = []
  const abort = new AbortController()
  let stopping: Promise<void> | undefined

  const closeAll = async (reason: string): Promise<void> => {
    logger.info({ reason }, `${name} stopping`)
    abort.abort()
    // One at a time: what was registered later may need what was registered before it.
    for (let closer = closers.pop(); closer !== undefined; closer = closers.pop()) {
      try {
        await closer.close()
      } catch (error) {
        logger.error({ err: error, part: closer.name }, 'part failed to close')
      }
    }
    logger.info(`${name} stopped`)
  }
  return {
    signal: abort.signal,
    onStop: (part, close) => void closers.push({ name: part, close }),
    stop: (reason) => {
      stopping ??= closeAll(reason)
      return stopping
    },
  }
}

/**
 * Runs a service until SIGTERM or SIGINT: `start` wires it and registers what to close. A start that fails is told in
 * one line with exit code 1; a stop drains within `drainMs` (10 s); a second signal, a second later or more, ends at once.
 */
export async function runService({ name, logger, drainMs = 10_000, start }: ServiceOptions): Promise<void> {
  const lifecycle = createLifecycle(name, logger)
  let ending = false
  const end = (reason: string, code: number): void => {
    if (ending) process.exit(code === 0 ? 130 : code)
    ending = true
    const deadline = setTimeout(() => {
      logger.error(`${name} did not stop within ${drainMs} ms`)
      process.exit(1)
    }, drainMs)
    deadline.unref()
    void lifecycle.stop(reason).then(() => process.exit(code))
  }
  onSignals(
    ['SIGTERM', 'SIGINT'],
    (signal) => end(signal, 0),
    (signal) => end(signal, 0),
  )
  process.on('unhandledRejection', (error) => {
    logger.fatal({ err: error }, 'unhandled rejection')
    end('unhandled rejection', 1)
  })
  process.on('uncaughtException', (error) => {
    logger.fatal({ err: error }, 'uncaught exception')
    end('uncaught exception', 1)
  })

  try {
    await start(lifecycle)
    logger.info({ startMs: Math.round(performance.now()) }, `${name} started`)
  } catch (error) {
    logger.fatal(`${name} cannot start: ${WeftError.from(error).describe()}`)
    end('failed start', 1)
  }
}
