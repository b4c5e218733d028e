import { WeftError } from '@weft/service/errors'
import type { Logger } from '@weft/service/logger'
import type { Snapshot as XdsSnapshot } from '@weft/xds/cache/snapshot'
import { Builder, type View } from '../build/builder.ts'
import type { Change } from '../model/change.ts'
import type { Snapshot, SnapshotSource } from '../model/snapshot.ts'
import type { ProxyNode } from '../scope/proxy-node.ts'
import { scopeOf } from '../scope/scope-of.ts'
import { createDebounce } from './debounce.ts'

/** Quiet time after a change before it is pushed, and the longest that a storm of changes may put it off. */
const quietMs = 10
const mostMs = 100

/** A proxy that is to be kept up to date. */
export interface Follower {
  readonly proxy: ProxyNode
  /** Takes a new state; `generation` is the version of the snapshot behind it. */
  readonly update: (resources: XdsSnapshot, generation: number) => void
}

export interface PushesOptions {
  readonly snapshots: SnapshotSource
  readonly logger: Logger
}

/**
 * Keeps proxies up to date: collects changes for a moment, finds whom they concern, builds what they see anew, and hands
 * it to their streams. A proxy that cannot be built for keeps what it has; the rest goes on.
 */
export class Pushes {
  readonly #builder = new Builder()
  readonly #followers = new Map<Follower, View | undefined>()
  readonly #logger: Logger
  readonly #debounce: ReturnType<typeof createDebounce>
  readonly #unsubscribe: () => void
  #current: Snapshot
  #next: Snapshot | undefined
  #changes: Change[] = []

  constructor({ snapshots, logger }: PushesOptions) {
    this.#logger = logger
    this.#current = snapshots.current
    this.#builder.begin(this.#current, undefined)
    this.#debounce = createDebounce(quietMs, mostMs, () => this.#push())
    this.#unsubscribe = snapshots.subscribe(({ snapshot, changes }) => {
      this.#next = snapshot
      this.#changes.push(...changes)
      this.#debounce.touch()
    })
  }

  /** Takes a proxy in: it gets its first state at once, and each later one. Gives what ends that. */
  follow(follower: Follower): () => void {
    this.#followers.set(follower, undefined)
    this.#renew(follower, undefined)
    return () => void this.#followers.delete(follower)
  }

  /** What a proxy is to have now; built for one that does not follow, for questions about it. */
  view(proxy: ProxyNode): View {
    return this.#builder.build(scopeOf(this.#current, proxy))
  }

  #push(): void {
    const snapshot = this.#next
    if (snapshot === undefined) return
    const changes = this.#changes
    this.#changes = []
    this.#next = undefined
    this.#current = snapshot
    this.#builder.begin(snapshot, changes)
    for (const [follower, view] of this.#followers) this.#renew(follower, view, changes)
    this.#trim()
  }

  #renew(follower: Follower, before: View | undefined, changes?: readonly Change[]): void {
    const generation = this.#current.version
    try {
      const scope = scopeOf(this.#current, follower.proxy)
      const concerned =
        before === undefined ||
        changes === undefined ||
        changes.some((change) => scope.dependsOn(change) || before.scope.dependsOn(change))
      const view = concerned ? this.#builder.build(scope, before) : { scope, resources: before.resources }
      this.#followers.set(follower, view)
      // A map of its own for each generation: a stream tells by it that it has caught up with this one.
      follower.update(new Map(view.resources), generation)
    } catch (thrown) {
      const error = WeftError.from(thrown)
      this.#logger.error(
        { err: thrown, proxy: follower.proxy.id },
        `cannot build for a proxy, it keeps what it has: ${error.describe()}`,
      )
    }
  }

  #trim(): void {
    const sets = new Set([...this.#followers.values()].flatMap((view) => [...(view?.resources.values() ?? [])]))
    let resources = 0
    for (const set of sets) resources += set.size
    this.#builder.trim({ resources, views: this.#followers.size })
  }

  close(): void {
    this.#debounce.close()
    this.#unsubscribe()
    this.#followers.clear()
  }
}
