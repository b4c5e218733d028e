import { streamLimit } from '../../../routing/stream-limit.ts'
import type { ManagedExchange } from './managed-exchange.ts'
import { never, type StreamDeadlines } from './stream-deadlines.ts'

/**
 * Matches a route for the request and, where that has clusters by weight, chooses one; its time limits hold from now on. `early`: it is
 * answered before anything has been made of its headers.
 */
export function chooseRoute(exchange: ManagedExchange, deadlines: StreamDeadlines, early = false): void {
  const { request, info, terminal } = exchange
  const table = exchange.downstream.routeTable(request)
  exchange.table = table
  if (table !== null && table.internalOnlyHeaders !== null && !exchange.internal && !early) {
    for (const name of table.internalOnlyHeaders) request.headers.remove(name)
  }
  const route = table === null || request.scheme === '' ? null : table.match(request, exchange)
  exchange.route = route
  if (route === null) info.routeName = info.virtualHost = info.clusterStatName = ''
  else {
    info.routeName = route.name
    info.virtualHost = route.virtualHost
    const { outcome } = route
    const idleMs = outcome.type === 'forward' ? outcome.forward.idleTimeoutMs : -1
    if (idleMs >= 0) deadlines.limitIdle(idleMs)
    const flushMs = outcome.type === 'forward' ? outcome.forward.flushTimeoutMs : -1
    if (flushMs >= 0) exchange.sender.limitFlush?.(flushMs)
    const maxMs = outcome.type === 'forward' ? streamLimit(outcome.forward, request, exchange.isGrpc) : -1
    if (maxMs >= 0) deadlines.limitStream(maxMs === 0 ? never : info.startMs + maxMs)
  }
  terminal.prepare(route)
  info.clusterName = terminal.clusterName
}
