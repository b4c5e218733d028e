import { WeftError } from '@weft/service/errors'
import { resourcesOf, type Snapshot } from '../cache/snapshot.ts'
import { healthType, pushOrder, typeUrls } from '../types.ts'
import { type InFlight, type Refusal, TypeState, type Update, type Verdict } from './type-state.ts'
import type { Ask } from './variant.ts'

/** Most types one stream may ask for, those that are not served counted too. */
const maxTypes = 32
/**
 * How long a response may go without an answer before a newer state is sent all the same. Envoy answers nothing about
 * clusters while some are warming, which may take as long as a certificate does not come.
 */
const patienceMs = 5_000
/** How long a listener or route waits for the acceptance of the clusters it names, before it is told anyway. */
const holdMs = 2_000

/** Where one type on one stream stands. */
export interface TypeStatus {
  readonly typeUrl: string
  /** NOT SENT, or what the client said to the last response; STALE while it has not answered, or is behind. */
  readonly state: 'SYNCED' | 'STALE' | 'NOT SENT' | 'ERROR'
  readonly sentVersion: string
  readonly sentAtMs: number
  readonly accepted: Verdict | undefined
  readonly refused: Refusal | undefined
}

/** What a stream tells its owner as it goes. */
export interface StreamEvents {
  /** A response went out; `snapshot` is the state it leads to. */
  sent?(typeUrl: string, nonce: string, update: Update, snapshot: Snapshot): void
  /** A newer snapshot has nothing to tell this client about the type. */
  unchanged?(typeUrl: string, snapshot: Snapshot): void
  accepted?(typeUrl: string, nonce: string): void
  refused?(typeUrl: string, nonce: string, refusal: Refusal): void
  /** A type that is not served was asked for. */
  unserved?(typeUrl: string): void
  /** The client says why it takes no requests now, or with undefined that it does. */
  health?(problem: string | undefined): void
}

export interface StreamOptions {
  readonly variant: 'sotw' | 'delta'
  readonly events: StreamEvents
  /** Hands a response to the transport; false when it wants no more until `writable` is called. */
  readonly write: (typeUrl: string, nonce: string, update: Update) => boolean
  /** Called when there is something to flush; the owner calls `flush` when it is this stream's turn. */
  readonly wantsFlush: () => void
}

/**
 * The protocol's state for one client, the same for both variants. One response of a type is on its way at a time; what
 * changes meanwhile is told together once the client has answered, so a slow client gets the newest state and nothing
 * is queued. Clusters and endpoints go before listeners and routes; what is removed goes after its users moved on.
 */
export class Stream {
  readonly #options: StreamOptions
  readonly #types = new Map<string, TypeState>()
  readonly #unserved = new Set<string>()
  #snapshot: Snapshot | undefined
  #writable = true
  #nonce = 0
  #heldSince = 0
  #wakeTimer: NodeJS.Timeout | undefined
  #closed = false

  constructor(options: StreamOptions) {
    this.#options = options
  }

