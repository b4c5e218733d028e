import { ReferencedAttributes_Condition as Condition, type ReferencedAttributes } from '@weft/contracts/istio/mixer/v1/check'
import type { Bag } from './bag.ts'
import { GLOBAL_WORDS } from './global-words.ts'
import type { AttributeValue } from './types.ts'
import { WordWriter } from './words.ts'

/** One attribute, or one key of a string map, that a decision depended on, and how. */
export interface Reference {
  name: string
  /** Set for an entry of a string map. */
  key: string | undefined
  /** `exact`: the value counted; `absence`: that there was none. */
  condition: 'exact' | 'absence'
}

/** A bag that notes what is asked of it, so that a decision can be kept for all bags alike in that. */
export class TrackedBag implements Bag {
  readonly #bag: Bag
  /** By name: whether the attribute was there. */
  #whole = new Map<string, boolean>()
  /** By map name, by key: whether the entry was there. */
  #entries = new Map<string, Map<string, boolean>>()

  constructor(bag: Bag) {
    this.#bag = bag
  }

  get(name: string): AttributeValue | undefined {
    const value = this.#bag.get(name)
    if (!this.#whole.has(name)) this.#whole.set(name, value !== undefined)
    return value
  }

  getEntry(name: string, key: string): string | undefined {
    const value = this.#bag.getEntry(name, key)
    // Where the whole attribute is absent, that is what the answer depended on.
    if (value === undefined && this.#bag.get(name) === undefined) {
      this.#whole.set(name, false)
      return undefined
    }
    let keys = this.#entries.get(name)
    if (keys === undefined) {
      keys = new Map()
      this.#entries.set(name, keys)
    }
    if (!keys.has(key)) keys.set(key, value !== undefined)
    return value
  }

  names(): Iterable<string> {
    return this.#bag.names()
  }

  /** What was asked so far. */
  references(): Reference[] {
    const references: Reference[] = []
    for (const [name, present] of this.#whole) references.push({ name, key: undefined, condition: present ? 'exact' : 'absence' })
    for (const [name, keys] of this.#entries) {
      for (const [key, present] of keys) references.push({ name, key, condition: present ? 'exact' : 'absence' })
    }
    return references
  }

  /** Forgets what was asked, for instance between a check and each of its quotas. */
  clear(): void {
    this.#whole = new Map()
    this.#entries = new Map()
  }

  /** Notes references that come from elsewhere, such as a cached decision's. */
  add(references: Iterable<Reference>): void {
    for (const { name, key, condition } of references) {
      if (key === undefined) this.#whole.set(name, condition === 'exact')
      else {
        const keys = this.#entries.get(name)
        if (keys === undefined) this.#entries.set(name, new Map([[key, condition === 'exact']]))
        else keys.set(key, condition === 'exact')
      }
    }
  }
}

/** References as a Check response carries them; `globalWords` is what the caller knows of the dictionary. */
export function encodeReferences(
  references: Iterable<Reference>,
  globalWords: readonly string[] = GLOBAL_WORDS,
): ReferencedAttributes {
  const words = new WordWriter(globalWords)
  const attributeMatches = []
  for (const { name, key, condition } of references) {
    attributeMatches.push({
      name: words.index(name),
      condition: condition === 'exact' ? Condition.EXACT : Condition.ABSENCE,
      regex: '',
      mapKey: key === undefined ? 0 : words.index(key),
    })
  }
  return { words: words.words, attributeMatches }
}

export interface DecodedReferences {
  references: Reference[]
  /**
   * False when something in the message could not be read (an index out of range, a condition other than
   * EXACT and ABSENCE). A decision must not be kept then: what it depended on is not known.
   */
  complete: boolean
}

/** Reads the references of a Check response; never throws. A map key of 0 stands for none, since global word 0 is no key. */
export function decodeReferences(
  message: ReferencedAttributes | undefined,
  globalWords: readonly string[] = GLOBAL_WORDS,
): DecodedReferences {
  if (message === undefined) return { references: [], complete: false }
  const wordAt = (index: number) => (index < 0 ? message.words[-1 - index] : globalWords[index])
  const references: Reference[] = []
  let complete = true
  for (const match of message.attributeMatches) {
    const name = wordAt(match.name)
    const key = match.mapKey === 0 ? undefined : wordAt(match.mapKey)
    const known = match.condition === Condition.EXACT || match.condition === Condition.ABSENCE
    if (name === undefined || (match.mapKey !== 0 && key === undefined) || !known) {
      complete = false
      continue
    }
    references.push({ name, key, condition: match.condition === Condition.EXACT ? 'exact' : 'absence' })
  }
  return { references, complete }
}
