import type { Endpoint } from '../endpoint.ts'
import type { EndpointSlab } from '../endpoint-slab.ts'
import type { BalancerStats } from './balancer-stats.ts'
import { boundLoads, type HashTable, type WeightedHost } from './hash-table.ts'
import { Hash64 } from './hash64.ts'
import { slowStartEndsMs } from './host-picker.ts'
import { createMaglev } from './maglev.ts'
import type { Balancer, PickContext, PriorityShares } from './pick-context.ts'
import type { BalancerPolicy } from './policy.ts'
import { type HostSource, type LocalityHosts, localitySchedule, type PriorityHosts, sortPriority } from './priority-hosts.ts'
import { choosePriority, type PriorityCounts, type PriorityJudging, type PriorityLoads, priorityLoads } from './priority-load.ts'
import { createRing } from './ring-hash.ts'
import { type LocalZones, ZoneRouting } from './zone-routing.ts'

/** What balancers look at besides hosts. */
export interface BalancerSurroundings {
  slab: EndpointSlab
  stats: BalancerStats
  /** 0 ≤ x < 1. */
  random: () => number
  /** Monotonic ms. */
  now: () => number
  /** For zone-aware routing; null when the bootstrap names no local cluster, gives null while that is not there. */
  localZones: (() => LocalZones | null) | null
}

/**
 * Picks an endpoint of a cluster: a priority by health (priority levels, overprovisioning, degraded hosts, panic), a locality
 * where localities count, then a host by the policy. Health is looked at again when the slab's version says so, and things are
 * worked out anew only when it is this cluster's that changed.
 */
export class PrioritySet implements Balancer, PriorityShares {
  private readonly policy: BalancerPolicy
  private readonly around: BalancerSurroundings
  private readonly hash = new Hash64()
  private localities: readonly (readonly LocalityHosts[])[]
  private judging: PriorityJudging
  private version = -1
  private zonesVersion = -1
  /** One number a host: what it was last time. */
  private states: Uint8Array = new Uint8Array(0)
  private stale = true
  /** When slow start is over (monotonic ms). */
  private settledMs = Number.POSITIVE_INFINITY
  private priorities: PriorityHosts[] = []
  private loads: PriorityLoads = { healthy: [], degraded: [], panic: [] }
  private tables: (HashTable | null)[] = []
  private zones: ZoneRouting | null = null
  /** Where all requests go, if it is that simple. */
  private quick: HostSource | null = null

  constructor(
    localities: readonly (readonly LocalityHosts[])[],
    judging: PriorityJudging,
    policy: BalancerPolicy,
    around: BalancerSurroundings,
  ) {
    this.localities = localities
    this.judging = judging
    this.policy = policy
    this.around = around
  }

  /** Takes other hosts. */
  update(localities: readonly (readonly LocalityHosts[])[], judging: PriorityJudging): void {
    this.localities = localities
    this.judging = judging
    this.stale = true
  }

  /** An endpoint, or null when there is none to use. */
  pick(context: PickContext | null): Endpoint | null {
    this.refresh()
    const { endpoint } = this.policy
    if (endpoint.type === 'ring-hash' || endpoint.type === 'maglev') return this.pickByHash(context)
    if (context === null || context.hostAttempts <= 1) return this.pickOnce(context)
    let host: Endpoint | null = null
    for (let i = context.hostAttempts; i > 0; i--) {
      host = this.pickOnce(context)
      if (host === null || context.accepts(host)) break
    }
    return host
  }

  private pickOnce(context: PickContext | null): Endpoint | null {
    const adjusted = context === null ? null : context.priorityLoads(this)
    if (adjusted === null && this.quick !== null) return this.quick.pick()
    const chosen = choosePriority(1 + Math.floor(this.around.random() * 100), adjusted ?? this.loads)
    return chosen < 0 ? this.pickFrom(~chosen, true) : this.pickFrom(chosen, false)
  }

  /** An endpoint of one priority, as an aggregate cluster asks for. */
  pickAt(priority: number, degraded: boolean, context: PickContext | null): Endpoint | null {
    this.refresh()
    const { endpoint } = this.policy
    if (endpoint.type === 'ring-hash' || endpoint.type === 'maglev') return this.pickByHash(context)
    return this.pickFrom(priority, degraded)
  }

