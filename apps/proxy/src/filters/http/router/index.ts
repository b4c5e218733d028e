import { Router } from '@weft/contracts/envoy/extensions/filters/http/router/v3/router'
import type { HttpFilterKind } from '../filter.ts'

/** `envoy.filters.http.router`: the end of the chain. What it does stands in router.ts, which every exchange has. */
export const router: HttpFilterKind = {
  types: ['envoy.extensions.filters.http.router.v3.Router'],
  terminal: true,
  compile(bytes, context) {
    const config = Router.decode(bytes)
    if (config.upstreamHttpFilters.length > 0)
      context.fail('upstream_http_filters', 'upstream HTTP filters are not supported by this proxy')
    return { start: () => null }
  },
}
