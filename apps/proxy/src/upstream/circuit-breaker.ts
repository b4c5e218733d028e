import type { CircuitBreakers } from '@weft/contracts/envoy/config/cluster/v3/circuit_breaker'
import { cell, type EndpointSlab } from './endpoint-slab.ts'

/** One priority's limits on a cluster, over all workers: counts stand in the shared slab. */
export class CircuitBreaker {
  readonly maxConnections: number
  readonly maxPending: number
  readonly maxRequests: number
  private readonly maxRetries: number
  private readonly budget: { percent: number; min: number } | null
  readonly slot: number
  private readonly slab: EndpointSlab

  constructor(source: CircuitBreakers | undefined, priority: 0 | 1, slab: EndpointSlab, slot: number) {
    const limits = source?.thresholds.find((one) => one.priority === priority)
    this.maxConnections = limits?.maxConnections ?? 1024
    this.maxPending = limits?.maxPendingRequests ?? 1024
    this.maxRequests = limits?.maxRequests ?? 1024
    this.maxRetries = limits?.maxRetries ?? 3
    const budget = limits?.retryBudget
    this.budget =
      budget === undefined ? null : { percent: budget.budgetPercent?.value ?? 20, min: budget.minRetryConcurrency ?? 3 }
    this.slab = slab
    this.slot = slot
  }

  /** Takes one of a kind if the limit allows; give it back by `release`. */
  take(which: 'requests' | 'connections' | 'pending' | 'retries'): boolean {
    const { slab, slot } = this
    switch (which) {
      case 'requests':
        return this.within(cell.activeRequests, this.maxRequests)
      case 'connections':
        return this.within(cell.activeConnections, this.maxConnections)
      case 'pending':
        return this.within(cell.pendingRequests, this.maxPending)
      case 'retries': {
        if (this.budget === null) return this.within(cell.activeRetries, this.maxRetries)
        const active = slab.get(slot, cell.activeRequests) + slab.get(slot, cell.pendingRequests)
        return this.within(cell.activeRetries, Math.max(this.budget.min, Math.floor((active * this.budget.percent) / 100)))
      }
    }
  }

  /** Counts one although the limit is reached. */
  force(which: 'connections'): void {
    if (which === 'connections') this.slab.add(this.slot, cell.activeConnections, 1)
  }

  release(which: 'requests' | 'connections' | 'pending' | 'retries'): void {
    this.slab.add(this.slot, cells[which], -1)
  }

  private within(which: number, limit: number): boolean {
    if (this.slab.add(this.slot, which, 1) <= limit) return true
    this.slab.add(this.slot, which, -1)
    return false
  }
}

const cells = {
  requests: cell.activeRequests,
  connections: cell.activeConnections,
  pending: cell.pendingRequests,
  retries: cell.activeRetries,
} as const
