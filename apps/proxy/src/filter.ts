/**
 * What an HTTP filter in TypeScript is written with: `import { httpFilter } from '@weft/proxy/filter'` (docs/proxy-filters.md).
 */

/** Headers of a request or a response. Names are of any case; several values of one name come joined by commas. */
export interface FilterHeaders {
  get(name: string): string | null
  has(name: string): boolean
  /** Replaces all values of the name. */
  set(name: string, value: string): void
  append(name: string, value: string): void
  remove(name: string): void
  entries(): [name: string, value: string][]
}

/** What `request.reply` gives; a filter returns it to have it sent. */
export interface FilterReply {
  readonly status: number
  readonly body: string | Uint8Array
  readonly headers: Readonly<Record<string, string>>
}

/** A request as a filter sees and changes it. */
export interface FilterRequest {
  readonly headers: FilterHeaders
  method: string
  /** With the query. A route that was chosen by it stays, unless `chooseRouteAgain` is called. */
  path: string
  /** The Host. */
  authority: string
  readonly scheme: string
  readonly id: string
  /** The client's address, as X-Forwarded-For and the listener's settings have it. */
  readonly clientAddress: string
  /** The first URI name of the client's certificate: its SPIFFE id; null: none was given. */
  readonly peer: string | null
  /** Empty where no route matched. */
  readonly route: string
  /** Dynamic metadata of a filter's namespace: what others set, and what access logs and later filters read. */
  metadata(namespace: string): Record<string, unknown>
  chooseRouteAgain(): void
  /** An answer from here instead of upstream: `return request.reply(401, 'who are you?')`. */
  reply(status: number, body?: string | Uint8Array, headers?: Readonly<Record<string, string>>): FilterReply
}

/** A response as a filter sees and changes it. */
export interface FilterResponse {
  status: number
  readonly headers: FilterHeaders
}

/** What the configuration says, and a line to the proxy's log. */
export interface FilterContext<Config> {
  readonly config: Config
  log(message: string): void
}

// biome-ignore lint/suspicious/noConfusingVoidType: a function that returns nothing is what most filters are made of
type Maybe<T> = T | undefined | void | Promise<T | undefined | void>

/** A filter: each function is optional and may be async; a request waits for it. */
export interface HttpFilterDefinition<Config = Readonly<Record<string, unknown>>> {
  /** The request's head is there. A reply that is returned is sent. */
  onRequest?(request: FilterRequest, context: FilterContext<Config>): Maybe<FilterReply>
  /** The request's whole body is there (empty where it has none); what is returned takes its place. */
  onRequestBody?(
    request: FilterRequest,
    body: Uint8Array,
    context: FilterContext<Config>,
  ): Maybe<string | Uint8Array | FilterReply>
  /** The response's head is there, of whoever made it. */
  onResponse?(response: FilterResponse, request: FilterRequest, context: FilterContext<Config>): Maybe<never>
  /** The response's whole body is there; what is returned takes its place. */
  onResponseBody?(
    response: FilterResponse,
    body: Uint8Array,
    request: FilterRequest,
    context: FilterContext<Config>,
  ): Maybe<string | Uint8Array>
}

/** Gives the definition back, with its types seen to. */
export function httpFilter<Config = Readonly<Record<string, unknown>>>(
  definition: HttpFilterDefinition<Config>,
): HttpFilterDefinition<Config> {
  return definition
}
