import { TypedExtensionConfig } from '@weft/contracts/envoy/config/core/v3/extension'
import { WeftError } from '@weft/service/errors'
import { typeUrls } from '@weft/xds/types'
import type { ComponentLog } from '../log.ts'
import type { Stats } from '../observe/stats.ts'
import type { ResourceError, ResourceUpdate } from '../threads.ts'
import { Deferred } from './deferred.ts'
import { FetchStats } from './fetch-stats.ts'
import { type CheckedResource, checkedResource, type ExtensionReference, sameBytes } from './resource.ts'
import { type ConfigSources, initialFetchTimeoutMs, type Watch } from './sources.ts'

/** A fetched configuration of a filter as the admin endpoints show it. */
export interface ExtensionState {
  name: string
  version: string
  updatedAt: Date
  bytes: Uint8Array
}

interface Entry {
  name: string
  users: number
  watch: Watch | undefined
  resource: CheckedResource | undefined
  updatedAt: Date
  ready: Deferred
  timeoutMs: number
  /** Types that each use allows. */
  types: readonly string[][]
}

export interface ExtensionsOptions {
  sources: ConfigSources
  stats: Stats
  publish(resources: ResourceUpdate[]): Promise<ResourceError[]>
  log: ComponentLog
}

/** Configurations of HTTP filters that listeners fetch (ECDS), for as long as one of them refers to them. */
export class Extensions {
  readonly #options: ExtensionsOptions
  readonly #entries = new Map<string, Entry>()

  constructor(options: ExtensionsOptions) {
    this.#options = options
  }

  list(): ExtensionState[] {
    return [...this.#entries.values()].flatMap(({ name, resource, updatedAt }) =>
      resource === undefined ? [] : [{ name, version: resource.version, updatedAt, bytes: resource.bytes }],
    )
  }

  /** Starts to fetch what is referred to; each use has to be released. */
  use(references: readonly ExtensionReference[]): void {
    for (const { name, source, types, goesLiveWithDefault } of references) {
      const known = this.#entries.get(name)
      if (known !== undefined) {
        known.users++
        known.types = [...known.types, types]
        continue
      }
      const entry: Entry = {
        name,
        users: 1,
        watch: undefined,
        resource: undefined,
        updatedAt: new Date(),
        ready: new Deferred(),
        timeoutMs: initialFetchTimeoutMs(source),
        types: [types],
      }
      this.#entries.set(name, entry)
      if (goesLiveWithDefault || source === undefined) entry.ready.resolve()
      if (source !== undefined) this.#fetch(entry, source)
    }
  }

  #fetch(entry: Entry, source: NonNullable<ExtensionReference['source']>): void {
    const { name } = entry
    const prefix = `extension_config_discovery.http_filter.${name}`
    const stats = new FetchStats(this.#options.stats, prefix)
    const reloads = this.#options.stats.counter(`${prefix}.config_reload`)
    const failures = this.#options.stats.counter(`${prefix}.config_fail`)
    entry.watch = this.#options.sources.watchNamed(source, typeUrls.extension, name, {
      receive: async (received) => {
        try {
          if (entry.resource === undefined || !sameBytes(entry.resource.bytes, received.bytes)) {
            const resource = checkedResource('extension', name, received.version, received.bytes)
            checkType(entry, resource)
            await this.#take(entry, resource)
            reloads.inc()
          } else entry.resource.version = received.version
          stats.answered(received.version, [])
          return []
        } catch (error) {
          const text = WeftError.from(error).describe()
          stats.answered(received.version, [text])
          failures.inc()
          this.#options.log.warn(`ECDS: ${text}`)
          return [text]
        }
      },
      removed: () => {
        entry.resource = undefined
        void this.#options.publish([{ kind: 'extension', name, bytes: null }])
      },
      failed: (reason) => {
        stats.failed()
        this.#options.log.debug(`filter configuration ${name} cannot be fetched now: ${reason}`)
      },
    })
  }

  release(references: readonly ExtensionReference[]): void {
    for (const { name, types } of references) {
      const entry = this.#entries.get(name)
      if (entry === undefined) continue
      const at = entry.types.indexOf(types)
      entry.types = entry.types.filter((_, i) => i !== at)
      if (--entry.users > 0) continue
      entry.watch?.close()
      this.#entries.delete(name)
      void this.#options.publish([{ kind: 'extension', name, bytes: null }])
    }
  }

  /** Whether all of them are live. */
  areReady(references: readonly ExtensionReference[]): boolean {
    return references.every(({ name }) => this.#entries.get(name)?.ready.done === true)
  }

  /** Resolves when all are live, or each one's initial fetch timeout is over: then the default holds. */
  async ready(references: readonly ExtensionReference[]): Promise<void> {
    await Promise.all(
      references.map(async ({ name }) => {
        const entry = this.#entries.get(name)
        if (entry === undefined || (await entry.ready.within(entry.timeoutMs))) return
        this.#options.log.warn(`filter configuration ${name} has not come within its initial fetch timeout`)
      }),
    )
  }

  close(): void {
    for (const entry of this.#entries.values()) entry.watch?.close()
  }

  async #take(entry: Entry, resource: CheckedResource): Promise<void> {
    const errors = await this.#options.publish([{ kind: 'extension', name: entry.name, bytes: resource.bytes }])
    const [first] = errors
    if (first !== undefined) throw new WeftError('invalid_argument', first.message)
    entry.resource = resource
    entry.updatedAt = new Date()
    entry.ready.resolve()
  }
}

/** Throws for a configuration of a type that a filter which uses it does not take. */
function checkType({ types, name }: Entry, { bytes }: CheckedResource): void {
  const url = TypedExtensionConfig.decode(bytes).typedConfig?.typeUrl ?? ''
  const type = url.slice(url.lastIndexOf('/') + 1)
  const refusing = types.find((allowed) => !allowed.some((one) => one.slice(one.lastIndexOf('/') + 1) === type))
  if (refusing !== undefined)
    throw new WeftError(
      'invalid_argument',
      `the filter configuration ${name} has type URL ${url}, not one of ${refusing.join(', ')}`,
    )
}
