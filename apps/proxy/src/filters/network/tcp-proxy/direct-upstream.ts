import type { Connection, ConnectionHandler } from '../../../transport/connection.ts'
import { nextConnectionId } from '../../../transport/connection-id.ts'
import type { ConnectionInfo } from '../../../transport/connection-info.ts'
import { meshAlpn } from '../../../transport/mesh-alpn.ts'
import { Timeout } from '../../../transport/timer-wheel.ts'
import { clientTlsInfo } from '../../../transport/tls-info.ts'
import type { Cluster } from '../../../upstream/cluster.ts'
import type { Endpoint } from '../../../upstream/endpoint.ts'
import { cell } from '../../../upstream/endpoint-slab.ts'
import { describeConnectFailure, openSocket } from '../../../upstream/open-socket.ts'
import { noteConnected } from '../../../upstream/outcome.ts'
import type { AcceptedInfo, ConnectionServices } from '../filter.ts'
import type { SessionUpstream, SessionUpstreamEvents } from './session-upstream.ts'

/** The one connection to an endpoint of a TCP session; one of the cluster's connections has been taken for it. */
export class DirectUpstream implements SessionUpstream, ConnectionHandler {
  info!: ConnectionInfo
  private readonly cluster: Cluster
  private readonly endpoint: Endpoint
  private readonly services: ConnectionServices
  private readonly events: SessionUpstreamEvents
  private readonly connection: Connection
  private readonly connectTimer: Timeout
  private readonly startedMs = performance.now()
  private connected = false
  private connectTimedOut = false
  private openingFailure = ''
  private localClose = false
  private ended = false

  constructor(
    cluster: Cluster,
    endpoint: Endpoint,
    accepted: AcceptedInfo,
    services: ConnectionServices,
    events: SessionUpstreamEvents,
  ) {
    this.cluster = cluster
    this.endpoint = endpoint
    this.services = services
    this.events = events
    const { stats, slab } = cluster
    stats.connectionTotal.inc()
    stats.connectionActive.inc()
    stats.pendingTotal.inc()
    slab.add(endpoint.slot, cell.activeConnections, 1)
    slab.add(endpoint.slot, cell.connectionsTotal, 1)
    this.connectTimer = new Timeout(() => {
      stats.connectTimeout.inc()
      this.connectTimedOut = true
      this.connection.destroy()
    })
    services.timers.arm(this.connectTimer, cluster.connectTimeoutMs)
    const offer = (configured: readonly string[]) => configured.filter((name) => name !== meshAlpn)
    this.connection = openSocket(cluster, endpoint, services, this, null, offer, {
      onConnected: () => this.onConnected(),
      onFailure: (text) => {
        this.openingFailure = text
      },
      client: accepted,
    })
  }

  private onConnected(): void {
    if (this.localClose) return
    this.connected = true
    const { cluster, endpoint, connection } = this
    this.services.timers.cancel(this.connectTimer)
    cluster.stats.requestTotal.inc()
    cluster.stats.connectMs.record(Math.round(performance.now() - this.startedMs))
    noteConnected(endpoint, true)
    const { socket } = connection
    this.info = {
      id: nextConnectionId(),
      remoteAddress: endpoint.address.type === 'ip' ? endpoint.address.host : endpoint.address.path,
      remotePort: endpoint.address.type === 'ip' ? endpoint.address.port : 0,
      localAddress: socket.localAddress ?? '',
      localPort: socket.localPort ?? 0,
      tls: clientTlsInfo(socket),
      serverName: '',
    }
    this.events.onConnected()
  }

  // SessionUpstream

  get buffered(): number {
    return this.connection.buffered
  }

  write(bytes: Buffer, start: number, end: number): boolean {
    return this.connection.write(bytes, start, end)
  }

  endWriting(): void {
    this.connection.endWriting()
  }

  pause(): void {
    this.connection.pause()
  }

  resume(): void {
    this.connection.resume()
  }

  closeWhenFlushed(): void {
    this.localClose = true
    this.connection.closeWhenFlushed()
  }

  // ConnectionHandler

  onBytes(bytes: Buffer, start: number, end: number): void {
    this.events.onBytes(bytes, start, end)
  }

  onEnd(): void {
    this.ended = true
    this.events.onEnd()
  }

  onWritable(): void {
    this.events.onWritable()
  }

  onClose(error: Error | null): void {
    const { cluster, endpoint } = this
    const { stats, slab } = cluster
    this.services.timers.cancel(this.connectTimer)
    stats.connectionActive.dec()
    stats.connectionDestroy.inc()
    if (this.localClose && !this.ended) stats.destroyLocal.inc()
    else stats.destroyRemote.inc()
    stats.connectionLength.record(Math.round(performance.now() - this.startedMs))
    slab.add(endpoint.slot, cell.activeConnections, -1)
    cluster.breakers[0].release('connections')
    if (!this.connected && !this.localClose) {
      stats.connectFail.inc()
      stats.pendingFailureEject.inc()
      slab.add(endpoint.slot, cell.connectFailures, 1)
    }
    this.events.onClose(
      this.connectTimedOut ? 'connection timeout' : describeConnectFailure(error, this.openingFailure || 'remote closed'),
    )
  }
}
