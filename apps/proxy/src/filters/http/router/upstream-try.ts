import { headerName, names } from '@weft/http/header-name'
import type { HeaderTable } from '@weft/http/header-table'
import type { ClientStream, IncomingResponse, ResetReason } from '@weft/http/stream'
import type { Span } from '../../../observe/tracing/span.ts'
import type { ForwardPlan } from '../../../routing/route-action.ts'
import { monotonicMs } from '../../../transport/clock.ts'
import { writeProxyHeader } from '../../../transport/proxy-protocol.ts'
import type { ProxiedClient } from '../../../transport/upstream-tls.ts'
import type { CircuitBreaker } from '../../../upstream/circuit-breaker.ts'
import type { Endpoint } from '../../../upstream/endpoint.ts'
import { poolOf, tcpPoolOf } from '../../../upstream/endpoint-pools.ts'
import { cell } from '../../../upstream/endpoint-slab.ts'
import { httpStatusOf } from '../../../upstream/grpc-status.ts'
import { noteResponse, noteStatus } from '../../../upstream/outcome.ts'
import type { PooledConnection, PoolWaiter, UpstreamPool } from '../../../upstream/pool.ts'
import { withStatedNames } from '../../../upstream/requested-names.ts'
import type { UpstreamCluster } from '../../../upstream/upstream-cluster.ts'
import type { RoutedExchange } from '../routed-exchange.ts'
import type { KeptBody } from './kept-body.ts'
import { resetWord } from './reset-reasons.ts'

const immediateFailure = headerName('x-envoy-immediate-health-check-fail')

/** Methods that may be sent twice (RFC 9110 section 9.2.2). */
const idempotent = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE'])

/** One try of a request: its endpoint, the wait for a connection, the request on that. Used again for the next try. */
export class UpstreamTry {
  private readonly exchange: RoutedExchange
  private forward: ForwardPlan | null = null
  endpoint: Endpoint | null = null
  connection: PooledConnection | null = null
  /** The request on that connection; set and cleared with it. */
  stream: ClientStream | null = null
  /** The endpoint to which it has no connection yet. */
  waitingFor: Endpoint | null = null
  private waitingIn: UpstreamPool | null = null
  private isReused = false
  private pausesResponse = false
  /** Where tries are traced, and why it had no answer. */
  private span: Span | null = null
  private resetReason = ''

  constructor(exchange: RoutedExchange) {
    this.exchange = exchange
  }

  /** Another request, or another route for it. */
  begin(forward: ForwardPlan | null): void {
    this.forward = forward
    this.endpoint = null
    this.connection = null
    this.stream = null
    this.waitingFor = null
    this.pausesResponse = false
  }

  /** Asks for a connection to this endpoint: one at once; null: `waiter` will hear; 'overflow': there are too many requests. */
  acquire(endpoint: Endpoint, waiter: PoolWaiter): PooledConnection | null | 'overflow' {
    const { info } = this.exchange
    info.upstreamEndpoint = endpoint
    const breaker = this.breakerOf(endpoint.cluster)
    if (!breaker.take('requests')) return 'overflow'
    const pool = this.poolOf(endpoint)
    const connection = pool.acquire(waiter)
    if (connection === 'overflow') {
      // What waits for a connection has no host yet.
      breaker.release('requests')
      info.upstreamEndpoint = null
      return connection
    }
    this.waitingFor = endpoint
    // Until it has a connection it counts among those that wait, not among those under way.
    if (connection === null) {
      this.waitingIn = pool
      breaker.release('requests')
    }
    return connection
  }

  /** It has waited for a connection, and now there is one. */
  waited(): void {
    this.breakerOf(this.waitingFor!.cluster).force('requests')
  }

  /** The limits of the cluster whose endpoint was picked: an aggregate cluster's members have their own. */
  private breakerOf(cluster: UpstreamCluster): CircuitBreaker {
    return cluster.breakers[this.forward!.priority]
  }

  private poolOf(endpoint: Endpoint): UpstreamPool {
    const { cluster } = endpoint
    const { request, upgrade } = this.exchange
    const names = withStatedNames(cluster.plan.autoNames?.(request) ?? null, this.exchange.filterStateOrNull)
    const client = cluster.plan.keepsClientsApart ? this.client() : null
    if (this.endsHere) return tcpPoolOf(endpoint, this.forward!.priority, names, client)
    return poolOf(endpoint, this.forward!.priority, request.version, upgrade !== '', names, client)
  }

  private client(): ProxiedClient {
    const { remoteAddress, remotePort, localAddress, localPort, tlvs } = this.exchange.downstream
    return { remoteAddress, remotePort, localAddress, localPort, tlvs }
  }

  /** Whether the request goes on as a bare connection. */
  private get endsHere(): boolean {
    const tcp = this.forward?.tcp ?? null
    if (tcp === null) return false
    const { method } = this.exchange.request
    return method === 'CONNECT' || (method === 'POST' && tcp.allowsPost)
  }

  /** Takes the connection that it asked for: from here on it is under way. */
  connect(connection: PooledConnection): Endpoint {
    const endpoint = this.waitingFor!
    this.waitingFor = null
    this.endpoint = endpoint
    this.connection = connection
    this.isReused = connection.requests > 0
    const { stats, slab } = endpoint.cluster
    stats.requestActive.inc()
    endpoint.active++
    slab.add(endpoint.slot, cell.activeRequests, 1)
    const { info } = this.exchange
    info.upstreamConnection = connection.link
    info.upstreamProtocol = connection.protocol
    info.upstreamSendStartMs = info.startMs
    return endpoint
  }

