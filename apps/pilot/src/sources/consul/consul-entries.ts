import { isDeepStrictEqual } from 'node:util'
import type { Problem } from '@weft/config/problem'
import { type FileState, type LoadedConfig, mergeFiles } from '@weft/config/watch/loaded'
import { readConfigText } from '@weft/config/watch/read-file'
import type { WeftError } from '@weft/service/errors'
import type { Logger } from '@weft/service/logger'
import { BlockingQuery } from '../../registries/consul/blocking-query.ts'
import { isDnsLabel } from '../../registries/instance-facts.ts'
import type { PlatformClient } from '../../registries/platform-client.ts'
import type { ConfigProvider } from '../config-provider.ts'
import { type ConfigEntries, entryReaders, type Intention } from './config-entries.ts'
import { chainedServices, chainOf } from './discovery-chain.ts'

export interface ConsulEntriesOptions {
  client: PlatformClient
  query: Readonly<Record<string, string>>
  logger: Logger
}

/** Most intentions that are told of one by one. */
const mostTold = 100
const file = 'consul:config-entries'

/**
 * Consul's own configuration of a mesh as ours: service-router, service-splitter and service-resolver become VirtualServices and
 * DestinationRules of the default namespace; intentions are told as notices, and are not enforced. Each kind is followed by a blocking
 * query.
 */
export class ConsulEntries implements ConfigProvider {
  readonly name = 'consul-entries'
  current: LoadedConfig = { objects: new Map(), problems: [] }
  readonly #options: ConsulEntriesOptions
  readonly #queries: readonly BlockingQuery[]
  readonly #listeners = new Set<() => void>()
  readonly #problems = new Map<string, WeftError>()
  #entries: Partial<ConfigEntries> = {}
  #files: ReadonlyMap<string, FileState> = new Map()
  /** Answers are taken one after the other. */
  #work: Promise<void> = Promise.resolve()
  #synced = false

  constructor(options: ConsulEntriesOptions) {
    this.#options = options
    this.#queries = [
      this.#follow('routers', (routers) => ({ routers })),
      this.#follow('splitters', (splitters) => ({ splitters })),
      this.#follow('resolvers', (resolvers) => ({ resolvers })),
      this.#follow('intentions', (intentions) => ({ intentions })),
    ]
  }

  get state(): ConfigProvider['state'] {
    const [problem] = this.#problems.values()
    return { synced: this.#synced, problem: problem?.describe() }
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  async close(): Promise<void> {
    this.#listeners.clear()
    await Promise.all(this.#queries.map((query) => query.close()))
    await this.#work
    this.#options.client.close()
  }

  #follow<Part extends keyof typeof entryReaders>(
    part: Part,
    take: (entries: ReturnType<(typeof entryReaders)[Part]['read']>) => Partial<ConfigEntries>,
  ): BlockingQuery {
    const { client, query, logger } = this.#options
    const { path, read } = entryReaders[part]
    return new BlockingQuery({
      ...{ client, path, query, consistency: 'default' },
      onAnswer: ({ body }) => {
        Object.assign(this.#entries, take(read(body) as ReturnType<(typeof entryReaders)[Part]['read']>))
        this.#work = this.#work.then(() => this.#build())
      },
      onProblem: (problem) => {
        if (problem === undefined) this.#problems.delete(part)
        else {
          if (this.#problems.size === 0) logger.warn(problem.describe())
          this.#problems.set(part, problem)
        }
      },
    })
  }

  async #build(): Promise<void> {
    const { routers, splitters, resolvers, intentions } = this.#entries
    if (routers === undefined || splitters === undefined || resolvers === undefined || intentions === undefined) return
    const entries: ConfigEntries = { routers, splitters, resolvers, intentions }
    const files = new Map<string, FileState>()
    const problems: Problem[] = []
    for (const name of chainedServices(entries)) {
      const path = `${file}/${name}`
      if (!isDnsLabel(name)) {
        problems.push({ severity: 'warning', message: 'the name is no DNS label (RFC 1123)', file: path, line: 1 })
        continue
      }
      const chain = chainOf(name, entries)
      const isLost = chain.problems.some(({ isLoss }) => isLoss)
      for (const { message, isLoss } of chain.problems) {
        problems.push({ severity: isLoss ? 'error' : 'warning', message, file: path, line: 1 })
      }
      const before = this.#files.get(name)
      // What was understood last holds on.
      const text = isLost ? before?.identity : chain.objects.map((object) => JSON.stringify(object, null, 2)).join('\n---\n')
      if (text === undefined) continue
      files.set(name, before?.identity === text ? before : await readConfigText({ path, identity: text, text }, before))
    }
    this.#files = files
    const merged = mergeFiles([[...files.values()]])
    const next = {
      objects: merged.objects,
      problems: [...merged.problems, ...problems, ...intentions.slice(0, mostTold).map(notice)],
    }
    const isSame = this.#synced && isDeepStrictEqual(next, this.current)
    this.#synced = true
    if (isSame) return
    this.current = next
    for (const listener of this.#listeners) listener()
  }
}

/** Who may call whom is an AuthorizationPolicy's to say. */
function notice({ SourceName, DestinationName, Action, Permissions }: Intention): Problem {
  const what = (Permissions ?? []).length > 0 ? 'some requests' : Action || 'allow'
  return {
    severity: 'notice',
    message: `the intention ${SourceName} -> ${DestinationName} (${what}) is not enforced`,
    file: 'consul:intentions',
    line: 1,
    hint: 'an AuthorizationPolicy says the same to this mesh',
  }
}
