import type { HeaderTable } from '@weft/http/header-table'
import { type RequestHead, ResponseHead } from '@weft/http/message'
import { StreamRecord } from '../../../observe/stream-record.ts'
import type { Span } from '../../../observe/tracing/span.ts'
import type { RoutePlan } from '../../../routing/route-table.ts'
import { monotonicMs } from '../../../transport/clock.ts'
import type { ConnectionInfo } from '../../../transport/connection-info.ts'
import { Timeout } from '../../../transport/timer-wheel.ts'
import { isGrpcType } from '../grpc-type.ts'
import type { RoutedExchange, RoutingConnection, RoutingSettings } from '../routed-exchange.ts'
import type { EndOfChain, TerminalFilter } from '../terminal-filter.ts'

/** So many bytes of the body may come while the cluster takes none; one that falls further behind is given up. */
const maxBehind = 1024 * 1024

const nobody: ConnectionInfo = {
  id: 0,
  remoteAddress: '',
  remotePort: 0,
  localAddress: '',
  localPort: 0,
  tls: null,
  serverName: '',
}

const settings: RoutingSettings = { tracing: null, bufferLimit: maxBehind, schemeMatchesUpstream: false }

/**
 * A copy of a request, on its way to another cluster by a router of its own. There is no client behind it: its answer is read and
 * dropped, and what becomes of it shows in that cluster's statistics alone. It knows nothing of the request it is a copy of, which it
 * may outlive, and never has it wait.
 */
export class MirroredExchange implements RoutedExchange {
  readonly request: RequestHead
  readonly response = new ResponseHead()
  readonly responseTrailers = null
  readonly info = new StreamRecord()
  readonly plan = settings
  readonly downstream: RoutingConnection
  readonly route: RoutePlan
  readonly filterState = new Map<string, unknown>()
  readonly filterStateOrNull = null
  readonly metadataOrNull = null
  readonly routeMetadata = null
  readonly clusterMetadata = null
  span: Span | null = null
  readonly internal = true
  readonly upgrade: string
  readonly isGrpc: boolean
  readonly internalRedirects = 0
  readonly takesNothing = false
  responseStarted = false
  done = false
  private readonly terminal: TerminalFilter
  private readonly timer = new Timeout(() => this.onTimer())
  private dueMs = 0
  /** All of the request has come. */
  private complete = false
  private isPaused = false
  /** Bytes that have come since it was paused. */
  private behind = 0

  /** `request` and `route` are its own; `origin`: the connection whose request it is a copy of, for its thread's clusters and timers. */
  constructor(request: RequestHead, route: RoutePlan, upgrade: string, origin: RoutingConnection, endOf: EndOfChain) {
    this.request = request
    this.route = route
    this.upgrade = upgrade
    this.isGrpc = isGrpcType(request.headers)
    const { timers } = origin
    this.downstream = { ...nobody, timers, routeTable: () => null, cluster: (name) => origin.cluster(name) }
    this.terminal = endOf(this)
  }

  get connection(): ConnectionInfo {
    return this.downstream
  }

  /** The head goes. */
  start(endStream: boolean): void {
    this.complete = endStream
    this.info.reset(monotonicMs())
    this.terminal.prepare(this.route)
    this.terminal.start(endStream)
  }

  /** `buffer` is valid during the call. */
  data(buffer: Buffer, start: number, end: number, endStream: boolean): void {
    if (this.done) return
    this.info.bytesReceived += end - start
    if (this.isPaused) this.behind += end - start
    if (this.behind > maxBehind) {
      this.abort()
      return
    }
    this.complete = endStream
    this.terminal.data(buffer, start, end, endStream)
  }

  /** `trailers` are never changed from here on. */
  trailers(trailers: HeaderTable): void {
    if (this.done) return
    this.complete = true
    this.terminal.trailers(trailers)
  }

  /** Nothing more will come: without its end it is given up. */
  leave(): void {
    if (!this.complete) this.abort()
  }

  private finish(): void {
    this.done = true
    this.downstream.timers.cancel(this.timer)
    this.terminal.end()
  }

  // Of its router

  pauseRequest(): void {
    this.isPaused = true
  }

  resumeRequest(): void {
    this.isPaused = false
    this.behind = 0
  }

  reply(): void {
    this.abort()
  }

  abort(): void {
    if (this.done) return
    this.terminal.cancel()
    this.finish()
  }

  respond(endStream: boolean): void {
    this.responseStarted = true
    if (endStream) this.finish()
  }

  respondData(_buffer: Buffer, _start: number, _end: number, endStream: boolean): void {
    if (endStream) this.finish()
  }

  respondTrailers(): void {
    this.finish()
  }

  interim(): void {}
  countReset(): void {}
  /** Its route follows no redirects. */
  beginAgain(): void {}

  // Time limits

  watch(atMs: number): void {
    const { timers } = this.downstream
    if (atMs === Number.POSITIVE_INFINITY || (this.timer.armed && atMs >= this.dueMs)) return
    this.dueMs = atMs
    timers.arm(this.timer, Math.max(0, atMs - monotonicMs()))
  }

  private onTimer(): void {
    this.terminal.onTimer(monotonicMs())
    if (!this.done) this.watch(this.terminal.nextDeadline)
  }
}
