import type { HeaderTable } from '@weft/http/header-table'
import type { RequestHead, ResponseHead } from '@weft/http/message'
import type { FormatContext } from '../../observe/format/context.ts'
import type { Stats } from '../../observe/stats.ts'
import type { StreamInfo } from '../../observe/stream-info.ts'
import type { Runtime } from '../../plan/runtime.ts'
import type { SecretStore } from '../../plan/secret-store.ts'
import type { RouteRateLimits } from '../../routing/rate-limits.ts'
import type { ConnectionInfo } from '../../transport/connection-info.ts'
import type { WorkerServices } from '../../worker-services.ts'

/**
 * The interface of HTTP filters. A filter is compiled once from its configuration, takes part in a request through the
 * object that `start` gives, and is called in order of the chain for the
 * request, in reverse for the response. A filter that a route has off is not called at all.
 */

/**
 * `continue`: on to the next filter. `stop`: this filter calls `continueRequest` / `continueResponse` (or `reply`)
 * later; until then what follows is held back, with back-pressure to the sender. `buffer`: as stop, but body pieces
 * keep coming to this filter (and are kept, up to the buffer limit) until it continues. `taken`, for data only: the piece
 * goes no further; what should be sent in its place (all at once, later, changed) the filter hands on by
 * `injectRequestData` / `injectResponseData`, and it has to inject the end of the message too.
 */
export type FilterStatus = 'continue' | 'stop' | 'buffer' | 'taken'

/** One filter in one request. Every callback is optional; `stream` is the request it is called for. */
export interface HttpFilter {
  onRequestHeaders?(stream: HttpStream, endStream: boolean): FilterStatus
  /** `data` is valid during the call. */
  onRequestData?(stream: HttpStream, data: Buffer, endStream: boolean): FilterStatus
  onRequestTrailers?(stream: HttpStream, trailers: HeaderTable): FilterStatus
  onResponseHeaders?(stream: HttpStream, endStream: boolean): FilterStatus
  onResponseData?(stream: HttpStream, data: Buffer, endStream: boolean): FilterStatus
  onResponseTrailers?(stream: HttpStream, trailers: HeaderTable): FilterStatus
  /** The request is over, well or not (client gone, reset, reply sent): heads, info and metadata can still be read. Release what is held. */
  onComplete?(stream: HttpStream): void
  /** It may use the stream at any time, also when that is over. Said before its first call; one that stops may in any case. */
  readonly keepsStream?: boolean
}

/** A filter compiled from its configuration; lives as long as the plan. */
export interface CompiledHttpFilter {
  /** The filter's part in one request; null when it takes none. `routeConfig`: what `compileRouteConfig` gave for this route. */
  start(stream: HttpStream, routeConfig: unknown): HttpFilter | null
  /** `start` does not look at the stream, and what it gives holds nothing of a request: one serves all of a route. */
  readonly isShared?: true
  /** One override of those of several levels, given from the most specific on; absent: the most specific counts alone. */
  mergeRouteConfigs?(configs: readonly unknown[]): unknown
  /** It reads how many bytes a request and its answer were on the wire. */
  readonly countsWireBytes?: boolean
  /** The plan that holds this filter went away: stop timers, flush batches. */
  close?(): void
}

/** How a kind of filter is found and compiled: one object a filter folder, listed in index.ts. */
export interface HttpFilterKind {
  /** Type URLs without the prefix, e.g. `envoy.extensions.filters.http.fault.v3.HTTPFault`. */
  readonly types: readonly string[]
  /** Throws WeftError for what is invalid or not supported; `context.fail(path, message)` makes one. */
  compile(config: Uint8Array, context: FilterContext): CompiledHttpFilter
  /** Types of a route's override (typed_per_filter_config); absent: the filter takes none. */
  readonly routeTypes?: readonly string[]
  /** Compiles a route's override; `typeUrl` is one of `routeTypes`. `off`: the filter is disabled there. */
  compileRouteConfig?(config: Uint8Array, typeUrl: string, context: FilterContext): unknown
  /** Not the end of a chain: that is a TerminalFilterKind. */
  readonly terminal?: false
}

/** What a filter is compiled with. In the main thread (`plan/check.ts`) `services` is null: check, and make nothing live. */
export interface FilterContext {
  /** Resource and path, for messages: `Listener in: filter_chains[0].filters[0].http_filters[1]`. */
  readonly path: string
  /** Name given to the filter in the configuration. */
  readonly name: string
  /** The stat prefix of the connection manager: `http.ingress.`. */
  readonly statPrefix: string
  readonly stats: Stats
  readonly runtime: Runtime
  /** The secrets there are; they change. */
  readonly secrets: Pick<SecretStore, 'get'>
  /** What lives in the worker (clusters, timers, node); null when only checking. */
  readonly services: WorkerServices | null
  readonly direction: 'unspecified' | 'inbound' | 'outbound'
  /** Throws a WeftError at `path` inside this filter's configuration. */
  fail(path: string, message: string, hint?: string): never
}

