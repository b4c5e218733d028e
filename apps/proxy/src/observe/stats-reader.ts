import type { StatBirths } from '../threads.ts'
import { histogramBuckets } from './buckets.ts'
import { noTags, type StatKind, type StatMessage, untouched } from './stats.ts'

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
