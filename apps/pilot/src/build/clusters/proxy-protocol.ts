import type { Cluster } from '@weft/contracts/envoy/config/cluster/v3/cluster'
import type { TransportSocket } from '@weft/contracts/envoy/config/core/v3/base'
import { ProxyProtocolConfig_Version } from '@weft/contracts/envoy/config/core/v3/proxy_protocol'
import { ProxyProtocolUpstreamTransport } from '@weft/contracts/envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol'
import {
  type TrafficPolicy_ProxyProtocol,
  TrafficPolicy_ProxyProtocol_VERSION as Version,
} from '@weft/contracts/istio/networking/v1alpha3/destination_rule'
import { plaintextSocket } from '../tls/contexts.ts'
import { pack } from '../wire.ts'

const typeName = 'envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport'

/** Has each connection to a cluster begin with who the client is (PROXY protocol), before TLS where there is any. */
export function applyProxyProtocol(cluster: Cluster, settings: TrafficPolicy_ProxyProtocol | undefined): void {
  if (settings === undefined) return
  const version = settings.version === Version.V2 ? ProxyProtocolConfig_Version.V2 : ProxyProtocolConfig_Version.V1
  const around = (transportSocket: TransportSocket | undefined): TransportSocket => {
    const message = ProxyProtocolUpstreamTransport.fromPartial({ config: { version }, transportSocket })
    const typedConfig = pack(typeName, ProxyProtocolUpstreamTransport, message)
    return { name: 'envoy.transport_sockets.upstream_proxy_protocol', configType: { $case: 'typedConfig', value: typedConfig } }
  }
  if (cluster.transportSocketMatches.length === 0) cluster.transportSocket = around(cluster.transportSocket ?? plaintextSocket())
  for (const match of cluster.transportSocketMatches) match.transportSocket = around(match.transportSocket)
}
