import type { Socket } from 'node:net'
import type { Server, TLSSocket } from 'node:tls'
import type { Counter, Stats } from '../observe/stats.ts'
import type { FilterChainPlan } from '../plan/listener.ts'
import { peerProblem, presentedBy, usageProblem } from '../plan/peer-trust.ts'
import type { TlsMaterial } from '../plan/tls-context.ts'
import type { TlsCertificatePlan } from '../plan/tls-material.ts'
import type { ProcessState } from '../shared/process-state.ts'
import type { ClientHello } from './client-hello.ts'
import type { TlsInfo } from './connection-info.ts'
import { HandshakeQueue } from './handshake-queue.ts'
import { isOfTls, noCertificate, tlsFailure, verificationFailed, wrongKeyUsage } from './tls-failure.ts'
import { tlsInfoOf } from './tls-info.ts'

/** A listener's TLS stats (`listener.<address>.ssl.`). */
export class TlsStats {
  readonly handshake: Counter
  readonly connectionError: Counter
  readonly failNoCertificate: Counter
  readonly failVerify: Counter
  readonly failSan: Counter
  readonly failHash: Counter
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
    this.failHash = counter('fail_verify_cert_hash')
    this.noCertificate = counter('no_certificate')
    this.sessionReused = counter('session_reused')
    for (const name of ['ocsp_staple_failed', 'ocsp_staple_omitted', 'ocsp_staple_requests', 'ocsp_staple_responses'])
      counter(name)
  }

  cipher(name: string): void {
    this.stats.counter(`${this.prefix}ssl.ciphers.${name}`).inc()
  }

  version(name: string): void {
    this.stats.counter(`${this.prefix}ssl.versions.${name}`).inc()
  }
}

interface Waiting {
  chain: FilterChainPlan
  hello: ClientHello
  /** The certificates that it may be shown. */
  certificates: readonly TlsCertificatePlan[]
  material: TlsMaterial
  timer: NodeJS.Timeout
  done(socket: TLSSocket, tls: TlsInfo): void
  failed(why: string, tls: TlsInfo | null): void
}

interface ClientVerdict {
  /** Why it is turned away, in Envoy's words; null: it may come in. */
  readonly refusal: string | null
  readonly verified: boolean
}

/** Of all listeners of the thread. */
const handshakes = new HandshakeQueue()

/**
 * Does TLS handshakes for accepted sockets through `tls.Server` objects that never listen: the only public way to a server
 * side handshake whose verdict on the client's certificate can be read.
 */
export class TlsAcceptor {
  private readonly waiting = new Map<unknown, Waiting>()
  private readonly known = new WeakSet<Server>()
  private readonly makeStats: () => TlsStats
  private made: TlsStats | null = null
  private readonly overload: ProcessState

  /** `makeStats`: asked when the first handshake is to come. `overload`: shortens handshakes' time while resources are short. */
  constructor(makeStats: () => TlsStats, overload: ProcessState) {
    this.makeStats = makeStats
    this.overload = overload
  }

  private get stats(): TlsStats {
    this.made ??= this.makeStats()
    return this.made
  }

  /** Its stats are there, at zero, before there are handshakes. */
  expect(): void {
    this.made ??= this.makeStats()
  }

  /**
   * Begins a handshake; `done` is called when it is complete and the client is let in, `failed` when TLS says why it is not, in
   * Envoy's words, before the connection is closed.
   */
  accept(raw: Socket, chain: FilterChainPlan, hello: ClientHello, done: Waiting['done'], failed: Waiting['failed']): void {
    const now = chain.tls?.server(hello) ?? null
    if (now === null) {
      // No certificate yet: as if nobody were there.
      this.refuse(raw)
      return
    }
    if (!this.known.has(now.server)) this.listenTo(now.server)
    const timer = setTimeout(
      () => {
        this.waiting.delete(raw)
        chain.timedOut.inc()
        raw.destroy()
      },
      this.overload.scaled('transport-socket-connect', chain.transportTimeoutMs),
    )
    this.waiting.set(raw, { chain, hello, certificates: now.certificates, material: now.material, timer, done, failed })
    raw.once('close', () => {
      this.waiting.delete(raw)
      clearTimeout(timer)
    })
    const begin = () => {
      if (!raw.destroyed) now.server.emit('connection', raw)
    }
    if (!handshakes.push(begin)) this.refuse(raw)
  }

  private refuse(raw: Socket): void {
    this.stats.connectionError.inc()
    raw.destroy()
  }

  private listenTo(server: Server): void {
    this.known.add(server)
    server.on('secureConnection', (socket: TLSSocket) => {
      const carrier = carrierOf(socket)
      const waiting = this.waiting.get(carrier)
      if (waiting === undefined) {
        socket.destroy()
        return
      }
      this.waiting.delete(carrier)
      clearTimeout(waiting.timer)
      socket.on('error', () => {})
      const { refusal, verified } = this.verify(socket, waiting)
      if (refusal !== null) {
        waiting.failed(refusal, tlsInfoOf(socket, waiting.hello.serverName, null, false))
        socket.destroy()
        return
      }
      this.stats.handshake.inc()
      if (socket.isSessionReused()) this.stats.sessionReused.inc()
      this.stats.version(socket.getProtocol() ?? 'unknown')
      this.stats.cipher(socket.getCipher()?.name ?? 'unknown')
      const { certificates } = waiting
      // Of several only the handshake knows which one was shown.
      const local = certificates.length === 1 ? certificates[0]! : null
      waiting.done(socket, tlsInfoOf(socket, waiting.hello.serverName, local, verified))
    })
    server.on('tlsClientError', (error, socket: TLSSocket) => {
      if (isOfTls(error)) this.stats.connectionError.inc()
      this.waiting.get(carrierOf(socket))?.failed(tlsFailure(error), null)
      socket.destroy()
    })
  }

  /** Judges a client by its certificate, and counts what is wrong with it. */
  private verify(socket: TLSSocket, { chain, material }: Waiting): ClientVerdict {
    const { stats } = this
    const presented = presentedBy(socket)
    const { validation } = material
    if (presented === null) {
      if (chain.tls?.requireClientCertificate !== true) {
        stats.noCertificate.inc()
        return { refusal: null, verified: false }
      }
      stats.failNoCertificate.inc()
      return { refusal: noCertificate, verified: false }
    }
    // A client signs with its key, whatever the cipher.
    const misused = usageProblem(presented.certificate, 'TLS_')
    if (misused !== null) {
      stats.connectionError.inc()
      return { refusal: wrongKeyUsage, verified: false }
    }
    const problem = validation === null ? null : peerProblem(presented, validation)
    if (validation === null || problem === null) return { refusal: null, verified: validation?.ca != null || socket.authorized }
    const counters = { trust: stats.failVerify, name: stats.failSan, pin: stats.failHash, usage: stats.connectionError }
    counters[problem.lacks].inc()
    return { refusal: validation.acceptUntrusted ? null : verificationFailed(problem.text), verified: false }
  }
}

/** The socket below one by TLS; Node's own field, with no public way to it. (Addresses are forgotten where it is reset.) */
function carrierOf(socket: TLSSocket): unknown {
  return Reflect.get(socket, '_parent')
}
