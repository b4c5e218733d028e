import type { Endpoint } from '../endpoint.ts'
import { canonical, isRecord, keyOf, type MetadataCriteria, type MetadataEntry } from './metadata-criteria.ts'
import type { Balancer, PickContext } from './pick-context.ts'
import type { BalancerPolicy, FallbackPolicy, SubsetPolicy, SubsetSelector } from './policy.ts'
import type { LocalityHosts } from './priority-hosts.ts'
import type { PriorityJudging } from './priority-load.ts'
import { type BalancerSurroundings, PrioritySet } from './priority-set.ts'

type Priorities = readonly (readonly LocalityHosts[])[]

/** Hosts with the same values of a selector's keys. */
interface SubsetEntry {
  balancer: Balancer & { update(priorities: Priorities, judging: PriorityJudging): void }
  /** Whether it has hosts at all, healthy or not. */
  active: boolean
}

/**
 * Subset load balancing: a balancer for each combination of values that the selectors' keys have among hosts; a request
 * whose criteria have exactly a selector's keys goes to the subset with these values, or where the fallback policies say.
 */
export class SubsetBalancer implements Balancer {
  private readonly policy: BalancerPolicy
  private readonly subset: SubsetPolicy
  private readonly around: BalancerSurroundings
  private readonly subsets = new Map<string, SubsetEntry>()
  private readonly selectors = new Map<string, SubsetSelector>()
  private readonly any: PrioritySet
  private readonly standard: SubsetEntry
  /** Criteria without keys that no selector has, and with some keys only; by what they were made from. */
  private readonly reduced = new WeakMap<MetadataCriteria, MetadataCriteria>()
  private readonly fewerKeys = new WeakMap<MetadataCriteria, MetadataCriteria>()

  constructor(
    priorities: Priorities,
    judging: PriorityJudging,
    policy: BalancerPolicy,
    subset: SubsetPolicy,
    around: BalancerSurroundings,
  ) {
    this.policy = policy
    this.subset = subset
    this.around = around
    for (const selector of subset.selectors) {
      const keys = selector.keys.join('\0')
      // Of selectors with the same keys the first counts.
      if (!this.selectors.has(keys)) this.selectors.set(keys, selector)
    }
    this.any = this.createSubset(priorities, judging)
    this.standard = { balancer: this.createSubset([], judging), active: false }
    this.update(priorities, judging)
  }

  /** Takes other hosts: subsets that stay keep their place in turns, those without hosts go. */
  update(priorities: Priorities, judging: PriorityJudging): void {
    this.any.update(priorities, judging)
    const { defaultSubset } = this.subset
    const standard = this.select(priorities, (host) =>
      defaultSubset.every((entry) => hasValue(host, entry, this.subset.listAsAny)),
    )
    this.standard.active = hasHosts(standard)
    this.standard.balancer.update(standard, judging)
    const wanted = new Map<string, { selector: SubsetSelector; members: Set<Endpoint> }>()
    let duplicates = 0
    for (const priority of priorities)
      for (const { hosts } of priority)
        for (const host of hosts)
          for (const selector of this.selectors.values())
            for (const key of subsetKeys(host, selector.keys, this.subset.listAsAny)) {
              const known = wanted.get(key)
              if (known === undefined) wanted.set(key, { selector, members: new Set([host]) })
              else {
                known.members.add(host)
                if (selector.singleHost) duplicates++
              }
            }
    const { stats } = this.around
    let created = 0
    let removed = 0
    for (const [key, { selector, members }] of wanted) {
      const hosts = this.select(priorities, (host) => members.has(host))
      const entry = this.subsets.get(key)
      if (entry !== undefined) entry.balancer.update(hosts, judging)
      else {
        const balancer = selector.singleHost ? new SingleHost(hosts) : this.createSubset(hosts, judging)
        this.subsets.set(key, { balancer, active: true })
        created++
      }
    }
    for (const key of this.subsets.keys()) {
      if (wanted.has(key)) continue
      this.subsets.delete(key)
      removed++
    }
    stats.subsetsCreated.add(created)
    stats.subsetsRemoved.add(removed)
    stats.subsetsActive.set(this.subsets.size)
    stats.singleHostDuplicates.set(duplicates)
  }

  pick(context: PickContext | null): Endpoint | null {
    const criteria = context?.metadataMatch ?? null
    if (criteria === null || !this.subset.fallbackList) return this.pickBy(criteria, context)
    for (const alternative of criteria.alternatives) {
      const host = this.pickBy(alternative, context)
      if (host !== null) return host
    }
    return null
  }

  pickAt(_priority: number, _degraded: boolean, context: PickContext | null): Endpoint | null {
    return this.pick(context)
  }

  get counts() {
    return this.any.counts
  }

  zoneCounts() {
    return this.any.zoneCounts()
  }

  refresh(): void {
    this.any.refresh()
  }

