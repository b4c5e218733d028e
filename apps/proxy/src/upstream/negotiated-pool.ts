import tls from 'node:tls'
import { isHttp2Alpn } from '../transport/mesh-alpn.ts'
import { Http1Pool } from './http1-pool.ts'
import { Http2Pool } from './http2-pool.ts'
import { PendingRequests, type PoolOwner } from './pending-requests.ts'
import type { PooledConnection, PoolWaiter, UpstreamPool } from './pool.ts'
import { type LinkPlace, type LinkUser, UpstreamLink } from './upstream-link.ts'

/**
 * The connections of this worker to one endpoint that is asked in the TLS handshake (ALPN) which HTTP it takes. Requests
 * wait for the handshake; then the connection goes to the pool of its HTTP. An endpoint may answer otherwise another time.
 */
export class NegotiatedPool implements UpstreamPool, PoolOwner, NegotiationOwner {
  readonly waiting: PendingRequests
  private readonly place: LinkPlace
  private readonly http1: Http1Pool
  private readonly http2: Http2Pool
  private readonly opening = new Set<Negotiation>()
  /** How many requests a connection under way is for: as the endpoint's last one was. */
  private worth = presumedStreams

  constructor(place: LinkPlace) {
    this.place = place
    this.waiting = new PendingRequests(place.endpoint.cluster.stats, place.breaker)
    this.http1 = new Http1Pool(place, this)
    this.http2 = new Http2Pool(place, this)
  }

  get size(): number {
    return this.http1.size + this.http2.size + this.opening.size
  }

  acquire(waiter: PoolWaiter): PooledConnection | null | 'overflow' {
    const free = this.http2.free() ?? this.http1.free()
    if (free !== null) return free
    if (!this.waiting.enter()) return 'overflow'
    this.waiting.wait(waiter)
    this.grow()
    return null
  }

  grow(): void {
    const { endpoint, breaker } = this.place
    while (this.waiting.length > this.opening.size * this.worth) {
      if (!breaker.takeConnection(endpoint.slot)) {
        endpoint.cluster.stats.connectionOverflow.inc()
        // An endpoint without any connection gets one over the limit, or its requests could wait for ever.
        if (this.size > 0) return
        breaker.force('connections')
      }
      this.opening.add(new Negotiation(this, this.place))
    }
  }

  onDecided(negotiation: Negotiation, link: UpstreamLink, http2: boolean): void {
    this.opening.delete(negotiation)
    this.worth = http2 ? presumedStreams : 1
    const pool = http2 ? this.http2 : this.http1
    pool.adopt(link)
    this.grow()
  }

  /** With it fails what waited, as with Envoy. */
  onFailed(negotiation: Negotiation, why: string): void {
    this.opening.delete(negotiation)
    for (let left = this.waiting.length; left > 0; left--) this.waiting.shift()?.onResponseReset('connect-failure', why)
  }

  forget(waiter: PoolWaiter): void {
    this.waiting.remove(waiter)
  }

  drain(): void {
    this.http1.drain()
    this.http2.drain()
  }

  closeAll(): void {
    for (const one of [...this.opening]) one.abandon()
    this.http1.closeAll()
    this.http2.closeAll()
  }
}

interface NegotiationOwner {
  /** The endpoint has said which HTTP it is. */
  onDecided(negotiation: Negotiation, link: UpstreamLink, http2: boolean): void
  onFailed(negotiation: Negotiation, why: string): void
}

/** A connection whose handshakes are under way. */
class Negotiation implements LinkUser {
  private readonly owner: NegotiationOwner
  private readonly link: UpstreamLink

  constructor(owner: NegotiationOwner, place: LinkPlace) {
    this.owner = owner
    this.link = new UpstreamLink(place, this, (configured) => (configured.length > 0 ? configured : ['h2', 'http/1.1']))
  }

  onConnected(): void {
    const { socket } = this.link.connection
    this.owner.onDecided(this, this.link, socket instanceof tls.TLSSocket && isHttp2Alpn(socket.alpnProtocol))
  }

  abandon(): void {
    this.link.destroy()
  }

  // ConnectionHandler; once the handshakes are done the connection has another.

  onBytes(): void {}

  onEnd(): void {
    this.link.connection.destroy()
  }

  onWritable(): void {}

  onClose(error: Error | null): void {
    if (this.link.countEnd(false)) this.owner.onFailed(this, this.link.describeLoss(error))
  }
}

/** Streams that an endpoint is thought to take until it has said how many. */
const presumedStreams = 100
