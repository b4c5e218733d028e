import type { FormatContext } from '../../observe/format/context.ts'
import type { StreamRecord } from '../../observe/stream-record.ts'
import type { Connection, ConnectionHandler } from '../../transport/connection.ts'
import { Timeout } from '../../transport/timer-wheel.ts'
import type {
  AcceptedInfo,
  CompiledNetworkFilter,
  CompiledNetworkGate,
  ConnectionServices,
  GateConnection,
  GateVerdict,
  NetworkGate,
  NetworkSession,
  Refusal,
} from './filter.ts'

/** The last filter of a chain behind those before it. What one of them refuses the last one still sees, and logs. */
export function behindGates(gates: readonly CompiledNetworkGate[], last: CompiledNetworkFilter): CompiledNetworkFilter {
  if (gates.length === 0) return last
  return {
    alpn: last.alpn,
    accept: (connection, info, services, onGone) => new GatedConnection(gates, last, connection, info, services, onGone),
    adopt(session) {
      if (session instanceof GatedConnection && session.session !== null) last.adopt?.(session.session)
    },
    missed: (durationMs, byUs) => last.missed?.(durationMs, byUs),
    close() {
      for (const gate of gates) gate.close?.()
      last.close?.()
    },
  }
}

/**
 * A connection on its way through the filters before the last one. Each is asked as it opens, in their order; then the last one
 * has it. Those that decide by what is sent are asked again with the first bytes; when all have let them pass the last filter
 * reads by itself.
 */
class GatedConnection implements NetworkSession, ConnectionHandler, GateConnection {
  readonly connection: Connection
  readonly info: AcceptedInfo
  readonly services: ConnectionServices
  /** Under the last filter; null: not yet. */
  session: NetworkSession | null = null
  private readonly last: CompiledNetworkFilter
  private readonly onGone: (session: NetworkSession) => void
  private readonly gates: NetworkGate[]
  /** The last filter's, while this one stands before it. */
  private inner: ConnectionHandler | null = null
  /** The gate that is asked now. */
  private at = 0
  private phase: 'connect' | 'data' | 'open' | 'closed' = 'connect'
  /** Read and not yet passed on. */
  private held: Buffer[] = []
  private endHeld = false
  private waits = false
  private refusal: Refusal | null = null

  constructor(
    gates: readonly CompiledNetworkGate[],
    last: CompiledNetworkFilter,
    connection: Connection,
    info: AcceptedInfo,
    services: ConnectionServices,
    onGone: (session: NetworkSession) => void,
  ) {
    this.last = last
    this.connection = connection
    this.services = services
    this.onGone = onGone
    this.info = {
      ...info,
      metadata: info.metadata ?? {},
      filterState: info.filterState ?? new Map(),
      mayWrite: () => this.mayWrite(),
    }
    connection.handler = this
    connection.pause()
    this.gates = gates.map((gate) => gate.start(this)).filter((gate) => gate !== null)
    this.connect()
  }

  private connect(): void {
    for (; this.at < this.gates.length; this.at++) {
      const verdict = this.gates[this.at]!.onConnect?.() ?? 'continue'
      if (verdict === 'continue') continue
      this.waits = true
      if (verdict !== 'stop' && verdict !== 'more') this.refuse(verdict)
      return
    }
    this.handOver()
  }

  private handOver(): void {
    const { connection, info, services } = this
    const refusal = this.refusal
    const accepted = refusal === null ? info : { ...info, refusal }
    this.waits = false
    this.phase = refusal === null && this.gates.some((gate) => gate.onData !== undefined) ? 'data' : 'open'
    this.at = 0
    connection.resume()
    this.session = this.last.accept(connection, accepted, services, () => this.gone())
    if (this.phase === 'open') {
      this.release(connection.handler)
      return
    }
    this.inner = connection.handler
    connection.handler = this
    if (this.held.length > 0) this.pass()
  }

