import { PendingRequests } from './pending-requests.ts'
import type { PooledConnection, UpstreamPool } from './pool.ts'
import { TcpUpstreamConnection } from './tcp-upstream-connection.ts'
import type { LinkPlace } from './upstream-link.ts'

/** The bare connections of this worker to one endpoint, each for the one CONNECT (or POST) that ends here and goes on as its body's bytes. */
export class TcpPool implements UpstreamPool {
  private readonly place: LinkPlace
  private readonly waiting: PendingRequests
  private readonly all = new Set<TcpUpstreamConnection>()

  constructor(place: LinkPlace) {
    this.place = place
    this.waiting = new PendingRequests(place.endpoint.cluster.stats, place.breaker)
  }

  get size(): number {
    return this.all.size
  }

  acquire(): PooledConnection | 'overflow' {
    const { waiting, place } = this
    const { endpoint, breaker } = place
    if (!waiting.enter()) return 'overflow'
    waiting.pass()
    if (!breaker.takeConnection(endpoint.slot)) {
      // Nobody knows how long those that there are may last: there is nothing to wait for.
      endpoint.cluster.stats.connectionOverflow.inc()
      return 'overflow'
    }
    const connection = new TcpUpstreamConnection(this, place)
    this.all.add(connection)
    return connection
  }

  /** Nobody waits. */
  forget(): void {}

  onClosed(connection: TcpUpstreamConnection): void {
    this.all.delete(connection)
  }

  /** None is ever idle. */
  drain(): void {}

  closeAll(): void {
    for (const connection of [...this.all]) connection.close()
  }
}
