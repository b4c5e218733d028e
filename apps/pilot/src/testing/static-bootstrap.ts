import { fromBinary, toJson } from '@bufbuild/protobuf'
import { descriptors } from '@weft/contracts/descriptors'
import { Cluster } from '@weft/contracts/envoy/config/cluster/v3/cluster'
import { Listener } from '@weft/contracts/envoy/config/listener/v3/listener'
import { HttpConnectionManager } from '@weft/contracts/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager'
import type { Built } from './built-for.ts'

/**
 * For tests: what a proxy is given, as one static bootstrap in Envoy's JSON, with routes inside of their listeners: so
 * that Envoy's own validation sees all of it without binding a port.
 */
export function staticBootstrap({ clusters, listeners, routes }: Built): unknown {
  const grpcCluster = (name: string) => ({ name, type: 'STATIC', load_assignment: { cluster_name: name } })
  return {
    node: { id: 'validated', cluster: 'validated' },
    dynamic_resources: {
      ads_config: {
        api_type: 'GRPC',
        transport_api_version: 'V3',
        grpc_services: [{ envoy_grpc: { cluster_name: 'xds-grpc' } }],
      },
    },
    static_resources: {
      clusters: [
        ...['xds-grpc', 'sds-grpc'].map(grpcCluster),
        ...[...clusters.values()].map((cluster) => json('envoy.config.cluster.v3.Cluster', Cluster.encode(cluster).finish())),
      ],
      listeners: [...listeners.values()].map((listener) =>
        json('envoy.config.listener.v3.Listener', Listener.encode(withRoutes(listener, routes)).finish()),
      ),
    },
  }
}

function withRoutes(listener: Listener, routes: Built['routes']): Listener {
  const copy = Listener.fromPartial(listener)
  for (const chain of [...copy.filterChains, copy.defaultFilterChain]) {
    for (const filter of chain?.filters ?? []) {
      if (filter.configType?.$case !== 'typedConfig' || !filter.name.endsWith('http_connection_manager')) continue
      const manager = HttpConnectionManager.decode(filter.configType.value.value)
      if (manager.routeSpecifier?.$case !== 'rds') continue
      const routeConfig = routes.get(manager.routeSpecifier.value.routeConfigName)
      if (routeConfig === undefined) throw new Error(`${listener.name} names a route configuration that is not given`)
      manager.routeSpecifier = { $case: 'routeConfig', value: routeConfig }
      filter.configType.value.value = Buffer.from(HttpConnectionManager.encode(manager).finish())
    }
  }
  return copy
}

/** A message in protobuf's JSON form. */
function json(typeName: string, bytes: Uint8Array): unknown {
  const registry = descriptors()
  const schema = registry.getMessage(typeName)
  if (schema === undefined) throw new Error(`no message ${typeName}`)
  return toJson(schema, fromBinary(schema, bytes), { registry })
}
