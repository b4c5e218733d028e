import { Router as RouterProto } from '@weft/contracts/envoy/extensions/filters/http/router/v3/router'
import type { TerminalFilterKind } from '../terminal-filter.ts'
import { Router } from './router.ts'
import { compileRouter } from './router-plan.ts'

/** `envoy.filters.http.router`: the end of the chain. */
export const router: TerminalFilterKind = {
  types: ['envoy.extensions.filters.http.router.v3.Router'],
  terminal: true,
  compile(bytes, context) {
    const source = RouterProto.decode(bytes)
    if (source.upstreamHttpFilters.length > 0)
      context.fail('upstream_http_filters', 'upstream HTTP filters are not supported by this proxy')
    const plan = compileRouter(source, context)
    return { startsChildSpans: source.startChildSpan, endOf: (exchange) => new Router(exchange, plan) }
  },
}
