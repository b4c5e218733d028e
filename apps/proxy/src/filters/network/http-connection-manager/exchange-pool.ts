import type { ServerStream } from '@weft/http/stream'
import type { Downstream } from './downstream.ts'
import { Exchange, type ExchangeOwner } from './exchange.ts'

/** Exchanges that are kept for later requests. */
const maxSpare = 128

/**
 * The exchanges of a connection manager, each used again for a later request of any of its connections: the one that ended last
 * goes first, as it is still in the processor's caches, and idle connections hold none.
 */
export class ExchangePool {
  private readonly spare: Exchange[] = []

  /** For a request that `downstream` begins. */
  take(downstream: Downstream, sender: ServerStream, owner: ExchangeOwner): Exchange {
    const exchange = this.spare.pop() ?? new Exchange(downstream, this.free)
    exchange.begin(downstream, sender, owner)
    return exchange
  }

  private readonly free = (exchange: Exchange): void => {
    if (this.spare.length < maxSpare) this.spare.push(exchange)
    else exchange.dispose()
  }
}

/** A connection whose requests take their exchanges from a pool, which changes with its plan. */
export interface PooledDownstream extends Downstream {
  readonly exchanges: ExchangePool
}
