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
  /** The filter left the configuration. */
  close?(): void
}

/** How a kind of network filter is found and compiled. */
export interface NetworkFilterKind {
  readonly types: readonly string[]
  compile(config: Uint8Array, path: string, context: PlanContext): CompiledNetworkFilter
}
