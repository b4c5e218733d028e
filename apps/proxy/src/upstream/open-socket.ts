import net from 'node:net'
import tls from 'node:tls'
import { Connection, type ConnectionHandler, connectPlain } from '../transport/connection.ts'
import type { WorkerServices } from '../worker-services.ts'
import type { Cluster } from './cluster.ts'
import type { Endpoint } from './endpoint.ts'

/** What the opening of a socket comes to. */
export interface SocketOpening {
  /** TCP and TLS handshakes are done. */
  onConnected(): void
  /** Why it failed, as Envoy words it; the close follows. */
  onFailure(text: string): void
}

/** A connection whose handshakes are done, and when they began. */
export interface Opened {
  readonly connection: Connection
  readonly startedMs: number
}

/**
 * Connects to an endpoint, by TLS where the cluster says so. `offer`: the application protocols to offer, given those that the
 * cluster's TLS settings name.
 */
export function openSocket(
  cluster: Cluster,
  endpoint: Endpoint,
  services: WorkerServices,
  handler: ConnectionHandler,
  serverName: string,
  offer: (configured: readonly string[]) => readonly string[],
  opening: SocketOpening,
): Connection {
  const { address } = endpoint
  const { stats } = cluster
  const target: net.NetConnectOpts = address.type === 'ip' ? { host: address.host, port: address.port } : { path: address.path }
  const settings = cluster.tlsOf(endpoint)
  const security = settings?.connectOptions(endpoint.hostname, serverName) ?? null
  if (security === null) {
    return connectPlain(target, (socket) => {
      socket.once('connect', () => opening.onConnected())
      return new Connection(socket, handler, services.timers, stats)
    })
  }
  if (security === 'not-ready') {
    // No certificate yet: fail as a connect failure would, on the next turn.
    const socket = new net.Socket()
    opening.onFailure('TLS_error:|secret is not supplied by SDS:TLS_error_end')
    queueMicrotask(() => socket.destroy())
    return new Connection(socket, handler, services.timers, null)
  }
  let connected = false
  const alpn = offer(settings?.alpn ?? [])
  const socket = tls.connect({ ...security, ...(alpn.length > 0 ? { ALPNProtocols: [...alpn] } : {}), ...target })
  socket.setNoDelay(true)
  socket.once('secureConnect', () => {
    connected = true
    stats.sslHandshake.inc()
    opening.onConnected()
  })
  socket.once('error', (error) => {
    if (connected) return
    stats.sslConnectionError.inc()
    opening.onFailure(`TLS_error:|${error.message.replaceAll(/\s+/g, '_')}:TLS_error_end`)
  })
  const connection = new Connection(socket, handler, services.timers, stats)
  connection.readByEvents()
  return connection
}

/** A connect error as Envoy words it. */
export function describeConnectFailure(error: Error | null, failure: string): string {
  if (failure.startsWith('TLS_error')) return failure
  const code = error !== null && 'code' in error ? error.code : ''
  switch (code) {
    case 'ECONNREFUSED':
      return 'delayed connect error: Connection refused'
    case 'EHOSTUNREACH':
      return 'delayed connect error: No route to host'
    case 'ENETUNREACH':
      return 'immediate connect error: Network is unreachable'
    case 'ETIMEDOUT':
      return 'delayed connect error: Connection timed out'
    case 'ENOENT':
      return 'immediate connect error: No such file or directory'
    case 'ECONNRESET':
      return 'delayed connect error: Connection reset by peer'
    default:
      return error?.message ?? failure
  }
}
