import type { PeerStanding } from '@weft/http/h2/abuse-budget'
import type { CodecEvent } from '@weft/http/h2/codec-event'
import type { Deadline } from '@weft/http/h2/frame-reader'
import { tickMsOf } from '@weft/http/h2/liveness'
import {
  badPreface,
  Http2ServerConnection,
  type Http2ServerEvents,
  type Http2ServerStream,
} from '@weft/http/h2/server-connection'
import type { IncomingRequest } from '@weft/http/stream'
import { meshHttp2Options } from '../../../plan/http2-options.ts'
import { monotonicMs } from '../../../transport/clock.ts'
import { CoalescingOutput } from '../../../transport/coalescing-output.ts'
import type { Connection } from '../../../transport/connection.ts'
import { fairTurns, type Unfinished } from '../../../transport/fair-turns.ts'
import { meshAlpn } from '../../../transport/mesh-alpn.ts'
import { Timeout } from '../../../transport/timer-wheel.ts'
import type { DownstreamProtocol } from './downstream-protocol.ts'
import type { Exchange, ExchangeOwner } from './exchange.ts'
import type { PooledDownstream } from './exchange-pool.ts'

const nothing = Buffer.alloc(0)
/** Bytes that take no time worth measuring, and behind which nothing waits in the socket. */
const smallRead = 1024

/** HTTP/2 on a downstream connection: an exchange a stream. */
export class Http2Session implements DownstreamProtocol, Http2ServerEvents, ExchangeOwner, Unfinished {
  readonly name = 'http2'
  private readonly downstream: PooledDownstream
  private readonly connection: Connection
  private readonly output: CoalescingOutput
  private readonly codec: Http2ServerConnection
  private readonly active = new Set<Exchange>()
  private readonly timer: Timeout
  /** Bytes that would have taken too long, for later rounds of the event loop; none are read before those are done. */
  private left: Buffer = nothing
  private isWaiting = false
  private hasFailed = false

  constructor(downstream: PooledDownstream, connection: Connection) {
    this.downstream = downstream
    this.connection = connection
    this.output = new CoalescingOutput(connection)
    const { http2, stats } = downstream.plan
    stats.http2.connectionBegins()
    const options = downstream.tls?.alpn === meshAlpn ? meshHttp2Options(http2) : http2
    this.codec = new Http2ServerConnection(this.output, options, this, monotonicMs)
    const tickMs = tickMsOf(options)
    this.timer = new Timeout(() => {
      this.codec.tick()
      downstream.timers.arm(this.timer, tickMs)
    })
    downstream.timers.arm(this.timer, tickMs)
  }

  get isIdle(): boolean {
    return this.codec.isIdle
  }

  get isBehind(): boolean {
    return this.left.length > 0
  }

  get activeExchanges(): number {
    return this.active.size
  }

  receive(bytes: Buffer, start: number, end: number): void {
    if (this.left.length > 0) {
      this.left = Buffer.concat([this.left, bytes.subarray(start, end)])
      return
    }
    const { standing } = this
    if (standing === 'fickle') this.leave(bytes, start, end)
    else if (standing === 'steady' && end - start <= smallRead) this.codec.receive(bytes, start, end)
    else {
      const at = this.codec.receive(bytes, start, end, fairTurns.beginRead(this))
      fairTurns.endRead()
      if (at < end) this.leave(bytes, at, end)
    }
  }

  /** Has bytes wait for a turn. */
  private leave(bytes: Buffer, start: number, end: number): void {
    this.left = Buffer.from(bytes.subarray(start, end))
    this.connection.pause()
    this.waiting()
  }

  get standing(): PeerStanding {
    return this.codec.standing
  }

  goOn(deadline: Deadline): boolean {
    const { left, codec } = this
    if (left.length > 0) {
      this.left = left.subarray(codec.receive(left, 0, left.length, deadline))
      if (this.left.length > 0) return false
      this.connection.resume()
    }
    this.isWaiting = !codec.goOn(deadline)
    return !this.isWaiting
  }

  receiveEnd(): boolean {
    return false
  }

  writable(): void {
    this.codec.writable()
  }

  drain(): void {
    if (this.codec.isDraining) return
    this.codec.drain()
    // The second GOAWAY is due sooner than the next look at the clock may be.
    this.downstream.timers.arm(this.timer, this.downstream.plan.http2.drainNoticeMs + 1)
  }

  lost(detail: string): void {
    this.left = nothing
    this.downstream.timers.cancel(this.timer)
    this.codec.connectionLost(detail)
  }

  // Http2ServerEvents

  begin(stream: Http2ServerStream): IncomingRequest {
    const { downstream } = this
    downstream.onExchangeBegin()
    const exchange = downstream.exchanges.take(downstream, stream, this)
    this.active.add(exchange)
    return exchange.incoming
  }

  exchangeEnded(exchange: Exchange): void {
    this.active.delete(exchange)
  }

  waiting(): void {
    if (this.isWaiting) return
    this.isWaiting = true
    fairTurns.add(this)
  }

  closeAfterWrite(): void {
    this.output.flush()
    if (this.hasFailed) this.downstream.closeAfterWrite('late')
    else this.downstream.closeUnasked()
  }

  turnAway(): void {
    this.output.flush()
    this.downstream.turnAway()
  }

  idle(): void {}

  failed(detail: string): void {
    this.hasFailed = true
    this.downstream.plan.stats.protocolError.inc()
    this.downstream.onProtocolError(
      detail === badPreface ? 'Received bad client magic byte string' : 'The user callback function failed',
    )
  }

  noted(event: CodecEvent): void {
    const { stats } = this.downstream.plan
    stats.http2.note(event)
    if (event === 'premature_resets') stats.tooManyResets.inc()
  }
}
