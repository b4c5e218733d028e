import type { Resource } from '../cache/resource.ts'
import { ResourceSet } from '../cache/resource-set.ts'
import type { Snapshot } from '../cache/snapshot.ts'
import { wholeSetTypes } from '../types.ts'
import { Subscription } from './subscription.ts'

/** What one response tells a client about one type. */
export interface Update {
  readonly version: string
  /** The resources that changed, or all of them for a type whose answers carry the whole set. */
  readonly resources: readonly Resource[]
  /** Those of them that the client did not have yet. */
  readonly changed: readonly Resource[]
  /** Names that are gone; only the delta variant can say so. */
  readonly removed: readonly string[]
}

/** A response on its way, which the client has neither accepted nor refused yet. */
export interface InFlight {
  readonly nonce: string
  readonly version: string
}

/** A client's answer to a response. */
export interface Verdict {
  readonly version: string
  readonly atMs: number
}

/** A refusal, with the client's own words. */
export interface Refusal extends Verdict {
  readonly message: string
}

/**
 * One resource type on one stream: what was asked for, what the client holds, what is on its way. The state is bounded:
 * what the client holds is a reference to the shared set it was last told, not a copy.
 */
export class TypeState {
  readonly typeUrl: string
  readonly subscription: Subscription
  /** Whether an answer has to carry everything (state of the world, clusters and listeners). */
  readonly #wholeSet: boolean
  /** Whether an answer can say that something is gone or does not exist. */
  readonly #tellsAbsence: boolean
  /** The set the client was last told; undefined before the first answer. */
  #held: ResourceSet | undefined
  /** Names to be told whether they changed or not. */
  readonly #pending = new Set<string>()
  #pendingAll = false
  /** Gone from the set, but kept at the client until what refers to them has moved on. */
  readonly #retained = new Map<string, Resource>()
  /** Versions a reconnecting delta client says it holds. */
  #known: ReadonlyMap<string, string> = new Map()

  inFlight: InFlight | undefined
  lastNonce = ''
  sentVersion = ''
  sentAtMs = 0
  /** The snapshot this client was last brought up to, or found to be up to. */
  toldOf: Snapshot | undefined
  accepted: Verdict | undefined
  refused: Refusal | undefined

  constructor(typeUrl: string, variant: 'sotw' | 'delta') {
    this.typeUrl = typeUrl
    this.subscription = new Subscription(wholeSetTypes.has(typeUrl))
    this.#wholeSet = variant === 'sotw' && wholeSetTypes.has(typeUrl)
    this.#tellsAbsence = variant === 'delta' || this.#wholeSet
  }

  /** Marks names as to be told with the next answer; `*` means all. */
  demand(names: Iterable<string>): void {
    for (const name of names) {
      if (name === '*') this.#pendingAll = true
      else if (this.subscription.includes(name)) this.#pending.add(name)
    }
  }

  /** Takes the versions a reconnecting delta client already has, so that only the rest is sent. */
  knows(versions: ReadonlyMap<string, string>): void {
    this.#known = versions
  }

  /** Takes it that the client still holds the whole set of this version, from an earlier stream. */
  holds(set: ResourceSet): void {
    this.#held = set
    this.#pendingAll = false
    this.#pending.clear()
    this.sentVersion = set.version
  }

