import type { HeaderTable } from '@weft/http/header-table'
import type { ResponseHead } from '@weft/http/message'
import { parseConfigDocument } from '../../../bootstrap/document.ts'
import { decodeDocuments } from '../../../control/validation/decode.ts'
import { Stats } from '../../../observe/stats.ts'
import { StreamRecord } from '../../../observe/stream-record.ts'
import type { Span } from '../../../observe/tracing/span.ts'
import { Runtime } from '../../../plan/runtime.ts'
import { decodeRouteTable, type RoutePlan } from '../../../routing/route-table.ts'
import { TimerWheel } from '../../../transport/timer-wheel.ts'
import type { Cluster } from '../../../upstream/cluster.ts'
import { type FakeRequest, FakeStream } from '../fake-stream.ts'
import type { LocalReply } from '../filter.ts'
import type { RoutedExchange, RoutingConnection, RoutingSettings } from '../routed-exchange.ts'
import type { RouterPlan } from './router-plan.ts'
import { RouterStats } from './router-stats.ts'

/** A request at the end of its filter chain, without a connection behind it, for tests of the router's parts. */
export class FakeExchange extends FakeStream implements RoutedExchange {
  override readonly info = new StreamRecord()
  override route: RoutePlan | null = null
  readonly plan: RoutingSettings = { tracing: null, bufferLimit: 1024, schemeMatchesUpstream: false }
  readonly downstream: RoutingConnection
  /** The clusters that are live. */
  readonly clusters = new Map<string, Cluster>()
  /** ms since the start; timers look at it by `pass`. */
  now = 0
  readonly filterStateOrNull = this.filterState
  readonly routeMetadata = null
  span: Span | null = null
  internal = false
  override upgrade = ''
  internalRedirects = 0
  takesNothing = false
  responseStarted = false
  aborted = false
  resetsCounted = 0

  constructor(request: FakeRequest = {}) {
    super(request)
    const timers = new TimerWheel(1, () => this.now)
    const { connection, clusters } = this
    this.request.scheme = 'http'
    this.downstream = { ...connection, timers, routeTable: () => null, cluster: (name) => clusters.get(name) }
  }

  /** Time goes by (ms). */
  pass(ms: number): void {
    this.now += ms
    this.downstream.timers.turn()
  }

  override reply(status: number, body: string | Buffer, options: LocalReply, edit?: () => void): void {
    for (const flag of options.flags ?? []) this.info.addResponseFlag(flag)
    super.reply(status, body, options)
    edit?.()
  }

  abort(): void {
    this.aborted = true
  }

  countReset(): void {
    this.resetsCounted++
  }

  interim(_head: ResponseHead): void {}
  respond(_endStream: boolean): void {}
  respondData(_buffer: Buffer, _start: number, _end: number, _endStream: boolean): void {}
  respondTrailers(_trailers: HeaderTable): void {}
  beginAgain(_body: readonly Buffer[], _trailers: HeaderTable | null): void {}
  watch(_atMs: number): void {}
}

/** The router as it is without configuration, but for what is said here. */
export function routerPlan(more: Partial<RouterPlan> = {}): RouterPlan {
  return {
    stats: new RouterStats(new Stats(null), 'http.test.'),
    suppressHeaders: false,
    respectExpected: false,
    strictHeaders: [],
    countStatuses: true,
    suppressGrpcCodes: false,
    ...more,
  }
}

/** The route of an exchange's request by a virtual host in YAML; it stands in the exchange from then on. */
export function routeOf(exchange: FakeExchange, host: string, runtime = new Runtime()): RoutePlan {
  const document = parseConfigDocument(`virtual_hosts: [{name: h, domains: ['*'], ${host}}]`)
  const table = decodeRouteTable(decodeDocuments('envoy.config.route.v3.RouteConfiguration', [document]), runtime, () => null)
  const route = table.match(exchange.request, exchange)
  if (route === null) throw new Error('no route matches')
  exchange.route = route
  return route
}
