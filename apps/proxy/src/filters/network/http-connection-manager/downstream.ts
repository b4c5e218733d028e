import type { ClosePace } from '@weft/http/h1/server-connection'
import type { ProcessState } from '../../../shared/process-state.ts'
import type { RoutingConnection } from '../../http/routed-exchange.ts'
import type { HcmPlan } from './hcm-plan.ts'

/** The downstream connection of exchanges, as they and their protocol see it. */
export interface Downstream extends RoutingConnection {
  /** Of requests to come. */
  readonly plan: HcmPlan
  readonly isHttp2: boolean
  readonly listenerName: string
  readonly filterChainName: string
  /** What filters before this one have written for all requests of the connection. */
  readonly filterState?: ReadonlyMap<string, unknown> | undefined
  readonly processState: ProcessState
  /** Clients should turn away, but what they have sent already is served: the response says so. */
  wantsEnd(): boolean
  /** The response to come is the last on this connection; on one with streams, those that are open are the last. Null: it is not. */
  wantsClose(): ClosePace | null
  /** Ends the connection with its next response. */
  drain(): void
  /** A request begins. */
  onExchangeBegin(): void
  onExchangeEnd(): void
  /** The client's bytes are not what the protocol allows, which the whole connection suffers from; `reason`: in Envoy's words. */
  onProtocolError(reason: string): void
  /** The connection ends with what is written. */
  closeAfterWrite(how: ClosePace): void
  /** The same, with a client that did not ask for it: it hears the end at once, and has the time of a delayed close to close too. */
  closeUnasked(): void
  /** The same, with a client that overdid it: nothing more of it is read. */
  turnAway(): void
}
