import { WeftError } from '@weft/service/errors'
import { typeUrls } from '@weft/xds/types'
import type { ComponentLog } from '../log.ts'
import type { Stats } from '../observe/stats.ts'
import type { ResourceError, ResourceUpdate } from '../threads.ts'
import { Deferred } from './deferred.ts'
import { FetchStats } from './fetch-stats.ts'
import { type CheckedResource, checkedResource, type Reference, type RouteReference, sameBytes } from './resource.ts'
import { checkFetchedClusters } from './route-clusters.ts'
import { type ConfigSources, initialFetchTimeoutMs, type Watch } from './sources.ts'

/** A fetched route configuration as the admin endpoints show it. */
export interface RouteState {
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
  closed: boolean
}

export interface RoutesOptions {
  sources: ConfigSources
  stats: Stats
  publish(resources: ResourceUpdate[]): Promise<ResourceError[]>
  /** Resolves when the clusters that came before are live, so that a route never leads to one that is not yet there. */
  clustersSettled(): Promise<void>
  hasCluster(name: string): boolean
  log: ComponentLog
}

/** Route configurations that listeners fetch by RDS, for as long as one of them refers to them. */
export class Routes {
  readonly #options: RoutesOptions
  readonly #entries = new Map<string, Entry>()

  constructor(options: RoutesOptions) {
    this.#options = options
  }

  list(): RouteState[] {
    return [...this.#entries.values()].flatMap(({ name, resource, updatedAt }) =>
      resource === undefined ? [] : [{ name, version: resource.version, updatedAt, bytes: resource.bytes }],
    )
  }

  /** Starts to fetch what is referred to; each use has to be released. */
  use(references: readonly RouteReference[]): void {
    for (const { name, source, statPrefix } of references) {
      const known = this.#entries.get(name)
      if (known !== undefined) {
        known.users++
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
        closed: false,
      }
      this.#entries.set(name, entry)
      if (source === undefined) continue
      const stats = new FetchStats(this.#options.stats, `http.${statPrefix}.rds.${name}`)
      const reloads = this.#options.stats.counter(`http.${statPrefix}.rds.${name}.config_reload`)
      entry.watch = this.#options.sources.watchNamed(source, typeUrls.route, name, {
        receive: async (received) => {
          try {
            if (entry.resource === undefined || !sameBytes(entry.resource.bytes, received.bytes)) {
              const resource = checkedResource('route', name, received.version, received.bytes)
              checkFetchedClusters(received.bytes, this.#options.hasCluster)
              this.#take(entry, resource)
              reloads.inc()
            } else entry.resource.version = received.version
            stats.answered(received.version, [])
            return []
          } catch (error) {
            const text = WeftError.from(error).describe()
            stats.answered(received.version, [text])
            this.#options.log.warn(`RDS: ${text}`)
            return [text]
          }
        },
        failed: (reason) => {
          stats.failed()
          this.#options.log.debug(`route ${name} cannot be fetched now: ${reason}`)
        },
      })
    }
  }

  release(references: readonly Reference[]): void {
    for (const { name } of references) {
      const entry = this.#entries.get(name)
      if (entry === undefined || --entry.users > 0) continue
      entry.closed = true
      entry.watch?.close()
      this.#entries.delete(name)
      void this.#options.publish([{ kind: 'route', name, bytes: null }])
    }
  }

  /** Whether all of them are live. */
  areReady(references: readonly Reference[]): boolean {
    return references.every(({ name }) => this.#entries.get(name)?.ready.done === true)
  }

  /** Resolves when all are live, or each one's initial fetch timeout is over. */
  async ready(references: readonly Reference[]): Promise<void> {
    await Promise.all(
      references.map(async ({ name }) => {
        const entry = this.#entries.get(name)
        if (entry === undefined || (await entry.ready.within(entry.timeoutMs)) || entry.closed) return
        this.#options.log.warn(`route ${name} has not come within its initial fetch timeout`)
      }),
    )
  }

  close(): void {
    for (const entry of this.#entries.values()) {
      entry.closed = true
      entry.watch?.close()
    }
  }

  #take(entry: Entry, resource: CheckedResource): void {
    entry.resource = resource
    entry.updatedAt = new Date()
    const live = async (): Promise<void> => {
      await this.#options.clustersSettled()
      if (entry.closed || entry.resource !== resource) return
      const errors = await this.#options.publish([{ kind: 'route', name: entry.name, bytes: resource.bytes }])
      for (const error of errors) this.#options.log.error(`route ${entry.name} was refused by a worker: ${error.message}`)
      entry.ready.resolve()
    }
    void live()
  }
}
