import type { ComponentLog } from '../log.ts'
import type { StatsReader } from '../observe/stats-reader.ts'
import type { RuntimeValues } from '../plan/runtime.ts'
import type { FromWorker, ResourceError, ResourceUpdate, ToWorker, WorkerInit } from '../threads.ts'

/** Resources from which on an update goes out at once. */
const mostTogether = 64

/** How a worker thread is made; tests put their own here. */
export type WorkerFactory = (index: number) => WorkerThread

/** The part of `node:worker_threads` that is used. */
export interface WorkerThread {
  postMessage(message: ToWorker): void
  on(event: 'message', listener: (message: FromWorker) => void): unknown
  on(event: 'error', listener: (error: Error) => void): unknown
  on(event: 'exit', listener: (code: number) => void): unknown
  terminate(): Promise<number>
}

export interface WorkersOptions {
  concurrency: number
  init: Omit<WorkerInit, 'index' | 'concurrency'>
  log: ComponentLog
  /** Receives what workers log. */
  onLog(level: string, message: string, fields: Record<string, unknown>): void
  stats: StatsReader
  factory: WorkerFactory
}

interface Slot {
  index: number
  thread: WorkerThread
  ready: boolean
  /** Distinguishes the stats of a restarted worker from its predecessor's, whose counts stay. */
  life: number
  restarts: number
  exited: Promise<void>
}

interface Pending {
  waiting: Set<Slot>
  /** What was published, as `kind/name`: errors of others are not this one's. */
  keys: Set<string>
  errors: ResourceError[]
  resolve(errors: ResourceError[]): void
}

/**
 * The worker threads: started together, kept alive (one that dies is told, started again and given the whole
 * configuration), updated as one.
 */
export class Workers {
  readonly #options: WorkersOptions
  readonly #slots: Slot[] = []
  /** What is live, in the order it was published: what a restarted worker gets. */
  readonly #live = new Map<string, ResourceUpdate>()
  readonly #listening = new Map<string, string[]>()
  readonly #pending = new Map<number, Pending>()
  /** What is published in this turn of the event loop, by `kind/name`: it goes as one update. */
  #outgoing = new Map<string, ResourceUpdate>()
  #sending = false
  #runtime: RuntimeValues = {}
  #generation = 0
  #lives = 0
  #stopping = false

  constructor(options: WorkersOptions) {
    this.#options = options
    for (let index = 0; index < options.concurrency; index++) this.#slots.push(this.#start(index, 0))
  }

  get concurrency(): number {
    return this.#options.concurrency
  }

  /** The addresses a listener listens on, by the listener's name. */
  get listening(): ReadonlyMap<string, string[]> {
    return this.#listening
  }

