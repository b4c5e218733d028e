import type { PlanContext } from '../../plan/plan-context.ts'
import type { Connection } from '../../transport/connection.ts'
import type { AcceptedInfo, HcmServices } from './http-connection-manager/downstream-connection.ts'

/** A downstream connection under a network filter. */
export interface NetworkSession {
  /** End when what is under way has ended. */
  drain(): void
  /** End now. */
  destroy(): void
}

/** A terminal network filter, compiled: takes over connections of its filter chain. */
export interface CompiledNetworkFilter {
  /** Takes a connection over (sets its handler); `onGone` is called once when it is closed. */
  accept(
    connection: Connection,
    info: AcceptedInfo,
    services: HcmServices,
    onGone: (session: NetworkSession) => void,
  ): NetworkSession
  /** Names of ALPN protocols that this filter can speak; null: any. */
  readonly alpn: readonly string[] | null
  /** Takes over a connection of this chain's last version: what comes next on it meets this configuration. Absent: it keeps its own. */
  adopt?(session: NetworkSession): void
  /** The filter left the configuration. */
  close?(): void
}

/** A network filter before the last one, compiled: says of a connection whether it may go on. */
export interface CompiledNetworkGate {
  /** Why the connection is refused (Envoy's connection termination details); null when it is not. */
  refuses(info: AcceptedInfo): string | null
}

/** How a kind of filter before the last one is found and compiled. */
export interface NetworkGateKind {
  readonly types: readonly string[]
  compile(config: Uint8Array, path: string, context: PlanContext): CompiledNetworkGate
}

/** The last filter of a chain behind those before it; what one refuses the last one still sees, and logs. */
export function behindGates(gates: readonly CompiledNetworkGate[], last: CompiledNetworkFilter): CompiledNetworkFilter {
  if (gates.length === 0) return last
  return {
    ...last,
    accept(connection, info, services, onGone) {
      for (const gate of gates) {
        const refusal = gate.refuses(info)
        if (refusal !== null) return last.accept(connection, { ...info, refusal }, services, onGone)
      }
      return last.accept(connection, info, services, onGone)
    },
  }
}

/** How a kind of network filter is found and compiled. */
export interface NetworkFilterKind {
  readonly types: readonly string[]
  compile(config: Uint8Array, path: string, context: PlanContext): CompiledNetworkFilter
}
