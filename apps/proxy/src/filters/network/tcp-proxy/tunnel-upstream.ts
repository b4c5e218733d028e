import type { HeaderTable } from '@weft/http/header-table'
import { RequestHead, ResponseHead } from '@weft/http/message'
import type { ClientStream, ResetReason } from '@weft/http/stream'
import type { FormatContext } from '../../../observe/format/context.ts'
import type { ConnectionInfo } from '../../../transport/connection-info.ts'
import type { Cluster } from '../../../upstream/cluster.ts'
import type { Endpoint } from '../../../upstream/endpoint.ts'
import { poolOf } from '../../../upstream/endpoint-pools.ts'
import { cell } from '../../../upstream/endpoint-slab.ts'
import type { PooledConnection, PoolWaiter, UpstreamPool } from '../../../upstream/pool.ts'
import type { SessionUpstream, SessionUpstreamEvents } from './session-upstream.ts'
import { type TunnelPlan, tunnelHeaders, tunnelTrailers } from './tunnel.ts'

/** A TCP session's way through HTTP: a request whose body, and whose answer's, are the session's bytes. */
export class TunnelUpstream implements SessionUpstream, PoolWaiter {
  readonly response = new ResponseHead()
  readonly buffered = 0
  private readonly plan: TunnelPlan
  private readonly cluster: Cluster
  private readonly endpoint: Endpoint
  private readonly context: FormatContext
  private readonly filterState: Map<string, unknown>
  private readonly events: SessionUpstreamEvents
  private readonly pool: UpstreamPool
  private pooled: PooledConnection | null = null
  private stream: ClientStream | null = null
  private accepted = false
  private writeEnded = false
  private readEnded = false

  /** `filterState`: the connection's, for what the answer says. */
  constructor(
    plan: TunnelPlan,
    cluster: Cluster,
    endpoint: Endpoint,
    context: FormatContext,
    filterState: Map<string, unknown>,
    events: SessionUpstreamEvents,
  ) {
    this.plan = plan
    this.cluster = cluster
    this.endpoint = endpoint
    this.context = context
    this.filterState = filterState
    this.events = events
    this.pool = poolOf(endpoint, 0, 11, true, null, null)
  }

  /** Asks for the tunnel; false: the cluster has too many requests. */
  open(): boolean {
    const breaker = this.cluster.breakers[0]
    if (!breaker.take('requests')) return false
    const connection = this.pool.acquire(this)
    if (connection === null || connection === 'overflow') breaker.release('requests')
    else this.begin(connection)
    return connection !== 'overflow'
  }

  onPoolReady(connection: PooledConnection): void {
    this.cluster.breakers[0].force('requests')
    this.begin(connection)
  }

  private begin(connection: PooledConnection): void {
    const { cluster, endpoint, plan, context } = this
    this.pooled = connection
    cluster.stats.requestActive.inc()
    endpoint.active++
    cluster.slab.add(endpoint.slot, cell.activeRequests, 1)
    const head = new RequestHead()
    head.method = plan.postPath === null ? 'CONNECT' : 'POST'
    head.path = plan.postPath ?? ''
    head.authority = plan.host(context)
    head.scheme = cluster.tlsOf(endpoint) === null ? 'http' : 'https'
    plan.edits?.onRequest(context, head)
    this.stream = connection.begin(this)
    this.stream.sendHead(head, false)
  }

  /** The request is over, in whatever way. */
  private settle(): void {
    const { cluster, endpoint } = this
    if (this.stream === null) return
    this.stream = null
    cluster.stats.requestActive.dec()
    endpoint.active--
    cluster.slab.add(endpoint.slot, cell.activeRequests, -1)
    cluster.breakers[0].release('requests')
  }

  private close(failure: string): void {
    this.settle()
    this.events.onClose(failure)
  }

  // SessionUpstream

  get info(): ConnectionInfo {
    if (this.pooled === null) throw new Error('the tunnel has no connection yet')
    return this.pooled.link
  }

  write(bytes: Buffer, start: number, end: number): boolean {
    return this.stream?.sendData(bytes, start, end, false) ?? true
  }

  endWriting(): void {
    const { stream } = this
    this.writeEnded = true
    stream?.sendData(empty, 0, 0, true)
    if (this.readEnded && this.stream !== null) this.close('')
  }

  pause(): void {
    this.stream?.pauseResponse()
  }

  resume(): void {
    this.stream?.resumeResponse()
  }

  closeWhenFlushed(): void {
    const { stream } = this
    if (stream === null) {
      if (this.pooled === null) this.pool.forget(this)
      return
    }
    this.settle()
    stream.reset()
    this.events.onClose('')
  }

  resetNow(): void {
    this.closeWhenFlushed()
  }

  // The answer

  onInterim(): void {}

  onResponseHead(endStream: boolean): void {
    const { stream, response, pooled } = this
    if (stream === null) return
    const taken = pooled?.protocol === 'HTTP/2' ? response.status === 200 : response.status >= 200 && response.status < 300
    if (this.plan.keepsHeaders) this.filterState.set(tunnelHeaders, new KeptHeaders(response.headers, response.status))
    if (!taken || endStream) {
      this.settle()
      stream.reset()
      this.events.onClose(`tunnel_response:${response.status}`)
      return
    }
    this.accepted = true
    // The session's log tells it when the connection is over.
    pooled?.link.keepLocalAddress?.()
    this.events.onConnected()
  }

  onResponseData(buffer: Buffer, start: number, end: number, endStream: boolean): void {
    if (this.stream === null) return
    if (end > start) this.events.onBytes(buffer, start, end)
    if (endStream) this.onAnswerEnd()
  }

  onResponseTrailers(trailers: HeaderTable): void {
    if (this.plan.keepsTrailers) this.filterState.set(tunnelTrailers, new KeptHeaders(trailers))
    if (this.stream !== null) this.onAnswerEnd()
  }

  private onAnswerEnd(): void {
    this.readEnded = true
    // HTTP/1.1 ends in both directions at once.
    if (this.pooled?.protocol !== 'HTTP/2' || this.writeEnded) this.close('')
    else this.events.onEnd()
  }

  onResponseReset(reason: ResetReason, detail: string): void {
    if (this.stream === null) return
    const { stats } = this.cluster
    const failed = reason === 'connect-failure'
    if (failed) stats.pendingFailureEject.inc()
    // Of HTTP/2 the codec counts it.
    else if (reason === 'protocol-error' && this.pooled?.protocol === 'HTTP/1.1') stats.protocolError.inc()
    this.close(failed ? detail : '')
  }

  onRequestWritable(): void {
    if (this.accepted) this.events.onWritable()
  }
}

/** Headers as filter state, for logs. */
class KeptHeaders {
  private readonly headers: { key: string; value: string }[] = []

  constructor(table: HeaderTable, status?: number) {
    if (status !== undefined) this.headers.push({ key: ':status', value: String(status) })
    for (let i = 0; i < table.entries; i++)
      if (table.ranges[i * 4]! >= 0) this.headers.push({ key: table.nameAt(i), value: table.valueAt(i) })
  }

  toJSON(): unknown {
    return { headers: this.headers }
  }

  toString(): string {
    return JSON.stringify(this)
  }
}

const empty = Buffer.alloc(0)
