import type { Bootstrap } from '@weft/contracts/envoy/config/bootstrap/v3/bootstrap'
import type { Cluster } from '@weft/contracts/envoy/config/cluster/v3/cluster'

/** What clusters have that say nothing of their own: the bootstrap's `cluster_manager.upstream_bind_config` and DNS resolver. */
export type ClusterDefaults = Pick<Cluster, 'upstreamBindConfig' | 'typedDnsResolverConfig'>

/** Reads them of a bootstrap. */
export function clusterDefaults({ clusterManager, typedDnsResolverConfig }: Bootstrap): ClusterDefaults {
  return { upstreamBindConfig: clusterManager?.upstreamBindConfig, typedDnsResolverConfig }
}

/** A cluster with what it has by default; the same one where there is nothing to add. */
export function withDefaults(cluster: Cluster, defaults: ClusterDefaults): Cluster {
  const upstreamBindConfig = cluster.upstreamBindConfig ?? defaults.upstreamBindConfig
  const typedDnsResolverConfig = cluster.typedDnsResolverConfig ?? defaults.typedDnsResolverConfig
  const isWhole = upstreamBindConfig === cluster.upstreamBindConfig && typedDnsResolverConfig === cluster.typedDnsResolverConfig
  return isWhole ? cluster : { ...cluster, upstreamBindConfig, typedDnsResolverConfig }
}
