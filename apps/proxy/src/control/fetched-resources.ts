import { WeftError } from '@weft/service/errors'
import type { ReceivedResource } from '@weft/xds/client/subscription'
import type { ComponentLog } from '../log.ts'
import type { StatScope, Stats } from '../observe/stats.ts'
import { Deferred } from './deferred.ts'
import { FetchStats } from './fetch-stats.ts'
import { type CheckedResource, type Reference, sameBytes } from './resource.ts'
import { type ConfigSources, initialFetchTimeoutMs, type NamedWatcher, type Watch } from './sources.ts'
import { longestTimerMs } from './timer-bounds.ts'

/** A resource that is fetched by its name, and what its kind keeps of it. */
export interface Fetched<R extends Reference, State> {
  name: string
  /** What its statistics begin with, and where they are for as long as it is. */
  prefix: string
  stats: StatScope
  /** Those who refer to it now. */
  uses: R[]
  /** Undefined until it came. */
  state: State | undefined
  /** Resolved when it is live, or when one goes on without it: nothing good came in time. */
  ready: Deferred
  /** Nobody refers to it any more. */
  dropped: boolean
}

interface Entry<R extends Reference, State> extends Fetched<R, State> {
  watch: Watch | undefined
  timer: NodeJS.Timeout | undefined
}

/** A checked resource with the time at which it last changed. */
export interface DatedResource {
  resource: CheckedResource
  updatedAt: Date
}

/** A fetched resource as the admin endpoints show it. */
export interface FetchedState {
  name: string
  version: string
  updatedAt: Date
  bytes: Uint8Array
}

export interface FetchedOptions<R extends Reference, State> {
  typeUrl: string
  /** What messages call it: `route`. */
  noun: string
  /** What messages call its fetching: `RDS`. */
  api: string
  sources: ConfigSources
  stats: Stats
  log: ComponentLog
  /** Where its fetching is counted. */
  statPrefix(reference: R): string
  /** It is about to be fetched. */
  opened?(entry: Fetched<R, State>): void
  /** It is used once more, perhaps for the first time. */
  used?(entry: Fetched<R, State>, reference: R): void
  /** Takes an answer; throws WeftError to refuse it. */
  take(entry: Fetched<R, State>, received: ReceivedResource): void | Promise<void>
  /** An answer of this version was refused. */
  refused?(entry: Fetched<R, State>, version: string): void
  /** A file holds nothing; without this it is refused. */
  empty?(entry: Fetched<R, State>): void
  /** The server says that there is none (any more). */
  removed?(entry: Fetched<R, State>): void
  /** The last one that referred to it went away. */
  dropped(entry: Fetched<R, State>): void
}

/** Resources of one kind that are fetched by name for as long as something refers to them: routes, secrets, configurations of filters. */
export class FetchedResources<R extends Reference, State> {
  readonly #options: FetchedOptions<R, State>
  readonly #entries = new Map<string, Entry<R, State>>()

  constructor(options: FetchedOptions<R, State>) {
    this.#options = options
  }

  get(name: string): Fetched<R, State> | undefined {
    return this.#entries.get(name)
  }

  list(): Iterable<Fetched<R, State>> {
    return this.#entries.values()
  }

  /** Starts to fetch what is referred to; each use has to be released, by the same object. */
  use(references: readonly R[]): void {
    for (const reference of references) {
      const entry = this.#entries.get(reference.name)
      if (entry !== undefined) {
        entry.uses.push(reference)
        this.#options.used?.(entry, reference)
      } else this.#open(reference)
    }
  }

  release(references: readonly R[]): void {
    for (const reference of references) {
      const entry = this.#entries.get(reference.name)
      const at = entry?.uses.indexOf(reference) ?? -1
      if (entry === undefined || at < 0) continue
      entry.uses.splice(at, 1)
      if (entry.uses.length > 0) continue
      this.#drop(entry)
      this.#entries.delete(entry.name)
      this.#options.dropped(entry)
    }
  }

  /** Whether all of them are live, or gone without. */
  areReady(references: readonly R[]): boolean {
    return references.every(({ name }) => this.#entries.get(name)?.ready.done === true)
  }

  /** Resolves when all are live, or gone without. */
  async ready(references: readonly R[]): Promise<void> {
    await Promise.all(references.map(({ name }) => this.#entries.get(name)?.ready.promise))
  }

  close(): void {
    for (const entry of this.#entries.values()) this.#drop(entry)
  }

  #drop(entry: Entry<R, State>): void {
    entry.dropped = true
    clearTimeout(entry.timer)
    entry.watch?.close()
    entry.stats.leave()
    entry.ready.resolve()
  }

  #open(reference: R): void {
    const { name, source } = reference
    const { sources, stats, log, api, noun } = this.#options
    const prefix = this.#options.statPrefix(reference)
    const entry: Entry<R, State> = {
      name,
      prefix,
      stats: stats.scope(`${prefix}.`),
      uses: [reference],
      watch: undefined,
      state: undefined,
      ready: new Deferred(),
      timer: undefined,
      dropped: false,
    }
    this.#entries.set(name, entry)
    this.#options.used?.(entry, reference)
    const counts = source === undefined ? undefined : new FetchStats(entry.stats, prefix, source)
    if (source !== undefined) this.#options.opened?.(entry)
    const timeoutMs = initialFetchTimeoutMs(source)
    if (timeoutMs > 0)
      entry.timer = setTimeout(
        () => {
          counts?.timedOut()
          log.warn(`${noun} ${name} has not come within its initial fetch timeout`)
          entry.ready.resolve()
        },
        Math.min(timeoutMs, longestTimerMs),
      )
    if (source === undefined) return
    /** The first answer of any kind ends the wait, unless it goes live only later. */
    const answered = (version: string, problems: readonly string[], waits = false): void => {
      clearTimeout(entry.timer)
      counts?.answered(version, problems)
      if (!waits) entry.ready.resolve()
    }
    const refuse = (version: string, reason: string): void => {
      this.#options.refused?.(entry, version)
      log.warn(`${api}: ${reason}`)
      answered(version, [reason])
    }
    const watcher: NamedWatcher = {
      receive: async (received) => {
        try {
          await this.#options.take(entry, received)
          answered(received.version, [], true)
          return []
        } catch (error) {
          const reason = WeftError.from(error).describe()
          refuse(received.version, reason)
          return [reason]
        }
      },
      removed: (version) => {
        this.#options.removed?.(entry)
        answered(version, [])
      },
      empty: (version) => {
        if (this.#options.empty === undefined) return refuse('', `the file holds no ${noun}`)
        this.#options.empty(entry)
        answered(version, [])
      },
      refused: (reason) => refuse('', reason),
      failed: (reason) => {
        counts?.failed()
        log.debug(`${noun} ${name} cannot be fetched now: ${reason}`)
      },
    }
    entry.watch = sources.watchNamed(source, this.#options.typeUrl, name, watcher, { stats: entry.stats, prefix })
  }
}

/** Whether an answer brings what is there already; its version is not noted, as in Envoy. */
export function isRepeated(state: DatedResource | undefined, received: ReceivedResource): boolean {
  return state !== undefined && sameBytes(state.resource.bytes, received.bytes)
}

/** What came, for the admin endpoints. */
export function fetchedStates<R extends Reference>(fetched: FetchedResources<R, DatedResource>): FetchedState[] {
  return [...fetched.list()].flatMap(({ name, state }) =>
    state === undefined
      ? []
      : [{ name, version: state.resource.version, updatedAt: state.updatedAt, bytes: state.resource.bytes }],
  )
}