/** The route that was matched. */
export interface RouteInfo {
  readonly name: string
  readonly virtualHost: string
  /** Empty for direct responses and redirects. */
  readonly cluster: string
  /** filter_metadata of the route. */
  readonly metadata: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  /** What rate limit filters count by here; null: nothing. */
  readonly rateLimits?: RouteRateLimits | null
  /** Whether the request is forwarded, or answered here; absent: forwarded. */
  readonly outcome?: { readonly type: 'forward' | 'redirect' | 'direct' | 'nowhere' | 'to-tls' }
}

export interface LocalReply {
  /** Envoy's response code details: `rbac_access_denied_matched_policy[p]`. */
  details: string
  /** Response flags: `FI`, `UAEX`. */
  flags?: readonly string[]
  /** One that the answer's body and edits do not tell of yet, but what is done with the answer does. */
  nextFlag?: string
  /** One that nothing of the answer tells of yet. */
  laterFlag?: string
  headers?: readonly (readonly [name: string, value: string])[]
  /** Changes the head, before what the body makes of it. */
  edit?: (response: ResponseHead) => void
  contentType?: string
  /** The request counts as not read to its end, whatever came of it: HTTP/1.1 closes behind the answer. */
  unfinished?: boolean
  /** The connection manager answers, not the router: of tries it tells nothing. */
  byManager?: boolean
  /** For gRPC requests: the status instead of the one that HTTP's maps to. */
  grpcStatus?: number
}

/** One request and its response, as filters see them. */
export interface HttpStream {
  readonly request: RequestHead
  /** What formats with command operators read. */
  readonly format: FormatContext
  /** The cluster that the request goes to, weights drawn; empty when there is none (yet). */
  readonly clusterName: string
  /** Filled when the response begins. */
  readonly response: ResponseHead
  readonly connection: ConnectionInfo
  readonly info: StreamInfo
  /** null: no route matched (the router will answer 404). */
  readonly route: RouteInfo | null
  /** Name of the listener. */
  readonly listener: string
  /** Dynamic metadata by filter namespace; made on first use. */
  metadata(namespace: string): Record<string, unknown>
  /** The same without making it. */
  readonly metadataOrNull: Readonly<Record<string, Record<string, unknown>>> | null
  /** Adds metadata that is the same for many requests: copied only where one of them has more to say. */
  noteShared(metadata: Record<string, Record<string, unknown>>): void
  /** Filter state: objects shared by filters of this request. */
  readonly filterState: Map<string, unknown>
  /** Goes on after a filter stopped the request. */
  continueRequest(): void
  /** Goes on after a filter stopped the response. */
  continueResponse(): void
  /** Answers here instead of upstream. Filters before this one see the answer as a response. */
  reply(status: number, body: string | Buffer, options: LocalReply): void
  /** How many headers a request may have, and how many bytes of them. */
  readonly requestLimits: { readonly maxHeaders: number; readonly maxHeadBytes: number }
  /** Body bytes that may be kept for filters that hold the request; more are answered by 413. */
  requestBufferLimit: number
  /** Sends a piece of the body on from behind `filter`, which took what came (`taken`). `data` is valid during the call. */
  injectRequestData(filter: HttpFilter, data: Buffer, endStream: boolean): void
  injectResponseData(filter: HttpFilter, data: Buffer, endStream: boolean): void
  /** Ends a message whose data `filter` took with trailers, instead of with its last piece. */
  injectRequestTrailers(filter: HttpFilter, trailers: HeaderTable): void
  injectResponseTrailers(filter: HttpFilter, trailers: HeaderTable): void
  /** `by` takes the place of `filter` in this request, with what comes next of it. */
  replaceFilter(filter: HttpFilter, by: HttpFilter): void
  /** The whole body that is held for the filter which stopped the message (`buffer`) becomes this. */
  replaceRequestBody(data: Buffer): void
  replaceResponseBody(data: Buffer): void
  /** A filter that took data has too much of it: asks the sender to wait, and to go on. */
  pauseRequest(): void
  resumeRequest(): void
  pauseResponse(): void
  resumeResponse(): void
  /** The route is chosen anew (a filter changed what routes look at). */
  clearRoute(): void
  /** What the request asks to go on as (`websocket`, `connect`); empty: nothing else. */
  readonly upgrade: string
  /** Whether the request is gRPC (content-type). */
  readonly isGrpc: boolean
  /** The request is over (no callback follows but onComplete). */
  readonly done: boolean
}
