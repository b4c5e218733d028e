import type { Bag } from '@weft/attributes/bag'
import { ROOT_NAMESPACE } from '../config/names.ts'
import { type Demand, DestinationIndex } from './destination-index.ts'

export interface Placement<Rule> {
  readonly namespace: string
  readonly demand: Demand | undefined
  readonly rule: Rule
}

/** The rules of one variety: those of the root namespace count for every request, others for their namespace's services. */
export class RuleSet<Rule> {
  readonly all: readonly Rule[]
  readonly #root: DestinationIndex<Rule>
  readonly #byNamespace = new Map<string, DestinationIndex<Rule>>()

  constructor(placements: readonly Placement<Rule>[]) {
    this.all = placements.map(({ rule }) => rule)
    const index = (wanted: (namespace: string) => boolean): DestinationIndex<Rule> =>
      new DestinationIndex(
        placements.filter(({ namespace }) => wanted(namespace)).map(({ demand, rule }) => [demand, rule] as const),
      )
    this.#root = index((namespace) => namespace === ROOT_NAMESPACE)
    for (const { namespace } of placements) {
      if (namespace === ROOT_NAMESPACE || this.#byNamespace.has(namespace)) continue
      this.#byNamespace.set(
        namespace,
        index((other) => other === ROOT_NAMESPACE || other === namespace),
      )
    }
  }

  /** The rules whose match has to be looked at. The destination's namespace is asked for only where it makes a difference. */
  candidates(bag: Bag): readonly Rule[] {
    if (this.#byNamespace.size === 0) return this.#root.candidates(bag)
    const namespace = destinationNamespace(bag)
    const index = namespace === undefined ? this.#root : (this.#byNamespace.get(namespace) ?? this.#root)
    return index.candidates(bag)
  }
}

/** The namespace that a request is sent to, from the first attribute that tells it. */
function destinationNamespace(bag: Bag): string | undefined {
  const told = bag.get('destination.namespace') ?? bag.get('destination.service.namespace')
  if (typeof told === 'string') return told
  const host = bag.get('destination.service.host') ?? bag.get('destination.service')
  return typeof host === 'string' ? host.split('.')[1] : undefined
}
