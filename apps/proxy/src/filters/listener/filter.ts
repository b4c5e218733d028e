import type { PlanContext } from '../../plan/plan-context.ts'
import type { ClientFingerprints } from '../../transport/client-fingerprint.ts'
import type { Tlv } from '../../transport/proxy-protocol.ts'
import type { Destination } from '../../transport/socket-calls.ts'

/** What listener filters find out about a connection before a filter chain is chosen. */
export interface ConnectionFacts {
  /** Who connected; a filter may know better than the socket. */
  remote: Destination
  local: Destination
  /** By the socket, where `remote` or `local` says otherwise. */
  directRemote: Destination | undefined
  directLocal: Destination | undefined
  transportProtocol: 'tls' | 'raw_buffer'
  serverName: string
  /** Of a client that speaks TLS, where they are asked for. */
  fingerprints?: Partial<ClientFingerprints>
  /** As the client offers them. */
  applicationProtocols: readonly string[]
  /** Dynamic metadata by namespace; undefined: none. */
  metadata: Record<string, Record<string, unknown>> | undefined
  /** What a PROXY header brought along, for one that is written upstream. */
  tlvs: readonly Tlv[] | undefined
  /** When it came, on the clock of performance.now(). */
  readonly acceptedMs: number
}

/** `more`: bytes are missing; `refuse`: the connection is closed; a number: so many bytes are used up, and the next filter goes on. */
type ListenerVerdict = 'more' | 'refuse' | number

/** A listener filter, compiled. */
export interface CompiledListenerFilter {
  /** Looks at the first bytes that are not used up (none at first), and notes in `facts` what they say. */
  inspect(bytes: Buffer, facts: ConnectionFacts): ListenerVerdict
  /** The most bytes it may ask for; who sends more without an end is closed. 0: it looks at none. */
  readonly maxBytes: number
  /** The filter left the configuration. */
  close?(): void
}

/** How a kind of listener filter is found and compiled. */
export interface ListenerFilterKind {
  readonly types: readonly string[]
  compile(config: Uint8Array, path: string, context: PlanContext): CompiledListenerFilter
}
