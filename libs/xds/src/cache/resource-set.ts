import type { Resource } from './resource.ts'

/** What differs between two sets of one type. */
export interface Difference {
  /** Added or with another version, as they are in the newer set. */
  readonly changed: readonly Resource[]
  /** As they were in the older set. */
  readonly removed: readonly Resource[]
}

/**
 * An immutable set of resources of one type, by name. Its version is a hash over the content, independent of order and
 * of how the set came about, so that replicas give the same version to the same content.
 */
export class ResourceSet {
  static readonly empty: ResourceSet = new ResourceSet(new Map(), 0, 0)

  readonly #resources: ReadonlyMap<string, Resource>
  readonly #sumA: number
  readonly #sumB: number
  readonly version: string
  /** The last sets this one was compared with: many streams ask for the same comparison. */
  readonly #differences = new WeakMap<ResourceSet, Difference>()

  #all: readonly Resource[] | undefined
  #first: WeakMap<ReadonlySet<string>, readonly Resource[]> | undefined

  private constructor(resources: ReadonlyMap<string, Resource>, sumA: number, sumB: number) {
    this.#resources = resources
    this.#sumA = sumA
    this.#sumB = sumB
    this.version = `${hex(sumA)}${hex(sumB)}-${resources.size}`
  }

  /** A set of these resources; of two with the same name the later one stays. */
  static of(resources: Iterable<Resource>): ResourceSet {
    return ResourceSet.empty.with(resources, [])
  }

  /** This set with some resources added or replaced and some names taken out; this one when nothing differs. */
  with(changed: Iterable<Resource>, removedNames: Iterable<string>): ResourceSet {
    const next = new Map(this.#resources)
    const changedNow = new Map<string, Resource>()
    const removed: Resource[] = []
    let sumA = this.#sumA
    let sumB = this.#sumB
    const remove = (resource: Resource): void => {
      sumA = (sumA - weight(resource, 0)) >>> 0
      sumB = (sumB - weight(resource, 7)) >>> 0
      next.delete(resource.name)
    }
    for (const name of removedNames) {
      const resource = next.get(name)
      if (resource === undefined) continue
      remove(resource)
      removed.push(resource)
    }
    for (const resource of changed) {
      const old = next.get(resource.name)
      if (old?.version === resource.version) continue
      if (old !== undefined) remove(old)
      next.set(resource.name, resource)
      sumA = (sumA + weight(resource, 0)) >>> 0
      sumB = (sumB + weight(resource, 7)) >>> 0
      changedNow.set(resource.name, resource)
    }
    if (changedNow.size === 0 && removed.length === 0) return this
    const set = new ResourceSet(next, sumA, sumB)
    if (this.size > 0) {
      set.#differences.set(this, {
        changed: [...changedNow.values()],
        removed: removed.filter((resource) => !next.has(resource.name)),
      })
    }
    return set
  }

  get size(): number {
    return this.#resources.size
  }

  get(name: string): Resource | undefined {
    return this.#resources.get(name)
  }

  has(name: string): boolean {
    return this.#resources.has(name)
  }

  names(): Iterable<string> {
    return this.#resources.keys()
  }

  [Symbol.iterator](): Iterator<Resource> {
    return this.#resources.values()
  }

  /** All resources: the same list for all who ask, so that it is put on the wire once. */
  get all(): readonly Resource[] {
    this.#all ??= [...this.#resources.values()]
    return this.#all
  }

  /** Those of these names that there are, in the names' order: the same list for all who ask by the same names object. */
  among(names: ReadonlySet<string>): readonly Resource[] {
    this.#first ??= new WeakMap()
    let found = this.#first.get(names)
    if (found === undefined) {
      found = [...names].flatMap((name) => this.#resources.get(name) ?? [])
      this.#first.set(names, found)
    }
    return found
  }

  /** What changed from `older` to this set; compared once for a pair, however many streams ask. */
  since(older: ResourceSet): Difference {
    if (older === this) return nothing
    const known = this.#differences.get(older)
    if (known !== undefined) return known
    const changed: Resource[] = []
    for (const resource of this.#resources.values()) {
      const old = older.#resources.get(resource.name)
      if (old !== resource && old?.version !== resource.version) changed.push(resource)
    }
    const removed: Resource[] = []
    for (const resource of older.#resources.values()) if (!this.#resources.has(resource.name)) removed.push(resource)
    const difference = { changed, removed }
    this.#differences.set(older, difference)
    return difference
  }
}

const nothing: Difference = { changed: [], removed: [] }

/** A resource's share of its set's version: FNV-1a over name and version, from one of two seeds. */
function weight(resource: Resource, seed: number): number {
  let hash = (0x811c9dc5 ^ Math.imul(seed, 0x9e3779b1)) >>> 0
  for (const text of [resource.name, resource.version]) {
    for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
    hash = Math.imul(hash ^ 0xff, 0x01000193)
  }
  hash ^= hash >>> 15
  return Math.imul(hash, 0x2c1b3c6d) >>> 0
}

function hex(value: number): string {
  return value.toString(16).padStart(8, '0')
}
