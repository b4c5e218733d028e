import { Listener } from '@weft/contracts/envoy/config/listener/v3/listener'
import { FilterChain } from '@weft/contracts/envoy/config/listener/v3/listener_components'
import type { ComponentLog } from '../log.ts'
import type { Stats } from '../observe/stats.ts'
import type { ResourceError, ResourceUpdate } from '../threads.ts'
import { Deferred } from './deferred.ts'
import type { Extensions } from './extensions.ts'
import { type CheckedResource, sameBytes } from './resource.ts'
import { checkInlineClusters } from './route-clusters.ts'
import type { Routes } from './routes.ts'
import type { Secrets } from './secrets.ts'

/** A listener as the admin endpoints show it. */
export interface ListenerState {
  name: string
  origin: 'static' | 'dynamic'
  version: string
  updatedAt: Date
  message: Listener
  bytes: Uint8Array
}

interface Entry extends ListenerState {
  resource: CheckedResource
  live: Deferred
  closed: boolean
}

export interface ListenersOptions {
  secrets: Secrets
  routes: Routes
  extensions: Extensions
  stats: Stats
  publish(resources: ResourceUpdate[]): Promise<ResourceError[]>
  clustersSettled(): Promise<void>
  clustersWarming(): boolean
  hasCluster(name: string): boolean
  /** How long the connections of a listener that was taken away may go on. */
  drainTimeMs: number
  log: ComponentLog
}

/**
 * Listeners. One warms until its routes and secrets are there and the clusters before it are live, then it is opened; one
 * that replaces another of its name does so only then, and one taken away drains.
 */
export class Listeners {
  readonly #options: ListenersOptions
  readonly #active = new Map<string, Entry>()
  readonly #warming = new Map<string, Entry>()
  readonly #draining = new Map<Entry, NodeJS.Timeout>()

  constructor(options: ListenersOptions) {
    this.#options = options
    this.#count()
  }