  /** What was held goes on to who reads now. */
  private release(handler: ConnectionHandler): void {
    const { held, connection } = this
    this.held = []
    for (const bytes of held) if (!connection.isClosed) handler.onBytes(bytes, 0, bytes.length)
    if (this.endHeld && !connection.isClosed) handler.onEnd()
  }

  private gone(): void {
    if (this.phase === 'closed') return
    this.phase = 'closed'
    for (const gate of this.gates) gate.onClose?.()
    this.onGone(this)
  }

  /** Asks the gates about the bytes that are held, and passes them on when all agree. */
  private pass(): void {
    for (; this.at < this.gates.length; this.at++) {
      const verdict: GateVerdict = this.gates[this.at]!.onData?.() ?? 'continue'
      if (verdict === 'continue') continue
      if (verdict === 'more') return
      this.waits = true
      if (verdict === 'stop') this.connection.pause()
      else this.refuse(verdict)
      return
    }
    this.at = 0
    const { inner, connection } = this
    if (inner === null) return
    if (!this.gates.some((gate) => gate.asksAlways === true)) {
      this.phase = 'open'
      connection.handler = inner
      this.inner = null
    }
    this.release(inner)
  }

  /** The last filter has the first bytes for the client. */
  private mayWrite(): boolean {
    if (this.phase !== 'data') return this.phase === 'open'
    for (const gate of this.gates) {
      const verdict = gate.onFirstWrite?.() ?? 'continue'
      if (verdict === 'continue') continue
      this.refuse(verdict)
      return false
    }
    return true
  }

  // GateConnection

  get context(): FormatContext | null {
    return this.session?.context ?? null
  }

  get ended(): boolean {
    return this.endHeld
  }

  peek(): Buffer {
    if (this.held.length > 1) this.held = [Buffer.concat(this.held)]
    return this.held[0] ?? empty
  }

  consume(bytes: number): void {
    const left = this.peek().subarray(bytes)
    this.held = left.length > 0 ? [left] : []
  }

  proceed(): void {
    if (!this.waits || this.phase === 'closed' || this.connection.isClosed) return
    this.waits = false
    this.at++
    if (this.phase === 'connect') this.connect()
    else {
      this.connection.resume()
      this.pass()
    }
  }

  refuse(refusal: Refusal): void {
    if (this.refusal !== null || this.phase === 'closed') return
    this.refusal = refusal
    this.waits = true
    const { afterMs = 0 } = refusal
    if (afterMs > 0) {
      // What it sends meanwhile is left unread.
      this.connection.pause()
      this.services.timers.arm(new Timeout(() => this.turnAway()), afterMs)
    } else this.turnAway()
  }

  private turnAway(): void {
    if (this.phase === 'closed') return
    if (this.phase === 'connect') this.handOver()
    else if (this.session?.refuse !== undefined) this.session.refuse(this.refusal ?? { details: '' })
    else this.connection.destroy()
  }

  // NetworkSession

  drain(): void {
    this.session?.drain()
  }

  noted(): StreamRecord | null {
    return this.session?.noted?.() ?? null
  }

  destroy(): void {
    if (this.session === null) this.connection.destroy()
    else this.session.destroy()
  }

  // ConnectionHandler

  onBytes(bytes: Buffer, start: number, end: number): void {
    if (this.refusal !== null) return
    this.held.push(Buffer.from(bytes.subarray(start, end)))
    if (this.phase === 'data' && !this.waits) this.pass()
  }

  onEnd(): void {
    if (this.phase === 'data' && !this.waits && this.held.length === 0) this.inner?.onEnd()
    else {
      this.endHeld = true
      // One that has asked for more hears that there is none.
      if (this.phase === 'data' && !this.waits) this.pass()
    }
  }

  onWritable(): void {
    this.inner?.onWritable()
  }

  onClose(error: Error | null): void {
    if (this.inner !== null) this.inner.onClose(error)
    else if (this.session === null) this.gone()
  }
}

const empty = Buffer.alloc(0)
