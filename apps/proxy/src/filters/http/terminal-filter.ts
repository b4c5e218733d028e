import type { HeaderTable } from '@weft/http/header-table'
import type { FilterConfigs, RoutePlan } from '../../routing/route-table.ts'
import type { FilterContext } from './filter.ts'
import type { RoutedExchange } from './routed-exchange.ts'

/** The end of a filter chain for one exchange, and for all requests that the exchange is used for one after another. */
export interface TerminalFilter {
  /** The request's head has come here. */
  readonly started: boolean
  /** The cluster chosen; empty when the route names none. */
  readonly clusterName: string
  readonly clusterMetadata: Readonly<Record<string, unknown>> | null
  /** Filter overrides of a weighted choice. */
  readonly choiceConfigs: FilterConfigs | null
  /** When `onTimer` is due (monotonic ms). */
  readonly nextDeadline: number
  /** A route was chosen (anew). */
  prepare(route: RoutePlan | null): void
  /** All filters have passed the request's head. */
  start(endStream: boolean): void
  /** `buffer` is valid during the call. */
  data(buffer: Buffer, start: number, end: number, endStream: boolean): void
  trailers(trailers: HeaderTable): void
  /** Edits an answer that was made here as the route's answers are. `tellsTries`: it may tell how many there were. */
  editResponse(tellsTries: boolean): void
  /** Looks at the time limits; true: the exchange was answered or goes on with another try. */
  onTimer(now: number): boolean
  pauseResponse(): void
  resumeResponse(): void
  /** The downstream is gone, or was answered otherwise. */
  cancel(): void
  /** The exchange is over. */
  end(): void
}

/** Makes the end of the chain of an exchange. */
export type EndOfChain = (exchange: RoutedExchange) => TerminalFilter

/** A terminal filter compiled from its configuration. */
export interface CompiledTerminalFilter {
  /** The tries of a request have spans of their own, where its connection manager does not say. */
  readonly startsChildSpans: boolean
  readonly endOf: EndOfChain
}

/** How the filter that ends a chain is found and compiled. */
export interface TerminalFilterKind {
  readonly types: readonly string[]
  readonly terminal: true
  /** Throws WeftError for what is invalid or not supported. */
  compile(config: Uint8Array, context: FilterContext): CompiledTerminalFilter
}