  /** Takes a newer state; types that the client is behind in are told on the next flush. */
  update(snapshot: Snapshot): void {
    if (this.#closed || snapshot === this.#snapshot) return
    this.#snapshot = snapshot
    this.#options.wantsFlush()
  }

  /** Takes a request. Throws a WeftError when the client does not keep to the protocol's bounds. */
  receive(ask: Ask): void {
    if (ask.typeUrl === '') throw new WeftError('invalid_argument', 'a request without type_url')
    if (ask.typeUrl === healthType) {
      this.#options.events.health?.(ask.refusal)
      return
    }
    const state = this.#types.get(ask.typeUrl)
    if (state === undefined) this.#begin(ask)
    else if (!this.#continue(state, ask)) return
    this.#options.wantsFlush()
  }

  #begin(ask: Ask): void {
    if (!pushOrder.includes(ask.typeUrl)) {
      if (this.#unserved.has(ask.typeUrl)) return
      if (this.#unserved.size >= maxTypes) throw new WeftError('resource_exhausted', 'too many resource types on one stream')
      this.#unserved.add(ask.typeUrl)
      this.#options.events.unserved?.(ask.typeUrl)
      return
    }
    const state = new TypeState(ask.typeUrl, this.#options.variant)
    if (ask.names.type === 'whole') {
      state.subscription.replace(ask.names.names)
      const current = this.#snapshot === undefined ? undefined : resourcesOf(this.#snapshot, ask.typeUrl)
      const unchanged = current !== undefined && current.size > 0 && ask.names.version === current.version
      if (unchanged && state.subscription.wildcard && ask.refusal === undefined) state.holds(current)
    } else {
      state.subscription.change(ask.names.subscribe, ask.names.unsubscribe, true)
      state.knows(ask.names.initialVersions)
    }
    this.#types.set(ask.typeUrl, state)
  }

  /** Gives false when the request is to be ignored. */
  #continue(state: TypeState, ask: Ask): boolean {
    const { inFlight } = state
    if (inFlight !== undefined && ask.nonce === inFlight.nonce) {
      state.inFlight = undefined
      this.#settle(state, inFlight, ask.refusal)
    } else if (ask.nonce !== '' && ask.nonce !== state.lastNonce && ask.names.type === 'whole') {
      return false
    }
    if (ask.names.type === 'whole') state.demand(state.subscription.replace(ask.names.names))
    else state.demand(state.subscription.change(ask.names.subscribe, ask.names.unsubscribe, false))
    return true
  }

  #settle(state: TypeState, { nonce, version }: InFlight, refusal: string | undefined): void {
    const atMs = Date.now()
    if (refusal === undefined) {
      state.accepted = { version, atMs }
      state.refused = undefined
      this.#options.events.accepted?.(state.typeUrl, nonce)
    } else {
      state.refused = { version, atMs, message: refusal.slice(0, 4_096) }
      this.#options.events.refused?.(state.typeUrl, nonce, state.refused)
    }
  }

  /** The transport takes more again. */
  writable(): void {
    this.#writable = true
    this.#options.wantsFlush()
  }

  /** Sends what may be sent now; gives the number of resources it came to, for the owner's pacing. */
  flush(): number {
    let count = 0
    if (this.#snapshot === undefined) return count
    for (const typeUrl of pushOrder) {
      const state = this.#types.get(typeUrl)
      if (state === undefined || this.#awaitsAnswer(state)) continue
      if (!this.#writable || this.#closed) break
      if (users.includes(typeUrl) && this.#mustHold(this.#snapshot)) break
      count += this.#send(state, this.#snapshot)
    }
    return count
  }

  #awaitsAnswer(state: TypeState): boolean {
    if (state.inFlight === undefined) return false
    const restMs = state.sentAtMs + patienceMs - Date.now()
    if (restMs <= 0) return false
    if (state.toldOf !== this.#snapshot) this.#wakeIn(restMs)
    return true
  }

  /** Has the stream looked at again after a while; the earliest time asked for holds. */
  #wakeIn(ms: number): void {
    if (this.#wakeTimer !== undefined || this.#closed) return
    this.#wakeTimer = setTimeout(() => {
      this.#wakeTimer = undefined
      this.#options.wantsFlush()
    }, ms + 1)
    this.#wakeTimer.unref()
  }

  #send(state: TypeState, snapshot: Snapshot): number {
    const target = resourcesOf(snapshot, state.typeUrl)
    const update = state.advance(target, state.typeUrl === typeUrls.cluster && this.#usersAreBehind())
    if (update === undefined) {
      if (state.toldOf !== snapshot) this.#options.events.unchanged?.(state.typeUrl, snapshot)
      state.toldOf = snapshot
      return 0
    }
    state.toldOf = snapshot
    if (state.typeUrl === typeUrls.cluster) {
      // A client drops the load assignment of a cluster that changed and waits for it, without asking again.
      const endpoints = this.#types.get(typeUrls.endpoint)
      if (endpoints !== undefined) for (const resource of update.changed) endpoints.demand(resource.refersTo)
    }
    this.#nonce += 1
    const nonce = String(this.#nonce)
    state.inFlight = { nonce, version: update.version }
    state.lastNonce = nonce
    state.sentVersion = update.version
    state.sentAtMs = Date.now()
    this.#writable = this.#options.write(state.typeUrl, nonce, update)
    this.#options.events.sent?.(state.typeUrl, nonce, update, snapshot)
    return update.resources.length + update.removed.length
  }

  /** Whether listeners and routes have to wait for clusters and endpoints on their way; not for ever. */
  #mustHold(snapshot: Snapshot): boolean {
    const waiting = foundations.some((typeUrl) => {
      const state = this.#types.get(typeUrl)
      return state !== undefined && (state.inFlight !== undefined || state.hasChanges(resourcesOf(snapshot, typeUrl)))
    })
    if (!waiting) {
      this.#heldSince = 0
      return false
    }
    if (this.#heldSince === 0) this.#heldSince = Date.now()
    const restMs = this.#heldSince + holdMs - Date.now()
    if (restMs > 0) this.#wakeIn(restMs)
    return restMs > 0
  }

  /** Whether listeners or routes that may still name removed clusters are yet to be replaced at the client. */
  #usersAreBehind(): boolean {
    const snapshot = this.#snapshot
    if (snapshot === undefined) return false
    return users.some((user) => {
      const state = this.#types.get(user)
      return state !== undefined && (state.inFlight !== undefined || state.isBehind(resourcesOf(snapshot, user)))
    })
  }

  /** Where each type stands. */
  status(): TypeStatus[] {
    return [...this.#types.values()].map((state) => ({
      typeUrl: state.typeUrl,
      state: this.#stateOf(state),
      sentVersion: state.sentVersion,
      sentAtMs: state.sentAtMs,
      accepted: state.accepted,
      refused: state.refused,
    }))
  }

  #stateOf(state: TypeState): TypeStatus['state'] {
    if (state.refused !== undefined) return 'ERROR'
    if (state.inFlight !== undefined) return 'STALE'
    if (this.#snapshot !== undefined && state.isBehind(resourcesOf(this.#snapshot, state.typeUrl))) return 'STALE'
    return state.sentVersion === '' ? 'NOT SENT' : 'SYNCED'
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#wakeTimer)
  }
}

const foundations: readonly string[] = [typeUrls.cluster, typeUrls.endpoint]
/** Types that name clusters. */
const users: readonly string[] = [typeUrls.listener, typeUrls.route]
