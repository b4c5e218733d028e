import net from 'node:net'
import tls, { type ConnectionOptions } from 'node:tls'
import { Connection, type ConnectionHandler } from '../transport/connection.ts'
import { type DirectWriter, notDirect, writeDirect } from '../transport/direct-handle.ts'
import { connectPlain, connectSecure } from '../transport/open-connection.ts'
import { recallPeer } from '../transport/peer-certificate.ts'
import { type ProxyHeader, type Tlv, writeProxyHeader } from '../transport/proxy-protocol.ts'
import { isOfTls, tlsFailure } from '../transport/tls-failure.ts'
import {
  PeerNotWanted,
  type ProxiedClient,
  type ProxyPrelude,
  type RequestNames,
  type UpstreamTls,
} from '../transport/upstream-tls.ts'
import type { WorkerServices } from '../worker-services.ts'
import type { ClusterStats } from './cluster-stats.ts'
import { connectTarget } from './connect-target.ts'
import type { Endpoint } from './endpoint.ts'
import { addressKey } from './endpoint-address.ts'
import type { UpstreamCluster } from './upstream-cluster.ts'

/** What the opening of a socket comes to. */
export interface SocketOpening {
  /** The one client of the connection; absent: it is for many. */
  readonly client?: ProxiedClient
  /** TCP and TLS handshakes are done. */
  onConnected(): void
  /** Why it failed, as Envoy words it; the close follows. */
  onFailure(text: string): void
}

/**
 * Connects to an endpoint, by TLS where the cluster says so. `offer`: the application protocols to offer, given those that the
 * cluster's TLS settings name. `names`: what the request has the handshake ask for.
 */
export function openSocket(
  cluster: UpstreamCluster,
  endpoint: Endpoint,
  services: Pick<WorkerServices, 'timers'>,
  handler: ConnectionHandler,
  names: RequestNames | null,
  offer: (configured: readonly string[]) => readonly string[],
  opening: SocketOpening,
): Connection {
  const { stats } = cluster
  const { timers } = services
  const target = connectTarget(endpoint.address, cluster.plan.nearEnds, endpoint.otherAddresses)
  const prepare = (socket: net.Socket): void => {
    target.prepare(socket)
    if (endpoint.otherAddresses.length > 0) countAttempts(socket, stats)
    if (cluster.plan.nearEnds.sources.length === 0) return
    socket.once('error', (error) => {
      if (isBindError(error)) stats.bindErrors.inc()
    })
  }
  const settings = cluster.tlsOf(endpoint)
  const security = settings?.connectOptions(endpoint.hostname, names) ?? null
  const prelude = settings?.prelude
  if (security === null) {
    return connectPlain(target.where, (socket) => {
      prepare(socket)
      if (prelude !== undefined) introduce(socket, prelude, opening.client, stats)
      socket.once('connect', () => opening.onConnected())
      return new Connection(socket, handler, timers, stats)
    })
  }
  if (security === 'not-ready') {
    // No certificate yet: fail as a connect failure would, on the next turn.
    const socket = new net.Socket()
    opening.onFailure('TLS_error:|secret is not supplied by SDS:TLS_error_end')
    queueMicrotask(() => socket.destroy())
    return new Connection(socket, handler, timers, null)
  }
  const alpn = names?.alpn ?? offer(settings?.alpn ?? [])
  const options: ConnectionOptions = {
    ...security,
    // Judged when the handshake is done, with all that the settings ask for.
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
    ...(alpn.length > 0 ? { ALPNProtocols: [...alpn] } : {}),
  }
  const watch = (socket: tls.TLSSocket) => {
    if (settings !== null) watchHandshake(socket, settings, security.session, endpoint.hostname, names, opening, stats.tls)
  }
  if (prelude === undefined) {
    return connectSecure({ ...options, ...target.where }, (socket) => {
      prepare(socket)
      watch(socket)
      return new Connection(socket, handler, timers, stats)
    })
  }
  // The header is written by the plain socket before the handshake takes it over.
  const plain = net.connect({ ...target.where, noDelay: true })
  prepare(plain)
  introduce(plain, prelude, opening.client, stats)
  const socket = tls.connect({ ...options, socket: plain })
  plain.once('error', (error) => socket.destroy(error))
  watch(socket)
  const connection = new Connection(socket, handler, timers, stats)
  connection.readAccepted()
  return connection
}

/** Each address that is tried counts as a connection; of the first its link has told. */
function countAttempts(socket: net.Socket, { connectionTotal }: ClusterStats): void {
  socket.once('connectionAttempt', () => socket.on('connectionAttempt', () => connectionTotal.inc()))
}

