import type { HeaderTable } from '@weft/http/header-table'
import type { FilterConfigs, RoutePlan } from '../../../routing/route-table.ts'
import type { RoutedExchange } from '../routed-exchange.ts'
import type { EndOfChain, TerminalFilter } from '../terminal-filter.ts'
import { ClusterTarget } from './cluster-target.ts'
import { answerHere } from './direct-answer.ts'
import { Forwarding } from './forwarding.ts'
import { RequestPick } from './request-pick.ts'
import { editResponse } from './route-edits.ts'
import { malformedHeader, type RouterPlan } from './router-plan.ts'

/**
 * The end of every filter chain: answers redirects and direct responses, and sends the rest to an endpoint of the route's
 * cluster. One for each exchange, used again with it.
 */
export class Router implements TerminalFilter {
  private readonly exchange: RoutedExchange
  private readonly plan: RouterPlan
  private readonly target: ClusterTarget
  private readonly forwarding: Forwarding
  started = false

  /** `endOfCopies`: makes the routers of copies of the request (request_mirror_policies); null: there are none. */
  constructor(exchange: RoutedExchange, plan: RouterPlan, endOfCopies: EndOfChain | null) {
    this.exchange = exchange
    this.plan = plan
    const pick = new RequestPick(exchange)
    this.target = new ClusterTarget(exchange, pick)
    this.forwarding = new Forwarding(exchange, plan, this.target, pick, endOfCopies)
  }

  get clusterMetadata(): Readonly<Record<string, unknown>> | null {
    // Filters ask before the request goes on to the cluster.
    const { cluster, choice } = this.target
    const known = cluster ?? (choice === null ? undefined : this.exchange.downstream.cluster(choice.name))
    return known?.source.metadata?.filterMetadata ?? null
  }

  /** The cluster chosen; empty when the route names none. */
  get clusterName(): string {
    return this.target.choice?.name ?? ''
  }

  /** Filter overrides of the weighted choice. */
  get choiceConfigs(): FilterConfigs | null {
    return this.target.choice?.filterConfigs ?? null
  }

  get nextDeadline(): number {
    return this.forwarding.nextDeadline
  }

  /** A route was chosen (anew): chooses the cluster of a weighted one. */
  prepare(route: RoutePlan | null): void {
    this.started = false
    this.target.choose(route)
    this.forwarding.prepare()
  }

  /** All filters have passed the request's head. */
  start(endStream: boolean): void {
    const { exchange, plan, target } = this
    this.started = true
    const { route } = exchange
    plan.stats.total.inc()
    const { forward } = target
    if (route === null || forward === null) {
      answerHere(exchange, plan, route)
      return
    }
    const { strictHeaders } = plan
    const malformed = strictHeaders.length === 0 ? null : malformedHeader(exchange.request.headers, strictHeaders)
    if (malformed !== null) {
      const [name, value] = malformed
      const details = `request_headers_failed_strict_check{${name}}`
      exchange.reply(400, `invalid header '${name}' with value '${value}'`, { details, flags: ['IH'] })
      return
    }
    const cluster = target.find()
    if (cluster === null) {
      plan.stats.noCluster.inc()
      exchange.info.clusterName = ''
      exchange.reply(forward.notFoundStatus, '', { details: 'cluster_not_found', flags: ['NC'] })
      return
    }
    this.forwarding.start(route, forward, cluster, endStream)
  }

  data(buffer: Buffer, start: number, end: number, endStream: boolean): void {
    this.forwarding.data(buffer, start, end, endStream)
  }

  trailers(trailers: HeaderTable): void {
    this.forwarding.trailers(trailers)
  }

  /** Edits an answer that was made here as the route's answers are. `tellsTries`: it may tell how many there were. */
  editResponse(tellsTries: boolean): void {
    editResponse(this.exchange, this.target.choice, tellsTries)
  }

  /** Looks at the time limits; true: the exchange was answered or goes on with another try. */
  onTimer(now: number): boolean {
    return this.forwarding.onTimer(now)
  }

  pauseResponse(): void {
    this.forwarding.pauseResponse()
  }

  resumeResponse(): void {
    this.forwarding.resumeResponse()
  }

  /** The downstream is gone, or was answered otherwise. */
  cancel(): void {
    this.forwarding.cancel()
  }

  /** The exchange is over. */
  end(): void {
    this.forwarding.end()
  }
}
