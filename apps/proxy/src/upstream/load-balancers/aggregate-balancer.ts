import type { Endpoint } from '../endpoint.ts'
import type { Balancer, PickContext, PriorityShares } from './pick-context.ts'
import { choosePriority, type PriorityCounts, type PriorityLoads, priorityLoads } from './priority-load.ts'

/** A cluster that an aggregate cluster is made of. */
export interface AggregateMember {
  refresh(): void
  readonly counts: readonly PriorityCounts[]
  /** An endpoint of one of its priorities. */
  pickAt(priority: number, degraded: boolean, context: PickContext | null): Endpoint | null
}

/**
 * The balancer of an aggregate cluster: the priorities of its clusters, one cluster after the other, are as the priorities of
 * one; the cluster that a priority belongs to picks the host.
 */
export class AggregateBalancer implements Balancer, PriorityShares {
  private readonly members: () => readonly AggregateMember[]
  private readonly panicThreshold: () => number
  private readonly random: () => number
  private counts: PriorityCounts[] = []

  constructor(members: () => readonly AggregateMember[], panicThreshold: () => number, random: () => number) {
    this.members = members
    this.panicThreshold = panicThreshold
    this.random = random
  }

  get priorityCount(): number {
    return this.counts.length
  }

  loadsWithout(excluded: readonly boolean[]): PriorityLoads | null {
    return priorityLoads(this.counts, this.panicThreshold(), excluded)
  }

  pick(context: PickContext | null): Endpoint | null {
    const members = this.members()
    this.counts = []
    for (const member of members) {
      member.refresh()
      this.counts.push(...member.counts)
    }
    if (this.counts.length === 0) return null
    const loads = context?.priorityLoads(this) ?? priorityLoads(this.counts, this.panicThreshold())
    if (loads === null) return null
    const chosen = choosePriority(1 + Math.floor(this.random() * 100), loads)
    let index = chosen < 0 ? ~chosen : chosen
    for (const member of members) {
      const { length } = member.counts
      if (index < length) return member.pickAt(index, chosen < 0, context)
      index -= length
    }
    return null
  }
}
