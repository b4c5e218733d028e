import type { ConnectionInfo } from '../../../transport/connection-info.ts'
import { meshAlpn } from '../../../transport/mesh-alpn.ts'
import { cell } from '../../../upstream/endpoint-slab.ts'
import { type LinkPlace, type LinkUser, UpstreamLink } from '../../../upstream/upstream-link.ts'
import type { SessionUpstream, SessionUpstreamEvents } from './session-upstream.ts'

/** The one connection to an endpoint of a TCP session. Limits count it as a pending request (taken), and as a request once it stands. */
export class DirectUpstream implements SessionUpstream, LinkUser {
  private readonly place: LinkPlace
  private readonly events: SessionUpstreamEvents
  private readonly link: UpstreamLink
  /** What the session counts as: it waits for the connection, has it, or neither. */
  private stage: 'pending' | 'active' | 'ended' = 'pending'
  /** The session is over: what becomes of the connection is for nobody. */
  private left = false
  private writingEnded = false

  constructor(place: LinkPlace, events: SessionUpstreamEvents) {
    this.place = place
    this.events = events
    const { stats } = place.endpoint.cluster
    stats.pendingTotal.inc()
    stats.pendingActive.inc()
    this.link = new UpstreamLink(place, this, (configured) => configured.filter((name) => name !== meshAlpn))
  }

  private endStage(): void {
    const { stage, place } = this
    const { endpoint, breaker } = place
    const { stats, slab } = endpoint.cluster
    this.stage = 'ended'
    if (stage === 'pending') {
      stats.pendingActive.dec()
      breaker.release('pending')
    } else if (stage === 'active') {
      stats.requestActive.dec()
      endpoint.active--
      slab.add(endpoint.slot, cell.activeRequests, -1)
      breaker.release('requests')
    }
  }

  onConnected(): void {
    if (this.left) return
    this.endStage()
    const { endpoint, breaker } = this.place
    const { stats, slab, maxRequests } = endpoint.cluster
    this.stage = 'active'
    if (maxRequests === 1) stats.maxRequests.inc()
    stats.requestTotal.inc()
    stats.requestActive.inc()
    endpoint.active++
    slab.add(endpoint.slot, cell.activeRequests, 1)
    breaker.force('requests')
    this.link.keepLocalAddress()
    this.events.onConnected()
  }

  // SessionUpstream

  get info(): ConnectionInfo {
    return this.link
  }

  get buffered(): number {
    return this.link.connection.buffered
  }

  write(bytes: Buffer, start: number, end: number): boolean {
    return this.link.connection.write(bytes, start, end)
  }

  endWriting(): void {
    this.writingEnded = true
    this.link.connection.endWriting()
  }

  pause(): void {
    this.link.connection.pause()
  }

  resume(): void {
    this.link.connection.resume()
  }

  closeWhenFlushed(): void {
    this.leave()
    this.link.connection.closeWhenFlushed()
  }

  resetNow(): void {
    this.leave()
    this.link.connection.resetNow()
  }

  private leave(): void {
    this.left = true
    if (this.stage === 'pending') this.endStage()
    this.link.localClose = true
  }

  // ConnectionHandler

  onBytes(bytes: Buffer, start: number, end: number): void {
    this.events.onBytes(bytes, start, end)
  }

  onEnd(): void {
    // One that ends before we do is left to us to close.
    if (this.writingEnded) this.link.remoteEnd = true
    this.events.onEnd()
  }

  onWritable(): void {
    this.events.onWritable()
  }

  onClose(error: Error | null): void {
    const { link } = this
    if (!link.countEnd(true)) return
    this.endStage()
    if (!link.connected && !this.left) this.place.endpoint.cluster.stats.pendingFailureEject.inc()
    const reset = link.connected && error !== null && 'code' in error && error.code === 'ECONNRESET'
    this.events.onClose(link.describeLoss(error), reset)
  }
}
