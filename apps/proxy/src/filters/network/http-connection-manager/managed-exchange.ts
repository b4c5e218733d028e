import type { HeaderTable } from '@weft/http/header-table'
import type { ServerStream } from '@weft/http/stream'
import type { RoutePlan, RouteTable } from '../../../routing/route-table.ts'
import type { HttpStream, LocalReply } from '../../http/filter.ts'
import type { RoutedExchange } from '../../http/routed-exchange.ts'
import type { TerminalFilter } from '../../http/terminal-filter.ts'
import type { Downstream } from './downstream.ts'
import type { HcmPlan } from './hcm-plan.ts'

/** One request and its response as the parts of the connection manager see them. */
export interface ManagedExchange extends RoutedExchange, Omit<HttpStream, keyof RoutedExchange> {
  readonly plan: HcmPlan
  readonly downstream: Downstream
  readonly terminal: TerminalFilter
  /** Who is answered. */
  readonly sender: ServerStream
  /** The table and route this request began with: it keeps them whatever is updated meanwhile. */
  table: RouteTable | null
  route: RoutePlan | null
  responseTrailers: HeaderTable | null
  internal: boolean
  upgrade: string
  /** It counts among the upgrades that are under way. */
  upgradeCounted: boolean
  requestComplete: boolean
  /** Logs the request as it is now. */
  log(type: string): void
  /** Answers a request that did not pass the first checks: no filter sees it. `close`: nor does this connection see another. */
  refuse(status: number, options: LocalReply & { close?: boolean }, body?: string): void
  /** The request goes no further; filters have its answer alone. */
  answerOnly(): void
  /** What has come of the head counts for nothing. */
  forgetHead(): void
  /** Ends a request without an answer. */
  drop(flag: string, details: string): void
  /** The last byte went to the codec, or none will. */
  finish(): void
  /** What the client said it is decides whether it is gRPC, whatever becomes of its headers. */
  noteGrpc(): void
}
