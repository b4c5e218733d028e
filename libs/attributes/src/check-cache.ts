import { createHash } from 'node:crypto'
import type { Bag } from './bag.ts'
import { Duration } from './duration.ts'
import type { Reference } from './references.ts'
import type { AttributeValue } from './types.ts'

/** Different sets of references that are tried for one lookup; a lookup's cost grows with it. */
const MAX_SHAPES = 32
/** Longer keys are kept as their hash, so that big headers cannot fill the memory. */
const MAX_KEY_LENGTH = 1024

export interface CheckCacheOptions {
  /** Decisions kept; the least used go first. */
  capacity: number
}

interface Entry<T> {
  value: T
  shape: Shape
  expiresAtMs: number
  usesLeft: number
  /** Set by a hit; spares the entry once when room is needed. */
  wasUsed: boolean
}

interface Shape {
  id: number
  /** Sorted, so that the same references in another order are the same shape. */
  signature: string
  references: readonly Reference[]
  entries: number
}

/**
 * Decisions by the attributes that they depended on. A decision made for one bag holds for every bag with
 * the same values of its `exact` references and without its `absence` ones. All bounds are fixed: entries,
 * shapes, and the length of keys.
 */
export class CheckCache<T> {
  readonly #capacity: number
  readonly #entries = new Map<string, Entry<T>>()
  readonly #shapes: Shape[] = []
  #nextShapeId = 0

  constructor(options: CheckCacheOptions) {
    this.#capacity = options.capacity
  }

  get size(): number {
    return this.#entries.size
  }

  /** The decision that holds for this bag at `nowMs`, of which one use is spent; undefined when there is none. */
  get(bag: Bag, nowMs: number): T | undefined {
    for (const shape of this.#shapes) {
      const key = keyOf(shape, bag)
      if (key === undefined) continue
      const entry = this.#entries.get(key)
      if (entry === undefined) continue
      if (nowMs >= entry.expiresAtMs || entry.usesLeft <= 0) {
        this.#remove(key, entry)
        continue
      }
      entry.usesLeft--
      entry.wasUsed = true
      return entry.value
    }
    return undefined
  }

  /**
   * Keeps a decision that was made for this bag. `uses` is how often it may be given out again; one that is
   * already over, or whose references contradict the bag, is not kept.
   */
  set(bag: Bag, references: readonly Reference[], value: T, expiresAtMs: number, uses: number, nowMs: number): void {
    if (expiresAtMs <= nowMs || uses <= 0) return
    const shape = this.#shapeOf(references)
    const key = keyOf(shape, bag)
    if (key === undefined) return
    const before = this.#entries.get(key)
    if (before !== undefined) this.#remove(key, before)
    while (this.#entries.size >= this.#capacity) this.#evict()
    this.#entries.set(key, { value, shape, expiresAtMs, usesLeft: uses, wasUsed: false })
    shape.entries++
  }

  clear(): void {
    this.#entries.clear()
    this.#shapes.length = 0
  }

  #shapeOf(references: readonly Reference[]): Shape {
    const sorted = [...references].sort(byIdentity)
    const signature = JSON.stringify(sorted.map(({ name, key, condition }) => [name, key ?? null, condition]))
    const known = this.#shapes.find((shape) => shape.signature === signature)
    if (known !== undefined) return known
    const shape = { id: this.#nextShapeId++, signature, references: sorted, entries: 0 }
    if (this.#shapes.length >= MAX_SHAPES) this.#dropSmallestShape()
    this.#shapes.push(shape)
    return shape
  }

  #dropSmallestShape(): void {
    const smallest = this.#shapes.reduce((least, shape) => (shape.entries < least.entries ? shape : least))
    this.#shapes.splice(this.#shapes.indexOf(smallest), 1)
    for (const [key, entry] of this.#entries) if (entry.shape === smallest) this.#entries.delete(key)
  }

  /** Removes the oldest entry that had no hit since it was last passed over. */
  #evict(): void {
    for (const [key, entry] of this.#entries) {
      if (!entry.wasUsed) {
        this.#remove(key, entry)
        return
      }
      entry.wasUsed = false
      this.#entries.delete(key)
      this.#entries.set(key, entry)
    }
  }

  #remove(key: string, entry: Entry<T>): void {
    this.#entries.delete(key)
    entry.shape.entries--
  }
}

function byIdentity(left: Reference, right: Reference): number {
  if (left.name !== right.name) return left.name < right.name ? -1 : 1
  const a = left.key ?? ''
  const b = right.key ?? ''
  return a < b ? -1 : a > b ? 1 : 0
}

/** The key of a bag under a shape; undefined when the bag lacks what the shape needs or has what it excludes. */
function keyOf(shape: Shape, bag: Bag): string | undefined {
  let key = `${shape.id}`
  for (const { name, key: mapKey, condition } of shape.references) {
    const value = mapKey === undefined ? bag.get(name) : bag.getEntry(name, mapKey)
    if (condition === 'absence') {
      if (value !== undefined) return undefined
    } else {
      if (value === undefined) return undefined
      key += typeof value === 'string' ? `|${value.length}:${value}` : `|${keyPart(value)}`
    }
  }
  return key.length <= MAX_KEY_LENGTH ? key : `${shape.id}#${createHash('sha256').update(key).digest('base64')}`
}

/** A value that is no string, told apart from any other value; strings have their length before them. */
function keyPart(value: Exclude<AttributeValue, string>): string {
  switch (typeof value) {
    case 'bigint':
      return `i${value}`
    case 'number':
      return `d${value}`
    case 'boolean':
      return `b${value}`
  }
  if (value instanceof Date) return `t${value.getTime()}`
  if (value instanceof Duration) return `u${value.seconds}.${value.nanos}`
  if (value instanceof Uint8Array) return `x${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex')}`
  const entries = [...value].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
  return `m${entries.map(([k, v]) => `${k.length}:${k}${v.length}:${v}`).join('')}`
}
