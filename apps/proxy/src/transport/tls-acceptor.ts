import type { Socket } from 'node:net'
import type { Server, TLSSocket } from 'node:tls'
import type { TlsInfo } from '../filters/http/filter.ts'
import type { Counter, Stats } from '../observe/stats.ts'
import type { FilterChainPlan } from '../plan/listener.ts'
import type { TlsMaterial } from '../plan/tls-context.ts'
import type { ClientHello } from './client-hello.ts'
import { tlsInfoOf } from './tls-info.ts'

/** A listener's TLS stats (`listener.<address>.ssl.`). */
export class TlsStats {
  readonly handshake: Counter
  readonly connectionError: Counter
  readonly failNoCertificate: Counter
  readonly failVerify: Counter
  readonly failSan: Counter
  readonly noCertificate: Counter
  readonly sessionReused: Counter
  private readonly stats: Stats
  private readonly prefix: string

  constructor(stats: Stats, prefix: string) {
    const counter = (name: string) => stats.counter(`${prefix}ssl.${name}`)
    this.stats = stats
    this.prefix = prefix
    this.handshake = counter('handshake')
    this.connectionError = counter('connection_error')
    this.failNoCertificate = counter('fail_verify_no_cert')
    this.failVerify = counter('fail_verify_error')
    this.failSan = counter('fail_verify_san')
    this.noCertificate = counter('no_certificate')
    this.sessionReused = counter('session_reused')
  }

  version(name: string): void {
    this.stats.counter(`${this.prefix}ssl.versions.${name}`).inc()
  }
}

interface Waiting {
  raw: Socket
  chain: FilterChainPlan
  hello: ClientHello
  material: TlsMaterial
  timer: NodeJS.Timeout
  done(socket: TLSSocket, tls: TlsInfo): void
}

/**
 * Does TLS handshakes for accepted sockets through `tls.Server` objects that never listen: the only public way to a server
 * side handshake whose verdict on the client's certificate can be read.
 */
export class TlsAcceptor {
  private readonly waiting = new Map<string, Waiting>()
  private readonly known = new WeakSet<Server>()
  private readonly stats: TlsStats

  constructor(stats: TlsStats) {
    this.stats = stats
  }

  /** Begins a handshake; `done` is called when it is complete and the client is let in. */
  accept(raw: Socket, chain: FilterChainPlan, hello: ClientHello, done: Waiting['done']): void {
    const now = chain.tls?.server(hello.alpn) ?? null
    if (now === null || (chain.tls?.requireSni === true && hello.serverName === '')) {
      // No certificate yet, or no name: as if nobody were there.
      raw.destroy()
      this.stats.connectionError.inc()
      return
    }
    if (!this.known.has(now.server)) this.listenTo(now.server)
    const key = keyOf(raw)
    const timer = setTimeout(() => {
      this.waiting.delete(key)
      chain.timedOut.inc()
      raw.destroy()
    }, chain.transportTimeoutMs)
    this.waiting.set(key, { raw, chain, hello, material: now.material, timer, done })
    raw.once('close', () => {
      const waiting = this.waiting.get(key)
      if (waiting?.raw === raw) {
        this.waiting.delete(key)
        clearTimeout(timer)
      }
    })
    now.server.emit('connection', raw)
  }

  private listenTo(server: Server): void {
    this.known.add(server)
    server.on('secureConnection', (socket: TLSSocket) => {
      const waiting = this.waiting.get(keyOf(socket))
      if (waiting === undefined) {
        socket.destroy()
        return
      }
      this.waiting.delete(keyOf(socket))
      clearTimeout(waiting.timer)
      socket.on('error', () => {})
      const problem = this.verify(socket, waiting)
      if (problem !== null) {
        problem.inc()
        socket.destroy()
        return
      }
      this.stats.handshake.inc()
      if (socket.isSessionReused()) this.stats.sessionReused.inc()
      this.stats.version(socket.getProtocol() ?? 'unknown')
      const uris = waiting.material.certificates[0]?.uris ?? []
      waiting.done(socket, tlsInfoOf(socket, waiting.hello.serverName, uris))
    })
    server.on('tlsClientError', (_error, socket: TLSSocket) => {
      this.stats.connectionError.inc()
      socket.destroy()
    })
  }

  /** The counter of what is wrong with the client's certificate; null: it may come in. */
  private verify(socket: TLSSocket, { chain, material }: Waiting): Counter | null {
    const certificate = socket.getPeerX509Certificate()
    const { validation } = material
    if (certificate === undefined) {
      if (chain.tls?.requireClientCertificate === true) return this.stats.failNoCertificate
      this.stats.noCertificate.inc()
      return null
    }
    if (validation === null) return null
    if (validation.ca !== null && !validation.acceptUntrusted && !socket.authorized) {
      const expired = String(socket.authorizationError) === 'CERT_HAS_EXPIRED'
      if (!(expired && validation.allowExpired)) return this.stats.failVerify
    }
    return validation.checkNames(certificate) === null ? null : this.stats.failSan
  }
}

function keyOf(socket: Socket): string {
  return `${socket.remoteAddress}|${socket.remotePort}|${socket.localPort}`
}
