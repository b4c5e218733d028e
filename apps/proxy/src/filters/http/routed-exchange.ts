import type { HeaderTable } from '@weft/http/header-table'
import type { RequestHead, ResponseHead } from '@weft/http/message'
import type { FormatContext } from '../../observe/format/context.ts'
import type { StreamRecord } from '../../observe/stream-record.ts'
import type { Span } from '../../observe/tracing/span.ts'
import type { TracingPlan } from '../../observe/tracing/tracing-plan.ts'
import type { RoutePlan, RouteTable } from '../../routing/route-table.ts'
import type { ConnectionInfo } from '../../transport/connection-info.ts'
import type { Tlv } from '../../transport/proxy-protocol.ts'
import type { TimerWheel } from '../../transport/timer-wheel.ts'
import type { Cluster } from '../../upstream/cluster.ts'
import type { LocalReply } from './filter.ts'

/** A downstream connection, with what its requests are routed by. */
export interface RoutingConnection extends ConnectionInfo {
  /** What its PROXY header brought along for one that is written upstream. */
  readonly tlvs?: readonly Tlv[] | undefined
  readonly timers: TimerWheel
  /** The table that holds for a request now; null when it has not come. */
  routeTable(request: RequestHead): RouteTable | null
  cluster(name: string): Cluster | undefined
}

/** What a connection manager's configuration says for the end of its chain too. */
export interface RoutingSettings {
  /** null: requests are not traced. */
  readonly tracing: TracingPlan | null
  /** Body bytes that are kept for retries. */
  readonly bufferLimit: number
  /** Requests have the scheme of the connection that they leave by. */
  readonly schemeMatchesUpstream: boolean
}

/** One request and its response as the end of its filter chain sees them. */
export interface RoutedExchange extends FormatContext {
  readonly plan: RoutingSettings
  readonly downstream: RoutingConnection
  readonly request: RequestHead
  readonly response: ResponseHead
  readonly info: StreamRecord
  readonly connection: ConnectionInfo
  readonly route: RoutePlan | null
  readonly filterState: Map<string, unknown>
  /** The same without making it. */
  readonly filterStateOrNull: ReadonlyMap<string, unknown> | null
  readonly metadataOrNull: Record<string, Record<string, unknown>> | null
  /** Where the request is traced. */
  span: Span | null
  /** The client is one of our own. */
  readonly internal: boolean
  /** What the connection becomes: a protocol, or `connect`; empty: nothing else. */
  readonly upgrade: string
  /** Whether the request is gRPC (content-type). */
  readonly isGrpc: boolean
  /** How often the request was turned to another place here. */
  readonly internalRedirects: number
  readonly responseStarted: boolean
  /** The client takes no bytes of an answer now. */
  readonly takesNothing: boolean
  /** The request is over. */
  readonly done: boolean
  /** Upstream has too much of the body: asks the sender to wait, and to go on. */
  pauseRequest(): void
  resumeRequest(): void
  /** As for any filter; `edit` may change the head that was made. */
  reply(status: number, body: string | Buffer, options: LocalReply, edit?: () => void): void
  /** An interim answer has come (103, or 100 where that is passed on). */
  interim(head: ResponseHead): void
  /** The response's head is in `response`. */
  respond(endStream: boolean): void
  respondData(buffer: Buffer, start: number, end: number, endStream: boolean): void
  respondTrailers(trailers: HeaderTable): void
  /** The request goes another way from here, as one of its own. */
  beginAgain(body: readonly Buffer[], trailers: HeaderTable | null): void
  /** Ends the stream without a proper end. */
  abort(): void
  /** Counts the stream as one that was reset, though it is not. */
  countReset(): void
  /** Has what is due looked at at this time (monotonic ms), or before. */
  watch(atMs: number): void
}
