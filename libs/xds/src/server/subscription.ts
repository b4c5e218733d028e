import { WeftError } from '@weft/service/errors'
import type { ResourceSet } from '../cache/resource-set.ts'

/** Most names one stream may ask for of one type, and the longest of them. */
const subscriptionLimits = { names: 50_000, nameLength: 4_096 } as const

/**
 * What a client asked for of one type: by name, all of it (wildcard), or both. The same for the state-of-the-world and
 * the delta variant, which differ only in how they state a change (xDS protocol, "How the client specifies what
 * resources to return").
 */
export class Subscription {
  #wildcard = false
  /** In the state-of-the-world variant shared with others that ask for the same: replaced, never changed. */
  #named: Set<string> = new Set()
  #lastList: readonly string[] | undefined
  #everNamed = false
  readonly #wildcardWhenEmpty: boolean

  /** @param wildcardWhenEmpty whether a first request without names means all, as it does for listeners and clusters */
  constructor(wildcardWhenEmpty: boolean) {
    this.#wildcardWhenEmpty = wildcardWhenEmpty
  }

  get wildcard(): boolean {
    return this.#wildcard
  }

  /** The names asked for one by one. */
  get names(): ReadonlySet<string> {
    return this.#named
  }

  includes(name: string): boolean {
    return this.#wildcard || this.#named.has(name)
  }

  /**
   * Takes the whole list of a state-of-the-world request. Gives the names that are new in it; `*` among them when the
   * subscription became a wildcard.
   */
  replace(names: readonly string[]): string[] {
    // What a client repeats with each acknowledgement is the very list it was (see request-reader.ts).
    if (names === this.#lastList) return []
    this.#lastList = names
    check(names.length, names)
    if (names.length > 0) this.#everNamed = true
    const wildcard = names.includes('*') || (names.length === 0 && this.#wildcardWhenEmpty && !this.#everNamed)
    const named = setOf(names)
    const added: string[] = []
    for (const name of named) if (!this.#named.has(name)) added.push(name)
    if (wildcard && !this.#wildcard) added.push('*')
    this.#named = named
    this.#wildcard = wildcard
    return added
  }

  /**
   * Takes a delta request's changes. Gives the names to answer: those subscribed now, even when they were before (the
   * client asks again), and those unsubscribed that the wildcard still covers.
   */
  change(subscribe: readonly string[], unsubscribe: readonly string[], first: boolean): string[] {
    check(this.#named.size + subscribe.length, subscribe)
    const answer: string[] = []
    if (first && subscribe.length === 0 && this.#wildcardWhenEmpty) {
      this.#wildcard = true
      answer.push('*')
    }
    for (const name of unsubscribe) {
      if (name === '*') {
        this.#wildcard = false
      } else if (this.#named.delete(name) && this.#wildcard) {
        answer.push(name)
      }
    }
    for (const name of subscribe) {
      if (name === '*') {
        if (!this.#wildcard) answer.push('*')
        this.#wildcard = true
      } else {
        this.#named.add(name)
        answer.push(name)
      }
    }
    return answer
  }

  /** The names a client of this subscription may hold, given all that exist. */
  *within(set: ResourceSet): Iterable<string> {
    if (!this.#wildcard) {
      yield* this.#named
      return
    }
    yield* set.names()
    for (const name of this.#named) if (!set.has(name)) yield name
  }
}

const sets = new WeakMap<readonly string[], Set<string>>()

/** The names of a list but for `*`, made once for all subscriptions that share it. */
function setOf(names: readonly string[]): Set<string> {
  let set = sets.get(names)
  if (set === undefined) {
    set = new Set(names)
    set.delete('*')
    sets.set(names, set)
  }
  return set
}

function check(count: number, names: readonly string[]): void {
  if (count > subscriptionLimits.names) {
    throw new WeftError('resource_exhausted', `${count} resource names in one subscription`, {
      hint: `at most ${subscriptionLimits.names} are served`,
    })
  }
  for (const name of names) {
    if (name.length > subscriptionLimits.nameLength) {
      throw new WeftError('invalid_argument', `a resource name of ${name.length} characters`, {
        hint: `at most ${subscriptionLimits.nameLength}`,
      })
    }
  }
}
