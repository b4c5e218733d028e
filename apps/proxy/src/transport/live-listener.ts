import net, { type Socket } from 'node:net'
import { WeftError } from '@weft/service/errors'
import type { TlsInfo } from '../filters/http/filter.ts'
import type { NetworkSession } from '../filters/network/filter.ts'
import type { HcmServices } from '../filters/network/http-connection-manager/downstream-connection.ts'
import type { Counter, Gauge, Histogram, Stats } from '../observe/stats.ts'
import { addressText, type FilterChainPlan, type ListenAddress, type ListenerPlan } from '../plan/listener.ts'
import { plainAddress } from './address.ts'
import { type ClientHello, inspectClientHello } from './client-hello.ts'
import { Connection, type ConnectionHandler, rewrapAccepted } from './connection.ts'
import { TlsAcceptor, TlsStats } from './tls-acceptor.ts'

/** First bytes of a connection that are kept while its chain is not chosen. */
const maxInspectBytes = 16 * 1024

const noHello: ClientHello = { serverName: '', alpn: [] }
const ignore: ConnectionHandler = { onBytes() {}, onEnd() {}, onWritable() {}, onClose() {} }

interface ListenerStats {
  total: Counter
  active: Gauge
  destroy: Counter
  length: Histogram
  noChain: Counter
  timeout: Counter
}

/** The plan that a connection came under, and the chain whose filter it is under now. */
interface Accepted {
  readonly plan: ListenerPlan
  chain: FilterChainPlan
}

/**
 * A listener that is open in this worker. Its plan can be replaced while it stays open: new connections meet the new plan,
 * those there are are asked to end, and meet the new version of their chain until then.
 */
export class LiveListener {
  plan: ListenerPlan
  private readonly services: HcmServices
  private readonly stats: ListenerStats
  private readonly acceptor: TlsAcceptor
  private readonly servers: net.Server[] = []
  private readonly sessions = new Map<NetworkSession, Accepted>()
  private readonly undecided = new Set<Socket>()
  private drainTimer: NodeJS.Timeout | null = null
  private closed = false

  constructor(plan: ListenerPlan, services: HcmServices, stats: Stats) {
    this.plan = plan
    this.services = services
    const prefix = `listener.${plan.statName}.`
    this.stats = {
      total: stats.counter(`${prefix}downstream_cx_total`),
      active: stats.gauge(`${prefix}downstream_cx_active`),
      destroy: stats.counter(`${prefix}downstream_cx_destroy`),
      length: stats.histogram(`${prefix}downstream_cx_length_ms`),
      noChain: stats.counter(`${prefix}no_filter_chain_match`),
      timeout: stats.counter(`${prefix}downstream_pre_cx_timeout`),
    }
    this.acceptor = new TlsAcceptor(new TlsStats(stats, prefix))
  }

  /** Addresses that are bound. */
  bound: string[] = []

  get connections(): number {
    return this.sessions.size
  }

  /** Opens the listener's addresses; gives those that are bound. Throws when one can't be, and leaves none open. */
  async open(ownsPipes: boolean): Promise<string[]> {
    if (!this.plan.bindToPort) return []
    const bound = this.bound
    for (const address of this.plan.addresses) {
      if (address.type === 'pipe' && !ownsPipes) continue
      try {
        bound.push(await this.listen(address))
      } catch (error) {
        this.stopAccepting()
        const why = error instanceof Error ? error.message : String(error)
        throw new WeftError('failed_precondition', `cannot bind '${addressText(address)}': ${why}`, {
          where: { path: `Listener ${this.plan.name}: address` },
          hint: why.includes('EADDRINUSE') ? 'another program listens there' : undefined,
        })
      }
    }
    return bound
  }

  private listen(address: ListenAddress): Promise<string> {
    const server = net.createServer({ pauseOnConnect: true, noDelay: true, allowHalfOpen: true }, (socket) => this.accept(socket))
    return new Promise((resolve, reject) => {
      server.once('error', reject)
      const { backlog } = this.plan
      const target =
        address.type === 'ip'
          ? { host: address.host, port: address.port, backlog, reusePort: true }
          : { path: address.path, backlog }
      server.listen(target, () => {
        server.removeListener('error', reject)
        server.on('error', () => {})
        this.servers.push(server)
        const at = server.address()
        if (at === null || typeof at === 'string') resolve(at ?? '')
        else resolve(addressText({ type: 'ip', host: at.address, port: at.port }))
      })
    })
  }

