import type { Socket } from 'node:net'
import type { ConnectionFacts } from '../filters/listener/filter.ts'
import type { AcceptedInfo, ConnectionServices, NetworkSession } from '../filters/network/filter.ts'
import { ConnectionRecord } from '../observe/connection-record.ts'
import type { Counter, Gauge, Histogram, Stats } from '../observe/stats.ts'
import { StreamRecord } from '../observe/stream-record.ts'
import { addressText, type FilterChainPlan, type ListenAddress, type ListenerPlan } from '../plan/listener.ts'
import type { SharedCount } from '../shared/token-buckets.ts'
import { plainAddress } from './address.ts'
import { type ClientHello, inspectClientHello } from './client-hello.ts'
import { Connection, ignore } from './connection.ts'
import { nextConnectionId } from './connection-id.ts'
import type { TlsInfo } from './connection-info.ts'
import { inspectConnection } from './listener-inspection.ts'
import { ListenerSockets } from './listener-sockets.ts'
import { rewrapAccepted } from './open-connection.ts'
import { OverloadQueue } from './overload-queue.ts'
import { type Destination, socketCalls } from './socket-calls.ts'
import { Timeout } from './timer-wheel.ts'
import { TlsAcceptor, TlsStats } from './tls-acceptor.ts'

/** First bytes of a connection that are kept for a TLS handshake. */
const maxHelloBytes = 16 * 1024

/** How long connections that were begun may take to come in, once no more are begun. */
const settleMs = 250

/** Envoy's words for a client whose handshake took longer than its chain lets it. */
const handshakeTimeout = 'transport socket timeout was reached'

const noBytes = Buffer.alloc(0)
const noHello: ClientHello = { serverName: '', alpn: [], prefersChaCha: false }

interface ListenerStats {
  total: Counter
  active: Gauge
  destroy: Counter
  length: Histogram
  noChain: Counter
  timeout: Counter
  remoteClose: Counter
  filterError: Counter
  preActive: Gauge
  workerTotal: Counter
  workerActive: Gauge
  overflow: Counter
  globalOverflow: Counter
  overloadReject: Counter
}

/** Counters that are looked for, of what does not happen here. */
const unused = [
  'downstream_cx_overload_reject',
  'downstream_global_cx_overflow',
  'extension_config_missing',
  'network_extension_config_missing',
]

