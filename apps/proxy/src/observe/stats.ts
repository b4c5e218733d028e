import type { FromWorker, StatBirths } from '../threads.ts'

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

/**
 * Buckets of a histogram: 0, then 90 for each power of ten (two significant digits, as Envoy's), for 10^0 … 10^8;
 * below them stand the count and the sum.
 */
const histogramDecades = 9
export const histogramBuckets = 1 + 90 * histogramDecades
const histogramCells = histogramBuckets + 2

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
const untouched = -0

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

/** Index of the bucket that holds `value`. */
export function bucketOf(value: number): number {
  if (!(value >= 1)) return 0
  let decade = 0
  let scaled = value
  while (scaled >= 10 && decade < histogramDecades - 1) {
    scaled /= 10
    decade++
  }
  if (scaled >= 10) return histogramBuckets - 1
  return 1 + decade * 90 + Math.min(89, Math.floor(scaled * 10 + 1e-9) - 10)
}

/** Lower bound and width of a bucket. */
export function bucketRange(index: number): { low: number; width: number } {
  if (index === 0) return { low: 0, width: 1 }
  const decade = Math.floor((index - 1) / 90)
  const width = 10 ** decade / 10
  return { low: (((index - 1) % 90) + 10) * width, width }
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

const noTags: Record<string, string> = {}

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

/** One stat as all workers together have it. */
export type MergedStat =
  | { kind: 'counter' | 'gauge'; name: string; tags: Record<string, string>; value: number }
  | { kind: 'histogram'; name: string; tags: Record<string, string>; count: number; sum: number; buckets: Float64Array }

/** Where a stat stands in one worker's slab. */
interface Place {
  readonly worker: number
  readonly cells: Float64Array
  readonly at: number
}

/** A stat of the main thread's side. The first worker's place is kept in itself: mostly there is one. */
interface KnownStat extends Place {
  readonly kind: StatKind
  readonly tags: Record<string, string>
  others: Place[] | null
}

/** The main thread's side: give it every worker's messages about stats, and ask. */
export class StatsReader {
  /** The last of each worker: births tell where in it they stand. */
  private readonly chunks: Float64Array[] = []
  private readonly stats = new Map<string, KnownStat>()
  private readonly words = new Map<string, string>()

  accept(worker: number, message: StatMessage): void {
    switch (message.type) {
      case 'stats-chunk':
        this.chunks[worker] = new Float64Array(message.buffer)
        return
      case 'stats-text':
        this.words.set(message.name, message.value)
        return
      case 'stats-gone':
        for (const name of message.names) if (!this.words.delete(name)) this.remove(worker, name)
        return
      case 'stats':
        this.add(worker, message.births)
    }
  }

  private add(worker: number, { names, kinds, indexes, tags }: StatBirths): void {
    const cells = this.chunks[worker]
    if (cells === undefined) return
    for (let i = 0; i < names.length; i++) {
      const [name, kind, at] = [names[i], kinds[i], indexes[i]]
      if (name === undefined || kind === undefined || at === undefined) continue
      const known = this.stats.get(name)
      if (known === undefined) this.stats.set(name, { kind, tags: tags[i] ?? noTags, worker, cells, at, others: null })
      else if (known.others === null) known.others = [{ worker, cells, at }]
      else known.others.push({ worker, cells, at })
    }
  }

  private remove(worker: number, name: string): void {
    const known = this.stats.get(name)
    if (known === undefined) return
    const { kind, tags, others } = known
    const [first, ...left] = [known, ...(others ?? [])].filter((place) => place.worker !== worker)
    if (first === undefined) this.stats.delete(name)
    else {
      const { cells, at } = first
      this.stats.set(name, { kind, tags, worker: first.worker, cells, at, others: left.length === 0 ? null : left })
    }
  }

  /** The value of one counter or gauge, over all workers; undefined when nobody has it. */
  value(name: string): number | undefined {
    const stat = this.stats.get(name)
    return stat === undefined ? undefined : sumOf(stat, 0)
  }

  /** Every text. */
  texts(): ReadonlyMap<string, string> {
    return this.words
  }

  /** Every gauge, merged; in no order. */
  *gauges(): Generator<{ name: string; value: number }> {
    for (const [name, stat] of this.stats) if (stat.kind === 'gauge') yield { name, value: sumOf(stat, untouched) }
  }

  /** Every stat, merged; in no order. */
  *all(): Generator<MergedStat> {
    for (const [name, stat] of this.stats) {
      const { kind, tags } = stat
      if (kind !== 'histogram') {
        yield { kind, name, tags, value: sumOf(stat, kind === 'gauge' ? untouched : 0) }
        continue
      }
      const buckets = new Float64Array(histogramBuckets)
      let count = 0
      let sum = 0
      for (const { cells, at } of [stat, ...(stat.others ?? [])]) {
        count += cells[at]!
        sum += cells[at + 1]!
        for (let i = 0; i < histogramBuckets; i++) buckets[i]! += cells[at + 2 + i]!
      }
      yield { kind, name, tags, count, sum, buckets }
    }
  }
}

function sumOf({ cells, at, others }: KnownStat, zero: number): number {
  let sum = zero + cells[at]!
  if (others !== null) for (const other of others) sum += other.cells[other.at]!
  return sum
}

/** The value below which `quantile` (0…1) of the recorded values lie, interpolated inside its bucket. */
export function quantileOf(buckets: Float64Array, quantile: number): number {
  let total = 0
  for (const count of buckets) total += count
  if (total === 0) return Number.NaN
  const rank = quantile * total
  let seen = 0
  for (let i = 0; i < buckets.length; i++) {
    const count = buckets[i]!
    if (count === 0) continue
    if (seen + count >= rank) {
      const { low, width } = bucketRange(i)
      return i === 0 ? 0 : low + width * Math.max(0, (rank - seen) / count)
    }
    seen += count
  }
  return Number.NaN
}
