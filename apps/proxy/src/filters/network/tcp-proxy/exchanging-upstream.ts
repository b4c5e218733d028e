import type { ConnectionInfo } from '../../../transport/connection-info.ts'
import type { LinkPlace } from '../../../upstream/upstream-link.ts'
import { type ExchangeCounters, introduction, type PeerExchange, readIntroduction } from '../../istio/peer-exchange.ts'
import { noPeerKey, peerKeys } from '../../istio/workload-metadata.ts'
import { DirectUpstream } from './direct-upstream.ts'
import type { SessionUpstream, SessionUpstreamEvents } from './session-upstream.ts'

/**
 * A session's connection on which the endpoint's sidecar is told first who the client is, and tells who the endpoint is (filter
 * state `upstream_peer`), where the handshake agreed on it.
 */
export class ExchangingUpstream implements SessionUpstream, SessionUpstreamEvents {
  private readonly exchange: PeerExchange
  private readonly counters: ExchangeCounters
  private readonly place: LinkPlace
  private readonly state: Map<string, unknown>
  private readonly events: SessionUpstreamEvents
  private readonly inner: DirectUpstream
  private writes: 'new' | 'introduced' | 'plain' = 'new'
  /** What came of the endpoint's introduction; null: it is over. */
  private came: Buffer | null = Buffer.alloc(0)

  constructor(
    exchange: PeerExchange,
    counters: ExchangeCounters,
    place: LinkPlace,
    state: Map<string, unknown>,
    events: SessionUpstreamEvents,
  ) {
    this.exchange = exchange
    this.counters = counters
    this.place = place
    this.state = state
    this.events = events
    this.inner = new DirectUpstream(place, this)
  }

  /** Sends the introduction, once, where the endpoint understands it. */
  private introduce(): void {
    if (this.writes !== 'new') return
    if (this.inner.info.tls?.alpn !== this.exchange.protocol) {
      this.writes = 'plain'
      this.came = null
      this.counters.notSpoken.inc()
      this.state.set(noPeerKey, true)
      return
    }
    this.writes = 'introduced'
    this.counters.spoken.inc()
    this.counters.told.inc()
    const own = introduction(this.place.endpoint.cluster.services.node, this.exchange)
    this.inner.write(own, 0, own.length)
  }

  // SessionUpstreamEvents

  onConnected(): void {
    this.events.onConnected()
  }

  onBytes(bytes: Buffer, start: number, end: number): void {
    this.introduce()
    if (this.came === null) {
      this.events.onBytes(bytes, start, end)
      return
    }
    const came = Buffer.concat([this.came, bytes.subarray(start, end)])
    const found = readIntroduction(came, this.exchange)
    if (found === 'more') {
      this.came = came
      return
    }
    this.came = null
    if (found === 'none') {
      this.counters.noIntroduction.inc()
      this.state.set(noPeerKey, true)
      this.events.onBytes(came, 0, came.length)
      return
    }
    if (found.peer === null) this.counters.noMetadata.inc()
    else for (const key of peerKeys.upstream) this.state.set(key, found.peer)
    if (came.length > found.bytes) this.events.onBytes(came, found.bytes, came.length)
  }

  onEnd(): void {
    const { came } = this
    this.came = null
    if (came !== null && came.length > 0) this.events.onBytes(came, 0, came.length)
    this.events.onEnd()
  }

  onWritable(): void {
    this.events.onWritable()
  }

  onClose(failure: string, reset?: boolean): void {
    this.events.onClose(failure, reset)
  }

  // SessionUpstream

  get info(): ConnectionInfo {
    return this.inner.info
  }

  get buffered(): number {
    return this.inner.buffered
  }

  write(bytes: Buffer, start: number, end: number): boolean {
    this.introduce()
    return this.inner.write(bytes, start, end)
  }

  endWriting(): void {
    this.inner.endWriting()
  }

  pause(): void {
    this.inner.pause()
  }

  resume(): void {
    this.inner.resume()
  }

  closeWhenFlushed(): void {
    this.inner.closeWhenFlushed()
  }

  resetNow(): void {
    this.inner.resetNow()
  }
}
