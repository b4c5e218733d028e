import { WeftError } from '@weft/service/errors'

type FamilyKind = 'COUNTER' | 'GAUGE' | 'DISTRIBUTION'

export interface FamilyDefinition {
  readonly name: string
  readonly help: string
  readonly kind: FamilyKind
  readonly labels: readonly string[]
  /** Upper bounds of a distribution's buckets, ascending, without the last, infinite one. */
  readonly buckets: readonly number[]
  /** Most series; what would make another is counted as dropped. */
  readonly maxSeries: number
}

interface Series {
  readonly values: readonly string[]
  /** A counter's or gauge's value; a distribution's sum. */
  value: number
  count: number
  readonly buckets: number[]
  touchedMs: number
}

/** The values of a family's labels, in the order of its definition. */
export class Labels {
  readonly values: readonly string[]
  /** Tells a series from the others of its family. */
  readonly key: string

  constructor(values: readonly string[]) {
    this.values = values
    this.key = values.join('\u0001')
  }
}

/** One metric with all its series. */
export class Family {
  readonly definition: FamilyDefinition
  dropped = 0
  readonly #series = new Map<string, Series>()
  #lastLabels: Labels | undefined
  #lastSeries: Series | undefined

  constructor(definition: FamilyDefinition) {
    this.definition = definition
  }

  /** Takes a measurement. */
  record(labels: Labels, amount: number, nowMs: number): void {
    const series = this.#lastLabels === labels ? this.#lastSeries : this.#seriesOf(labels, nowMs)
    if (series === undefined) {
      this.dropped++
      return
    }
    this.#lastLabels = labels
    this.#lastSeries = series
    series.touchedMs = nowMs
    switch (this.definition.kind) {
      case 'COUNTER':
        series.value += amount
        return
      case 'GAUGE':
        series.value = amount
        return
      case 'DISTRIBUTION': {
        series.value += amount
        series.count++
        const { buckets } = this.definition
        for (let index = 0; index < buckets.length; index++) {
          if (amount <= (buckets[index] ?? 0)) {
            series.buckets[index] = (series.buckets[index] ?? 0) + 1
            break
          }
        }
      }
    }
  }

  /** The series of these labels; undefined when there may be no more. */
  #seriesOf({ key, values }: Labels, nowMs: number): Series | undefined {
    const known = this.#series.get(key)
    if (known !== undefined || this.#series.size >= this.definition.maxSeries) return known
    const buckets = this.definition.kind === 'DISTRIBUTION' ? new Array<number>(this.definition.buckets.length).fill(0) : []
    const series = { values, value: 0, count: 0, buckets, touchedMs: nowMs }
    this.#series.set(key, series)
    return series
  }

  /** Forgets series without a measurement since then. */
  expire(beforeMs: number): void {
    this.#lastLabels = undefined
    for (const [key, series] of this.#series) if (series.touchedMs < beforeMs) this.#series.delete(key)
  }

  get size(): number {
    return this.#series.size
  }

  /** The family in Prometheus's text format. */
  text(): string {
    const { name, help, kind, labels, buckets } = this.definition
    const type = kind === 'DISTRIBUTION' ? 'histogram' : kind.toLowerCase()
    const lines = [`# HELP ${name} ${escapeHelp(help)}`, `# TYPE ${name} ${type}`]
    for (const series of this.#series.values()) {
      const pairs = labels.map((label, index) => `${label}="${escapeValue(series.values[index] ?? '')}"`)
      const inner = pairs.join(',')
      const braces = inner === '' ? '' : `{${inner}}`
      if (kind !== 'DISTRIBUTION') {
        lines.push(`${name}${braces} ${number(series.value)}`)
        continue
      }
      const before = inner === '' ? '' : `${inner},`
      let below = 0
      buckets.forEach((bound, index) => {
        below += series.buckets[index] ?? 0
        lines.push(`${name}_bucket{${before}le="${number(bound)}"} ${below}`)
      })
      lines.push(`${name}_bucket{${before}le="+Inf"} ${series.count}`)
      lines.push(`${name}_sum${braces} ${number(series.value)}`, `${name}_count${braces} ${series.count}`)
    }
    return lines.join('\n')
  }
}

/** All metrics that handlers expose together, on the admin server's `/metrics`. */
export class Exposition {
  readonly #families = new Map<string, { family: Family; owners: Set<string> }>()

  /**
   * The metric of this definition, for a handler. A handler that comes again with the same definition, or another one
   * with it, goes on with the series that there are; a changed definition starts anew. Throws `already_exists` when
   * another handler has the name with another definition.
   */
  acquire(definition: FamilyDefinition, owner: string): Family {
    const known = this.#families.get(definition.name)
    if (known !== undefined && sameDefinition(known.family.definition, definition)) {
      known.owners.add(owner)
      return known.family
    }
    const other = [...(known?.owners ?? [])].find((name) => handlerOf(name) !== handlerOf(owner))
    if (other !== undefined) {
      throw new WeftError('already_exists', `metric '${definition.name}' is defined otherwise by ${handlerOf(other)}`, {
        hint: 'give it another name, or the same kind, labels and buckets',
      })
    }
    const family = new Family(definition)
    this.#families.set(definition.name, { family, owners: new Set([owner]) })
    return family
  }

  /** Takes an owner's claims back; a metric that nobody owns is gone. */
  release(owner: string): void {
    for (const [name, { owners }] of this.#families) if (owners.delete(owner) && owners.size === 0) this.#families.delete(name)
  }

  /** All families in Prometheus's text format, and how many measurements found no room. */
  text(): string {
    if (this.#families.size === 0) return ''
    const texts = [...this.#families.values()].map(({ family }) => family.text())
    const name = 'mixer_prometheus_dropped_total'
    const dropped = [
      `# HELP ${name} Measurements that would have made more series than a metric may have`,
      `# TYPE ${name} counter`,
    ]
    for (const { family } of this.#families.values()) {
      if (family.dropped > 0) dropped.push(`${name}{metric="${family.definition.name}"} ${family.dropped}`)
    }
    return `${[...texts, dropped.join('\n')].join('\n')}\n`
  }
}

/** An owner is a handler and which of its lives it is: `handler.prometheus.ns#3`. */
function handlerOf(owner: string): string {
  return owner.split('#')[0] ?? owner
}

function sameDefinition(one: FamilyDefinition, other: FamilyDefinition): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}

/** Numbers as Prometheus's own library writes them: `0.005`, `1e+06`. */
function number(value: number): string {
  if (Math.abs(value) >= 1e6 && Math.abs(value) < 1e21 && Number.isInteger(value)) {
    const exponent = value.toExponential()
    const shortened = exponent.replace(/e\+(\d)$/, 'e+0$1')
    return shortened.length < String(value).length ? shortened : String(value)
  }
  return String(value)
}

function escapeValue(text: string): string {
  return /[\\"\n]/.test(text) ? text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n') : text
}

function escapeHelp(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
}
