import type { Bag } from '@weft/attributes/bag'
import { parse } from '@weft/expressions/parser'
import type { Syntax } from '@weft/expressions/syntax'

/** What a rule's match demands of the destination: this attribute, or entry of an attribute, is this text. */
export interface Demand {
  attribute: string
  key: string | undefined
  value: string
}

/**
 * A demand that any request has to meet that a match is true for: a comparison with a constant text that stands alone
 * or in a conjunction. Undefined when there is none. Of several, the one that tells most services apart.
 */
export function demandOf(match: string): Demand | undefined {
  const demands: Demand[] = []
  collect(parse(match), demands)
  return demands.sort((one, other) => rank(one) - rank(other))[0]
}

const byRank = [
  'destination.service.host',
  'destination.service',
  'destination.service.name',
  'destination.workload.name',
  'destination.labels',
]

function rank({ attribute }: Demand): number {
  const place = byRank.indexOf(attribute)
  return place === -1 ? byRank.length : place
}

function collect(syntax: Syntax, demands: Demand[]): void {
  if (syntax.type !== 'call') return
  if (syntax.name === 'LAND') {
    for (const argument of syntax.args) collect(argument, demands)
    return
  }
  if (syntax.name !== 'EQ') return
  const [left, right] = syntax.args
  const demand = demandIn(left, right) ?? demandIn(right, left)
  if (demand !== undefined) demands.push(demand)
}

function demandIn(operand: Syntax | undefined, constant: Syntax | undefined): Demand | undefined {
  if (constant?.type !== 'constant' || typeof constant.value !== 'string' || operand === undefined) return undefined
  const value = constant.value
  if (operand.type === 'attribute' && operand.name.startsWith('destination.'))
    return { attribute: operand.name, key: undefined, value }
  if (operand.type !== 'call' || operand.name !== 'INDEX') return undefined
  const [map, key] = operand.args
  if (map?.type !== 'attribute' || !map.name.startsWith('destination.')) return undefined
  return key?.type === 'constant' && typeof key.value === 'string' ? { attribute: map.name, key: key.value, value } : undefined
}

/** Entries by what they demand, so that a request meets only those that can match its destination. */
export class DestinationIndex<Entry> {
  /** Entries that demand nothing, with their place in the order of all. */
  readonly #open: Placed<Entry>[] = []
  readonly #byAttribute: { attribute: string; key: string | undefined; entries: Map<string, Placed<Entry>[]> }[] = []
  readonly size: number

  constructor(entries: Iterable<readonly [demand: Demand | undefined, entry: Entry]>) {
    let place = 0
    for (const [demand, entry] of entries) {
      const placed = { place: place++, entry }
      if (demand === undefined) this.#open.push(placed)
      else this.#bucket(demand).push(placed)
    }
    this.size = place
  }

  /** The entries whose demands the bag meets, in their order. The bag notes what was asked. */
  candidates(bag: Bag): readonly Entry[] {
    let found: Placed<Entry>[] | undefined
    for (const { attribute, key, entries } of this.#byAttribute) {
      const value = key === undefined ? bag.get(attribute) : bag.getEntry(attribute, key)
      const bucket = typeof value === 'string' ? entries.get(value) : undefined
      if (bucket !== undefined) found = found === undefined ? bucket : [...found, ...bucket]
    }
    if (found === undefined) return this.#openEntries
    if (this.#open.length > 0 || this.#byAttribute.length > 1) {
      found = [...found, ...this.#open].sort((one, other) => one.place - other.place)
    }
    return found.map(({ entry }) => entry)
  }

  get #openEntries(): readonly Entry[] {
    this.#openCache ??= this.#open.map(({ entry }) => entry)
    return this.#openCache
  }
  #openCache: readonly Entry[] | undefined

  #bucket(demand: Demand): Placed<Entry>[] {
    let index = this.#byAttribute.find(({ attribute, key }) => attribute === demand.attribute && key === demand.key)
    if (index === undefined) {
      index = { attribute: demand.attribute, key: demand.key, entries: new Map() }
      this.#byAttribute.push(index)
    }
    let bucket = index.entries.get(demand.value)
    if (bucket === undefined) {
      bucket = []
      index.entries.set(demand.value, bucket)
    }
    return bucket
  }
}

interface Placed<Entry> {
  place: number
  entry: Entry
}