  /** Makes resources live in every worker; resolves with what workers could not take (each error once). */
  publish(resources: ResourceUpdate[]): Promise<ResourceError[]> {
    const keys = new Set<string>()
    // Clusters come by the thousand: each by itself would cost a worker more, all at once would keep its requests waiting.
    if (!this.#sending) setImmediate(() => this.#send())
    this.#sending = true
    for (const resource of resources) {
      const key = keyOf(resource)
      keys.add(key)
      this.#outgoing.delete(key)
      this.#outgoing.set(key, resource)
      this.#live.delete(key)
      if (resource.bytes !== null) this.#live.set(key, resource)
      else if (resource.kind === 'listener') this.#listening.delete(resource.name)
    }
    const generation = ++this.#generation
    return new Promise((resolve) => {
      this.#pending.set(generation, { waiting: new Set(this.#slots), keys, errors: [], resolve })
      this.#settle(generation)
      if (this.#outgoing.size >= mostTogether) this.#send()
    })
  }

  #send(): void {
    if (!this.#sending) return
    this.#sending = false
    const resources = [...this.#outgoing.values()]
    this.#outgoing = new Map()
    const update: ToWorker = { type: 'update', generation: this.#generation, resources }
    for (const slot of this.#slots) if (slot.ready) slot.thread.postMessage(update)
  }

  setRuntime(values: RuntimeValues): void {
    this.#runtime = values
    this.#broadcast({ type: 'runtime', values })
  }

  /** Tells that an endpoint failed its health check or was ejected. */
  healthFailed(cluster: string, endpoint: string): void {
    this.#broadcast({ type: 'health-failure', cluster, endpoint })
  }

  setLogLevel(level: string): void {
    this.#options.init.logLevel = level
    this.#broadcast({ type: 'log-level', level })
  }

  /** The proxy's start is over. */
  started(): void {
    this.#broadcast({ type: 'started' })
  }

  reopenLogs(): void {
    this.#broadcast({ type: 'reopen-logs' })
  }

  drain(listeners: string[] | 'all', inboundOnly: boolean): void {
    this.#broadcast({ type: 'drain', listeners, inboundOnly })
  }

  /** Ends all workers, by message first and by force after `graceMs`. */
  async stop(graceMs = 1_000): Promise<void> {
    this.#stopping = true
    this.#broadcast({ type: 'stop' })
    const gone = Promise.all(this.#slots.map((slot) => slot.exited))
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, graceMs)
    })
    await Promise.race([gone, late])
    clearTimeout(timer)
    await Promise.all(this.#slots.map((slot) => slot.thread.terminate()))
  }

  #broadcast(message: ToWorker): void {
    this.#send()
    for (const slot of this.#slots) if (slot.ready) slot.thread.postMessage(message)
  }

  #start(index: number, restarts: number): Slot {
    const thread = this.#options.factory(index)
    const life = this.#lives++
    let exited: () => void = () => undefined
    const slot: Slot = { index, thread, ready: false, life, restarts, exited: new Promise((resolve) => (exited = resolve)) }
    let cause = ''
    thread.on('message', (message) => this.#receive(slot, message))
    thread.on('error', (error) => {
      cause = error.stack ?? error.message
    })
    thread.on('exit', (code) => {
      exited()
      if (!this.#stopping) this.#replace(slot, cause === '' ? `exit code ${code}` : cause)
    })
    thread.postMessage({ type: 'init', init: { ...this.#options.init, index, concurrency: this.#options.concurrency } })
    return slot
  }

  /** A worker died: starts another in its place, later with each time that it happens in a row. */
  #replace(slot: Slot, cause: string): void {
    const waitMs = Math.min(5_000, 50 * 2 ** Math.min(slot.restarts, 10))
    this.#options.log.critical(`worker ${slot.index} died, again in ${waitMs} ms: ${cause}`)
    slot.ready = false
    setTimeout(() => {
      if (this.#stopping) return
      const next = this.#start(slot.index, slot.restarts + 1)
      this.#slots[slot.index] = next
      for (const [generation, pending] of this.#pending) {
        if (pending.waiting.delete(slot)) pending.waiting.add(next)
        this.#settle(generation)
      }
    }, waitMs)
  }

  #receive(slot: Slot, message: FromWorker): void {
    switch (message.type) {
      case 'ready':
        slot.ready = true
        slot.thread.postMessage({ type: 'runtime', values: this.#runtime })
        slot.thread.postMessage({ type: 'update', generation: this.#generation, resources: [...this.#live.values()] })
        return
      case 'applied':
        for (const [generation, pending] of this.#pending) {
          if (generation > message.generation || !pending.waiting.delete(slot)) continue
          pending.errors.push(...message.errors.filter((error) => pending.keys.has(keyOf(error))))
          this.#settle(generation)
        }
        for (const { listener, address } of message.listening) {
          const known = this.#listening.get(listener) ?? []
          if (!known.includes(address)) this.#listening.set(listener, [...known, address])
        }
        return
      case 'stats':
      case 'stats-chunk':
      case 'stats-text':
      case 'stats-gone':
        this.#options.stats.accept(slot.life, message)
        return
      case 'log':
        this.#options.onLog(message.level, message.message, message.fields)
    }
  }

  #settle(generation: number): void {
    const pending = this.#pending.get(generation)
    if (pending === undefined || pending.waiting.size > 0) return
    this.#pending.delete(generation)
    const unique = new Map(pending.errors.map((error) => [`${error.kind}/${error.name}/${error.message}`, error]))
    pending.resolve([...unique.values()])
  }
}

function keyOf(resource: { kind: string; name: string }): string {
  return `${resource.kind}/${resource.name}`
}
