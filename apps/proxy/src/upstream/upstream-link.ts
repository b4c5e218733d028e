import type { Connection, ConnectionHandler } from '../transport/connection.ts'
import { nextConnectionId } from '../transport/connection-id.ts'
import type { ConnectionInfo, TlsInfo } from '../transport/connection-info.ts'
import { Timeout } from '../transport/timer-wheel.ts'
import { clientTlsInfo } from '../transport/tls-info.ts'
import type { ProxiedClient, RequestNames } from '../transport/upstream-tls.ts'
import type { CircuitBreaker } from './circuit-breaker.ts'
import type { Endpoint } from './endpoint.ts'
import { cell } from './endpoint-slab.ts'
import { describeConnectFailure, openSocket, socketOptionsFailure } from './open-socket.ts'
import { noteConnected } from './outcome.ts'

/** How `describeLoss` words it that the cluster's time for a connection was up: no failure of the transport. */
export const connectionTimeout = 'connection timeout'

/** What logs are told of a connection that failed so: not what its reason alone says. */
export function toldFailure(failure: string): string {
  return failure === connectionTimeout || failure === socketOptionsFailure ? '' : failure
}

/** What the connections of a pool, or the one of a TCP session, are made with. */
export interface LinkPlace {
  readonly endpoint: Endpoint
  readonly breaker: CircuitBreaker
  /** What requests have the handshake ask for; null: nothing. */
  readonly names: RequestNames | null
  /** The only one whose requests the connections are for; null: they are for all. */
  readonly client: ProxiedClient | null
  /** Whether it is a TCP session's, which has no other answer to judge an endpoint by than the connection itself. */
  readonly isSession?: boolean
}

/** Who uses a link; bytes come when the handshakes are done. */
export interface LinkUser extends ConnectionHandler {
  /** The handshakes are done. */
  onConnected(): void
}

/**
 * What every upstream connection is below its protocol: a socket that is opened within the cluster's time, and counted when
 * it begins, stands and ends. One of the breaker's connections has been taken for it, and is given back at its end.
 */
export class UpstreamLink implements ConnectionInfo {
  readonly id = nextConnectionId()
  readonly serverName = ''
  readonly connectStartMs = performance.now()
  connectEndMs = -1
  tls: TlsInfo | null = null
  readonly connection: Connection
  /** Whether the handshakes are done. */
  connected = false
  /** Its own end, for when it is closed. */
  private local = { address: '', port: 0 }
  /** We end it … */
  localClose = false
  /** … behind the peer, who has ended it already. */
  remoteEnd = false
  private readonly place: LinkPlace
  private user: LinkUser
  private readonly connectTimer: Timeout
  private failure = 'remote closed'
  private timedOut = false
  private ended = false

  /** Begins the handshakes. `offer`: the application protocols, given those that the cluster's TLS settings name. */
  constructor(place: LinkPlace, user: LinkUser, offer: (configured: readonly string[]) => readonly string[]) {
    this.place = place
    this.user = user
    const { endpoint, names, client, isSession = false } = place
    const { cluster, slot } = endpoint
    const { peerExchange } = cluster.plan
    // Only TCP sessions speak it.
    const offered: typeof offer =
      peerExchange === null || isSession ? offer : (all) => offer(all.filter((name) => name !== peerExchange.protocol))
    const { services, stats, slab } = cluster
    stats.connectionTotal.inc()
    stats.connectionActive.inc()
    slab.add(slot, cell.activeConnections, 1)
    slab.add(slot, cell.connectionsTotal, 1)
    this.connectTimer = new Timeout(() => {
      this.timedOut = true
      stats.connectTimeout.inc()
      this.destroy()
    })
    this.connection = openSocket(cluster, endpoint, services, user, names, offered, {
      onConnected: () => this.onConnected(),
      onFailure: (text) => {
        this.failure = text
      },
      ...(client === null ? {} : { client }),
    })
    services.timers.arm(this.connectTimer, cluster.connectTimeoutMs)
  }

  private onConnected(): void {
    if (this.ended) return
    const { endpoint, isSession = false } = this.place
    const { services, stats } = endpoint.cluster
    this.connected = true
    this.connectEndMs = performance.now()
    this.tls = clientTlsInfo(this.connection.socket)
    // Requests that it breaks off tell where they came from. Sessions, each with a connection of its own, ask when they end.
    if (!isSession) this.keepLocalAddress()
    services.timers.cancel(this.connectTimer)
    noteConnected(endpoint, isSession)
    stats.connectMs.record(Math.round(this.connectEndMs - this.connectStartMs))
    this.user.onConnected()
  }

  /** From now on it is another's. */
  handTo(user: LinkUser): void {
    this.user = user
    this.connection.handler = user
  }

  /** Ends it now. */
  destroy(): void {
    this.localClose = true
    this.keepLocalAddress()
    this.connection.destroy()
  }

  /** A socket that is closed knows no address any more. */
  keepLocalAddress(): void {
    this.local = { address: this.localAddress, port: this.localPort }
  }

  /** Counts the end, once: false when it was counted. `withRequest`: some request was under way. */
  countEnd(withRequest: boolean): boolean {
    if (this.ended) return false
    this.ended = true
    const { endpoint, breaker } = this.place
    const { services, stats, slab } = endpoint.cluster
    services.timers.cancel(this.connectTimer)
    stats.connectionActive.dec()
    stats.connectionLength.record(Math.round(performance.now() - this.connectStartMs))
    stats.connectionDestroy.inc()
    const local = this.localClose && !this.remoteEnd
    if (local) stats.destroyLocal.inc()
    else stats.destroyRemote.inc()
    if (withRequest && this.connected) {
      stats.destroyWithRequest.inc()
      if (local) stats.destroyLocalWithRequest.inc()
      else stats.destroyRemoteWithRequest.inc()
    }
    if (!this.connected) {
      stats.connectFail.inc()
      slab.add(endpoint.slot, cell.connectFailures, 1)
    }
    slab.add(endpoint.slot, cell.activeConnections, -1)
    breaker.release('connections')
    return true
  }

  /** What those that were on it, or waited for it, hear of its end. */
  get lossReason(): 'connection-closed' | 'connect-failure' {
    return this.connected ? 'connection-closed' : 'connect-failure'
  }

  /** The same in words, as Envoy's. */
  describeLoss(error: Error | null): string {
    if (this.connected) return this.failure
    return this.timedOut ? connectionTimeout : describeConnectFailure(error, this.failure)
  }

  // ConnectionInfo

  get remoteAddress(): string {
    const { address } = this.place.endpoint
    return address.type === 'ip' ? address.host : address.path
  }

  get remotePort(): number {
    const { address } = this.place.endpoint
    return address.type === 'ip' ? address.port : 0
  }

  get localAddress(): string {
    return this.connection.socket.localAddress ?? this.local.address
  }

  get localPort(): number {
    return this.connection.socket.localPort ?? this.local.port
  }
}
