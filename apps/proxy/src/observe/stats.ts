import type { FromWorker, StatBirths } from '../threads.ts'
import { bucketOf, histogramBuckets } from './buckets.ts'

/**
 * Counters, gauges and histograms of one worker, in shared memory that only this worker writes: counting is one
 * floating-point addition in a typed array, and the main thread reads all workers' slabs when somebody asks.
 * Names are Envoy's: `cluster.reviews.upstream_rq_total`.
 */

export type StatKind = 'counter' | 'gauge' | 'histogram'

/** Announces what is born: in a worker, a message to the main thread. */
export type StatMessage = Extract<FromWorker, { type: 'stats' | 'stats-chunk' | 'stats-text' | 'stats-gone' }>
export type StatAnnouncer = (message: StatMessage) => void

/** Cells of one chunk: 8 KB of counters. */
const chunkCells = 1024
/** Upper bound on stats of one worker, so that a hostile configuration or header can't grow memory without end. */
const maxStats = 500_000
/** Of a histogram: the count, the sum, and the buckets. */
const histogramCells = 2 + histogramBuckets

export class Counter {
  private readonly cells: Float64Array
  private readonly at: number
  constructor(cells: Float64Array, at: number) {
    this.cells = cells
    this.at = at
  }
  inc(): void {
    this.cells[this.at]!++
  }
  add(amount: number): void {
    this.cells[this.at]! += amount
  }
  get value(): number {
    return this.cells[this.at]!
  }
}

/** What a gauge holds that nothing has happened to: a zero that any change makes an ordinary one. */
export const untouched = -0

/** Whether something happened to a gauge that has this value. */
export function isTouched(value: number): boolean {
  return !Object.is(value, untouched)
}

export class Gauge {
  private readonly cells: Float64Array
  private readonly at: number
  constructor(cells: Float64Array, at: number) {
    this.cells = cells
    this.at = at
  }
  inc(): void {
    this.cells[this.at]!++
  }
  dec(): void {
    this.cells[this.at]!--
  }
  add(amount: number): void {
    this.cells[this.at]! += amount
  }
  set(value: number): void {
    this.cells[this.at] = value
  }
  get value(): number {
    return this.cells[this.at]!
  }
}

/** Made when the first value comes: a histogram nobody records takes no memory. */
export class Histogram {
  private cells: Float64Array | null = null
  private at = 0
  private readonly allocate: () => { cells: Float64Array; at: number }
  constructor(allocate: () => { cells: Float64Array; at: number }) {
    this.allocate = allocate
  }
  /** `value` in whole units (ms, bytes …). */
  record(value: number): void {
    if (this.cells === null) {
      const place = this.allocate()
      this.cells = place.cells
      this.at = place.at
    }
    this.cells[this.at]!++
    this.cells[this.at + 1]! += value
    this.cells[this.at + 2 + bucketOf(value)]!++
  }
}

/** A stat that is a word: the version of a configuration, what a control plane calls itself. */
export class Text {
  private readonly tell: (value: string) => void
  constructor(tell: (value: string) => void) {
    this.tell = tell
  }
  set(value: string): void {
    this.tell(value)
  }
}

/** Of stats whose tags Prometheus gets by Envoy's defaults, if any. */
export const noTags: Record<string, string> = {}

/** Who gives stats by their names. */
export type StatSource = Pick<Stats, 'counter' | 'gauge' | 'histogram' | 'text'>

/** The stats of one worker. `announce` null: a registry that nobody reads (checks, tests). */
export class Stats {
  private readonly announce: StatAnnouncer | null
  private readonly byName = new Map<string, Counter | Gauge | Histogram | Text>()
  private chunk: Float64Array | null = null
  private used = 0
  private births: StatBirths = noBirths()
  private scheduled = false
  private readonly scopes = new Map<string, StatScope>()
  /** Where what nobody hears of is counted. */
  private readonly lost = { cells: new Float64Array(histogramCells), at: 0 }
  private readonly overflow: { counter: Counter; gauge: Gauge; histogram: Histogram; text: Text }

  constructor(announce: StatAnnouncer | null) {
    this.announce = announce
    this.overflow = {
      counter: new Counter(this.lost.cells, 0),
      gauge: new Gauge(this.lost.cells, 0),
      histogram: new Histogram(() => this.lost),
      text: new Text(() => undefined),
    }
  }

  /** The counter of this name, made on first use. Keep it: this looks the name up. `tags` for Prometheus, where Envoy's defaults don't give them. */
  counter(name: string, tags: Record<string, string> = noTags): Counter {
    const known = this.byName.get(name)
    if (known instanceof Counter) return known
    if (known !== undefined || this.byName.size >= maxStats) return this.overflow.counter
    const place = this.allocate(name, 'counter', tags, 1)
    const stat = new Counter(place.cells, place.at)
    this.byName.set(name, stat)
    return stat
  }

