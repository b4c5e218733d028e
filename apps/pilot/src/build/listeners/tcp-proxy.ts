import type { Filter } from '@weft/contracts/envoy/config/listener/v3/listener_components'
import { TcpProxy } from '@weft/contracts/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy'
import type { MeshSettings } from '../../model/mesh-settings.ts'
import { pack } from '../wire.ts'
import { accessLogs } from './access-log.ts'

/** A cluster and its share of the connections. */
export interface WeightedTarget {
  readonly cluster: string
  readonly weight: number
}

/** Connections passed on to one cluster, or to several by weight. */
export function tcpProxy(statPrefix: string, targets: readonly WeightedTarget[], mesh: MeshSettings): Filter {
  const [only] = targets
  const proxy = TcpProxy.fromPartial({
    statPrefix,
    accessLog: accessLogs(mesh),
    clusterSpecifier:
      targets.length === 1 && only !== undefined
        ? { $case: 'cluster', value: only.cluster }
        : {
            $case: 'weightedClusters',
            value: {
              clusters: targets.filter(({ weight }) => weight > 0).map(({ cluster, weight }) => ({ name: cluster, weight })),
            },
          },
  })
  const typedConfig = pack('envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy', TcpProxy, proxy)
  return { name: 'envoy.filters.network.tcp_proxy', configType: { $case: 'typedConfig', value: typedConfig } }
}
