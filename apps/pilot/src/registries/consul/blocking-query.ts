import { setTimeout as delay } from 'node:timers/promises'
import { WeftError } from '@weft/service/errors'
import { Backoff } from '@weft/xds/client/backoff'
import type { PlatformAnswer, PlatformClient } from '../platform-client.ts'

/** Who may answer: the leader, any server however far behind, or a leader that has made sure that it is one. */
export type Consistency = 'default' | 'stale' | 'consistent'

export interface BlockingQueryOptions {
  client: PlatformClient
  path: string
  query: Readonly<Record<string, string>>
  consistency: Consistency
  /** What status 404 means, where it means that there is nothing. */
  absent?: unknown
  /** Takes each answer that may differ from the one before. What it throws counts as a failed answer. */
  onAnswer: (answer: PlatformAnswer) => void
  /** Told why the answer may be old, and with undefined that it is not any more. */
  onProblem: (problem: WeftError | undefined) => void
}

/** How long Consul holds a query when nothing changes; it adds up to a sixteenth. */
const waitSeconds = 300
const answerTimeoutMs = waitSeconds * 1_000 * (1 + 1 / 16) + 15_000
const firstTimeoutMs = 60_000
/** Answers are asked for no more often than this, so that a storm of changes is seen in pieces. */
const leastIntervalMs = 20

/**
 * Follows one of Consul's read endpoints: each query carries the index of the last answer and is held until there is a newer
 * one (blocking queries). An index that goes backwards (a restored or rebuilt server) begins anew; failures are tried
 * again with growing waits.
 */
export class BlockingQuery {
  readonly #options: BlockingQueryOptions
  readonly #abort = new AbortController()
  readonly #backoff = new Backoff(100, 5_000)
  readonly #running: Promise<void>
  #index = 0

  constructor(options: BlockingQueryOptions) {
    this.#options = options
    this.#running = this.#run()
  }

  /** Ends it; nothing is told any more. */
  async close(): Promise<void> {
    this.#abort.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort
    let failed = false
    while (!signal.aborted) {
      const startedMs = performance.now()
      let waitMs: number
      try {
        await this.#ask()
        if (failed && !signal.aborted) this.#options.onProblem(undefined)
        failed = false
        this.#backoff.reset()
        waitMs = leastIntervalMs - (performance.now() - startedMs)
      } catch (thrown) {
        if (signal.aborted) return
        failed = true
        // The server may be another one now, with indexes of its own.
        this.#index = 0
        this.#options.onProblem(WeftError.from(thrown, 'unavailable'))
        waitMs = this.#backoff.next()
      }
      if (waitMs > 0) await delay(waitMs, undefined, { signal }).catch(() => undefined)
    }
  }

  async #ask(): Promise<void> {
    const { client, path, query, consistency, absent, onAnswer } = this.#options
    const first = this.#index === 0
    // A server that has just started answers at once, and knows nothing yet, unless it has to be sure.
    const mode = first ? 'consistent' : consistency
    const answer = await client.get(
      path,
      {
        ...query,
        ...(mode === 'default' ? {} : { [mode]: '' }),
        ...(first ? {} : { index: String(this.#index), wait: `${waitSeconds}s` }),
      },
      { signal: this.#abort.signal, timeoutMs: first ? firstTimeoutMs : answerTimeoutMs, absent },
    )
    const said = Number(answer.headers['x-consul-index'])
    if (!Number.isSafeInteger(said) || said < 0) {
      throw new WeftError('unavailable', 'an answer without X-Consul-Index is none of Consul', { where: { path } })
    }
    // Consul's own advice: none is below 1, and one that goes backwards begins anew.
    const index = Math.max(1, said)
    if (index === this.#index) return
    // Another server that is behind, or one that was restored: it begins anew, and what it said now is not taken.
    if (index < this.#index) {
      this.#index = 0
      return
    }
    if (!this.#abort.signal.aborted) onAnswer(answer)
    this.#index = index
  }
}