  /** The gauge of this name, made on first use. */
  gauge(name: string, tags: Record<string, string> = noTags): Gauge {
    const known = this.byName.get(name)
    if (known instanceof Gauge) return known
    if (known !== undefined || this.byName.size >= maxStats) return this.overflow.gauge
    const place = this.allocate(name, 'gauge', tags, 1)
    place.cells[place.at] = untouched
    const stat = new Gauge(place.cells, place.at)
    this.byName.set(name, stat)
    return stat
  }

  /** The histogram of this name, made on first use; announced with its first value. */
  histogram(name: string, tags: Record<string, string> = noTags): Histogram {
    const known = this.byName.get(name)
    if (known instanceof Histogram) return known
    if (known !== undefined || this.byName.size >= maxStats) return this.overflow.histogram
    const stat: Histogram = new Histogram(() =>
      this.byName.get(name) === stat ? this.allocate(name, 'histogram', tags, histogramCells) : this.lost,
    )
    this.byName.set(name, stat)
    return stat
  }

  /** The text of this name, made on first use, and empty until it is set. */
  text(name: string): Text {
    const known = this.byName.get(name)
    if (known instanceof Text) return known
    if (known !== undefined || this.byName.size >= maxStats) return this.overflow.text
    const stat: Text = new Text((value) => {
      if (this.byName.get(name) === stat) this.announce?.({ type: 'stats-text', name, value })
    })
    this.byName.set(name, stat)
    stat.set('')
    return stat
  }

  /**
   * The stats of something that comes and goes under a name (`cluster.reviews.`): those first made through the scope go when as many have
   * left it as have asked for it. Who still holds one may count on, unheard.
   */
  scope(prefix: string): StatScope {
    let scope = this.scopes.get(prefix)
    if (scope === undefined) {
      scope = new StatScope(this, (names) => {
        this.scopes.delete(prefix)
        this.forget(names)
      })
      this.scopes.set(prefix, scope)
    }
    scope.enter()
    return scope
  }

  get size(): number {
    return this.byName.size
  }

  /** Counts what nobody asks for. */
  get unheard(): StatSource {
    const { counter, gauge, histogram, text } = this.overflow
    return { counter: () => counter, gauge: () => gauge, histogram: () => histogram, text: () => text }
  }

  private forget(names: string[]): void {
    for (const name of names) this.byName.delete(name)
    this.flush()
    if (names.length > 0) this.announce?.({ type: 'stats-gone', names })
  }

  private allocate(
    name: string,
    kind: StatKind,
    tags: Record<string, string>,
    size: number,
  ): { cells: Float64Array; at: number } {
    if (this.chunk === null || this.used + size > this.chunk.length) {
      // The other side knows the last chunk alone, so that those without stats are nobody's.
      this.flush()
      const shared = new SharedArrayBuffer(Math.max(chunkCells, size) * 8)
      this.chunk = new Float64Array(shared)
      this.used = 0
      this.announce?.({ type: 'stats-chunk', buffer: shared })
    }
    const at = this.used
    this.used += size
    if (this.announce !== null) {
      const { births } = this
      if (tags !== noTags) births.tags[births.names.length] = tags
      births.names.push(name)
      births.kinds.push(kind)
      births.indexes.push(at)
      if (!this.scheduled) {
        this.scheduled = true
        queueMicrotask(() => this.flush())
      }
    }
    return { cells: this.chunk, at }
  }

  /** Sends the births gathered so far. */
  flush(): void {
    this.scheduled = false
    const { births } = this
    if (births.names.length === 0) return
    this.births = noBirths()
    this.announce?.({ type: 'stats', births })
  }
}

function noBirths(): StatBirths {
  return { names: [], kinds: [], indexes: [], tags: {} }
}

/** Stats that go together: see `Stats.scope`. */
export class StatScope {
  private source: StatSource & { readonly size: number }
  private readonly unheard: StatSource
  private readonly end: (names: string[]) => void
  private names: string[] = []
  private users = 0

  constructor(stats: Stats, end: (names: string[]) => void) {
    this.source = stats
    this.unheard = stats.unheard
    this.end = end
  }

  counter(name: string, tags: Record<string, string> = noTags): Counter {
    return this.noted(name, this.source.size, this.source.counter(name, tags))
  }

  gauge(name: string, tags: Record<string, string> = noTags): Gauge {
    return this.noted(name, this.source.size, this.source.gauge(name, tags))
  }

  histogram(name: string, tags: Record<string, string> = noTags): Histogram {
    return this.noted(name, this.source.size, this.source.histogram(name, tags))
  }

  text(name: string): Text {
    return this.noted(name, this.source.size, this.source.text(name))
  }

  enter(): void {
    this.users++
  }

  /** One that has asked for the scope needs it no more. */
  leave(): void {
    if (--this.users > 0) return
    // What requests on their way still ask for is not born again.
    this.source = { ...this.unheard, size: 0 }
    this.end(this.names)
    this.names = []
  }

  private noted<T>(name: string, sizeBefore: number, stat: T): T {
    if (this.source.size > sizeBefore) this.names.push(name)
    return stat
  }
}
