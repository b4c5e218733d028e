import { TrafficDirection } from '@weft/contracts/envoy/config/core/v3/base'
import { Listener } from '@weft/contracts/envoy/config/listener/v3/listener'
import { meshKey } from '../../model/mesh-settings.ts'
import type { Scope } from '../../scope/scope.ts'
import { metricsKey } from '../filters/istio-stats.ts'
import { clusterNames } from '../names.ts'
import type { Recipe } from '../resource-cache.ts'
import { restCluster } from '../routes/sidecar-routes.ts'
import { keyOf } from '../wire.ts'
import { accessLogKey } from './access-log.ts'
import { anyAddress, anyAddressKey, originalDestination } from './listener.ts'
import { tcpProxy } from './tcp-proxy.ts'

/** The listener for all redirected outbound connections: hands each to its own, or lets it through or not. */
export function virtualOutbound(scope: Scope): Recipe {
  const { mesh } = scope.snapshot
  const cluster = restCluster(scope) ?? clusterNames.blackHole
  const transparent = scope.proxy.interceptionMode === 'TPROXY'
  return {
    name: 'virtualOutbound',
    key: keyOf(cluster, meshKey(mesh), accessLogKey(scope), metricsKey(scope), transparent, anyAddressKey(scope.proxy)),
    origins: [],
    build: () =>
      Listener.encode(
        Listener.fromPartial({
          name: 'virtualOutbound',
          ...anyAddress(scope.proxy, mesh.outboundPort),
          trafficDirection: TrafficDirection.OUTBOUND,
          useOriginalDst: true,
          transparent: transparent ? true : undefined,
          listenerFilters: [originalDestination()],
          filterChains: [
            {
              // A connection to this port itself would go round in circles.
              name: 'virtualOutbound-blackhole',
              filterChainMatch: { destinationPort: mesh.outboundPort },
              filters: tcpProxy(clusterNames.blackHole, [{ cluster: clusterNames.blackHole, weight: 100 }], scope, 'client'),
            },
            { name: 'virtualOutbound-catchall-tcp', filters: tcpProxy(cluster, [{ cluster, weight: 100 }], scope, 'client') },
          ],
        }),
      ).finish(),
  }
}
