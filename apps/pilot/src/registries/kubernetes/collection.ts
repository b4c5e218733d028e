import type { KubernetesClient } from '@weft/kubernetes/client'
import { ListWatch } from '@weft/kubernetes/list-watch'
import type { ApiObject, ResourceType } from '@weft/kubernetes/resource'
import type { Logger } from '@weft/service/logger'

export interface CollectionOptions<T> {
  client: KubernetesClient
  resource: ResourceType
  /** Each is watched by itself; empty: all of the cluster. */
  namespaces: readonly string[]
  labelSelector?: string | undefined
  fieldSelector?: string
  read: (object: ApiObject) => T | undefined
  /** Told of the keys that came, changed or went. */
  onChange: (keys: ReadonlySet<string>) => void
  onState: () => void
  logger: Logger
}

/** One type of object of some namespaces, or of the cluster, kept in step. */
export class Collection<T> {
  readonly #watches: readonly ListWatch<T>[]

  constructor({ namespaces, labelSelector, ...rest }: CollectionOptions<T>) {
    const options = { ...rest, ...(labelSelector === undefined ? {} : { labelSelector }) }
    this.#watches = (namespaces.length === 0 ? [undefined] : namespaces).map(
      (namespace) => new ListWatch<T>({ ...options, namespace }),
    )
  }

  get(key: string): T | undefined {
    for (const { items } of this.#watches) {
      const item = items.get(key)
      if (item !== undefined) return item
    }
    return undefined
  }

  *entries(): Iterable<[string, T]> {
    for (const { items } of this.#watches) yield* items
  }

  get synced(): boolean {
    return this.#watches.every(({ synced }) => synced)
  }

  get problem(): string | undefined {
    return this.#watches.find(({ problem }) => problem !== undefined)?.problem
  }

  async close(): Promise<void> {
    await Promise.all(this.#watches.map((watch) => watch.close()))
  }
}

/** Tells once that a cluster is followed no longer, and once that it is again. */
export function tellOfProblem(logger: Logger, what: string, before: string | undefined, now: string | undefined): void {
  if (before === undefined && now !== undefined) logger.warn(`${what}: the last answer stays in force: ${now}`)
  if (before !== undefined && now === undefined) logger.info(`${what}: followed again`)
}