/** A connection whose chain is known, before its handshake. */
type Handshaking = Omit<AcceptedInfo, 'tls'> & { readonly acceptedMs: number }

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
  private readonly services: ConnectionServices
  private readonly stats: ListenerStats
  private readonly acceptor: TlsAcceptor
  private readonly sockets = new ListenerSockets((socket) => this.onConnection(socket))
  private readonly count: SharedCount
  private readonly sessions = new Map<NetworkSession, Accepted>()
  private readonly undecided = new Set<Connection>()
  private readonly overloadQueue = new OverloadQueue((socket, caught) => this.accept(socket, caught))
  private drainTimer: NodeJS.Timeout | null = null
  private draining = false
  private closed = false
  /** The listener that has an address. */
  private readonly listenerAt: (destination: Destination) => LiveListener | null

  constructor(
    plan: ListenerPlan,
    services: ConnectionServices,
    stats: Stats,
    listenerAt: (destination: Destination) => LiveListener | null = () => null,
  ) {
    this.plan = plan
    this.services = services
    this.listenerAt = listenerAt
    const prefix = `listener.${plan.statName}.`
    this.stats = {
      total: stats.counter(`${prefix}downstream_cx_total`),
      active: stats.gauge(`${prefix}downstream_cx_active`),
      destroy: stats.counter(`${prefix}downstream_cx_destroy`),
      length: stats.histogram(`${prefix}downstream_cx_length_ms`),
      noChain: stats.counter(`${prefix}no_filter_chain_match`),
      timeout: stats.counter(`${prefix}downstream_pre_cx_timeout`),
      remoteClose: stats.counter(`${prefix}downstream_listener_filter_remote_close`),
      filterError: stats.counter(`${prefix}downstream_listener_filter_error`),
      workerTotal: stats.counter(`${prefix}worker_${plan.workerIndex}.downstream_cx_total`),
      workerActive: stats.gauge(`${prefix}worker_${plan.workerIndex}.downstream_cx_active`),
      preActive: stats.gauge(`${prefix}downstream_pre_cx_active`),
      overflow: stats.counter(`${prefix}downstream_cx_overflow`),
      globalOverflow: stats.counter(`${prefix}downstream_global_cx_overflow`),
      overloadReject: stats.counter(`${prefix}downstream_cx_overload_reject`),
    }
    for (const name of unused) stats.counter(prefix + name)
    this.count = plan.openCount()
    this.acceptor = new TlsAcceptor(() => new TlsStats(stats, prefix), services.processState, services.timers)
    this.expectTls()
  }

  /** Addresses that are bound. */
  bound: string[] = []

  get connections(): number {
    return this.sessions.size
  }

  /** Opens the listener's addresses; gives those that are bound. Throws when one can't be, and leaves none open. */
  async open(ownsPipes: boolean): Promise<string[]> {
    this.bound = await this.sockets.open(this.plan, ownsPipes)
    return this.bound
  }

  private expectTls(): void {
    if (this.plan.allChains.some(({ tls }) => tls !== null)) this.acceptor.expect()
  }

  /** Where a connection was going decides whose it is. */
  private onConnection(socket: Socket): void {
    const caught = this.plan.readsOriginalDestination ? this.originalDestination(socket) : null
    const other = caught !== null && this.plan.handsOff ? this.listenerAt(caught) : null
    ;(other ?? this).accept(socket, caught)
  }

  private originalDestination(socket: Socket): Destination | null {
    const asked = socketCalls().originalDestination(socket)
    if (asked !== null || !this.plan.transparent) return asked
    return { address: plainAddress(socket.localAddress ?? ''), port: socket.localPort ?? 0 }
  }

  private accept(socket: Socket, caught: Destination | null): void {
    if (this.closed) {
      socket.destroy()
      return
    }
    const { plan, services } = this
    const admission = plan.bypassesOverload
      ? 'now'
      : this.overloadQueue.admit(socket, caught, plan.backlog, services.processState)
    if (admission === 'never') this.stats.overloadReject.inc()
    if (admission !== 'now') return
    if (!this.count.enter(this.plan.connectionLimit())) {
      this.stats.overflow.inc()
      socket.destroy()
      return
    }
    if (this.plan.countsGlobally && !this.services.processState.enterConnection()) {
      this.stats.globalOverflow.inc()
      this.count.leave()
      socket.destroy()
      return
    }
    const facts = factsOf(socket, caught, this.plan.addresses)
    const connection = rewrapAccepted(socket, (one) => new Connection(one, ignore, services.timers, null))
    if (this.plan.filters.length === 0) this.choose(connection, facts, noBytes)
    else this.inspect(connection, facts)
  }

  /** Takes a connection through the listener's filters. */
  private inspect(connection: Connection, facts: ConnectionFacts): void {
    const { stats } = this
    inspectConnection(connection, facts, this.plan, this.services.timers, {
      waits: () => {
        this.undecided.add(connection)
        stats.preActive.inc()
      },
      waitedFor: () => {
        this.undecided.delete(connection)
        stats.preActive.dec()
      },
      timedOut: () => stats.timeout.inc(),
      left: (failed) => (failed ? stats.filterError : stats.remoteClose).inc(),
      passed: (seen) => this.choose(connection, facts, seen),
      refused: (seen) => this.turnAway(connection, facts, seen),
    })
  }

  /** Ends a connection before a filter chain has it. `seen`: what came of it, which the kernel would answer by a reset. */
  private turnAway(connection: Connection, facts: ConnectionFacts, seen: Buffer, record = new StreamRecord()): void {
    this.count.leave()
    if (this.plan.accessLog !== null) this.log({ ...this.infoOf(connection, facts, null), tls: null }, record)
    if (seen.length > 0) connection.resetNow()
    else connection.destroy()
  }

  /** A connection of a filter chain is over. */
  private gone(): void {
    this.count.leave()
    if (this.plan.countsGlobally) this.services.processState.leaveConnection()
    this.stats.active.dec()
    this.stats.workerActive.dec()
    this.stats.destroy.inc()
  }

  /** One is over before its handshake was done. */
  private missed(chain: FilterChainPlan, info: Handshaking, record: StreamRecord, tls: TlsInfo | null, plan: ListenerPlan): void {
    const late = record.terminationDetails === handshakeTimeout
    chain.filter.missed?.(performance.now() - info.acceptedMs, late)
    this.gone()
    this.log({ ...info, tls }, record, plan.accessLog)
  }

  /** Finds the connection's chain. `seen`: bytes that were read and belong to whom comes next. */
  private choose(connection: Connection, facts: ConnectionFacts, seen: Buffer): void {
    const { plan } = this
    const { address: remoteAddress, port: remotePort } = facts.remote
    const { address: localAddress, port: localPort } = facts.local
    const chain = plan.chains.find({
      localAddress,
      localPort,
      remoteAddress,
      remotePort,
      directRemoteAddress: facts.directRemote?.address ?? remoteAddress,
      serverName: facts.serverName,
      transportProtocol: facts.transportProtocol,
      applicationProtocols: facts.applicationProtocols,
    })
    if (chain === null) {
      this.stats.noChain.inc()
      const record = new StreamRecord()
      record.addResponseFlag('NR')
      record.responseCodeDetails = 'filter_chain_not_found'
      this.turnAway(connection, facts, seen, record)
      return
    }
    this.stats.total.inc()
    this.stats.active.inc()
    this.stats.workerTotal.inc()
    this.stats.workerActive.inc()
    const info = this.infoOf(connection, facts, chain)
    if (chain.tls !== null) {
      this.awaitHello(connection, seen, chain, info)
      return
    }
    this.start(connection, chain, { ...info, tls: null }, plan)
    connection.redeliver(seen)
    connection.startReading()
  }

  /** `chain` null: none was found. */
  private infoOf(carrier: Connection, facts: ConnectionFacts, chain: FilterChainPlan | null): Handshaking {
    return {
      carrier,
      remoteAddress: facts.remote.address,
      remotePort: facts.remote.port,
      localAddress: facts.local.address,
      localPort: facts.local.port,
      directLocal: facts.directLocal,
      directRemote: facts.directRemote,
      metadata: facts.metadata,
      tlvs: facts.tlvs,
      serverName: facts.serverName,
      fingerprints: facts.fingerprints,
      listenerName: this.plan.name,
      listenerMetadata: this.plan.metadata,
      listenerDirection: this.plan.direction,
      filterChainName: chain?.name ?? '',
      filterChainMetadata: chain?.metadata,
      acceptedMs: facts.acceptedMs,
    }
  }

  /** Tells the listener's log of a connection that is over. */
  private log(info: AcceptedInfo & Handshaking, record: StreamRecord, accessLog = this.plan.accessLog): void {
    if (accessLog === null) return
    record.startMs = info.acceptedMs
    record.endMs = performance.now()
    record.filterChain = info.filterChainName
    record.downstreamRemoteAddress = info.remoteAddress
    record.downstreamRemotePort = info.remotePort
    accessLog(new ConnectionRecord({ id: nextConnectionId(), ...info }, record, info.metadata, info.filterState))
  }

  /** Reads until the ClientHello is there: the handshake needs to know of its ALPN. */
  private awaitHello(connection: Connection, first: Buffer, chain: FilterChainPlan, info: Handshaking): void {
    let seen = first
    /** Whether bytes are missing. */
    const look = (): boolean => {
      const inspection = inspectClientHello(seen)
      if (inspection.type === 'more' && seen.length <= maxHelloBytes) return true
      stop()
      const hello = inspection.type === 'tls' ? inspection.hello : noHello
      // Who has no filter that reads it (tls_inspector) is not told the name, as with Envoy.
      this.handshake(connection, seen, chain, hello, info)
      return false
    }
    const { timers, processState } = this.services
    const record = new StreamRecord()
    const timeout = new Timeout(() => {
      chain.timedOut.inc()
      record.terminationDetails = handshakeTimeout
      connection.destroy()
    })
    const stop = () => {
      timers.cancel(timeout)
      this.undecided.delete(connection)
    }
    if (!look()) return
    timers.arm(timeout, processState.scaled('transport-socket-connect', chain.transportTimeoutMs))
    this.undecided.add(connection)
    connection.handler = {
      onBytes(bytes, start, end) {
        seen = Buffer.concat([seen, bytes.subarray(start, end)])
        look()
      },
      onEnd: () => connection.destroy(),
      onWritable() {},
      onClose: () => {
        stop()
        this.missed(chain, info, record, null, this.plan)
      },
    }
    // A client speaks first, and mostly has by now.
    connection.startReading(true)
  }

  private handshake(accepted: Connection, seen: Buffer, chain: FilterChainPlan, hello: ClientHello, info: Handshaking): void {
    const { plan } = this
    let taken = false
    let seenOfPeer: TlsInfo | null = null
    const record = new StreamRecord()
    this.acceptor.accept(accepted, seen, chain, hello, {
      done: (connection, tls) => {
        taken = true
        this.start(connection, chain, { ...info, tls, handshakeMs: performance.now() - info.acceptedMs }, plan)
        connection.startReading()
      },
      failed(why, tls) {
        record.downstreamFailure = why
        seenOfPeer = tls
      },
      timedOut() {
        record.terminationDetails = handshakeTimeout
      },
      closed: () => {
        if (taken) return
        this.missed(chain, info, record, seenOfPeer, plan)
      },
    })
  }

  private start(connection: Connection, chain: FilterChainPlan, info: AcceptedInfo & Handshaking, plan: ListenerPlan): void {
    const startedMs = performance.now()
    const session = chain.filter.accept(connection, info, this.services, (ended) => {
      this.sessions.delete(ended)
      this.gone()
      this.stats.length.record(Math.round(performance.now() - startedMs))
      if (plan.accessLog !== null) this.log(info, ended.noted?.() ?? passed(connection), plan.accessLog)
    })
    const accepted = { plan, chain }
    this.sessions.set(session, accepted)
    if (plan !== this.plan) moveOn(session, accepted, plan, this.plan)
    if (plan !== this.plan || this.draining) session.drain()
  }

  /**
   * New connections meet `plan`; the others are asked to end, and ended after `drainTimeMs`. Throws, and changes nothing,
   * where the new plan asks for what can't be had here.
   */
  replace(plan: ListenerPlan, drainTimeMs: number): void {
    this.sockets.adopt(plan)
    const before = this.plan
    this.plan = plan
    this.expectTls()
    for (const [session, accepted] of this.sessions) moveOn(session, accepted, before, plan)
    // Looked up again at the end: a list would keep all that have long been closed.
    const old = (): NetworkSession[] =>
      [...this.sessions].filter(([, accepted]) => accepted.plan === before).map(([session]) => session)
    for (const session of old()) session.drain()
    setTimeout(() => {
      for (const session of old()) session.destroy()
      closePlan(before)
    }, drainTimeMs).unref()
  }

  /**
   * Takes no new connections but those that a client has begun; all end with their requests, at the latest after
   * `drainTimeMs`. A process that listens at the same address takes the others, and none is lost.
   */
  drain(drainTimeMs: number): void {
    if (this.drainTimer !== null) return
    this.draining = true
    if (this.sockets.refuseNew()) setTimeout(() => this.stopAccepting(), Math.min(settleMs, drainTimeMs)).unref()
    else this.stopAccepting()
    for (const session of this.sessions.keys()) session.drain()
    this.drainTimer = setTimeout(() => this.close(), drainTimeMs)
    this.drainTimer.unref()
  }

  private stopAccepting(): void {
    this.closed = true
    this.sockets.close()
  }

  /** Ends everything now. */
  close(): void {
    this.stopAccepting()
    if (this.drainTimer !== null) clearTimeout(this.drainTimer)
    this.overloadQueue.close()
    for (const connection of this.undecided) connection.destroy()
    for (const session of this.sessions.keys()) session.destroy()
    closePlan(this.plan)
    this.count.release()
  }
}

