import {
  type Cluster,
  Cluster_CommonLbConfig,
  Cluster_LbPolicy,
  Cluster_LeastRequestLbConfig,
  Cluster_RoundRobinLbConfig,
} from '@weft/contracts/envoy/config/cluster/v3/cluster'
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
  if (policy?.$case === 'simple') {
    if (policy.value === SimpleLb.PASSTHROUGH) return false
    if (policy.value === SimpleLb.RANDOM) cluster.lbPolicy = Cluster_LbPolicy.RANDOM
    if (policy.value === SimpleLb.ROUND_ROBIN) cluster.lbPolicy = Cluster_LbPolicy.ROUND_ROBIN
  }
  applyWarmup(cluster, settings)
  return true
}

/** New endpoints get their share little by little, where the policy knows of shares. */
function applyWarmup(cluster: Cluster, settings: LoadBalancerSettings | undefined): void {
  const { warmup, warmupDurationSecs } = settings ?? {}
  if (warmup === undefined && warmupDurationSecs === undefined) return
  const slowStartConfig =
    warmup === undefined
      ? { slowStartWindow: warmupDurationSecs }
      : {
          slowStartWindow: warmup.duration,
          // A key that nothing sets: Envoy wants one.
          aggression: { defaultValue: warmup.aggression ?? 1, runtimeKey: 'weft.warmup.aggression' },
          minWeightPercent: { value: warmup.minimumPercent ?? 10 },
        }
  if (cluster.lbPolicy === Cluster_LbPolicy.ROUND_ROBIN) {
    cluster.lbConfig = { $case: 'roundRobinLbConfig', value: Cluster_RoundRobinLbConfig.fromPartial({ slowStartConfig }) }
  } else if (cluster.lbPolicy === Cluster_LbPolicy.LEAST_REQUEST) {
    cluster.lbConfig = { $case: 'leastRequestLbConfig', value: Cluster_LeastRequestLbConfig.fromPartial({ slowStartConfig }) }
  }
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
