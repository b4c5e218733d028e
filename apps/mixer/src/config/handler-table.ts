import { WeftError } from '@weft/service/errors'
import type { Logger } from '@weft/service/logger'
import type { HandlerEnvironment, OpenHandler } from '../adapter.ts'
import type { Exposition } from '../adapters/prometheus/exposition.ts'
import type { LiveHandler } from '../dispatch/handler.ts'
import type { DispatchMetrics } from '../dispatch/metrics.ts'
import type { HandlerSpec } from './kinds/handler.ts'

/** Opening may take this long; what takes longer counts as failed. */
const OPEN_DEADLINE_MS = 10_000
/** A handler out of use is closed after this time: requests in flight finish on the plan that they began with. */
const RETIRE_MS = 5_000

export interface HandlerTableOptions {
  logger: Logger
  metrics: DispatchMetrics
  exposition: Exposition
  redisUrl: string | undefined
  /** Milliseconds of a clock that never goes back. */
  now?: () => number
}

/** Handlers for a plan. Exactly one of `commit` and `abandon` has to be called. */
export interface Acquired {
  readonly live: ReadonlyMap<string, LiveHandler>
  readonly failures: ReadonlyMap<string, WeftError>
  /** Keeps these handlers, and lets go of all others. */
  commit(): void
  /** Closes what was opened for a plan that is not used. */
  abandon(): Promise<void>
}

interface Entry {
  identity: string
  open: OpenHandler
  abort: AbortController
  problem: WeftError | undefined
}

/**
 * The handlers that are open. A handler keeps what it holds (counts, connections, lists) across configurations for as
 * long as its adapter and its parameters stay the same.
 */
export class HandlerTable {
  readonly #options: HandlerTableOptions
  readonly #entries = new Map<string, Entry>()
  readonly #retiring = new Map<Entry, NodeJS.Timeout>()

  constructor(options: HandlerTableOptions) {
    this.#options = options
  }

  /**
   * Opens handlers, or goes on with those that are open. Gives each by name, or the error for which it cannot be; what
   * was open under a name that now fails stays open, but is not given.
   */
  async acquire(specs: Iterable<HandlerSpec>): Promise<Acquired> {
    const live = new Map<string, LiveHandler>()
    const failures = new Map<string, WeftError>()
    const opened = new Map<string, Entry>()
    await Promise.all(
      [...specs].map(async (spec) => {
        const identity = `${spec.adapterName}@${spec.loaded.revision}:${JSON.stringify(spec.params)}`
        const known = this.#entries.get(spec.name)
        try {
          const entry = known?.identity === identity ? known : await this.#open(spec, identity)
          opened.set(spec.name, entry)
          const { onError, deadlineMs } = spec
          live.set(spec.name, { name: spec.name, adapter: spec.adapterName, open: entry.open, onError, deadlineMs, inFlight: 0 })
        } catch (error) {
          failures.set(spec.name, WeftError.from(error))
        }
      }),
    )
    return { live, failures, commit: () => this.#commit(opened), abandon: () => this.#abandon(opened) }
  }

  /** What keeps open handlers from their work at present, by name. */
  problems(): Map<string, WeftError> {
    const problems = new Map<string, WeftError>()
    for (const [name, { problem }] of this.#entries) if (problem !== undefined) problems.set(name, problem)
    return problems
  }

  async close(): Promise<void> {
    const entries = [...this.#entries.values(), ...this.#retiring.keys()]
    for (const timer of this.#retiring.values()) clearTimeout(timer)
    this.#entries.clear()
    this.#retiring.clear()
    await Promise.all(entries.map((entry) => this.#close(entry)))
  }

  #commit(opened: ReadonlyMap<string, Entry>): void {
    for (const [name, entry] of this.#entries) {
      if (opened.get(name) === entry) continue
      this.#entries.delete(name)
      if (!opened.has(name)) this.#options.metrics.handlerClosed(name)
      const timer = setTimeout(() => {
        this.#retiring.delete(entry)
        void this.#close(entry)
      }, RETIRE_MS)
      timer.unref()
      this.#retiring.set(entry, timer)
    }
    for (const [name, entry] of opened) this.#entries.set(name, entry)
  }

  async #abandon(opened: ReadonlyMap<string, Entry>): Promise<void> {
    const unused = [...opened].filter(([name, entry]) => this.#entries.get(name) !== entry)
    await Promise.all(unused.map(([, entry]) => this.#close(entry)))
  }

  async #open(spec: HandlerSpec, identity: string): Promise<Entry> {
    const { logger, metrics, exposition, redisUrl, now } = this.#options
    const abort = new AbortController()
    const entry: Omit<Entry, 'open'> = { identity, abort, problem: undefined }
    let told = false
    const environment: HandlerEnvironment = {
      name: spec.name,
      logger,
      signal: abort.signal,
      now: now ?? (() => performance.now()),
      health(problem) {
        if (abort.signal.aborted || (told && (entry.problem === undefined) === (problem === undefined))) return
        told = true
        entry.problem = problem
        metrics.handlerHealth(spec.name, problem)
      },
      exposition,
      redisUrl,
    }
    const opening = spec.loaded.adapter.open(spec.params, environment)
    try {
      return Object.assign(entry, { open: await withDeadline(opening) })
    } catch (error) {
      abort.abort()
      // One that opens after all has nobody to close it.
      opening.then((late) => late.close()).catch(() => undefined)
      throw error
    }
  }

  async #close({ abort, open }: Entry): Promise<void> {
    abort.abort()
    try {
      await open.close()
    } catch (error) {
      this.#options.logger.error({ err: error }, 'handler failed to close')
    }
  }
}

async function withDeadline<Value>(promise: Promise<Value>): Promise<Value> {
  let timer: NodeJS.Timeout | undefined
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new WeftError('deadline_exceeded', `did not open within ${OPEN_DEADLINE_MS} ms`)),
      OPEN_DEADLINE_MS,
    )
  })
  try {
    return await Promise.race([promise, deadline])
  } finally {
    clearTimeout(timer)
  }
}
