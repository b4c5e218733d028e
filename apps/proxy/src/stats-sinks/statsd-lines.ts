import type { ViewedStat } from '../admin/stat-view.ts'
import { bucketRange } from '../observe/buckets.ts'
import type { TaggedName } from '../observe/stat-tags.ts'

/** How a statsd server is written to. */
export interface StatsdStyle {
  readonly prefix: string
  /** Names come without their tags, which follow the value, as DogStatsD has them; null: names are whole. */
  readonly untagged: ((stat: ViewedStat) => TaggedName) | null
}

/**
 * Statistics as statsd's lines: of counters what came since the last time, of gauges what stands, and of histograms what was
 * recorded since: a line for each bucket with the share (`@`) that makes up for how often, since single values are not kept.
 */
export class StatsdLines {
  private readonly style: StatsdStyle
  private readonly counters = new Map<string, number>()
  private readonly histograms = new Map<string, Float64Array>()

  constructor(style: StatsdStyle) {
    this.style = style
  }

  /** The lines, without their ends, of what has been used. */
  next(stats: readonly ViewedStat[]): string[] {
    const lines: string[] = []
    for (const stat of stats) {
      const { name, tags } = this.named(stat)
      const line = (value: string): void => void lines.push(`${name}:${value}${tags}`)
      if (stat.kind === 'counter') {
        const value = Number(stat.value)
        const before = this.counters.get(stat.name) ?? 0
        this.counters.set(stat.name, value)
        // It may have been set to nothing meanwhile.
        line(`${value >= before ? value - before : value}|c`)
      } else if (stat.kind === 'gauge') line(`${stat.value}|g`)
      else if (stat.kind === 'histogram') this.recorded(stat.name, stat.buckets, line)
    }
    return lines
  }

  private recorded(name: string, buckets: Float64Array, line: (value: string) => void): void {
    const before = this.histograms.get(name)
    // A cluster that came anew begins at nothing.
    const since = before?.every((count, i) => count <= (buckets[i] ?? 0)) === true ? before : null
    for (let i = 0; i < buckets.length; i++) {
      const count = (buckets[i] ?? 0) - (since?.[i] ?? 0)
      if (count <= 0) continue
      const { low, width } = bucketRange(i)
      const value = i === 0 ? 0 : low + (width > 1 ? width / 2 : 0)
      line(count === 1 ? `${value}|ms` : `${value}|ms|@${1 / count}`)
    }
    this.histograms.set(name, buckets.slice())
  }

  private named(stat: ViewedStat): { name: string; tags: string } {
    const { prefix, untagged } = this.style
    if (untagged === null) return { name: `${prefix}.${stat.name}`, tags: '' }
    const { name, tags } = untagged(stat)
    const written = tags.map(([tag, value]) => `${tag}:${value}`).join(',')
    return { name: `${prefix}.${name}`, tags: written === '' ? '' : `|#${written}` }
  }
}

/** Lines put together to datagrams of at most so many bytes; a longer line is one of its own, and 0 makes each one of its own. */
export function datagrams(lines: readonly string[], maxBytes: number): string[] {
  const packed: string[] = []
  let room = -1
  for (const line of lines) {
    const bytes = Buffer.byteLength(line)
    if (room >= bytes + 1) {
      packed[packed.length - 1] += `\n${line}`
      room -= bytes + 1
    } else {
      packed.push(line)
      room = maxBytes - bytes
    }
  }
  return packed
}