  private accept(socket: Socket): void {
    if (this.closed) {
      socket.destroy()
      return
    }
    this.stats.total.inc()
    this.stats.active.inc()
    if (!this.plan.inspect) {
      this.choose(socket, noHello, false, null)
      return
    }
    this.inspect(socket)
  }

  /** Reads until TLS or plaintext is known, then gives the bytes to who comes next. */
  private inspect(socket: Socket): void {
    const { plan } = this
    let seen: Buffer = Buffer.alloc(0)
    this.undecided.add(socket)
    const stop = () => {
      clearTimeout(timer)
      this.undecided.delete(socket)
      socket.removeListener('data', onData)
      socket.removeListener('end', onGone)
      socket.removeListener('close', onGone)
      socket.removeListener('error', onError)
    }
    const decide = (hello: ClientHello, tls: boolean) => {
      stop()
      socket.pause()
      this.choose(socket, hello, tls, seen)
    }
    const onData = (chunk: Buffer) => {
      seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk])
      const inspection = inspectClientHello(seen)
      if (inspection.type === 'tls') decide(inspection.hello, true)
      else if (inspection.type === 'plain') decide(noHello, false)
      else if (seen.length > maxInspectBytes) onGone()
    }
    const onGone = () => {
      stop()
      this.gone()
      socket.destroy()
    }
    const onError = () => {}
    const timer = setTimeout(() => {
      if (plan.continueOnTimeout) {
        decide(noHello, false)
        return
      }
      this.stats.timeout.inc()
      onGone()
    }, plan.inspectTimeoutMs)
    socket.on('data', onData)
    socket.on('end', onGone)
    socket.on('close', onGone)
    socket.on('error', onError)
    socket.resume()
  }

  private gone(): void {
    this.stats.active.dec()
    this.stats.destroy.inc()
  }

  private choose(socket: Socket, hello: ClientHello, isTls: boolean, seen: Buffer | null): void {
    const { plan } = this
    const remoteAddress = plainAddress(socket.remoteAddress ?? '')
    const remotePort = socket.remotePort ?? 0
    const localAddress = plainAddress(socket.localAddress ?? '')
    const localPort = socket.localPort ?? 0
    const chain = plan.chains.find({
      localAddress,
      localPort,
      remoteAddress,
      remotePort,
      serverName: hello.serverName,
      transportProtocol: isTls ? 'tls' : 'raw_buffer',
      applicationProtocols: hello.alpn,
    })
    if (chain === null) {
      this.stats.noChain.inc()
      this.gone()
      socket.destroy()
      return
    }
    const info = {
      remoteAddress,
      remotePort,
      localAddress,
      localPort,
      serverName: hello.serverName,
      listenerName: plan.name,
      filterChainName: chain.name,
    }
    if (chain.tls !== null) {
      if (seen === null) {
        // Nothing was looked at: the handshake needs the hello's ALPN all the same.
        this.inspectFor(socket, chain, info)
        return
      }
      this.handshake(socket, seen, chain, hello, info)
      return
    }
    let connection: Connection | null = null
    connection = rewrapAccepted(socket, (one) => new Connection(one, ignore, this.services.timers, null))
    this.start(connection, chain, { ...info, tls: null }, plan)
    if (seen !== null && seen.length > 0) connection.deliver(seen, 0, seen.length)
    connection.startReading()
  }

  private inspectFor(
    socket: Socket,
    chain: FilterChainPlan,
    info: Omit<Parameters<FilterChainPlan['filter']['accept']>[1], 'tls'>,
  ): void {
    let seen: Buffer = Buffer.alloc(0)
    const onData = (chunk: Buffer) => {
      seen = Buffer.concat([seen, chunk])
      const inspection = inspectClientHello(seen)
      if (inspection.type === 'more' && seen.length <= maxInspectBytes) return
      socket.removeListener('data', onData)
      socket.pause()
      socket.removeListener('close', onGone)
      const hello = inspection.type === 'tls' ? inspection.hello : noHello
      this.handshake(socket, seen, chain, hello, { ...info, serverName: hello.serverName })
    }
    const onGone = () => this.gone()
    const timer = setTimeout(() => socket.destroy(), chain.transportTimeoutMs)
    socket.once('close', () => clearTimeout(timer))
    socket.once('data', () => clearTimeout(timer))
    socket.on('error', () => {})
    socket.on('end', () => socket.destroy())
    socket.on('close', onGone)
    socket.on('data', onData)
    socket.resume()
  }

  private handshake(
    socket: Socket,
    seen: Buffer,
    chain: FilterChainPlan,
    hello: ClientHello,
    info: Omit<Parameters<FilterChainPlan['filter']['accept']>[1], 'tls'>,
  ): void {
    const { plan } = this
    socket.on('error', () => {})
    socket.unshift(seen)
    let taken = false
    socket.once('close', () => {
      if (!taken) this.gone()
    })
    this.acceptor.accept(socket, chain, hello, (secure, tls: TlsInfo) => {
      taken = true
      const connection = new Connection(secure, ignore, this.services.timers, null)
      this.start(connection, chain, { ...info, tls }, plan)
      connection.readByEvents()
    })
  }

  private start(
    connection: Connection,
    chain: FilterChainPlan,
    info: Parameters<FilterChainPlan['filter']['accept']>[1],
    plan: ListenerPlan,
  ): void {
    const startedMs = performance.now()
    const session = chain.filter.accept(connection, info, this.services, (ended) => {
      this.sessions.delete(ended)
      this.gone()
      this.stats.length.record(Math.round(performance.now() - startedMs))
    })
    const accepted = { plan, chain }
    this.sessions.set(session, accepted)
    if (plan !== this.plan) moveOn(session, accepted, plan, this.plan)
    if (plan !== this.plan || this.closed) session.drain()
  }

  /** New connections meet `plan`; the others are asked to end, and ended after `drainTimeMs`. */
  replace(plan: ListenerPlan, drainTimeMs: number): void {
    const before = this.plan
    this.plan = plan
    for (const [session, accepted] of this.sessions) moveOn(session, accepted, before, plan)
    const old = [...this.sessions].filter(([, accepted]) => accepted.plan === before).map(([session]) => session)
    for (const session of old) session.drain()
    setTimeout(() => {
      for (const session of old) if (this.sessions.has(session)) session.destroy()
      for (const chain of before.allChains) chain.filter.close?.()
    }, drainTimeMs).unref()
  }

  /** Takes no new connections; those there are end with their requests, at the latest after `drainTimeMs`. */
  drain(drainTimeMs: number): void {
    if (this.drainTimer !== null) return
    this.stopAccepting()
    for (const session of this.sessions.keys()) session.drain()
    this.drainTimer = setTimeout(() => this.close(), drainTimeMs)
    this.drainTimer.unref()
  }

  private stopAccepting(): void {
    this.closed = true
    for (const server of this.servers.splice(0)) server.close()
  }

  /** Ends everything now. */
  close(): void {
    this.stopAccepting()
    if (this.drainTimer !== null) clearTimeout(this.drainTimer)
    for (const socket of this.undecided) socket.destroy()
    for (const session of this.sessions.keys()) session.destroy()
    for (const chain of this.plan.allChains) chain.filter.close?.()
  }
}

/**
 * Hands a connection on to the new version of its chain: the one at the same place, of the same name and kind of transport.
 * A listener with other chains than before has no such.
 */
function moveOn(session: NetworkSession, accepted: Accepted, before: ListenerPlan, after: ListenerPlan): void {
  const next = after.allChains[before.allChains.indexOf(accepted.chain)]
  if (next === undefined || before.allChains.length !== after.allChains.length) return
  if (next.name !== accepted.chain.name || (next.tls === null) !== (accepted.chain.tls === null)) return
  next.filter.adopt?.(session)
  accepted.chain = next
}
