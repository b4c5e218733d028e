import { Listener } from '@weft/contracts/envoy/config/listener/v3/listener'
import type { FilterChain } from '@weft/contracts/envoy/config/listener/v3/listener_components'
import { RouteConfiguration } from '@weft/contracts/envoy/config/route/v3/route'
import { HttpConnectionManager } from '@weft/contracts/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager'

const managerUrl = 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'

/** The route configurations that stand in a listener itself. */
export function inlineRoutes(listener: Uint8Array): { name: string; bytes: Uint8Array }[] {
  const { filterChains, defaultFilterChain } = Listener.decode(listener)
  const chains: FilterChain[] = [...filterChains, ...(defaultFilterChain === undefined ? [] : [defaultFilterChain])]
  return chains
    .flatMap((chain) => chain.filters)
    .flatMap((filter) => {
      const config = filter.configType?.$case === 'typedConfig' ? filter.configType.value : undefined
      if (config?.typeUrl !== managerUrl) return []
      const { routeSpecifier } = HttpConnectionManager.decode(config.value)
      if (routeSpecifier?.$case !== 'routeConfig') return []
      return [{ name: routeSpecifier.value.name, bytes: RouteConfiguration.encode(routeSpecifier.value).finish() }]
    })
}