/** What has passed on a connection whose filter notes nothing of it. */
function passed({ bytesRead, bytesWritten }: Connection): StreamRecord {
  const record = new StreamRecord()
  record.bytesReceived = bytesRead
  record.bytesSent = bytesWritten
  return record
}

function closePlan({ allChains, filters }: ListenerPlan): void {
  for (const chain of allChains) chain.filter.close?.()
  for (const filter of filters) filter.close?.()
}

/** What a socket says, before the listener's filters. Both ends of a Unix socket are called by its path. */
function factsOf(socket: Socket, caught: Destination | null, addresses: readonly ListenAddress[]): ConnectionFacts {
  const pipe = addresses.find(({ type }) => type === 'pipe')
  const path = pipe === undefined ? '' : addressText(pipe)
  const local = { address: plainAddress(socket.localAddress ?? path), port: socket.localPort ?? 0 }
  return {
    remote: { address: plainAddress(socket.remoteAddress ?? path), port: socket.remotePort ?? 0 },
    local: caught ?? local,
    directRemote: undefined,
    directLocal: caught === null ? undefined : local,
    transportProtocol: 'raw_buffer',
    serverName: '',
    applicationProtocols: [],
    metadata: undefined,
    tlvs: undefined,
    acceptedMs: performance.now(),
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