/** Says first whom the connection is for. */
function introduce(
  socket: net.Socket,
  { version, passes, added }: ProxyPrelude,
  client: ProxiedClient | undefined,
  { bytesWritten }: ClusterStats,
): void {
  const header = (addresses: ProxyHeader['addresses'], tlvs: readonly Tlv[] = []) =>
    writeProxyHeader({ version, addresses, tlvs })
  const write = (bytes: Buffer) => {
    socket.write(bytes, (error) => {
      if (!error) bytesWritten.add(bytes.length)
    })
  }
  if (client !== undefined) {
    const source = { address: client.remoteAddress, port: client.remotePort }
    const destination = { address: client.localAddress, port: client.localPort }
    const own = added(client)
    const passed = (client.tlvs ?? []).filter((tlv) => passes(tlv) && !own.some(({ type }) => type === tlv.type))
    write(header({ source, destination }, [...own, ...passed]))
    return
  }
  // A connection for many is the proxy's own: version 2 can say so, version 1 tells its addresses, as with Envoy.
  if (version === 2) {
    write(header(null))
    return
  }
  socket.once('connect', () => {
    const { localAddress = '', localPort = 0, remoteAddress = '', remotePort = 0 } = socket
    const bytes = header({
      source: { address: localAddress, port: localPort },
      destination: { address: remoteAddress, port: remotePort },
    })
    // Requests may wait in the socket's queue already: past it.
    if (writeDirect(socket, bytes, heedless) === notDirect) write(bytes)
    else bytesWritten.add(bytes.length)
  })
}

const heedless: DirectWriter = { quiet: null, onWriteEnd() {} }

function watchHandshake(
  socket: tls.TLSSocket,
  settings: UpstreamTls,
  offered: Buffer | undefined,
  hostname: string,
  names: RequestNames | null,
  opening: SocketOpening,
  stats: ClusterStats['tls'],
): void {
  const counters = { trust: stats.failVerify, name: stats.failSan, pin: stats.failHash, usage: stats.connectionError }
  socket.setNoDelay(true)
  let connected = false
  // Secrets are shared when the server has answered.
  let answered = false
  socket.once('keylog', () => {
    answered = true
  })
  const { keyLog } = settings
  if (keyLog !== null) socket.on('keylog', (line: Buffer) => keyLog(line, socket))
  // With TLS 1.2 it may come before the handshake is done.
  let early: Buffer | null = null
  socket.on('session', (session: Buffer) => {
    if (connected) settings.remember(session, socket, hostname, names)
    else early = session
  })
  socket.once('secureConnect', () => {
    if (offered !== undefined && socket.isSessionReused()) recallPeer(offered, socket)
    const verdict = settings.judge(socket, hostname, names)
    if (verdict !== null) {
      counters[verdict.problem.lacks].inc()
      if (!verdict.tolerated) {
        socket.destroy(new PeerNotWanted(verdict.problem))
        return
      }
    }
    connected = true
    stats.made(socket)
    if (early !== null) settings.remember(early, socket, hostname, names)
    opening.onConnected()
  })
  socket.once('error', (error) => {
    if (!(error instanceof PeerNotWanted) && isOfTls(error)) stats.connectionError.inc()
    // Where not even TCP came to be, nothing of TLS has failed.
    if (connected || isOfConnect(error)) return
    opening.onFailure(tlsFailure(error, answered).replaceAll(/\s+/g, '_'))
  })
}

/** TCP did not come to be; of several addresses: with none of them. */
function isOfConnect(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.every(isOfConnect)
  return error instanceof Error && 'syscall' in error && error.syscall === 'connect'
}

/** What is heard of a connection whose socket could not be made as it is to be; the log is told no more. */
export const socketOptionsFailure = 'Setting socket options failed'

/** Whether it failed here, before anything was sent. */
export function isLocalFailure(failure: string): boolean {
  return failure === socketOptionsFailure || failure.startsWith(bindFailure)
}

const bindFailure = 'failed to bind to '
const bindErrors: Readonly<Record<string, string>> = {
  EADDRNOTAVAIL: 'Cannot assign requested address',
  EADDRINUSE: 'Address already in use',
  EACCES: 'Permission denied',
}

function isBindError(error: Error | null): error is NodeJS.ErrnoException & { address: string; port?: number } {
  return error !== null && 'syscall' in error && error.syscall === 'bind'
}

/** A connect error as Envoy words it. */
export function describeConnectFailure(error: Error | null, failure: string): string {
  if (failure === '' || failure.startsWith('TLS_error')) return failure
  const code = error !== null && 'code' in error ? error.code : ''
  if (isBindError(error))
    return `${bindFailure}${addressKey(error.address, error.port ?? 0)}: ${bindErrors[error.code ?? ''] ?? error.message}`
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
      return `immediate connect error: No such file or directory|remote address:${error !== null && 'address' in error ? error.address : ''}`
    case 'ECONNRESET':
      return 'delayed connect error: Connection reset by peer'
    default:
      return error?.message ?? failure
  }
}
