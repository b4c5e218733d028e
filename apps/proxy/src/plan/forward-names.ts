import { Cluster_LbPolicy, type Cluster as ClusterProto } from '@weft/contracts/envoy/config/cluster/v3/cluster'
import type { UpstreamHttpProtocolOptions } from '@weft/contracts/envoy/config/core/v3/protocol'
import { ClusterConfig } from '@weft/contracts/envoy/extensions/clusters/dynamic_forward_proxy/v3/cluster'
import { DnsCacheConfig } from '@weft/contracts/envoy/extensions/common/dynamic_forward_proxy/v3/dns_cache'
import { dnsServersOf } from './dns-servers.ts'
import { invalid } from './problems.ts'

const clusterType = 'envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig'

/** The DNS cache of a dynamic forward proxy's cluster, whose endpoints are what requests name; null: it is no such cluster. */
export function forwardNamesOf(
  source: ClusterProto,
  options: UpstreamHttpProtocolOptions | undefined,
  hasOptions: boolean,
  at: string,
): DnsCacheConfig | null {
  const type = source.clusterDiscoveryType
  const any = type?.$case === 'clusterType' ? type.value.typedConfig : undefined
  if (any === undefined || !any.typeUrl.endsWith(`/${clusterType}`)) return null
  if (source.lbPolicy !== Cluster_LbPolicy.CLUSTER_PROVIDED)
    throw invalid(
      `${at}: lb_policy`,
      "only 'CLUSTER_PROVIDED' is allowed with cluster type 'envoy.clusters.dynamic_forward_proxy'",
    )
  const { clusterImplementationSpecifier: kind, allowInsecureClusterOptions } = ClusterConfig.decode(any.value)
  const isSafe = options?.autoSni === true && options.autoSanValidation
  if (hasOptions && !isSafe && !allowInsecureClusterOptions)
    throw invalid(
      `${at}: typed_extension_protocol_options`,
      'dynamic_forward_proxy cluster must have auto_sni and auto_san_validation true unless allow_insecure_cluster_options is set.',
    )
  const cache = kind?.$case === 'dnsCacheConfig' ? kind.value : defaultDnsCache
  checkDnsCache(cache, `${at}: cluster_type.typed_config.dns_cache_config`)
  return cache
}

/** The cache of those who name none. */
export const defaultDnsCache: DnsCacheConfig = DnsCacheConfig.fromPartial({})

/** What a DNS cache may not say. Throws WeftError. */
export function checkDnsCache(config: DnsCacheConfig, at: string): void {
  dnsServersOf(config.typedDnsResolverConfig, at)
  if (config.preresolveHostnames.length > (config.maxHosts ?? 1024))
    throw invalid(`${at}.preresolve_hostnames`, `DNS cache '${config.name}' has more preresolve_hostnames than max_hosts`)
}
