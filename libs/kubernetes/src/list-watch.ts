import { setTimeout as delay } from 'node:timers/promises'
import { WeftError } from '@weft/service/errors'
import type { Logger } from '@weft/service/logger'
import { z } from 'zod'
import { type Answer, answerError, type KubernetesClient } from './client.ts'
import { type ApiObject, apiObjectKey, type ResourceType, readApiObject, resourcePath } from './resource.ts'

export interface ListWatchOptions<T> {
  client: KubernetesClient
  resource: ResourceType
  /** All namespaces where undefined. */
  namespace?: string | undefined
  labelSelector?: string
  fieldSelector?: string
  /** What is kept of an object; undefined leaves it out. */
  read: (object: ApiObject) => T | undefined
  /** Told of the keys that came, changed or went, after they did; and once, perhaps with none, when the first list is in. */
  onChange: (keys: ReadonlySet<string>) => void
  /** Told when `problem` or `synced` changed. */
  onState?: () => void
  logger: Logger
  /** For tests. */
  timing?: Partial<Timing>
}

export interface Timing {
  /** Wait after the first failure; twice as much after each further one, up to the most, all with jitter. */
  leastRetryMs: number
  mostRetryMs: number
  /** A watch is ended by the server after this time and up to twice as much, so that watches don't end all at once. */
  watchSeconds: number
  /** Objects of one page of a list. */
  pageSize: number
}

const defaultTiming: Timing = { leastRetryMs: 250, mostRetryMs: 5_000, watchSeconds: 300, pageSize: 500 }

const eventSchema = z.object({ type: z.enum(['ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK', 'ERROR']), object: z.unknown() })
const listSchema = z.looseObject({
  metadata: z.looseObject({ resourceVersion: z.string().default(''), continue: z.string().default('') }),
  items: z.array(z.unknown()).nullish(),
})
const statusSchema = z.looseObject({ message: z.string().default(''), code: z.number().default(0) })
const initialEventsEnd = 'k8s.io/initial-events-end'

/** How an attempt ended: `gone` asks for a new list at once, `ended` for a new watch from where this one came to. */
type Outcome = { type: 'ended' } | { type: 'gone'; reason: string }

/**
 * Keeps a copy of one collection of the API server: a first list (streamed where the server can, else by pages), then a watch
 * from its resourceVersion on, with bookmarks. A version that is compacted away (410, in the stream or as a status) is listed
 * anew; whatever is lost is tried again with back-off, and the last copy stays meanwhile. Closed by `close`.
 */
export class ListWatch<T> {
  readonly items = new Map<string, T>()
  /** The first list is in. */
  synced = false
  /** Why the copy may be old; undefined while it is followed. */
  problem: string | undefined
  readonly #options: ListWatchOptions<T>
  readonly #timing: Timing
  readonly #path: string
  readonly #abort = new AbortController()
  readonly #running: Promise<void>
  /** Versions by key, so that a new list tells only of what differs. */
  readonly #versions = new Map<string, string>()
  #resourceVersion: string | undefined
  #canStream = true
  #failures = 0

  constructor(options: ListWatchOptions<T>) {
    this.#options = options
    this.#timing = { ...defaultTiming, ...options.timing }
    this.#path = resourcePath(options.resource, options.namespace)
    this.#running = this.#run()
  }

  async close(): Promise<void> {
    this.#abort.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort
    while (!signal.aborted) {
      const startedMs = performance.now()
      let waitMs = 0
      try {
        const outcome = await this.#follow()
        if (outcome.type === 'gone') {
          this.#resourceVersion = undefined
          this.#options.logger.debug({ path: this.#path, reason: outcome.reason }, 'listing anew')
        }
        // A server that ends each watch at once is not asked in a circle.
        if (performance.now() - startedMs < 1_000) waitMs = this.#backoffMs()
        else this.#failures = 0
      } catch (thrown) {
        if (signal.aborted) return
        if (performance.now() - startedMs > this.#timing.mostRetryMs) this.#failures = 0
        waitMs = this.#failed(WeftError.from(thrown))
      }
      if (waitMs > 0) await delay(waitMs, undefined, { signal }).catch(() => undefined)
    }
  }

  #failed(error: WeftError): number {
    const waitMs = this.#backoffMs()
    this.#setState(error.describe())
    // Whoever follows many types tells of it once, by `problem`.
    this.#options.logger.debug({ path: this.#path, retryInMs: Math.round(waitMs) }, `not followed: ${error.describe()}`)
    return waitMs
  }

