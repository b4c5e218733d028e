/**
 * Lists by key, of which each generation shares with the one before all that did not change: a change costs what changed,
 * not what there is. Immutable.
 */
export class ListIndex<V> {
  readonly #base: ReadonlyMap<string, readonly V[]>
  /** What stands in for the base's lists. */
  readonly #patches: ReadonlyMap<string, readonly V[]>

  constructor(base: ReadonlyMap<string, readonly V[]>, patches: ReadonlyMap<string, readonly V[]> = new Map()) {
    this.#base = base
    this.#patches = patches
  }

  get(key: string): readonly V[] {
    return this.#patches.get(key) ?? this.#base.get(key) ?? nothing
  }

  /** The next generation: these lists in place of those of the same keys; an empty one is none. */
  with(lists: ReadonlyMap<string, readonly V[]>): ListIndex<V> {
    if (lists.size === 0) return this
    const patches = new Map([...this.#patches, ...lists])
    if (patches.size * 4 < this.#base.size) return new ListIndex(this.#base, patches)
    const base = new Map([...this.#base, ...patches])
    for (const [key, list] of patches) if (list.length === 0) base.delete(key)
    return new ListIndex(base)
  }
}

const nothing: readonly never[] = []