  active(): ListenerState[] {
    return [...this.#active.values()]
  }

  warming(): ListenerState[] {
    return [...this.#warming.values()]
  }

  draining(): ListenerState[] {
    return [...this.#draining.keys()]
  }

  has(name: string): boolean {
    return this.#active.has(name) || this.#warming.has(name)
  }

  names(origin: 'static' | 'dynamic'): string[] {
    return [...this.#active.values(), ...this.#warming.values()]
      .filter((entry) => entry.origin === origin)
      .map(({ name }) => name)
  }

  bytesOf(name: string): Uint8Array | undefined {
    return (this.#warming.get(name) ?? this.#active.get(name))?.bytes
  }

  /**
   * Takes a listener. Resolves with the workers' errors once it is open (an address in use, say), or with none as soon as
   * it has to wait for something.
   */
  async add(resource: CheckedResource, origin: 'static' | 'dynamic'): Promise<string[]> {
    const { name } = resource
    const before = this.#active.get(name)
    if (before !== undefined && sameBytes(before.bytes, resource.bytes)) {
      this.#discardWarming(name)
      return []
    }
    const warming = this.#warming.get(name)
    if (warming !== undefined && sameBytes(warming.bytes, resource.bytes)) return []
    checkInlineClusters(resource.bytes, this.#options.hasCluster)
    this.#discardWarming(name)
    const message = Listener.decode(resource.bytes)
    const inPlace = before !== undefined && sameButChains(before.message, message)
    const entry: Entry = {
      name,
      origin,
      // What keeps its socket keeps the version that it was made with, as in Envoy.
      version: inPlace ? before.version : resource.version,
      updatedAt: new Date(),
      message,
      bytes: resource.bytes,
      resource,
      live: new Deferred(),
      closed: false,
    }
    this.#warming.set(name, entry)
    this.#count(before === undefined ? 'listener_added' : 'listener_modified')
    if (inPlace) this.#count('listener_in_place_updated')
    this.#options.secrets.use(resource.secrets)
    this.#options.routes.use(resource.routes)
    this.#options.extensions.use(resource.extensions)
    const { secrets, routes, extensions, clustersWarming } = this.#options
    const isReady =
      secrets.areReady(resource.secrets) && routes.areReady(resource.routes) && extensions.areReady(resource.extensions)
    if (isReady && !clustersWarming()) return this.#open(entry)
    void this.#warm(entry)
    return []
  }

  /** Takes a listener away; its connections drain. */
  remove(name: string): void {
    this.#discardWarming(name)
    const entry = this.#active.get(name)
    if (entry === undefined) return
    this.#active.delete(name)
    this.#drain(entry)
    this.#count('listener_removed')
    void this.#options.publish([{ kind: 'listener', name, bytes: null }])
  }

  /** Resolves when none of the listeners that warm now is warming any more. */
  async settled(): Promise<void> {
    await Promise.all([...this.#warming.values()].map((entry) => entry.live.promise))
  }

  close(): void {
    for (const timer of this.#draining.values()) clearTimeout(timer)
    for (const entry of this.#warming.values()) entry.closed = true
  }

  async #warm(entry: Entry): Promise<void> {
    const { secrets, routes, extensions, clustersSettled } = this.#options
    const { resource } = entry
    await Promise.all([
      secrets.ready(resource.secrets),
      routes.ready(resource.routes),
      extensions.ready(resource.extensions),
      clustersSettled(),
    ])
    if (!entry.closed) await this.#open(entry)
  }

  async #open(entry: Entry): Promise<string[]> {
    const errors = await this.#options.publish([{ kind: 'listener', name: entry.name, bytes: entry.bytes }])
    if (entry.closed) return []
    this.#warming.delete(entry.name)
    const created = this.#options.stats
    if (errors.length > 0) {
      created.counter('listener_manager.listener_create_failure').inc()
      const problems = errors.map((error) => `error adding listener '${entry.name}': ${error.message}`)
      for (const problem of problems) this.#options.log.error(problem)
      this.#release(entry)
      const before = this.#active.get(entry.name)
      void this.#options.publish([{ kind: 'listener', name: entry.name, bytes: before?.bytes ?? null }])
      entry.live.resolve()
      this.#count()
      return problems
    }
    created.counter('listener_manager.listener_create_success').inc()
    const before = this.#active.get(entry.name)
    this.#active.set(entry.name, entry)
    if (before !== undefined) {
      if (sameButChains(before.message, entry.message)) this.#drainChains(before, entry)
      else this.#drain(before)
    }
    this.#count()
    this.#options.log.debug(`listener ${entry.name} is live`)
    entry.live.resolve()
    return []
  }

  /** What a listener refers to goes when its connections have had their time: they may still need it. */
  #drain(entry: Entry): void {
    const timer = setTimeout(() => {
      this.#draining.delete(entry)
      this.#release(entry)
      this.#count()
    }, this.#options.drainTimeMs)
    timer.unref()
    this.#draining.set(entry, timer)
  }

  /** Filter chains have gone from a listener that stays; their connections drain. */
  #drainChains(before: Entry, now: Entry): void {
    const chains = chainsWithout(before.message, now.message)
    const draining = this.#options.stats.gauge('listener_manager.total_filter_chains_draining')
    draining.add(chains)
    setTimeout(() => {
      draining.add(-chains)
      this.#release(before)
    }, this.#options.drainTimeMs).unref()
  }

  #discardWarming(name: string): void {
    const warming = this.#warming.get(name)
    if (warming === undefined) return
    this.#warming.delete(name)
    warming.closed = true
    this.#release(warming)
    warming.live.resolve()
    this.#count()
  }

  #release(entry: Entry): void {
    this.#options.secrets.release(entry.resource.secrets)
    this.#options.routes.release(entry.resource.routes)
    this.#options.extensions.release(entry.resource.extensions)
  }

  #count(event?: 'listener_added' | 'listener_modified' | 'listener_removed' | 'listener_in_place_updated'): void {
    const { stats } = this.#options
    if (event !== undefined) stats.counter(`listener_manager.${event}`).inc()
    stats.gauge('listener_manager.total_listeners_active').set(this.#active.size)
    stats.gauge('listener_manager.total_listeners_warming').set(this.#warming.size)
    stats.gauge('listener_manager.total_listeners_draining').set(this.#draining.size)
  }
}

/** Whether an update touches nothing but filter chains: the socket stays as it is. */
function sameButChains(a: Listener, b: Listener): boolean {
  const rest = (listener: Listener): Uint8Array =>
    Listener.encode({ ...listener, filterChains: [], defaultFilterChain: undefined }).finish()
  return sameBytes(rest(a), rest(b))
}

/** How many filter chains of a listener are not among another's. */
function chainsWithout(listener: Listener, other: Listener): number {
  const all = ({ filterChains, defaultFilterChain }: Listener): Buffer[] =>
    [...filterChains, ...(defaultFilterChain === undefined ? [] : [defaultFilterChain])].map((chain) =>
      Buffer.from(FilterChain.encode(chain).finish()),
    )
  const kept = all(other)
  return all(listener).filter((chain) => !kept.some((one) => one.equals(chain))).length
}
