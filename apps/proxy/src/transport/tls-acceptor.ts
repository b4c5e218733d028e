import type { Socket } from 'node:net'
import type { Server, TLSSocket } from 'node:tls'
import type { Counter, Stats } from '../observe/stats.ts'
import type { TlsServer } from '../plan/downstream-tls.ts'
import type { FilterChainPlan } from '../plan/listener.ts'
import { type Presented, peerProblem, presentedBy, usageProblem } from '../plan/peer-trust.ts'
import type { ProcessState } from '../shared/process-state.ts'
import { hasOwnTls, TlsSession } from '../tls/tls-session.ts'
import type { ClientHello } from './client-hello.ts'
import { Connection, ignore } from './connection.ts'
import type { TlsInfo } from './connection-info.ts'
import { HandshakeQueue } from './handshake-queue.ts'
import { Timeout, type TimerWheel } from './timer-wheel.ts'
import { isOfTls, noCertificate, tlsFailure, verificationFailed, wrongKeyUsage } from './tls-failure.ts'
import { factsOf, factsOfSession, tlsInfoOf } from './tls-info.ts'

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

  /** The group that keys were exchanged in, and how the client signed; empty: unknown. */
  keys(group: string, signature: string): void {
    if (group !== '') this.stats.counter(`${this.prefix}ssl.curves.${group}`).inc()
    if (signature !== '') this.stats.counter(`${this.prefix}ssl.sigalgs.${signature}`).inc()
  }

  version(name: string): void {
    this.stats.counter(`${this.prefix}ssl.versions.${name}`).inc()
  }
}

/** What becomes of a handshake; of `done` and `closed` one is told, once. */
export interface HandshakeUser {
  /** It is complete, and the client is let in: `connection` is to be given a handler, and `startReading` to follow. */
  done(connection: Connection, tls: TlsInfo): void
  /** TLS says why it is not, in Envoy's words, before the connection is closed. */
  failed(why: string, tls: TlsInfo | null): void
  /** It took too long, before the connection is closed. */
  timedOut(): void
  /** The connection is closed. */
  closed(): void
}

interface Waiting {
  readonly chain: FilterChainPlan
  readonly hello: ClientHello
  readonly now: TlsServer
  readonly user: HandshakeUser
  readonly timeout: Timeout
}

interface ClientVerdict {
  /** Why it is turned away, in Envoy's words; null: it may come in. */
  readonly refusal: string | null
  readonly verified: boolean
  /** What OpenSSL calls it. */
  readonly word: string
}

/** Of all listeners of the thread. */
const handshakes = new HandshakeQueue()

/**
 * Does TLS handshakes for accepted sockets: by a session of ours, or where this thread can have none through `tls.Server` objects that
 * never listen.
 */
export class TlsAcceptor {
  /** By sockets that Node's TLS has taken over. */
  private readonly waiting = new Map<unknown, Waiting>()
  private readonly known = new WeakSet<Server>()
  private readonly makeStats: () => TlsStats
  private made: TlsStats | null = null
  private readonly overload: ProcessState
  private readonly timers: TimerWheel

  /** `makeStats`: asked when the first handshake is to come. `overload`: shortens handshakes' time while resources are short. */
  constructor(makeStats: () => TlsStats, overload: ProcessState, timers: TimerWheel) {
    this.makeStats = makeStats
    this.overload = overload
    this.timers = timers
  }

  private get stats(): TlsStats {
    this.made ??= this.makeStats()
    return this.made
  }

  /** Its stats are there, at zero, before there are handshakes. */
  expect(): void {
    this.made ??= this.makeStats()
  }

  /** Begins a handshake with what was read of the client, its hello. */
  accept(connection: Connection, seen: Buffer, chain: FilterChainPlan, hello: ClientHello, user: HandshakeUser): void {
    const timeout = new Timeout(() => {
      chain.timedOut.inc()
      user.timedOut()
      connection.destroy()
    })
    const closed = () => {
      this.timers.cancel(timeout)
      user.closed()
    }
    connection.handler = { ...ignore, onEnd: () => connection.destroy(), onClose: closed }
    const now = chain.tls?.server(hello) ?? null
    if (now === null) {
      // No certificate yet: as if nobody were there.
      this.refuse(connection)
      return
    }
    this.timers.arm(timeout, this.overload.scaled('transport-socket-connect', chain.transportTimeoutMs))
    let hasBegun = false
    const isQueued = handshakes.push(() => {
      hasBegun = true
      if (connection.socket.destroyed) return
      connection.resume()
      const waiting = { chain, hello, now, user, timeout }
      if (hasOwnTls()) this.ofOurs(connection, seen, waiting)
      else this.ofNode(connection.release(), seen, waiting)
    })
    if (!isQueued) this.refuse(connection)
    else if (!hasBegun) connection.pause()
  }

  private refuse(connection: Connection): void {
    this.stats.connectionError.inc()
    connection.destroy()
  }