  private pickBy(given: MetadataCriteria | null, context: PickContext | null): Endpoint | null {
    const { stats } = this.around
    if (given !== null) {
      const criteria = this.subset.allowRedundantKeys ? this.withoutRedundant(given) : given
      const entry = this.subsets.get(criteria.key)
      if (entry !== undefined) {
        stats.subsetsSelected.inc()
        return entry.balancer.pick(context)
      }
      const selector = this.selectors.get(criteria.entries.map(({ name }) => name).join('\0'))
      switch (selector?.fallback ?? null) {
        case 'none':
          return null
        case 'any':
          return this.any.pick(context)
        case 'default':
          return this.standard.active ? this.standard.balancer.pick(context) : null
        case 'keys':
          return this.pickBy(this.withFewerKeys(criteria, selector!), context)
      }
    }
    const host = this.pickByFallback(this.subset.fallback, context)
    if (host !== null) {
      stats.subsetsFallback.inc()
      return host
    }
    if (!this.subset.panicModeAny || this.subset.fallback === 'none') return null
    const last = this.any.pick(context)
    if (last !== null) stats.subsetsFallbackPanic.inc()
    return last
  }

  private pickByFallback(fallback: FallbackPolicy, context: PickContext | null): Endpoint | null {
    if (fallback === 'any') return this.any.pick(context)
    return fallback === 'default' && this.standard.active ? this.standard.balancer.pick(context) : null
  }

  private withFewerKeys(criteria: MetadataCriteria, selector: SubsetSelector): MetadataCriteria {
    let fewer = this.fewerKeys.get(criteria)
    if (fewer === undefined) {
      fewer = criteria.only(selector.fallbackKeys)
      this.fewerKeys.set(criteria, fewer)
    }
    return fewer
  }

  /** Only the keys of the selector that has most of them. */
  private withoutRedundant(criteria: MetadataCriteria): MetadataCriteria {
    const known = this.reduced.get(criteria)
    if (known !== undefined) return known
    const names = new Set(criteria.entries.map(({ name }) => name))
    const best = [...this.selectors.values()]
      .sort((a, b) => b.keys.length - a.keys.length)
      .find(({ keys }) => keys.every((key) => names.has(key)))
    const reduced = best === undefined ? criteria : criteria.only(new Set(best.keys))
    this.reduced.set(criteria, reduced)
    return reduced
  }

  private createSubset(hosts: Priorities, judging: PriorityJudging): PrioritySet {
    const weightsCount = this.policy.locality.type !== 'weighted' || this.subset.localityWeightAware
    const policy: BalancerPolicy = weightsCount ? this.policy : { ...this.policy, locality: { type: 'none' } }
    return new PrioritySet(hosts, judging, policy, this.around)
  }

  private select(priorities: Priorities, wanted: (host: Endpoint) => boolean): LocalityHosts[][] {
    return priorities.map((priority) =>
      priority.map((locality) => {
        const hosts = locality.hosts.filter(wanted)
        const { weight } = locality
        const scaled =
          !this.subset.scaleLocalityWeight || weight === 0 || hosts.length === 0
            ? weight
            : Math.max(1, Math.round((weight * hosts.length) / locality.hosts.length))
        return { ...locality, hosts, weight: scaled }
      }),
    )
  }
}

/** A subset that is one host by configuration: no balancing, and no look at health. */
class SingleHost implements Balancer {
  private host: Endpoint | null = null

  constructor(priorities: Priorities) {
    this.update(priorities)
  }

  update(priorities: Priorities): void {
    this.host = priorities.flat().flatMap(({ hosts }) => hosts)[0] ?? null
  }

  pick(): Endpoint | null {
    return this.host
  }
}

function hasHosts(priorities: Priorities): boolean {
  return priorities.some((priority) => priority.some(({ hosts }) => hosts.length > 0))
}

/** The host's values of one key, in canonical form: of a list each, if lists mean any of theirs. */
function valuesOf(host: Endpoint, key: string, listAsAny: boolean): string[] {
  const metadata = host.metadata['envoy.lb']
  if (!isRecord(metadata) || !(key in metadata)) return []
  const value = metadata[key]
  return listAsAny && Array.isArray(value) ? value.map(canonical) : [canonical(value)]
}

function hasValue(host: Endpoint, entry: MetadataEntry, listAsAny: boolean): boolean {
  return valuesOf(host, entry.name, listAsAny).includes(entry.value)
}

/** Keys of the subsets that a host is in by one selector: none when it lacks one of the selector's keys. */
function subsetKeys(host: Endpoint, keys: readonly string[], listAsAny: boolean): string[] {
  let combinations: MetadataEntry[][] = [[]]
  for (const name of keys) {
    const values = valuesOf(host, name, listAsAny)
    combinations = combinations.flatMap((entries) => values.map((value) => [...entries, { name, value }]))
  }
  return combinations.map(keyOf)
}
