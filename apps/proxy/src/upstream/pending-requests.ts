import type { CircuitBreaker } from './circuit-breaker.ts'
import type { ClusterStats } from './cluster-stats.ts'
import type { PoolWaiter } from './pool.ts'

/** Requests that wait for a connection of a pool, in order; the cluster's limit on pending requests bounds them. */
export class PendingRequests {
  private readonly stats: ClusterStats
  private readonly breaker: CircuitBreaker
  private readonly waiting: PoolWaiter[] = []

  constructor(stats: ClusterStats, breaker: CircuitBreaker) {
    this.stats = stats
    this.breaker = breaker
  }

  get length(): number {
    return this.waiting.length
  }

  /** A request has no connection yet; false: there are too many of those. `pass` or `wait` follows. */
  enter(): boolean {
    if (!this.breaker.take('pending')) {
      this.stats.pendingOverflow.inc()
      return false
    }
    this.stats.pendingTotal.inc()
    // However short, it has waited: the gauge counts as used.
    this.stats.pendingActive.add(0)
    return true
  }

  /**
   * A request has no connection yet: 'connect': one more is taken for it; null: it waits for one that there is, which `mayWait`
   * says; 'overflow': too many wait.
   */
  admit(waiter: PoolWaiter, endpointSlot: number, mayWait: boolean): 'connect' | null | 'overflow' {
    const { breaker } = this
    if (!this.enter()) return 'overflow'
    if (!breaker.takeConnection(endpointSlot)) {
      this.stats.connectionOverflow.inc()
      if (mayWait) {
        this.wait(waiter)
        return null
      }
      // An endpoint without any connection gets one over the limit, or its requests could wait for ever.
      breaker.force('connections')
    }
    this.pass()
    return 'connect'
  }

  /** The request that entered gets a connection at once. */
  pass(): void {
    this.breaker.release('pending')
  }

  /** The request that entered waits. */
  wait(waiter: PoolWaiter): void {
    this.waiting.push(waiter)
    this.stats.pendingActive.inc()
  }

  /** The one that waits longest leaves. */
  shift(): PoolWaiter | undefined {
    // Asked whenever a connection gets free, when nearly always nobody waits: without an array for it.
    return this.waiting.length === 0 ? undefined : this.take(0)
  }

  /** The waiter gave up. */
  remove(waiter: PoolWaiter): void {
    const at = this.waiting.indexOf(waiter)
    if (at >= 0) this.take(at)
  }

  private take(at: number): PoolWaiter | undefined {
    const [waiter] = this.waiting.splice(at, 1)
    if (waiter === undefined) return undefined
    this.stats.pendingActive.dec()
    this.breaker.release('pending')
    return waiter
  }
}

/** Who opens connections for pools of one kind of HTTP, where the handshake has to tell which kind it is. */
export interface PoolOwner {
  readonly waiting: PendingRequests
  /** Opens what those that wait need and may have. */
  grow(): void
}