  private pickFrom(index: number, degraded: boolean): Endpoint | null {
    const priority = this.priorities[index]
    if (priority === undefined) return null
    const { around, policy } = this
    const { locality } = policy
    if (this.loads.panic[index] === true) {
      around.stats.panic.inc()
      if (locality.type === 'zone-aware' && locality.failTrafficOnPanic) return null
      return priority.all.pick()
    }
    if (locality.type === 'weighted') {
      const schedule = degraded ? priority.degradedLocalities : priority.healthyLocalities
      if (schedule !== null) return schedule.pick().pick()
    }
    const plain = degraded ? priority.degraded : priority.healthy
    if (locality.type !== 'zone-aware' || index !== 0 || this.zones === null) return plain.pick()
    const enabled = locality.enabledPercent()
    if (enabled < 100 && around.random() * 100 >= enabled) return plain.pick()
    const local = around.localZones?.() ?? null
    if (local === null || local.healthyPercent < policy.panicThreshold()) {
      around.stats.localNotOk.inc()
      return locality.failTrafficOnPanic ? null : plain.pick()
    }
    const zone = this.zones.choose()
    return (degraded ? priority.degradedByLocality : priority.healthyByLocality)[zone]!.pick()
  }

  private pickByHash(context: PickContext | null): Endpoint | null {
    const { hash, around } = this
    const { endpoint } = this.policy
    const policies = 'hashing' in endpoint ? endpoint.hashing.policies : null
    if (context === null || !context.hashInto(hash, policies))
      hash.set(around.random() * 0x100000000, around.random() * 0x100000000)
    const chosen = choosePriority(hash.modulo(100) + 1, this.loads)
    const index = chosen < 0 ? ~chosen : chosen
    if (this.loads.panic[index] === true) around.stats.panic.inc()
    const table = this.tableOf(index)
    if (table === null) return null
    const attempts = context === null ? 1 : context.hostAttempts
    let host: Endpoint | null = null
    for (let i = 0; i < attempts; i++) {
      host = table.choose(hash, i)
      if (attempts === 1 || context!.accepts(host)) break
    }
    return host
  }

  // PriorityShares, for retries and aggregate clusters

  get priorityCount(): number {
    return this.priorities.length
  }

  loadsWithout(excluded: readonly boolean[]): PriorityLoads | null {
    return priorityLoads(this.counts, this.policy.panicThreshold(), excluded)
  }

  /** The numbers of hosts by state, one entry a priority. */
  get counts(): PriorityCounts[] {
    return this.priorities.map(({ counts }) => counts)
  }

  /** Healthy hosts of the first priority by locality, for zone-aware routing of others to know this cluster's zones. */
  zoneCounts(): { healthy: { locality: string; hosts: number }[]; healthyPercent: number } {
    this.refresh()
    const first = this.priorities[0]
    if (first === undefined) return { healthy: [], healthyPercent: 0 }
    const { counts } = first
    const relevant = counts.hosts - counts.excluded
    return {
      healthy: first.localities.map(({ key }, i) => ({ locality: key, hosts: first.healthyByLocality[i]!.hosts.length })),
      healthyPercent: relevant === 0 ? 0 : (100 * (counts.healthy + counts.degraded)) / relevant,
    }
  }

  /** Works everything out anew if something changed. */
  refresh(): void {
    const { around } = this
    const version = around.slab.version
    if (!this.stale && version === this.version) {
      if (around.localZones === null && this.settledMs === Number.POSITIVE_INFINITY) return
      if (around.now() < this.settledMs && (around.localZones?.()?.version ?? -1) === this.zonesVersion) return
      this.stale = true
    }
    this.version = version
    if (!this.noteStates() && !this.stale) return
    this.stale = false
    this.rebuild()
  }

  /** Looks at every host's state; whether one is other than it was. */
  private noteStates(): boolean {
    const { slab } = this.around
    let count = 0
    for (const priority of this.localities) for (const { hosts } of priority) count += hosts.length
    let changed = count !== this.states.length
    if (changed) this.states = new Uint8Array(count)
    const { states } = this
    let at = 0
    for (const priority of this.localities) {
      for (const { hosts } of priority) {
        for (let i = 0; i < hosts.length; i++, at++) {
          const state = hosts[i]!.state(slab, this.around.now)
          if (states[at] !== state) changed = true
          states[at] = state
        }
      }
    }
    return changed
  }

