import { type ClosePace, type Http1Request, Http1ServerConnection, type Http1ServerEvents } from '@weft/http/h1/server-connection'
import type { Connection } from '../../../transport/connection.ts'
import type { DownstreamProtocol } from './downstream-protocol.ts'
import type { Exchange, ExchangeOwner } from './exchange.ts'
import type { PooledDownstream } from './exchange-pool.ts'

/** HTTP/1.1 on a downstream connection: one exchange at a time. */
export class Http1Session implements DownstreamProtocol, Http1ServerEvents, ExchangeOwner {
  readonly name = 'http1'
  private readonly downstream: PooledDownstream
  private readonly connection: Connection
  private readonly codec: Http1ServerConnection
  private exchange: Exchange | null = null

  constructor(downstream: PooledDownstream, connection: Connection) {
    this.downstream = downstream
    this.connection = connection
    this.codec = new Http1ServerConnection(
      connection,
      downstream.tls === null ? downstream.plan.http1 : downstream.plan.secureHttp1,
      this,
    )
  }

  get isIdle(): boolean {
    return this.codec.isIdle
  }

  get isBehind(): boolean {
    return false
  }

  get activeExchanges(): number {
    return this.exchange === null ? 0 : 1
  }

  receive(bytes: Buffer, start: number, end: number): void {
    this.codec.receive(bytes, start, end)
  }

  receiveEnd(): boolean {
    return this.codec.receiveEnd()
  }

  writable(): void {
    this.codec.writable()
  }

  drain(): void {}

  lost(detail: string): void {
    this.codec.connectionLost(detail)
  }

  // Http1ServerEvents

  begin(sender: Http1ServerConnection): Http1Request {
    const { downstream } = this
    downstream.onExchangeBegin()
    this.exchange = downstream.exchanges.take(downstream, sender, this)
    return this.exchange.incoming
  }

  exchangeEnded(): void {
    this.exchange = null
  }

  closeAfterWrite(how: ClosePace): void {
    this.downstream.closeAfterWrite(how)
  }

  pause(): void {
    this.connection.pause()
  }

  resume(): void {
    this.connection.resume()
  }

  idle(): void {}
}
