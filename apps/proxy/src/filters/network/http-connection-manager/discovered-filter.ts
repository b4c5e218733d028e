import type { Any } from '@weft/contracts/google/protobuf/any'
import type { ExtensionStore } from '../../../plan/extension-store.ts'
import type { CompiledHttpFilter, FilterStatus, HttpFilter, HttpStream } from '../../http/filter.ts'

/**
 * A filter whose configuration comes by extension discovery: requests begin with the one that holds then, and keep it. Where
 * there is none, and no default, requests are answered by 500.
 */
export function discoveredFilter(
  name: string,
  extensions: ExtensionStore,
  fallback: Any | undefined,
  compile: (config: Any) => CompiledHttpFilter,
): CompiledHttpFilter {
  const make = (config: Any | null): CompiledHttpFilter => {
    const chosen = config ?? fallback
    return chosen === undefined ? missing : compile(chosen)
  }
  let current = missing
  const { now, close } = extensions.watch(name, (config) => {
    const before = current
    current = make(config)
    before.close?.()
  })
  current = make(now)
  return {
    start: (stream, routeConfig) => current.start(stream, routeConfig),
    mergeRouteConfigs: (configs) => (current.mergeRouteConfigs === undefined ? configs[0] : current.mergeRouteConfigs(configs)),
    close() {
      close()
      current.close?.()
    },
  }
}

const missing: CompiledHttpFilter = { start: () => refusal }

const refusal: HttpFilter = {
  onRequestHeaders(stream: HttpStream): FilterStatus {
    stream.reply(500, '', { details: 'filter_config_not_found', flags: ['NFCF'] })
    return 'stop'
  },
}