  /** Whether `target` has something to add or change for this client; removals alone don't count. */
  hasChanges(target: ResourceSet): boolean {
    if (this.#held === undefined) return this.#firstUpdate(target) !== undefined
    if (this.#pendingAll) return true
    for (const name of this.#pending) if (this.subscription.includes(name) && !this.#nothingToSay(name, target)) return true
    for (const resource of target.since(this.#held).changed) if (this.subscription.includes(resource.name)) return true
    return false
  }

  /** Whether anything at all is left to be told. */
  isBehind(target: ResourceSet): boolean {
    if (this.#retained.size > 0 || this.hasChanges(target)) return true
    if (this.#held === undefined || !this.#tellsAbsence) return false
    for (const resource of target.since(this.#held).removed) if (this.subscription.includes(resource.name)) return true
    return false
  }

  /**
   * The next answer on the way to `target`, taken as sent; undefined when nothing is to be told. With `keepRemoved`,
   * what is gone stays at the client for now and is taken away by a later answer.
   */
  advance(target: ResourceSet, keepRemoved: boolean): Update | undefined {
    const first = this.#held === undefined
    const update = first ? this.#firstUpdate(target) : this.#nextUpdate(target, keepRemoved)
    if (!first || update !== undefined) {
      this.#held = target
      this.#known = new Map()
      this.#pending.clear()
      this.#pendingAll = false
    }
    return update
  }

  #firstUpdate(target: ResourceSet): Update | undefined {
    const { subscription } = this
    if (this.#known.size === 0 && !this.#tellsAbsence && !subscription.wildcard) {
      // Endpoints and routes by name, of which many clients ask for the same.
      const resources = target.among(subscription.names)
      return resources.length === 0 ? undefined : { version: target.version, resources, changed: resources, removed: [] }
    }
    if (this.#known.size === 0 && subscription.wildcard && subscription.names.size === 0) {
      return { version: target.version, resources: target.all, changed: target.all, removed: [] }
    }
    const resources: Resource[] = []
    const removed: string[] = []
    for (const name of subscription.within(target)) {
      const resource = target.get(name)
      if (resource === undefined) {
        if (this.#tellsAbsence) removed.push(name)
      } else if (this.#known.get(name) !== resource.version) {
        resources.push(resource)
      }
    }
    for (const name of this.#known.keys()) if (subscription.wildcard && !target.has(name)) removed.push(name)
    const mustAnswer = this.#wholeSet || (subscription.wildcard && this.#known.size === 0)
    if (!mustAnswer && resources.length === 0 && removed.length === 0) return undefined
    return { version: target.version, resources, changed: resources, removed }
  }

  #nextUpdate(target: ResourceSet, keepRemoved: boolean): Update | undefined {
    const { subscription } = this
    const held = this.#held ?? ResourceSet.empty
    const { changed, removed } = target.since(held)
    const resources = new Map<string, Resource>()
    const gone = new Set<string>()
    for (const resource of changed) if (subscription.includes(resource.name)) resources.set(resource.name, resource)
    for (const name of this.#pendingAll ? target.names() : []) {
      const resource = target.get(name)
      if (resource !== undefined) resources.set(name, resource)
    }
    for (const name of this.#pending) {
      if (!subscription.includes(name)) continue
      const resource = target.get(name)
      if (resource !== undefined) resources.set(name, resource)
      else if (this.#tellsAbsence) gone.add(name)
    }
    if (this.#tellsAbsence) {
      for (const resource of removed) if (subscription.includes(resource.name)) this.#retained.set(resource.name, resource)
    }
    for (const name of this.#retained.keys()) if (target.has(name)) this.#retained.delete(name)
    if (!keepRemoved) {
      for (const name of this.#retained.keys()) gone.add(name)
      this.#retained.clear()
    }
    if (this.#wholeSet) {
      if (resources.size === 0 && gone.size === 0) return undefined
      const whole = subscription.wildcard ? target.all : target.all.filter((resource) => subscription.includes(resource.name))
      const kept = this.#retained.size === 0 ? '' : `+${this.#retained.size}`
      return {
        version: `${target.version}${kept}`,
        resources: this.#retained.size === 0 ? whole : [...whole, ...this.#retained.values()],
        changed: [...resources.values()],
        removed: [],
      }
    }
    if (resources.size === 0 && gone.size === 0) return undefined
    const told = [...resources.values()]
    return { version: target.version, resources: told, changed: told, removed: [...gone] }
  }

  /** A name that is asked for, does not exist, and whose absence this variant cannot tell. */
  #nothingToSay(name: string, target: ResourceSet): boolean {
    return !this.#tellsAbsence && !target.has(name)
  }
}