  /** Begins a handshake by a session of ours. */
  private ofOurs(connection: Connection, seen: Buffer, waiting: Waiting): void {
    const { hello, now, user, timeout } = waiting
    let verdict: ClientVerdict | null = null
    const judge = (presented: Presented) => {
      verdict = this.verify(presented, waiting)
      return { isWanted: verdict.refusal === null, word: verdict.word }
    }
    let session: TlsSession
    try {
      session = new TlsSession({
        ...now,
        judge: now.asksForCertificate ? judge : null,
        keepsChains: now.material.options.crl === undefined,
        keyLog: now.keyLog === null ? null : (line) => now.keyLog?.(line, connection.socket),
      })
    } catch {
      // No memory for another.
      this.refuse(connection)
      return
    }
    const info = (verified: boolean) => {
      const der = now.certificates.length > 1 ? session.own : null
      const local = der === null ? now.certificates[0] : now.certificates.find(({ leaf }) => leaf.raw.equals(der))
      return tlsInfoOf({ ...factsOfSession(session), own: local?.leaf }, hello.serverName, local?.uris ?? [], verified)
    }
    connection.useTls(session)
    connection.handler = {
      ...ignore,
      onEnd: () => connection.destroy(),
      onSecured: () => {
        this.timers.cancel(timeout)
        // Nothing was shown, or it was in the handshake of the session that is resumed.
        verdict ??= this.verify(session.presented, waiting, session.wasResumed)
        if (verdict.refusal !== null) {
          user.failed(verdict.refusal, info(false))
          connection.destroy()
          return
        }
        const told = info(verdict.verified)
        this.count(told, session.wasResumed, session.peerSignature)
        user.done(connection, told)
      },
      onClose: (error) => {
        this.timers.cancel(timeout)
        const refusal = verdict?.refusal ?? null
        // Of a key that is misused Envoy hears before it has the certificate.
        if (refusal !== null) user.failed(refusal, refusal === wrongKeyUsage ? null : info(false))
        else if (error !== null) user.failed(this.failure(error), null)
        user.closed()
      },
    }
    connection.redeliver(seen)
    connection.startReading()
  }

  /** Why a handshake failed, which it counts. */
  private failure(error: Error): string {
    const text = tlsFailure(error)
    if (text === noCertificate) this.stats.failNoCertificate.inc()
    else if (isOfTls(error)) this.stats.connectionError.inc()
    return text
  }

  private count({ version, cipher, group }: TlsInfo, wasResumed: boolean, signature: string): void {
    this.stats.handshake.inc()
    if (wasResumed) this.stats.sessionReused.inc()
    this.stats.version(version || 'unknown')
    this.stats.cipher(cipher || 'unknown')
    this.stats.keys(group ?? '', signature)
  }

  /** Begins a handshake by Node's TLS. */
  private ofNode(raw: Socket, seen: Buffer, waiting: Waiting): void {
    const server = waiting.now.ofNode(waiting.hello.alpn)
    if (!this.known.has(server)) this.listenTo(server)
    raw.unshift(seen)
    this.waiting.set(raw, waiting)
    raw.once('close', () => {
      this.timers.cancel(waiting.timeout)
      if (this.waiting.delete(raw)) waiting.user.closed()
    })
    server.emit('connection', raw)
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
      this.timers.cancel(waiting.timeout)
      socket.on('error', () => {})
      const { user, hello } = waiting
      const { refusal, verified } = this.verify(presentedBy(socket), waiting, socket.isSessionReused())
      const { certificates } = waiting.now
      // Of several only the handshake knows which one was shown.
      const local = certificates.length === 1 ? certificates[0] : undefined
      const facts = factsOf(socket)
      const info = tlsInfoOf(
        local === undefined ? facts : { ...facts, own: local.leaf },
        hello.serverName,
        local?.uris ?? [],
        verified,
      )
      if (refusal !== null) {
        user.failed(refusal, info)
        socket.destroy()
        return
      }
      this.waiting.delete(carrier)
      this.count(info, socket.isSessionReused(), '')
      user.done(new Connection(socket, ignore, this.timers, null), info)
    })
    server.on('tlsClientError', (error, socket: TLSSocket) => {
      if (isOfTls(error)) this.stats.connectionError.inc()
      this.waiting.get(carrierOf(socket))?.user.failed(tlsFailure(error), null)
      socket.destroy()
    })
  }

  /** Judges a client by its certificate, and counts what is wrong with it. */
  private verify(presented: Presented | null, { now }: Waiting, wasResumed = false): ClientVerdict {
    const { stats } = this
    const { validation } = now.material
    if (presented === null) {
      if (!now.requiresCertificate) {
        stats.noCertificate.inc()
        return { refusal: null, verified: false, word: '' }
      }
      stats.failNoCertificate.inc()
      return { refusal: noCertificate, verified: false, word: '' }
    }
    // A client signs with its key, whatever the cipher.
    const misused = usageProblem(presented.certificate, 'TLS_')
    if (misused !== null) {
      stats.connectionError.inc()
      return { refusal: wrongKeyUsage, verified: false, word: misused.word }
    }
    const problem = validation === null ? null : peerProblem(presented, validation)
    if (validation === null || problem === null)
      return { refusal: null, verified: validation?.ca != null || presented.said === '', word: '' }
    const counters = { trust: stats.failVerify, name: stats.failSan, pin: stats.failHash, usage: stats.connectionError }
    const refusal = validation.acceptUntrusted ? null : verificationFailed(problem.text)
    // Whom a session let in was counted as it began.
    if (refusal !== null || !wasResumed) counters[problem.lacks].inc()
    return { refusal, verified: false, word: problem.word }
  }
}

/** The socket below one by TLS; Node's own field, with no public way to it. (Addresses are forgotten where it is reset.) */
function carrierOf(socket: TLSSocket): unknown {
  return Reflect.get(socket, '_parent')
}