  /** Begins the request on the connection; its answer comes to `receiver`. */
  open(connection: PooledConnection, receiver: IncomingResponse): ClientStream {
    const { exchange } = this
    const stream = connection.begin(receiver, exchange.takesNothing)
    this.stream = stream
    if (exchange.span !== null) this.span = exchange.plan.tracing?.attempt(exchange, exchange.span, monotonicMs()) ?? null
    return stream
  }

  /** One that went on by itself takes its place here again. */
  resume(endpoint: Endpoint, connection: PooledConnection, stream: ClientStream | null): void {
    const { info } = this.exchange
    this.endpoint = endpoint
    this.connection = connection
    this.stream = stream
    info.upstreamEndpoint = endpoint
    info.upstreamConnection = connection.link
    info.upstreamProtocol = connection.protocol
  }

  /** Sends the head, and (unless it is held) what there is of the body; gives whether the stream takes more. */
  send(stream: ClientStream, body: KeptBody, held = false): boolean {
    const { request, info } = this.exchange
    const wholeHead = body.none
    info.wire?.requestWritten(request, wholeHead)
    const introduction = this.introduction()
    stream.sendHead(request, wholeHead && introduction === null)
    if (introduction !== null) stream.sendData(introduction, 0, introduction.length, wholeHead)
    const more = wholeHead || held || body.sendTo(stream, info.wire)
    if (body.ended && !held) info.upstreamSendEndMs = monotonicMs()
    return more
  }

  /** The PROXY header that a bare connection begins with; null: none does. */
  private introduction(): Buffer | null {
    const version = this.forward?.tcp?.proxyHeader ?? 0
    if (version === 0 || !this.endsHere) return null
    const { remoteAddress, remotePort, localAddress, localPort } = this.exchange.connection
    const source = { address: remoteAddress, port: remotePort }
    return writeProxyHeader({
      version,
      addresses: { source, destination: { address: localAddress, port: localPort } },
      tlvs: [],
    })
  }

  /** For outlier detection: of gRPC the status in headers without a body, or in the trailers, is what counts. */
  noteAnswer(status: number, endStream: boolean): void {
    const { endpoint, exchange } = this
    if (endpoint === null) return
    const { headers } = exchange.response
    if (endpoint.cluster.isChecked && headers.has(immediateFailure)) endpoint.cluster.failCheck(endpoint)
    if (!exchange.isGrpc) {
      noteResponse(endpoint, exchange.response, status)
      return
    }
    const grpcStatus = headers.get(names.grpcStatus)
    if (grpcStatus !== null) noteResponse(endpoint, exchange.response, httpStatusOf(Number(grpcStatus)))
    else if (endStream || status !== 200) noteResponse(endpoint, exchange.response, status)
  }

  noteTrailers(trailers: HeaderTable): void {
    const grpcStatus = this.exchange.isGrpc ? trailers.get(names.grpcStatus) : null
    if (grpcStatus !== null && this.endpoint !== null) noteStatus(this.endpoint, httpStatusOf(Number(grpcStatus)))
  }

  /**
   * Whether nobody has seen the request that ended so, or it may be sent twice and the peer closed an idle connection just as it
   * went out.
   */
  mayBeUnseen(reason: ResetReason, detail: string): boolean {
    const { connection } = this
    // HTTP/2 says by GOAWAY what it has not looked at.
    if (reason === 'refused-stream') return detail.startsWith('goaway')
    if (reason !== 'connection-closed' || connection === null || connection.protocol === 'HTTP/2') return false
    if (!connection.connected || !this.isReused || connection.requestTaken === true) return false
    return (this.stream?.unanswered ?? true) && idempotent.has(this.exchange.request.method)
  }

  /** Upstream gave no answer, or the rest of none, for this reason. */
  noteReset(reason: ResetReason, detail: string): void {
    if (this.span !== null) this.resetReason = resetWord(reason, detail)
  }

  pauseResponse(): void {
    if (this.connection === null) return
    this.pausesResponse = true
    this.stream?.pauseResponse()
  }

  resumeResponse(): void {
    if (!this.pausesResponse) return
    this.pausesResponse = false
    this.stream?.resumeResponse()
  }

  /** It is over: the endpoint has one request less. */
  end(): void {
    const { endpoint } = this
    if (this.connection === null || endpoint === null) return
    this.leave()
    this.settle(endpoint)
  }

  /** It goes on by itself, and another try takes its place here. */
  leave(): void {
    if (this.span !== null) this.endSpan(this.span)
    this.connection = null
    this.stream = null
    this.endpoint = null
  }

  /** A try at this endpoint is no longer under way. */
  settle(endpoint: Endpoint): void {
    const owner = endpoint.cluster
    owner.stats.requestActive.dec()
    endpoint.active--
    owner.slab.add(endpoint.slot, cell.activeRequests, -1)
    this.breakerOf(owner).release('requests')
  }

  /** It is given up. */
  drop(waiter: PoolWaiter): void {
    if (this.waitingFor !== null) {
      this.waitingIn?.forget(waiter)
      this.waitingFor = null
    }
    const { stream } = this
    if (stream === null) return
    this.end()
    stream.reset()
  }

  private endSpan(span: Span): void {
    const { exchange } = this
    this.span = null
    exchange.plan.tracing?.endAttempt(exchange, span, exchange.response.status, this.resetReason, monotonicMs())
    this.resetReason = ''
  }
}
