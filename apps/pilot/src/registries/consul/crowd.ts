import { setTimeout as delay } from 'node:timers/promises'
import { WeftError } from '@weft/service/errors'
import { Backoff } from '@weft/xds/client/backoff'
import { z } from 'zod'
import type { PlatformClient } from '../platform-client.ts'
import { BlockingQuery } from './blocking-query.ts'

export interface CrowdOptions {
  client: PlatformClient
  query: Readonly<Record<string, string>>
  /** Takes what `/v1/health/service/NAME` says of a service. */
  onAnswer: (service: string, body: unknown) => void
  onProblem: (problem: WeftError | undefined) => void
}

const checksSchema = z.array(z.object({ ServiceName: z.string().default(''), ModifyIndex: z.number().default(0) }))
const atOnce = 16
const answerTimeoutMs = 60_000

/**
 * Follows the services that get no blocking query of their own, as Consul takes only so many connections: one query tells
 * that checks changed, and of which services; that the catalog changed, of any. These are then read.
 */
export class Crowd {
  readonly #options: CrowdOptions
  readonly #abort = new AbortController()
  readonly #backoff = new Backoff(100, 5_000)
  #names: ReadonlySet<string> = new Set()
  #stale = new Set<string>()
  #checks: BlockingQuery | undefined
  /** By service, what changes when any of its checks does. */
  #seen: ReadonlyMap<string, string> = new Map()
  #running: Promise<void> | undefined

  constructor(options: CrowdOptions) {
    this.#options = options
  }

  /** The catalog was read: it has these services, any of which may have changed. */
  catalogChanged(names: ReadonlySet<string>): void {
    this.#names = names
    this.#stale = new Set(names)
    if (names.size > 0) {
      const { client, query, onProblem } = this.#options
      const onAnswer = ({ body }: { body: unknown }): void => this.#checksChanged(body)
      this.#checks ??= new BlockingQuery({
        client,
        query,
        consistency: 'default',
        path: '/v1/health/state/any',
        onAnswer,
        onProblem,
      })
    }
    this.#go()
  }

  async close(): Promise<void> {
    this.#abort.abort()
    await Promise.all([this.#checks?.close(), this.#running])
  }

  #checksChanged(body: unknown): void {
    const seen = new Map<string, { count: number; newest: number }>()
    for (const { ServiceName, ModifyIndex } of checksSchema.parse(body)) {
      const of = seen.get(ServiceName) ?? { count: 0, newest: 0 }
      seen.set(ServiceName, { count: of.count + 1, newest: Math.max(of.newest, ModifyIndex) })
    }
    const now = new Map([...seen].map(([name, { count, newest }]) => [name, `${count} ${newest}`]))
    // A check of a node is one of every service on it.
    const all = now.get('') !== this.#seen.get('')
    for (const name of this.#names) if (all || now.get(name) !== this.#seen.get(name)) this.#stale.add(name)
    this.#seen = now
    this.#go()
  }

  #go(): void {
    this.#running ??= this.#refresh().finally(() => {
      this.#running = undefined
    })
  }

  async #refresh(): Promise<void> {
    const { signal } = this.#abort
    while (this.#stale.size > 0 && !signal.aborted) {
      const names = [...this.#stale].slice(0, atOnce)
      for (const name of names) this.#stale.delete(name)
      try {
        await Promise.all(names.map((name) => this.#read(name)))
        if (this.#stale.size === 0) this.#options.onProblem(undefined)
        this.#backoff.reset()
      } catch (thrown) {
        if (signal.aborted) return
        for (const name of names) if (this.#names.has(name)) this.#stale.add(name)
        this.#options.onProblem(WeftError.from(thrown, 'unavailable'))
        await delay(this.#backoff.next(), undefined, { signal }).catch(() => undefined)
      }
    }
  }

  async #read(name: string): Promise<void> {
    const { client, query, onAnswer } = this.#options
    const path = `/v1/health/service/${encodeURIComponent(name)}`
    const { body } = await client.get(path, query, { signal: this.#abort.signal, timeoutMs: answerTimeoutMs })
    if (!this.#abort.signal.aborted && this.#names.has(name)) onAnswer(name, body)
  }
}
