import { type Endpoint, hostState } from '../endpoint.ts'
import { EdfScheduler } from './edf-scheduler.ts'
import { createPicker, type HostPicker, type PickerPolicy, type PickerSurroundings } from './host-picker.ts'
import type { BalancerPolicy } from './policy.ts'
import type { PriorityCounts, PriorityJudging } from './priority-load.ts'

/** The endpoints of one locality at one priority. */
export interface LocalityHosts {
  hosts: readonly Endpoint[]
  /** Share among localities of this priority; 0: none given. */
  weight: number
  /** Region, zone and sub-zone in one text, in which localities sort. */
  key: string
  /** Whether it is this proxy's own. */
  local: boolean
}

/** A set of hosts to pick from, with a picker made when it is first needed. */
export class HostSource {
  readonly hosts: readonly Endpoint[]
  private readonly policy: PickerPolicy | null
  private readonly around: PickerSurroundings
  private picker: HostPicker | null = null

  constructor(hosts: readonly Endpoint[], policy: PickerPolicy | null, around: PickerSurroundings) {
    this.hosts = hosts
    this.policy = policy
    this.around = around
  }

  pick(): Endpoint | null {
    if (this.picker === null) {
      if (this.hosts.length === 0 || this.policy === null) return null
      this.picker = createPicker(this.policy, this.hosts, this.around)
    }
    return this.picker.pick()
  }
}

/** The hosts of one priority, sorted by what they are good for. */
export interface PriorityHosts {
  counts: PriorityCounts
  all: HostSource
  healthy: HostSource
  degraded: HostSource
  /** The local one first, then by name. */
  localities: readonly LocalityHosts[]
  healthyByLocality: readonly HostSource[]
  degradedByLocality: readonly HostSource[]
  /** Localities by weight; null: weights do not count. */
  healthyLocalities: EdfScheduler<HostSource> | null
  degradedLocalities: EdfScheduler<HostSource> | null
  /** A locality's weight as far as `usable` of its hosts carry it. */
  effectiveWeight(locality: number, usable: number): number
}

/** Sorts the hosts of a priority. */
export function sortPriority(
  source: readonly LocalityHosts[],
  judging: PriorityJudging,
  policy: BalancerPolicy,
  around: PickerSurroundings,
): PriorityHosts {
  const { endpoint } = policy
  const picker = endpoint.type === 'ring-hash' || endpoint.type === 'maglev' ? null : endpoint
  const localities = [...source].sort((a, b) =>
    a.local !== b.local ? (a.local ? -1 : 1) : a.key < b.key ? -1 : a.key > b.key ? 1 : 0,
  )
  const counts: PriorityCounts = {
    hosts: 0,
    excluded: 0,
    healthy: 0,
    degraded: 0,
    totalWeight: 0,
    healthyWeight: 0,
    degradedWeight: 0,
    overprovisioning: judging.overprovisioning,
  }
  const excludedOf: number[] = []
  const byState = (wanted: number) => localities.map(({ hosts }) => hosts.filter((host) => (host.lastState & 3) === wanted))
  for (const { hosts } of localities) {
    let excluded = 0
    for (const host of hosts) {
      const weight = judging.byWeight ? host.weight : 1
      counts.hosts++
      if ((host.lastState & hostState.excluded) !== 0) excluded++
      else counts.totalWeight += weight
      if ((host.lastState & 3) === hostState.healthy) {
        counts.healthy++
        counts.healthyWeight += weight
      } else if ((host.lastState & 3) === hostState.degraded) {
        counts.degraded++
        counts.degradedWeight += weight
      }
    }
    counts.excluded += excluded
    excludedOf.push(excluded)
  }
  const create = (hosts: readonly Endpoint[]) => new HostSource(hosts, picker, around)
  const healthy = byState(hostState.healthy)
  const degraded = byState(hostState.degraded)
  // Flat lists keep the assignment's order.
  const flat = (wanted: number) => source.flatMap(({ hosts }) => hosts.filter((host) => (host.lastState & 3) === wanted))
  return {
    counts,
    all: create(source.flatMap(({ hosts }) => hosts)),
    healthy: create(flat(hostState.healthy)),
    degraded: create(flat(hostState.degraded)),
    localities,
    healthyByLocality: healthy.map(create),
    degradedByLocality: degraded.map(create),
    healthyLocalities: null,
    degradedLocalities: null,
    effectiveWeight(locality, usable) {
      const { hosts, weight } = localities[locality]!
      const relevant = hosts.length - excludedOf[locality]!
      return relevant === 0 ? 0 : weight * Math.min(1, ((judging.overprovisioning / 100) * usable) / relevant)
    },
  }
}

/** Lets localities take turns by their weights. */
export function localitySchedule(priority: PriorityHosts): void {
  const schedule = (sources: readonly HostSource[]): EdfScheduler<HostSource> | null => {
    const weights = new Map<HostSource, number>()
    sources.forEach((source, i) => {
      const weight = priority.effectiveWeight(i, source.hosts.length)
      if (weight > 0) weights.set(source, weight)
    })
    return weights.size === 0 ? null : new EdfScheduler([...weights.keys()], (source) => weights.get(source) ?? 0)
  }
  priority.healthyLocalities = schedule(priority.healthyByLocality)
  priority.degradedLocalities = schedule(priority.degradedByLocality)
}
