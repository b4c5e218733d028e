/** A resource as it came: the binary message and the version it has (a response's in the state-of-the-world variant). */
export interface ReceivedResource {
  name: string
  version: string
  bytes: Uint8Array
}

/** What one response says of one type. */
export interface ResourceResponse {
  /** The response's version, for people; empty in the delta variant when the server gives none. */
  version: string
  resources: ReceivedResource[]
  /** Names that the server says are gone (delta only). */
  removed: string[]
  /** True when what is not in `resources` no longer exists (state of the world, for types that carry the whole set). */
  whole: boolean
}

/** What a subscriber does with responses. */
export interface ResourceHandler {
  /**
   * Takes what can be taken and gives the problems of the rest, one line each: none is an ACK, some a NACK that tells
   * them. The next response waits until it resolves.
   */
  receive(response: ResourceResponse): Promise<string[]>
  /** A response cannot be taken apart, and is refused for this reason. */
  unreadable?(reason: string): void
  /** The stream broke or could not be opened; what was received stays in force. */
  disconnected?(reason: string): void
}

/** Interest in resources of one type; `all` for wildcard. */
export interface Subscription {
  readonly typeUrl: string
  /** Replaces the names asked for; an empty list asks for none (the subscription stays). */
  setNames(names: readonly string[] | 'all'): void
}

/** What a stream remembers of one type: it outlives the connection, so that a reconnect resumes. */
export interface TypeState {
  readonly typeUrl: string
  readonly handler: ResourceHandler
  names: ReadonlySet<string> | 'all'
  /** The version last accepted. */
  version: string
  /** The nonce of the last response on this connection. */
  nonce: string
  /** Versions of what is held, by name (delta: told on reconnect). */
  held: Map<string, string>
  /** Names told to the server on this connection (delta); null before the first request. */
  told: Set<string> | null
}
