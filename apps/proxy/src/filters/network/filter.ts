import type { FormatContext } from '../../observe/format/context.ts'
import type { StreamRecord } from '../../observe/stream-record.ts'
import type { PlanContext } from '../../plan/plan-context.ts'
import type { RouteTable } from '../../routing/route-table.ts'
import type { ProcessState } from '../../shared/process-state.ts'
import type { Connection } from '../../transport/connection.ts'
import type { ConnectionInfo, TlsInfo } from '../../transport/connection-info.ts'
import type { Tlv } from '../../transport/proxy-protocol.ts'
import type { Destination } from '../../transport/socket-calls.ts'
import type { TimerWheel } from '../../transport/timer-wheel.ts'
import type { Cluster } from '../../upstream/cluster.ts'

/** What a connection needs of its worker. */
export interface ConnectionServices {
  readonly timers: TimerWheel
  readonly processState: ProcessState
  /** The live route configuration of this name; null when it has not come. */
  routeTable(name: string): RouteTable | null
  cluster(name: string): Cluster | undefined
}

/** What is known of an accepted connection. */
export interface AcceptedInfo {
  remoteAddress: string
  remotePort: number
  localAddress: string
  localPort: number
  /** Of a connection whose local address is where it was going before it was redirected: where it came to. */
  directLocal?: Destination | undefined
  /** The peer by its socket, where a PROXY header says that another connected. */
  directRemote?: Destination | undefined
  tls: TlsInfo | null
  handshakeMs?: ConnectionInfo['handshakeMs']
  serverName: string
  carrier?: ConnectionInfo['carrier']
  listenerName: string
  fingerprints?: ConnectionInfo['fingerprints']
  listenerMetadata?: ConnectionInfo['listenerMetadata']
  listenerDirection?: ConnectionInfo['listenerDirection']
  filterChainName: string
  filterChainMetadata?: ConnectionInfo['filterChainMetadata']
  /** A filter before the last one refused the connection: it is closed at once. */
  refusal?: Refusal
  /** Dynamic metadata of the connection, by namespace, and what its filters share. */
  metadata?: Record<string, Record<string, unknown>> | undefined
  filterState?: Map<string, unknown>
  /** What a PROXY header brought along for one that is written upstream. */
  tlvs?: readonly Tlv[] | undefined
  /** Asked before the first bytes are written to the client where nothing came of it yet; absent: they may be. */
  mayWrite?: () => boolean
}

/** A downstream connection under a network filter. */
export interface NetworkSession {
  /** End when what is under way has ended. */
  drain(): void
  /** End now. */
  destroy(): void
  /** End now because a filter before this one refuses the connection; logs are told why. Absent: as `destroy`. */
  refuse?(refusal: Refusal): void
  /** What it noted of its connection, for the listener's log; asked when it is over. Absent: nothing but what has passed. */
  noted?(): StreamRecord | null
  /** What formats and expressions read of it; absent: nothing of its own. */
  readonly context?: FormatContext | null
}

/** A terminal network filter, compiled: takes over connections of its filter chain. */
export interface CompiledNetworkFilter {
  /** Takes a connection over (sets its handler); `onGone` is called once when it is closed. */
  accept(
    connection: Connection,
    info: AcceptedInfo,
    services: ConnectionServices,
    onGone: (session: NetworkSession) => void,
  ): NetworkSession
  /** Names of ALPN protocols that this filter can speak; null: any. */
  readonly alpn: readonly string[] | null
  /** Takes over a connection of this chain's last version: what comes next on it meets this configuration. Absent: it keeps its own. */
  adopt?(session: NetworkSession): void
  /** A connection of this chain ended before its handshake was done: it counts nevertheless, as with Envoy. `byUs`: it took too long. */
  missed?(durationMs: number, byUs: boolean): void
  /** The filter left the configuration. */
  close?(): void
}

/** Why a connection is closed, as logs tell it. */
export interface Refusal {
  /** Envoy's connection termination details; empty: none. */
  readonly details: string
  /** A response flag: `UAEX`. */
  readonly flag?: string
  /** Envoy's response code details. */
  readonly codeDetails?: string
  /** Envoy's local close reason. */
  readonly closeReason?: string
  /** How long the client waits before it is turned away; absent: not at all. */
  readonly afterMs?: number
}

/** `stop`: the gate calls `proceed` or `refuse` later; what follows waits until then. `more`, of data: it is asked again with more of it. */
export type GateVerdict = 'continue' | 'stop' | 'more' | Refusal

/** A connection as the filters before the last one see it. */
export interface GateConnection {
  readonly info: AcceptedInfo
  readonly services: ConnectionServices
  /** The underlying connection, for what it has counted. */
  readonly connection: Connection
  /** What the last filter knows of it; null: it has not come there, or knows nothing. */
  readonly context: FormatContext | null
  /** The client sends no more than what is held. */
  readonly ended: boolean
  /** What the client has sent that has not gone on yet; valid during the call. */
  peek(): Buffer
  /** Takes the first bytes of it: they don't go on. */
  consume(bytes: number): void
  /** Goes on after `stop`. */
  proceed(): void
  /** Ends it after `stop`, or at any time. */
  refuse(refusal: Refusal): void
}

/** A filter before the last one on one connection. */
export interface NetworkGate {
  /** A new connection, before anything is read; absent: it may go on. */
  onConnect?(): GateVerdict
  /** The client's first bytes are there; absent: they may go on. Asked until it says `continue`, or each time if `asksAlways`. */
  onData?(): GateVerdict
  /** The first bytes for the client are there (a protocol in which the server speaks first); absent: they may go on. */
  onFirstWrite?(): 'continue' | Refusal
  readonly asksAlways?: boolean
  onClose?(): void
}

/** A network filter before the last one, compiled. */
export interface CompiledNetworkGate {
  /** The gate of one connection; null: this one may pass. */
  start(connection: GateConnection): NetworkGate | null
  /** The filter left the configuration. */
  close?(): void
}

/** How a kind of filter before the last one is found and compiled. */
export interface NetworkGateKind {
  readonly types: readonly string[]
  compile(config: Uint8Array, path: string, context: PlanContext): CompiledNetworkGate
}

/** How a kind of network filter is found and compiled. */
export interface NetworkFilterKind {
  readonly types: readonly string[]
  compile(config: Uint8Array, path: string, context: PlanContext): CompiledNetworkFilter
}
