import { type Cluster, Cluster_DnsLookupFamily } from '@weft/contracts/envoy/config/cluster/v3/cluster'
import type { Filter } from '@weft/contracts/envoy/config/listener/v3/listener_components'
import { ClusterConfig } from '@weft/contracts/envoy/extensions/clusters/dynamic_forward_proxy/v3/cluster'
import { DnsCacheConfig } from '@weft/contracts/envoy/extensions/common/dynamic_forward_proxy/v3/dns_cache'
import { FilterConfig } from '@weft/contracts/envoy/extensions/filters/http/dynamic_forward_proxy/v3/dynamic_forward_proxy'
import { FilterConfig as SniFilterConfig } from '@weft/contracts/envoy/extensions/filters/network/sni_dynamic_forward_proxy/v3/sni_dynamic_forward_proxy'
import type { Any } from '@weft/contracts/google/protobuf/any'
import type { Service } from '../../model/service.ts'
import type { Scope } from '../../scope/scope.ts'
import { pack } from '../wire.ts'

/** A service whose endpoints are whatever its clients name: hosts of a wildcard (DYNAMIC_DNS), by Host header or server name. */
export const isForwarded = ({ resolution }: Service): boolean => resolution === 'dynamic-dns'

const forwards = new WeakMap<Scope['services'], boolean>()

/** Whether a sidecar sends requests whose host no service has to where they say. */
export const forwardsRest = ({ proxy, outboundTrafficPolicy }: Scope): boolean =>
  proxy.type === 'sidecar' && outboundTrafficPolicy === 'ALLOW_ANY_DYNAMIC_DNS'

/** Whether hosts of requests are looked up by a proxy: it sees such a service, or forwards the rest. */
export function looksUpHosts(scope: Scope): boolean {
  if (forwardsRest(scope)) return true
  const { services } = scope
  let sees = forwards.get(services)
  if (sees === undefined) {
    sees = services.some(isForwarded)
    forwards.set(services, sees)
  }
  return sees
}

/** One for all of them: what looks names up and what connects has to say the same. */
const dnsCache = DnsCacheConfig.fromPartial({ name: 'dynamic_dns', dnsLookupFamily: Cluster_DnsLookupFamily.V4_ONLY })

/** How a cluster of such a service is discovered; without TLS there is no name in a certificate to insist on. */
export function forwardingCluster(isPlain: boolean): Cluster['clusterDiscoveryType'] {
  const config = ClusterConfig.fromPartial({
    clusterImplementationSpecifier: { $case: 'dnsCacheConfig', value: dnsCache },
    allowInsecureClusterOptions: isPlain,
  })
  const typedConfig = pack('envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig', ClusterConfig, config)
  return { $case: 'clusterType', value: { name: 'envoy.clusters.dynamic_forward_proxy', typedConfig } }
}

/** The filter that looks up the host of a request that goes to such a cluster. */
export function forwardingHttpFilter(): { name: string; config: Any } {
  const config = FilterConfig.fromPartial({ implementationSpecifier: { $case: 'dnsCacheConfig', value: dnsCache } })
  const type = 'envoy.extensions.filters.http.dynamic_forward_proxy.v3.FilterConfig'
  return { name: 'envoy.filters.http.dynamic_forward_proxy', config: pack(type, FilterConfig, config) }
}

/** The filter that looks up the server name of a TLS connection that goes to a port there. */
export function forwardingSniFilter(port: number): Filter {
  const config = SniFilterConfig.fromPartial({
    dnsCacheConfig: dnsCache,
    portSpecifier: { $case: 'portValue', value: port },
  })
  const type = 'envoy.extensions.filters.network.sni_dynamic_forward_proxy.v3.FilterConfig'
  return {
    name: 'envoy.extensions.filters.network.sni_dynamic_forward_proxy',
    configType: { $case: 'typedConfig', value: pack(type, SniFilterConfig, config) },
  }
}
