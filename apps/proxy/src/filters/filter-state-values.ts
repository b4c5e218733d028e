import type { FilterStateValue } from '@weft/contracts/envoy/extensions/filters/common/set_filter_state/v3/value'
import { compileLogFormat } from '../observe/access-log/access-log.ts'
import type { FormatContext } from '../observe/format/context.ts'
import { invalid } from '../plan/problems.ts'

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

/** Writes objects into filter state, from formats over what is known. */
export type SetFilterState = (context: FormatContext, state: Map<string, unknown>) => void

/** Compiles the objects that a filter is to write, in their order; `path`: of their list. Throws WeftError. */
export function compileFilterStateValues(values: readonly FilterStateValue[], path: string): SetFilterState {
  const setters = values.map((value, i) => compileValue(value, `${path}[${i}]`))
  return (context, state) => {
    for (const set of setters) set(context, state)
  }
}

function compileValue({ key: source, factoryKey, value, skipIfEmpty }: FilterStateValue, path: string): SetFilterState {
  const key = source?.value ?? ''
  const factory = factoryKey === '' ? key : factoryKey
  if (!factories.has(factory)) throw invalid(path, `'${factory}' does not have an object factory`)
  if (value === undefined) throw invalid(`${path}.format_string`, 'a format is needed')
  const format = compileLogFormat(value.value, `${path}.format_string`)
  return (context, state) => {
    const text = format(context)
    if (text !== '' || !skipIfEmpty) state.set(key, text)
  }
}
