import { Router as RouterProto } from '@weft/contracts/envoy/extensions/filters/http/router/v3/router'
import type { EndOfChain, TerminalFilterKind } from '../terminal-filter.ts'
import { Router } from './router.ts'
import { compileRouter, planOfCopies } from './router-plan.ts'

/** How often in a row the cluster that a copy goes to may have it copied again: clusters may do so in a circle. */
const maxCopiesOfCopies = 2

/** `envoy.filters.http.router`: the end of the chain. */
export const router: TerminalFilterKind = {
  types: ['envoy.extensions.filters.http.router.v3.Router'],
  terminal: true,
  compile(bytes, context) {
    const source = RouterProto.decode(bytes)
    if (source.upstreamHttpFilters.length > 0)
      context.fail('upstream_http_filters', 'upstream HTTP filters are not supported by this proxy')
    const plan = compileRouter(source, context)
    const copied = planOfCopies(plan)
    let endOfCopies: EndOfChain | null = null
    for (let i = 0; i <= maxCopiesOfCopies; i++) {
      const next: EndOfChain | null = endOfCopies
      endOfCopies = (exchange) => new Router(exchange, copied, next)
    }
    return { startsChildSpans: source.startChildSpan, endOf: (exchange) => new Router(exchange, plan, endOfCopies) }
  },
}
