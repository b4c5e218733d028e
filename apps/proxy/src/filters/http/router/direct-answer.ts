import { names } from '@weft/http/header-name'
import type { RouteOutcome, RoutePlan } from '../../../routing/route-table.ts'
import type { RoutedExchange } from '../routed-exchange.ts'
import { rewritePath } from './request-head.ts'
import type { RouterPlan } from './router-plan.ts'

/** Answers a request for which there is no route, or none that leads on: not found, redirects, direct responses. */
export function answerHere(exchange: RoutedExchange, plan: RouterPlan, route: RoutePlan | null): void {
  const { stats } = plan
  const outcome = route?.outcome
  switch (outcome?.type) {
    case 'nowhere':
      stats.noCluster.inc()
      exchange.reply(503, '', { details: 'cluster_not_found', flags: ['NC'] })
      break
    case 'direct':
      stats.directResponse.inc()
      answerDirectly(exchange, outcome, () => editAnswer(exchange, route))
      break
    case 'redirect': {
      stats.directResponse.inc()
      const { redirect } = outcome
      const location = redirect.location(exchange.request, exchange)
      if (redirect.rewrite !== null) rewritePath(exchange, plan, redirect.rewrite)
      const headers: [string, string][] = [['location', location]]
      exchange.reply(redirect.status, '', { details: 'direct_response', headers }, () => editAnswer(exchange, route))
      break
    }
    case 'to-tls': {
      const { authority, path } = exchange.request
      stats.directResponse.inc()
      exchange.reply(301, '', { details: 'direct_response', headers: [['location', `https://${authority}${path}`]] })
      break
    }
    default:
      stats.noRoute.inc()
      exchange.reply(404, '', { details: 'route_not_found', flags: ['NR'] })
  }
}

function editAnswer(exchange: RoutedExchange, route: RoutePlan | null): void {
  for (const edits of route?.edits ?? []) edits.onResponse(exchange, exchange.response.headers)
}

function answerDirectly(exchange: RoutedExchange, outcome: Extract<RouteOutcome, { type: 'direct' }>, edit: () => void): void {
  const { status, body, format } = outcome
  const { scheme, authority, path } = exchange.request
  const created = status === 201 || (status >= 300 && status < 400)
  const formatted = (): void => {
    edit()
    // What the format says it is comes last.
    if (format?.hasType === true) exchange.response.headers.set(names.contentType, format.contentType)
  }
  exchange.info.localReplyBody = body
  exchange.reply(
    status,
    format === null ? body : Buffer.from(format.text(exchange), 'latin1'),
    {
      details: 'direct_response',
      ...(created ? { headers: [['location', `${scheme}://${authority}${path}`]] } : {}),
      ...(format === null ? {} : { contentType: format.contentType }),
    },
    formatted,
  )
}
