import { type Cluster, Cluster_CommonLbConfig, Cluster_LbPolicy } from '@weft/contracts/envoy/config/cluster/v3/cluster'
import {
  type LoadBalancerSettings,
  LoadBalancerSettings_SimpleLB as SimpleLb,
} from '@weft/contracts/istio/networking/v1alpha3/destination_rule'

/** How a cluster spreads its load; least requests where nothing is said, as in Istio. Gives false for PASSTHROUGH. */
export function applyLoadBalancing(cluster: Cluster, settings: LoadBalancerSettings | undefined): boolean {
  // Traffic never goes to endpoints that are known to be down, even when all are.
  cluster.commonLbConfig = Cluster_CommonLbConfig.fromPartial({ healthyPanicThreshold: { value: 0 } })
  const policy = settings?.lbPolicy
  cluster.lbPolicy = Cluster_LbPolicy.LEAST_REQUEST
  if (policy?.$case === 'consistentHash') applyConsistentHash(cluster, policy.value)
  if (policy?.$case !== 'simple') return true
  if (policy.value === SimpleLb.PASSTHROUGH) return false
  if (policy.value === SimpleLb.RANDOM) cluster.lbPolicy = Cluster_LbPolicy.RANDOM
  if (policy.value === SimpleLb.ROUND_ROBIN) cluster.lbPolicy = Cluster_LbPolicy.ROUND_ROBIN
  return true
}

/** Lets the weights of localities count. A cluster of one original destination has no localities. */
export function weighLocalities({ commonLbConfig }: Cluster): void {
  if (commonLbConfig === undefined) return
  commonLbConfig.localityConfigSpecifier = { $case: 'localityWeightedLbConfig', value: {} }
}

type ConsistentHash = Extract<LoadBalancerSettings['lbPolicy'], { $case: 'consistentHash' }>['value']

function applyConsistentHash(cluster: Cluster, hash: ConsistentHash): void {
  if (hash.hashAlgorithm?.$case === 'maglev') {
    cluster.lbPolicy = Cluster_LbPolicy.MAGLEV
    const tableSize = hash.hashAlgorithm.value.tableSize
    if (tableSize > 0) cluster.lbConfig = { $case: 'maglevLbConfig', value: { tableSize } }
    return
  }
  const stated = hash.hashAlgorithm?.$case === 'ringHash' ? hash.hashAlgorithm.value.minimumRingSize : hash.minimumRingSize
  cluster.lbPolicy = Cluster_LbPolicy.RING_HASH
  cluster.lbConfig = {
    $case: 'ringHashLbConfig',
    value: { minimumRingSize: stated > 0 ? stated : 1024, hashFunction: 0, maximumRingSize: undefined },
  }
}
