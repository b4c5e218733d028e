import type { HeaderTable } from '@weft/http/header-table'
import { ResponseHead } from '@weft/http/message'
import type { ClientStream, IncomingResponse, ResetReason } from '@weft/http/stream'
import type { Endpoint } from '../../../upstream/endpoint.ts'
import type { PooledConnection } from '../../../upstream/pool.ts'

/** What the router is told of tries that race. */
export interface HedgeOwner {
  /** A try's answer begins: the router takes it, or has the try given up. */
  onHedgedHead(one: HedgedTry, endStream: boolean): void
  onHedgedReset(one: HedgedTry, reason: ResetReason, detail: string): void
  onInterim(head: ResponseHead): void
  onResponseData(buffer: Buffer, start: number, end: number, endStream: boolean): void
  onResponseTrailers(trailers: HeaderTable): void
  onRequestWritable(): void
}

/** One of several tries of a request that are under way at the same time: the first good answer is the client's. */
export class HedgedTry implements IncomingResponse {
  readonly response = new ResponseHead()
  /** Its request on its connection; set as soon as it is begun. */
  stream: ClientStream | null = null
  readonly endpoint: Endpoint
  readonly connection: PooledConnection
  private readonly owner: HedgeOwner
  /** What it says is the client's answer. */
  private chosen = false
  /** Nothing it says counts any more. */
  private over = false

  constructor(owner: HedgeOwner, endpoint: Endpoint, connection: PooledConnection) {
    this.owner = owner
    this.endpoint = endpoint
    this.connection = connection
  }

  /** Its answer is the one. */
  choose(): void {
    this.chosen = true
  }

  /** It is given up: its stream is reset, and it says nothing more. */
  giveUp(): void {
    this.over = true
    this.stream?.reset()
  }

  onInterim(head: ResponseHead): void {
    if (!this.over) this.owner.onInterim(head)
  }

  onResponseHead(endStream: boolean): void {
    if (!this.over) this.owner.onHedgedHead(this, endStream)
  }

  onResponseData(buffer: Buffer, start: number, end: number, endStream: boolean): void {
    if (this.chosen && !this.over) this.owner.onResponseData(buffer, start, end, endStream)
  }

  onResponseTrailers(trailers: HeaderTable): void {
    if (this.chosen && !this.over) this.owner.onResponseTrailers(trailers)
  }

  onResponseReset(reason: ResetReason, detail: string): void {
    if (this.over) return
    this.over = true
    this.owner.onHedgedReset(this, reason, detail)
  }

  onRequestWritable(): void {
    if (!this.over) this.owner.onRequestWritable()
  }
}
