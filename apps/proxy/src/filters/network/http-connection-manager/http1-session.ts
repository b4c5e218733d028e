import { type ClosePace, type Http1Request, Http1ServerConnection, type Http1ServerEvents } from '@weft/http/h1/server-connection'
import type { Connection } from '../../../transport/connection.ts'
import type { Downstream } from './downstream.ts'
import type { DownstreamProtocol } from './downstream-protocol.ts'
import { Exchange } from './exchange.ts'

/** HTTP/1.1 on a downstream connection: one exchange at a time, used again for the next. */
export class Http1Session implements DownstreamProtocol, Http1ServerEvents {
  readonly name = 'http1'
  private readonly downstream: Downstream
  private readonly connection: Connection
  private readonly codec: Http1ServerConnection
  private exchange: Exchange | null = null

  constructor(downstream: Downstream, connection: Connection) {
    this.downstream = downstream
    this.connection = connection
    this.codec = new Http1ServerConnection(connection, downstream.plan.http1, this)
  }

  get isIdle(): boolean {
    return this.codec.isIdle
  }

  get activeExchanges(): number {
    return !this.codec.isIdle && this.exchange !== null && !this.exchange.done ? 1 : 0
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

  lost(): void {
    this.codec.connectionLost('connection closed')
    this.exchange?.dispose()
  }

  // Http1ServerEvents

  begin(sender: Http1ServerConnection): Http1Request {
    const { downstream } = this
    downstream.onExchangeBegin()
    if (this.exchange !== null && this.exchange.plan !== downstream.plan) {
      this.exchange.dispose()
      this.exchange = null
    }
    this.exchange ??= new Exchange(downstream)
    this.exchange.begin(sender)
    return this.exchange.incoming
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
