import { TrafficDirection } from '@weft/contracts/envoy/config/core/v3/base'
import { Listener } from '@weft/contracts/envoy/config/listener/v3/listener'
import { meshKey } from '../../model/mesh-settings.ts'
import type { Scope } from '../../scope/scope.ts'
import { forwardsRest } from '../filters/forward-proxy.ts'
import { metricsKey } from '../filters/istio-stats.ts'
import { mixerOutbound } from '../filters/mixer.ts'
import { clusterNames } from '../names.ts'
import type { Recipe } from '../resource-cache.ts'
import { restCluster, restRoutes, routeKeys } from '../routes/sidecar-routes.ts'
import { keyOf } from '../wire.ts'
import { accessLogKey } from './access-log.ts'
import { httpConnectionManager, httpSettingsKey } from './http-connection-manager.ts'
import { anyAddress, anyAddressKey, detecting, httpInspector, originalDestination, plainHttpProtocols } from './listener.ts'
import { cors } from './outbound.ts'
import { tcpProxy } from './tcp-proxy.ts'

/** The listener for all redirected outbound connections: hands each to its own, or lets it through or not. */
export function virtualOutbound(scope: Scope): Recipe {
  const { mesh } = scope.snapshot
  const cluster = restCluster(scope) ?? clusterNames.blackHole
  const forwards = forwardsRest(scope)
  const transparent = scope.proxy.interceptionMode === 'TPROXY'
  return {
    name: 'virtualOutbound',
    key: keyOf(
      ...[cluster, meshKey(mesh), accessLogKey(scope), metricsKey(scope), transparent, anyAddressKey(scope.proxy)],
      ...(forwards ? [httpSettingsKey(scope), mixerOutbound(scope)?.key, cors(scope), ...routeKeys(scope)] : []),
    ),
    origins: [],
    build: () =>
      Listener.encode(
        Listener.fromPartial({
          name: 'virtualOutbound',
          ...anyAddress(scope.proxy, mesh.outboundPort),
          trafficDirection: TrafficDirection.OUTBOUND,
          useOriginalDst: true,
          transparent: transparent ? true : undefined,
          ...(forwards
            ? detecting([originalDestination(), httpInspector()], mesh)
            : { listenerFilters: [originalDestination()] }),
          filterChains: [
            {
              // A connection to this port itself would go round in circles.
              name: 'virtualOutbound-blackhole',
              filterChainMatch: { destinationPort: mesh.outboundPort },
              filters: tcpProxy(clusterNames.blackHole, [{ cluster: clusterNames.blackHole, weight: 100 }], scope, 'client'),
            },
            ...(forwards ? [forwardingChain(scope)] : []),
            { name: 'virtualOutbound-catchall-tcp', filters: tcpProxy(cluster, [{ cluster, weight: 100 }], scope, 'client') },
          ],
        }),
      ).finish(),
  }
}

/** What is plain HTTP at a port that no service has goes where its Host header says. */
function forwardingChain(scope: Scope) {
  return {
    name: 'allow_any_dynamic_dns',
    filterChainMatch: { transportProtocol: 'raw_buffer', applicationProtocols: [...plainHttpProtocols] },
    filters: [
      httpConnectionManager({
        side: 'outbound',
        statPrefix: 'outbound_virtualOutbound_allow_any_dynamic_dns',
        scope,
        routes: { inline: restRoutes(scope) },
        security: [],
        mixer: mixerOutbound(scope)?.config,
        cors: cors(scope),
        tellsClientCertificate: false,
      }),
    ],
  }
}
