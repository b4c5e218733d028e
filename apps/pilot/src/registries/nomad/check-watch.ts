import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from '@weft/service/logger'
import type { PlatformClient } from '../platform-client.ts'
import { type Checks, checksSchema } from './api.ts'

export interface CheckWatchOptions {
  client: PlatformClient
  query: Readonly<Record<string, string>>
  logger: Logger
  /** An allocation's checks are others than before. */
  onChange: (allocation: string) => void
}

/** Nomad cannot push what checks say: each allocation that has any is asked this often … */
const leastIntervalMs = 500
/** … or so much more rarely that all of them together are asked for no more than this. */
const mostRequestsPerSecond = 100
const atOnce = 16
const answerTimeoutMs = 5_000

/** Asks for the checks of allocations that have any, round after round; without any it asks nothing. */
export class CheckWatch {
  readonly #options: CheckWatchOptions
  readonly #abort = new AbortController()
  /** Undefined as long as nothing was heard; null also where nothing can be. */
  readonly #known = new Map<string, Checks | undefined>()
  #running: Promise<void> | undefined
  #wake: (() => void) | undefined

  constructor(options: CheckWatchOptions) {
    this.#options = options
  }

  /** Whether a service's checks at an allocation pass: all that there are. Not before they were asked for. */
  passes(allocation: string, service: string): boolean {
    const checks = this.#known.get(allocation)
    if (checks === undefined) return false
    return Object.values(checks ?? {}).every(({ Service, Status }) => Service !== service || Status === 'success')
  }

  /** The allocations that have checks from now on; resolves when each of the new ones was asked once. */
  async follow(allocations: ReadonlySet<string>): Promise<void> {
    for (const allocation of this.#known.keys()) if (!allocations.has(allocation)) this.#known.delete(allocation)
    const fresh = [...allocations].filter((allocation) => !this.#known.has(allocation))
    for (const allocation of fresh) this.#known.set(allocation, undefined)
    await this.#ask(fresh)
    if (this.#known.size > 0) this.#running ??= this.#run()
    this.#wake?.()
  }

  async close(): Promise<void> {
    this.#abort.abort()
    this.#wake?.()
    await this.#running
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort
    while (!signal.aborted) {
      if (this.#known.size === 0) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
        continue
      }
      const intervalMs = Math.max(leastIntervalMs, (this.#known.size / mostRequestsPerSecond) * 1_000)
      await delay(intervalMs, undefined, { signal }).catch(() => undefined)
      await this.#ask([...this.#known.keys()])
    }
  }

  async #ask(allocations: readonly string[]): Promise<void> {
    const left = [...allocations]
    const worker = async (): Promise<void> => {
      for (let next = left.pop(); next !== undefined && !this.#abort.signal.aborted; next = left.pop()) await this.#askOne(next)
    }
    await Promise.all(Array.from({ length: atOnce }, worker))
  }

  /** What cannot be had stays as it was: the node may be away, which its registrations will tell. */
  async #askOne(allocation: string): Promise<void> {
    const { client, query, logger } = this.#options
    try {
      const path = `/v1/client/allocation/${encodeURIComponent(allocation)}/checks`
      const { body } = await client.get(path, query, { signal: this.#abort.signal, timeoutMs: answerTimeoutMs })
      const checks = checksSchema.parse(body)
      this.#set(allocation, checks)
    } catch (err) {
      logger.debug({ err, allocation }, 'checks of a Nomad allocation cannot be read')
      if (this.#known.get(allocation) === undefined) this.#set(allocation, null)
    }
  }

  #set(allocation: string, checks: Checks): void {
    if (!this.#known.has(allocation) || this.#abort.signal.aborted) return
    const before = this.#known.get(allocation)
    this.#known.set(allocation, checks)
    if (statusesOf(before) !== statusesOf(checks)) this.#options.onChange(allocation)
  }
}

function statusesOf(checks: Checks | undefined): string {
  if (checks === undefined) return ''
  return JSON.stringify(Object.entries(checks ?? {}).map(([id, { Service, Status }]) => [id, Service, Status]))
}
