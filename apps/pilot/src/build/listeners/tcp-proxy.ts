import { isIPv6 } from 'node:net'
import type { Filter } from '@weft/contracts/envoy/config/listener/v3/listener_components'
import {
  type DeepPartial,
  TcpProxy,
  type TcpProxy_TunnelingConfig,
} from '@weft/contracts/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy'
import type { Any } from '@weft/contracts/google/protobuf/any'
import type { TrafficPolicy_TunnelSettings } from '@weft/contracts/istio/networking/v1alpha3/destination_rule'
import type { Scope } from '../../scope/scope.ts'
import type { TelemetryMode } from '../../scope/telemetry.ts'
import { tcpMetricFilter } from '../filters/istio-stats.ts'
import { pack } from '../wire.ts'
import { accessLogs } from './access-log.ts'

/** A cluster and its share of the connections. */
export interface WeightedTarget {
  readonly cluster: string
  readonly weight: number
  /** Connections go through an HTTP proxy, which is what the cluster leads to. */
  readonly tunnel?: TrafficPolicy_TunnelSettings | undefined
}

/** A tunnel by CONNECT or POST to the host that a DestinationRule names; of several targets none has one, as in Istio. */
function tunnelTo(tunnel: TrafficPolicy_TunnelSettings | undefined): DeepPartial<TcpProxy_TunnelingConfig> | undefined {
  if (tunnel === undefined) return undefined
  const { targetHost, targetPort, protocol } = tunnel
  const host = isIPv6(targetHost) ? `[${targetHost}]` : targetHost
  return { hostname: `${host}:${targetPort}`, usePost: protocol === 'POST' }
}

/** Connections passed on to one cluster, or to several by weight; before that, what counts Istio's metrics of them. */
export function tcpProxy(statPrefix: string, targets: readonly WeightedTarget[], scope: Scope, mode: TelemetryMode): Filter[] {
  const [only] = targets
  const proxy = TcpProxy.fromPartial({
    statPrefix,
    accessLog: accessLogs({ scope, mode, protocol: 'tcp' }),
    tunnelingConfig: targets.length === 1 ? tunnelTo(only?.tunnel) : undefined,
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
  const metrics = tcpMetricFilter(scope, mode)
  return [
    ...(metrics === undefined ? [] : [filter('istio.stats', metrics)]),
    filter('envoy.filters.network.tcp_proxy', typedConfig),
  ]
}

function filter(name: string, typedConfig: Any): Filter {
  return { name, configType: { $case: 'typedConfig', value: typedConfig } }
}
