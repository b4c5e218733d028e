import { TrafficDirection } from '@weft/contracts/envoy/config/core/v3/base'
import { Listener } from '@weft/contracts/envoy/config/listener/v3/listener'
import type { Scope } from '../../scope/scope.ts'
import { clusterNames } from '../names.ts'
import type { Recipe } from '../resource-cache.ts'
import { keyOf } from '../wire.ts'
import { accessLogKey } from './access-log.ts'
import { anyAddress, anyAddressKey, originalDestination } from './listener.ts'
import { tcpProxy } from './tcp-proxy.ts'

/** Where iptables sends what the application calls, and what calls the application (Istio's ports). */
export const interceptionPorts = { outbound: 15_001, inbound: 15_006 } as const

/** The listener for all redirected outbound connections: hands each to its own, or lets it through or not. */
export function virtualOutbound(scope: Scope): Recipe {
  const { mesh } = scope.snapshot
  const cluster = scope.outboundTrafficPolicy === 'ALLOW_ANY' ? clusterNames.passthrough : clusterNames.blackHole
  const transparent = scope.proxy.interceptionMode === 'TPROXY'
  return {
    name: 'virtualOutbound',
    key: keyOf(cluster, accessLogKey(mesh), transparent, anyAddressKey(scope.proxy)),
    origins: [],
    build: () =>
      Listener.encode(
        Listener.fromPartial({
          name: 'virtualOutbound',
          ...anyAddress(scope.proxy, interceptionPorts.outbound),
          trafficDirection: TrafficDirection.OUTBOUND,
          useOriginalDst: true,
          transparent: transparent ? true : undefined,
          listenerFilters: [originalDestination()],
          filterChains: [
            {
              // A connection to this port itself would go round in circles.
              name: 'virtualOutbound-blackhole',
              filterChainMatch: { destinationPort: interceptionPorts.outbound },
              filters: [tcpProxy(clusterNames.blackHole, [{ cluster: clusterNames.blackHole, weight: 100 }], mesh)],
            },
            { name: 'virtualOutbound-catchall-tcp', filters: [tcpProxy(cluster, [{ cluster, weight: 100 }], mesh)] },
          ],
        }),
      ).finish(),
  }
}
