import type { ConnectionInfo } from '../../../transport/connection-info.ts'
import { meshAlpn } from '../../../transport/mesh-alpn.ts'
import { type LinkPlace, type LinkUser, UpstreamLink } from '../../../upstream/upstream-link.ts'
import type { SessionUpstream, SessionUpstreamEvents } from './session-upstream.ts'

/** The one connection to an endpoint of a TCP session. */
export class DirectUpstream implements SessionUpstream, LinkUser {
  private readonly place: LinkPlace
  private readonly events: SessionUpstreamEvents
  private readonly link: UpstreamLink
  /** The session waits for it. */
  private isPending = true
  /** The session is over: what becomes of the connection is for nobody. */
  private left = false

  constructor(place: LinkPlace, events: SessionUpstreamEvents) {
    this.place = place
    this.events = events
    const { stats } = place.endpoint.cluster
    stats.pendingTotal.inc()
    stats.pendingActive.inc()
    this.link = new UpstreamLink(place, this, (configured) => configured.filter((name) => name !== meshAlpn))
  }

  private endPending(): void {
    if (!this.isPending) return
    this.isPending = false
    this.place.endpoint.cluster.stats.pendingActive.dec()
  }

  onConnected(): void {
    if (this.left) return
    this.endPending()
    this.place.endpoint.cluster.stats.requestTotal.inc()
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
    this.link.connection.endWriting()
  }

  pause(): void {
    this.link.connection.pause()
  }

  resume(): void {
    this.link.connection.resume()
  }

  closeWhenFlushed(): void {
    this.left = true
    this.endPending()
    this.link.localClose = true
    this.link.connection.closeWhenFlushed()
  }

  // ConnectionHandler

  onBytes(bytes: Buffer, start: number, end: number): void {
    this.events.onBytes(bytes, start, end)
  }

  onEnd(): void {
    this.link.remoteEnd = true
    this.events.onEnd()
  }

  onWritable(): void {
    this.events.onWritable()
  }

  onClose(error: Error | null): void {
    const { link } = this
    if (!link.countEnd(false)) return
    this.endPending()
    if (!link.connected && !this.left) this.place.endpoint.cluster.stats.pendingFailureEject.inc()
    const reset = link.connected && error !== null && 'code' in error && error.code === 'ECONNRESET'
    this.events.onClose(link.describeLoss(error), reset)
  }
}
