import type { FilterStateValue } from '@weft/contracts/envoy/extensions/filters/common/set_filter_state/v3/value'
import { Config } from '@weft/contracts/envoy/extensions/filters/http/set_filter_state/v3/set_filter_state'
import { compileLogFormat } from '../../../observe/access-log/access-log.ts'
import type { FilterContext, HttpFilter, HttpFilterKind, HttpStream } from '../filter.ts'

/** Kinds of objects that Envoy makes from text; here each is its text. */
const factories = new Set([
  'envoy.string',
  'envoy.hashable_string',
  'envoy.tcp_proxy.cluster',
  'envoy.network.upstream_server_name',
  'envoy.network.application_protocols',
  'envoy.network.upstream_subject_alt_names',
  'envoy.upstream.dynamic_host',
  'envoy.upstream.dynamic_port',
  'io.istio.peer_principal',
  'io.istio.local_principal',
])

/** `envoy.filters.http.set_filter_state`: objects for other filters, from formats over the request. */
export const setFilterState: HttpFilterKind = {
  types: ['envoy.extensions.filters.http.set_filter_state.v3.Config'],
  routeTypes: ['envoy.extensions.filters.http.set_filter_state.v3.Config'],
  compile(bytes, context) {
    const own = compileValues(bytes, context)
    return {
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
  const values = onRequestHeaders.map((value, i) => compileValue(value, `on_request_headers[${i}]`, context))
  return (stream) => {
    for (const set of values) set(stream)
    if (clearRouteCache) stream.clearRoute()
  }
}

function compileValue(value: FilterStateValue, path: string, context: FilterContext): SetValues {
  const key = value.key?.value ?? ''
  const factory = value.factoryKey === '' ? key : value.factoryKey
  if (!factories.has(factory)) return context.fail(path, `'${factory}' does not have an object factory`)
  if (value.value === undefined) return context.fail(`${path}.format_string`, 'a format is needed')
  const format = compileLogFormat(value.value.value, `${context.path}.${path}.format_string`)
  return (stream) => {
    const text = format(stream.format)
    if (text !== '' || !value.skipIfEmpty) stream.filterState.set(key, text)
  }
}
