import type { CircuitBreakers } from '@weft/contracts/envoy/config/cluster/v3/circuit_breaker'
import { durationMs } from '../plan/duration.ts'
import type { Runtime } from '../plan/runtime.ts'
import { cell, type EndpointSlab } from './endpoint-slab.ts'
import { RecentCount } from './recent-count.ts'

/** The limits of one priority. */
export interface BreakerLimits {
  maxConnections: number
  maxPending: number
  maxRequests: number
  maxRetries: number
  /** null: `maxRetries` counts. */
  retryBudget: { percent: number; min: number; intervalMs: number } | null
}

/** A cluster's limits of a priority, with what runtime keys (`circuit_breakers.<cluster>.<priority>.*`) say instead. */
export function breakerLimits(
  cluster: { name: string; circuitBreakers: CircuitBreakers | undefined },
  priority: 0 | 1,
  runtime: (key: string, fallback: number) => number,
): BreakerLimits {
  const limits = cluster.circuitBreakers?.thresholds.find((one) => one.priority === priority)
  const at = `circuit_breakers.${cluster.name}.${priority === 1 ? 'high' : 'default'}.`
  const budget = limits?.retryBudget
  const least = runtime(`${at}retry_budget.min_retry_concurrency`, budget === undefined ? -1 : (budget.minRetryConcurrency ?? 3))
  const percent = runtime(`${at}retry_budget.budget_percent`, budget === undefined ? -1 : (budget.budgetPercent?.value ?? 20))
  return {
    maxConnections: runtime(`${at}max_connections`, limits?.maxConnections ?? 1024),
    maxPending: runtime(`${at}max_pending_requests`, limits?.maxPendingRequests ?? 1024),
    maxRequests: runtime(`${at}max_requests`, limits?.maxRequests ?? 1024),
    maxRetries: runtime(`${at}max_retries`, limits?.maxRetries ?? 3),
    retryBudget:
      least < 0 && percent < 0
        ? null
        : {
            percent: percent < 0 ? 20 : percent,
            min: least < 0 ? 3 : least,
            intervalMs: durationMs(budget?.budgetInterval, 0),
          },
  }
}

/** How many retries may be under way, with so many requests (now, or begun within the budget's interval if it has one). */
export function retryLimit(limits: BreakerLimits, requests: number): number {
  const { retryBudget } = limits
  if (retryBudget === null) return limits.maxRetries
  return Math.max(retryBudget.min, Math.floor((requests * retryBudget.percent) / 100))
}

/** One priority's limits on a cluster, over all workers: counts stand in the shared slab. */
export class CircuitBreaker {
  readonly slot: number
  /** Connections to one host; Infinity: any number. */
  readonly maxHostConnections: number
  private readonly source: { name: string; circuitBreakers: CircuitBreakers | undefined }
  private readonly priority: 0 | 1
  private readonly runtime: Runtime
  private readonly slab: EndpointSlab
  private generation = -1
  private current: BreakerLimits | null = null
  private begun: RecentCount | null = null

  constructor(
    plan: { source: { name: string; circuitBreakers: CircuitBreakers | undefined }; runtime: Runtime },
    priority: 0 | 1,
    slab: EndpointSlab,
    slot: number,
  ) {
    this.source = plan.source
    this.runtime = plan.runtime
    this.priority = priority
    this.slab = slab
    this.slot = slot
    const host = plan.source.circuitBreakers?.perHostThresholds.find((one) => one.priority === priority)
    this.maxHostConnections = host?.maxConnections ?? Number.POSITIVE_INFINITY
  }

  /** As the runtime has them now. */
  private get limits(): BreakerLimits {
    const { runtime } = this
    if (this.current === null || this.generation !== runtime.generation) {
      this.generation = runtime.generation
      this.current = breakerLimits(this.source, this.priority, (key, fallback) => runtime.number(key, fallback))
    }
    return this.current
  }

  /** Takes one of a kind if the limit allows; give it back by `release`. */
  take(which: 'requests' | 'connections' | 'pending' | 'retries'): boolean {
    const { limits, slab, slot } = this
    switch (which) {
      case 'requests':
        if (!this.within(cell.activeRequests, limits.maxRequests)) return false
        this.countBegun()
        return true
      case 'connections':
        return this.within(cell.activeConnections, limits.maxConnections)
      case 'pending':
        return this.within(cell.pendingRequests, limits.maxPending)
      case 'retries': {
        const intervalMs = limits.retryBudget?.intervalMs ?? 0
        const requests =
          intervalMs > 0
            ? this.recent(intervalMs).since(slab.get(slot, cell.requestsTotal), performance.now())
            : slab.get(slot, cell.activeRequests) + slab.get(slot, cell.pendingRequests)
        return this.within(cell.activeRetries, retryLimit(limits, requests))
      }
    }
  }

  /** Takes a connection to a host, if the cluster's limit and that of the host allow. */
  takeConnection(hostSlot: number): boolean {
    if (this.maxHostConnections !== Number.POSITIVE_INFINITY) {
      if (this.slab.get(hostSlot, cell.activeConnections) >= this.maxHostConnections) return false
    }
    return this.take('connections')
  }

  /** Counts one although the limit is reached. */
  force(which: 'requests' | 'connections'): void {
    this.slab.add(this.slot, cellOf(which), 1)
    if (which === 'requests') this.countBegun()
  }

  release(which: 'requests' | 'connections' | 'pending' | 'retries'): void {
    this.slab.add(this.slot, cellOf(which), -1)
  }

  private countBegun(): void {
    const intervalMs = this.limits.retryBudget?.intervalMs ?? 0
    if (intervalMs === 0) return
    const before = this.slab.add(this.slot, cell.requestsTotal, 1) - 1
    this.recent(intervalMs).note(before, performance.now())
  }

  private recent(intervalMs: number): RecentCount {
    if (this.begun?.intervalMs !== intervalMs) this.begun = new RecentCount(intervalMs)
    return this.begun
  }

  private within(which: number, limit: number): boolean {
    if (this.slab.add(this.slot, which, 1) <= limit) return true
    this.slab.add(this.slot, which, -1)
    return false
  }
}

function cellOf(which: 'requests' | 'connections' | 'pending' | 'retries'): number {
  switch (which) {
    case 'requests':
      return cell.activeRequests
    case 'connections':
      return cell.activeConnections
    case 'pending':
      return cell.pendingRequests
    case 'retries':
      return cell.activeRetries
  }
}
