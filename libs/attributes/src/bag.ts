import type { AttributeValue } from './types.ts'

/** A set of named attributes, as one request has it. */
export interface Bag {
  /** The attribute's value; undefined when it is absent. A bag that tracks references notes the question. */
  get(name: string): AttributeValue | undefined
  /**
   * One entry of a string map attribute; undefined when the attribute is absent, is no map, or lacks the key.
   * Use it rather than `get(name).get(key)`: a bag that tracks references then notes the key alone.
   */
  getEntry(name: string, key: string): string | undefined
  /** The names of all attributes, those of parents included, each once. Never tracked. */
  names(): Iterable<string>
}

/** A bag one can write to. What it lacks is looked up in its parent, which it never changes. */
export class MutableBag implements Bag {
  readonly #values: Map<string, AttributeValue>
  readonly #parent: Bag | undefined

  constructor(parent?: Bag, values?: Iterable<readonly [string, AttributeValue]>) {
    this.#values = new Map(values)
    this.#parent = parent
  }

  get(name: string): AttributeValue | undefined {
    const own = this.#values.get(name)
    return own === undefined ? this.#parent?.get(name) : own
  }

  getEntry(name: string, key: string): string | undefined {
    const own = this.#values.get(name)
    if (own === undefined) return this.#parent?.getEntry(name, key)
    return own instanceof Map ? own.get(key) : undefined
  }

  set(name: string, value: AttributeValue): void {
    this.#values.set(name, value)
  }

  /** Forgets this bag's own value; a parent's shows again. */
  delete(name: string): void {
    this.#values.delete(name)
  }

  /** Forgets all own values. */
  clear(): void {
    this.#values.clear()
  }

  /** Takes over another bag's attributes; those already here stay unless `overwrite` is set. */
  merge(other: Bag, overwrite = false): void {
    for (const name of other.names()) {
      if (!overwrite && this.#values.has(name)) continue
      const value = other.get(name)
      if (value !== undefined) this.#values.set(name, value)
    }
  }

  /** A copy that shares nothing with this bag but the parent; string maps are copied too. */
  copy(): MutableBag {
    const copy = new MutableBag(this.#parent)
    for (const [name, value] of this.#values) copy.#values.set(name, value instanceof Map ? new Map(value) : value)
    return copy
  }

  /** The attributes that this bag holds itself. */
  ownEntries(): IterableIterator<[string, AttributeValue]> {
    return this.#values.entries()
  }

  get parent(): Bag | undefined {
    return this.#parent
  }

  /** How many attributes the bag holds itself. */
  get ownSize(): number {
    return this.#values.size
  }

  /** Whether the bag holds the attribute itself. */
  hasOwn(name: string): boolean {
    return this.#values.has(name)
  }

  names(): Iterable<string> {
    return this.#parent === undefined ? this.#values.keys() : this.#allNames(this.#parent)
  }

  *#allNames(parent: Bag): Generator<string> {
    yield* this.#values.keys()
    for (const name of parent.names()) if (!this.#values.has(name)) yield name
  }
}

/** Whether two bags hold attributes of the same names themselves. */
export function sameOwnNames(left: MutableBag, right: MutableBag): boolean {
  if (left.ownSize !== right.ownSize) return false
  for (const [name] of left.ownEntries()) if (!right.hasOwn(name)) return false
  return true
}

/** A bag of the given attributes: `bagOf({ 'request.path': '/', 'request.size': 3n })`. */
export function bagOf(values: Readonly<Record<string, AttributeValue>>): MutableBag {
  return new MutableBag(undefined, Object.entries(values))
}