  private rebuild(): void {
    const { policy, around, judging } = this
    const { endpoint, locality } = policy
    this.priorities = this.localities.map((localities) => sortPriority(localities, judging, policy, around))
    this.loads = priorityLoads(this.counts, policy.panicThreshold()) ?? this.loads
    this.settledMs = Number.POSITIVE_INFINITY
    if ((endpoint.type === 'round-robin' || endpoint.type === 'least-request') && endpoint.slowStart !== null) {
      const now = around.now()
      for (const { all } of this.priorities) {
        const ends = slowStartEndsMs(endpoint.slowStart, all.hosts)
        if (ends > now) this.settledMs = Math.min(this.settledMs, ends)
      }
    }
    if (locality.type === 'weighted') for (const priority of this.priorities) localitySchedule(priority)
    this.tables = this.priorities.map(() => null)
    this.tablesMade = this.priorities.map(() => false)
    if (endpoint.type === 'ring-hash' || endpoint.type === 'maglev') {
      if (around.stats.table !== null) for (let i = 0; i < this.priorities.length; i++) this.tableOf(i)
    }
    this.zones = locality.type === 'zone-aware' ? this.zoneRouting() : null
    this.quick = this.quickSource()
  }

  private quickSource(): HostSource | null {
    const { loads, priorities } = this
    const only = loads.healthy.indexOf(100)
    if (only < 0 || loads.panic[only] === true || this.zones !== null) return null
    return priorities[only]!.healthyLocalities === null ? priorities[only]!.healthy : null
  }

  private zoneRouting(): ZoneRouting | null {
    const { around, policy } = this
    const local = around.localZones?.() ?? null
    this.zonesVersion = local?.version ?? -1
    const first = this.priorities[0]
    if (local === null || first === undefined || policy.locality.type !== 'zone-aware') return null
    around.stats.recalculateZones.inc()
    if (first.healthyByLocality.length < 2) return null
    if (first.counts.healthy < policy.locality.minClusterSize()) {
      around.stats.zoneTooSmall.inc()
      return null
    }
    const upstream = first.localities.map(({ key }, i) => ({ locality: key, hosts: first.healthyByLocality[i]!.hosts.length }))
    return new ZoneRouting(upstream, first.localities[0]!.local, local.healthy, around.stats, around.random)
  }

  private tablesMade: boolean[] = []

  /** The hash table of a priority, made when it is first needed. */
  private tableOf(index: number): HashTable | null {
    const priority = this.priorities[index]
    if (priority === undefined) return null
    if (this.tablesMade[index] === true) return this.tables[index]!
    this.tablesMade[index] = true
    const { policy, around } = this
    const { endpoint } = policy
    if (endpoint.type !== 'ring-hash' && endpoint.type !== 'maglev') return null
    const hosts = this.weightedHosts(priority, this.loads.panic[index] === true)
    if (hosts.length === 0) return null
    const table = endpoint.type === 'ring-hash' ? createRing(hosts, endpoint) : createMaglev(hosts, endpoint)
    around.stats.table?.size.set(table.size)
    around.stats.table?.fewest.set(table.fewest)
    around.stats.table?.most.set(table.most)
    this.tables[index] = boundLoads(table, hosts, endpoint.hashing, around.slab)
    return this.tables[index]!
  }

  private weightedHosts(priority: PriorityHosts, all: boolean): WeightedHost[] {
    // A locality without a weight has no part of the table, as in Envoy: where none has one, there is no host.
    if (this.policy.locality.type !== 'weighted') return shareOut((all ? priority.all : priority.healthy).hosts, 1)
    const sources = all ? priority.localities.map(({ hosts }) => hosts) : priority.healthyByLocality.map(({ hosts }) => hosts)
    const weights = sources.map((hosts, i) => {
      const locality = priority.localities[i]!
      if (all) return hosts.length === 0 ? 0 : locality.weight
      return priority.effectiveWeight(i, hosts.length)
    })
    const sum = weights.reduce((total, weight) => total + weight, 0)
    if (sum === 0) return []
    return sources.flatMap((hosts, i) => (weights[i] === 0 ? [] : shareOut(hosts, weights[i]! / sum)))
  }
}

function shareOut(hosts: readonly Endpoint[], share: number): WeightedHost[] {
  const sum = hosts.reduce((total, { weight }) => total + weight, 0)
  return hosts.map((host) => ({ host, share: (share * host.weight) / sum }))
}
