import type { NetworkGateKind } from '../filter.ts'
import { clusterOverride } from '../tcp-proxy/cluster-override.ts'

/** `envoy.filters.network.sni_cluster`: the cluster is the one that the client's server name (SNI) names. */
export const sniCluster: NetworkGateKind = {
  types: ['envoy.extensions.filters.network.sni_cluster.v3.SniCluster'],
  compile: () => ({
    start({ info }) {
      if (info.serverName !== '') info.filterState?.set(clusterOverride, info.serverName)
      return null
    },
  }),
}
