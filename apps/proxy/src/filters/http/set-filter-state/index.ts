import { Config } from '@weft/contracts/envoy/extensions/filters/http/set_filter_state/v3/set_filter_state'
import { compileFilterStateValues } from '../../filter-state-values.ts'
import type { FilterContext, HttpFilter, HttpFilterKind, HttpStream } from '../filter.ts'

/** `envoy.filters.http.set_filter_state`: objects for other filters, from formats over the request. */
export const setFilterState: HttpFilterKind = {
  types: ['envoy.extensions.filters.http.set_filter_state.v3.Config'],
  routeTypes: ['envoy.extensions.filters.http.set_filter_state.v3.Config'],
  compile(bytes, context) {
    const own = compileValues(bytes, context)
    return {
      isShared: true,
      start(_stream, routeConfig) {
        const values = typeof routeConfig === 'function' ? (routeConfig as SetValues) : null
        return {
          onRequestHeaders(stream) {
            own(stream)
            values?.(stream)
            return 'continue'
          },
        } satisfies HttpFilter
      },
    }
  },
  compileRouteConfig: (bytes, _type, context) => compileValues(bytes, context),
}

type SetValues = (stream: HttpStream) => void

function compileValues(bytes: Uint8Array, context: FilterContext): SetValues {
  const { onRequestHeaders, clearRouteCache } = Config.decode(bytes)
  const set = compileFilterStateValues(onRequestHeaders, `${context.path}.on_request_headers`)
  return (stream) => {
    set(stream.format, stream.filterState)
    if (clearRouteCache) stream.clearRoute()
  }
}
