import { type FileState, type LoadedConfig, mergeFiles } from '@weft/config/watch/loaded'
import { readConfigText } from '@weft/config/watch/read-file'
import type { WeftError } from '@weft/service/errors'
import type { Logger } from '@weft/service/logger'
import { z } from 'zod'
import { BlockingQuery } from '../../registries/consul/blocking-query.ts'
import type { PlatformClient } from '../../registries/platform-client.ts'
import type { ConfigProvider } from '../config-provider.ts'

export interface ConsulConfigOptions {
  client: PlatformClient
  query: Readonly<Record<string, string>>
  /** Keys that begin with it are read: `weft/config/`. */
  prefix: string
  logger: Logger
}

const keysSchema = z.array(z.object({ Key: z.string(), Value: z.string().nullable(), ModifyIndex: z.number() }))
const noConfig: LoadedConfig = { objects: new Map(), problems: [] }

/**
 * Configuration in Consul's key-value store: each key below a prefix holds YAML as a file does, and is read by the same rules. Followed
 * by one blocking query.
 */
export class ConsulConfig implements ConfigProvider {
  readonly name = 'consul'
  current: LoadedConfig = noConfig
  readonly #options: ConsulConfigOptions
  readonly #query: BlockingQuery
  readonly #listeners = new Set<() => void>()
  #files: ReadonlyMap<string, FileState> = new Map()
  /** Answers are taken one after the other. */
  #work: Promise<void> = Promise.resolve()
  #synced = false
  #problem: string | undefined

  constructor(options: ConsulConfigOptions) {
    this.#options = options
    const { client, query, prefix } = options
    this.#query = new BlockingQuery({
      client,
      path: `/v1/kv/${prefix.split('/').map(encodeURIComponent).join('/')}`,
      query: { ...query, recurse: '' },
      consistency: 'default',
      absent: [],
      onAnswer: ({ body }) => {
        const keys = keysSchema.parse(body)
        this.#work = this.#work.then(() => this.#take(keys))
      },
      onProblem: (problem) => this.#setProblem(problem),
    })
  }

  get state(): ConfigProvider['state'] {
    return { synced: this.#synced, problem: this.#problem }
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  async close(): Promise<void> {
    this.#listeners.clear()
    await this.#query.close()
    await this.#work
    this.#options.client.close()
  }

  async #take(keys: z.infer<typeof keysSchema>): Promise<void> {
    const files = new Map<string, FileState>()
    for (const { Key, Value, ModifyIndex } of keys) {
      const before = this.#files.get(Key)
      const identity = String(ModifyIndex)
      const text = Buffer.from(Value ?? '', 'base64').toString('utf8')
      const file =
        before?.identity === identity ? before : await readConfigText({ path: `consul:${Key}`, identity, text }, before)
      files.set(Key, file)
    }
    this.#files = files
    this.current = mergeFiles([[...files.values()]])
    this.#synced = true
    for (const listener of this.#listeners) listener()
  }

  #setProblem(problem: WeftError | undefined): void {
    if (problem !== undefined && this.#problem === undefined) this.#options.logger.warn(problem.describe())
    this.#problem = problem?.describe()
  }
}