  /** The next wait: between half of it and all of it, so that those who lost a server do not return together. */
  #backoffMs(): number {
    const { leastRetryMs, mostRetryMs } = this.#timing
    const most = Math.min(mostRetryMs, leastRetryMs * 2 ** this.#failures)
    this.#failures = Math.min(this.#failures + 1, 20)
    return most * (0.5 + Math.random() / 2)
  }

  #setState(problem: string | undefined): void {
    if (problem === this.problem) return
    this.problem = problem
    this.#options.onState?.()
  }

  async #follow(): Promise<Outcome> {
    if (this.#resourceVersion !== undefined) return await this.#watch(false)
    if (this.#canStream) return await this.#watch(true)
    const gone = await this.#list()
    return gone ?? (await this.#watch(false))
  }

  #query(more: Record<string, string>): Record<string, string> {
    const { labelSelector, fieldSelector } = this.#options
    return {
      ...(labelSelector === undefined ? {} : { labelSelector }),
      ...(fieldSelector === undefined ? {} : { fieldSelector }),
      ...more,
    }
  }

  /** The whole collection by pages. A page that is gone by now (410) is asked for in a list that is not paged. */
  async #list(): Promise<Outcome | undefined> {
    const objects = new Map<string, T>()
    const versions = new Map<string, string>()
    let next = ''
    for (let paged = true; ; ) {
      const query = this.#query(paged ? { limit: String(this.#timing.pageSize), ...(next === '' ? {} : { continue: next }) } : {})
      const call = { path: this.#path, query, signal: this.#abort.signal }
      const answer = await this.#options.client.send(call)
      if (answer.status === 410) {
        if (!paged) return { type: 'gone', reason: messageOf(answer) }
        paged = false
        next = ''
        objects.clear()
        versions.clear()
        continue
      }
      if (answer.status !== 200) throw answerError(call, answer)
      const list = listSchema.safeParse(answer.body)
      if (!list.success) throw new WeftError('internal', 'the API server gave no list', { where: { path: this.#path } })
      for (const item of list.data.items ?? []) this.#take(item, objects, versions)
      next = list.data.metadata.continue
      if (next !== '') continue
      this.#resourceVersion = list.data.metadata.resourceVersion
      this.#replace(objects, versions)
      this.#setState(undefined)
      return undefined
    }
  }

  #take(item: unknown, objects: Map<string, T>, versions: Map<string, string>): void {
    const object = readApiObject(item)
    const kept = object && this.#options.read(object)
    if (object === undefined || kept === undefined) return
    const key = apiObjectKey(object)
    // The very value there was, where it is the same version: who compares by identity sees no change.
    const known = this.#versions.get(key) === object.metadata.resourceVersion ? this.items.get(key) : undefined
    objects.set(key, known ?? kept)
    versions.set(key, object.metadata.resourceVersion)
  }

  /** Puts a whole new list in place of the copy. */
  #replace(objects: ReadonlyMap<string, T>, versions: ReadonlyMap<string, string>): void {
    const changed = new Set<string>()
    for (const [key, version] of versions) if (this.#versions.get(key) !== version) changed.add(key)
    for (const key of this.items.keys()) if (!objects.has(key)) changed.add(key)
    this.items.clear()
    this.#versions.clear()
    for (const [key, item] of objects) this.items.set(key, item)
    for (const [key, version] of versions) this.#versions.set(key, version)
    const first = !this.synced
    this.synced = true
    if (first || changed.size > 0) this.#options.onChange(changed)
    if (first) this.#options.onState?.()
  }

  /** Follows the collection; with `initial`, the stream begins with all of it. */
  async #watch(initial: boolean): Promise<Outcome> {
    const seconds = Math.round(this.#timing.watchSeconds * (1 + Math.random()))
    const query = this.#query({
      watch: 'true',
      allowWatchBookmarks: 'true',
      timeoutSeconds: String(seconds),
      ...(initial
        ? { sendInitialEvents: 'true', resourceVersionMatch: 'NotOlderThan' }
        : { resourceVersion: this.#resourceVersion ?? '' }),
    })
    const call = { path: this.#path, query }
    const opened = await this.#options.client.watch(call, this.#abort.signal)
    if ('refused' in opened) {
      const { status } = opened.refused
      if (status === 410) return { type: 'gone', reason: messageOf(opened.refused) }
      if (!initial || [401, 403, 404, 429].includes(status)) throw answerError(call, opened.refused)
      // The server knows no streaming lists.
      this.#canStream = false
      return await this.#follow()
    }
    // A streamed list that does not come to its end (some storage cannot end one) is paged the next time.
    if (initial) this.#canStream = false
    else this.#setState(undefined)
    let fresh = initial ? { objects: new Map<string, T>(), versions: new Map<string, string>() } : undefined
    for await (const events of opened.events) {
      const changed = new Set<string>()
      for (const value of events) {
        const event = eventSchema.safeParse(value)
        if (!event.success) throw new WeftError('internal', 'a watch event cannot be read', { where: { path: this.#path } })
        const { type, object } = event.data
        if (type === 'ERROR') {
          this.#tell(changed)
          return streamError(object, this.#path)
        }
        if (fresh === undefined) {
          if (type === 'BOOKMARK') this.#bookmark(object)
          else this.#apply(type, object, changed)
        } else if (type !== 'BOOKMARK') this.#take(object, fresh.objects, fresh.versions)
        else if (this.#bookmark(object)) {
          this.#replace(fresh.objects, fresh.versions)
          this.#setState(undefined)
          this.#canStream = true
          fresh = undefined
        }
      }
      this.#tell(changed)
    }
    return { type: 'ended' }
  }

  #tell(changed: ReadonlySet<string>): void {
    if (changed.size > 0) this.#options.onChange(changed)
  }

  #apply(type: 'ADDED' | 'MODIFIED' | 'DELETED', value: unknown, changed: Set<string>): void {
    const object = readApiObject(value)
    if (object === undefined) return
    const key = apiObjectKey(object)
    const { resourceVersion } = object.metadata
    this.#resourceVersion = resourceVersion
    const kept = type === 'DELETED' ? undefined : this.#options.read(object)
    if (kept === undefined) {
      this.#versions.delete(key)
      if (this.items.delete(key)) changed.add(key)
      return
    }
    if (this.#versions.get(key) === resourceVersion) return
    this.#versions.set(key, resourceVersion)
    this.items.set(key, kept)
    changed.add(key)
  }

  /** Goes on to a bookmark's version; true when it ends the initial events. */
  #bookmark(value: unknown): boolean {
    const object = readApiObject(withName(value))
    if (object === undefined) return false
    const annotations = object.metadata['annotations']
    const ends = typeof annotations === 'object' && annotations !== null && Object.hasOwn(annotations, initialEventsEnd)
    if (ends || this.#resourceVersion !== undefined) this.#resourceVersion = object.metadata.resourceVersion
    return ends
  }
}

/** What an ERROR event means: the version is gone, or the stream failed (thrown). */
function streamError(value: unknown, path: string): Outcome {
  const { code, message } = statusSchema.catch({ code: 0, message: '' }).parse(value)
  if (code === 410) return { type: 'gone', reason: message }
  throw new WeftError('unavailable', `the watch failed: ${message || 'no reason given'}`, { where: { path } })
}

/** Bookmarks have no name. */
function withName(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || !('metadata' in value)) return value
  const { metadata } = value
  return { metadata: { name: '', ...(typeof metadata === 'object' ? metadata : {}) } }
}

function messageOf({ body }: Answer): string {
  return statusSchema.catch({ code: 0, message: '' }).parse(body).message
}
