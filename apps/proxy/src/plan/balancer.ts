import type {
  Cluster,
  Cluster_CommonLbConfig,
  Cluster_SlowStartConfig,
  LoadBalancingPolicy,
  LoadBalancingPolicy_Policy,
} from '@weft/contracts/envoy/config/cluster/v3/cluster'
import { Cluster_DiscoveryType } from '@weft/contracts/envoy/config/cluster/v3/cluster'
import type { RuntimeDouble } from '@weft/contracts/envoy/config/core/v3/base'
import type {
  ConsistentHashingLbConfig,
  LocalityLbConfig,
} from '@weft/contracts/envoy/extensions/load_balancing_policies/common/v3/common'
import { LeastRequest } from '@weft/contracts/envoy/extensions/load_balancing_policies/least_request/v3/least_request'
import { Maglev } from '@weft/contracts/envoy/extensions/load_balancing_policies/maglev/v3/maglev'
import { Random } from '@weft/contracts/envoy/extensions/load_balancing_policies/random/v3/random'
import { RingHash } from '@weft/contracts/envoy/extensions/load_balancing_policies/ring_hash/v3/ring_hash'
import { RoundRobin } from '@weft/contracts/envoy/extensions/load_balancing_policies/round_robin/v3/round_robin'
import { Subset } from '@weft/contracts/envoy/extensions/load_balancing_policies/subset/v3/subset'
import { WrrLocality } from '@weft/contracts/envoy/extensions/load_balancing_policies/wrr_locality/v3/wrr_locality'
import { compileHashPolicies, type HashPolicies } from '../routing/hash-policy.ts'
import { entriesOf } from '../upstream/load-balancers/metadata-criteria.ts'
import type {
  BalancerPolicy,
  ConsistentHashing,
  EndpointPolicy,
  FallbackPolicy,
  LocalityPolicy,
  SlowStart,
  SubsetPolicy,
  SubsetSelector,
} from '../upstream/load-balancers/policy.ts'
import { durationMs } from './duration.ts'
import { invalid, unsupported } from './problems.ts'
import type { Runtime } from './runtime.ts'

/** Cluster.LbPolicy. */
const lbPolicy = { roundRobin: 0, leastRequest: 1, ringHash: 2, random: 3, maglev: 5, clusterProvided: 6, byPolicy: 7 } as const

const maxTableSize = 5_000_011
const maxRingSize = 8_388_608

/** Compiles how a cluster's endpoints are picked: by `load_balancing_policy`, or by the older fields. */
export function compileBalancer(source: Cluster, at: string, runtime: Runtime): BalancerPolicy {
  const common = source.commonLbConfig
  const panic = common?.healthyPanicThreshold?.value ?? 50
  const shared = {
    panicThreshold: () => Math.min(100, Math.max(0, runtime.number('upstream.healthy_panic_threshold', panic))),
  }
  if (source.loadBalancingPolicy !== undefined) {
    return { ...shared, ...typedPolicy(source.loadBalancingPolicy, `${at}: load_balancing_policy`, runtime) }
  }
  if (source.lbPolicy === lbPolicy.byPolicy) throw invalid(`${at}: load_balancing_policy`, 'must be set when lb_policy says so')
  const locality = localityOf(common?.localityConfigSpecifier, runtime)
  const strictDns =
    source.clusterDiscoveryType?.$case === 'type' && source.clusterDiscoveryType.value === Cluster_DiscoveryType.STRICT_DNS
  if (common?.consistentHashingLbConfig?.useHostnameForHashing === true && !strictDns)
    throw invalid(
      `${at}: common_lb_config.consistent_hashing_lb_config.use_hostname_for_hashing`,
      'Cannot use hostname for consistent hashing loadbalancing for a cluster of this type',
      'only STRICT_DNS clusters have hostnames to hash',
    )
  const endpoint = classicPolicy(source, at, runtime)
  const subset = source.lbSubsetConfig
  const subsets = subset !== undefined && subset.subsetSelectors.length > 0
  if (subsets && subset.localityWeightAware && locality.type !== 'weighted') {
    throw invalid(
      `${at}: lb_subset_config`,
      'Locality weight aware subset LB requires that a locality_weighted_lb_config be set in the cluster',
    )
  }
  return { ...shared, endpoint, locality, subset: subsets ? subsetPolicy({ ...subset, allowRedundantKeys: false }, at) : null }
}

function classicPolicy(source: Cluster, at: string, runtime: Runtime): EndpointPolicy {
  const config = source.lbConfig
  const hashing = hashingOf(source.commonLbConfig?.consistentHashingLbConfig)
  switch (source.lbPolicy) {
    case lbPolicy.roundRobin: {
      const options = config?.$case === 'roundRobinLbConfig' ? config.value : undefined
      return { type: 'round-robin', slowStart: slowStartOf(options?.slowStartConfig, runtime) }
    }
    case lbPolicy.leastRequest: {
      const options = config?.$case === 'leastRequestLbConfig' ? config.value : undefined
      return leastRequest(options?.choiceCount, options?.activeRequestBias, options?.slowStartConfig, false, runtime)
    }
    case lbPolicy.random:
      return { type: 'random' }
    case lbPolicy.ringHash: {
      const options = config?.$case === 'ringHashLbConfig' ? config.value : undefined
      const murmur = options?.hashFunction === 1
      return ringHash(options?.minimumRingSize, options?.maximumRingSize, murmur, hashing, `${at}: ring_hash_lb_config`)
    }
    case lbPolicy.maglev: {
      const options = config?.$case === 'maglevLbConfig' ? config.value : undefined
      return maglev(options?.tableSize, hashing, `${at}: maglev_lb_config`)
    }
    case lbPolicy.clusterProvided:
      // The cluster's own: what it is not asked for elsewhere, it does in turn.
      return { type: 'round-robin', slowStart: null }
    default:
      throw unsupported(`${at}: lb_policy`, `lb_policy ${source.lbPolicy}`)
  }
}

type Chosen = Pick<BalancerPolicy, 'endpoint' | 'locality' | 'subset'>

/** The first policy of the list that is known. */
function typedPolicy(policy: LoadBalancingPolicy, at: string, runtime: Runtime): Chosen {
  for (const [i, entry] of policy.policies.entries()) {
    const known = typedEntry(entry, `${at}.policies[${i}]`, runtime)
    if (known !== null) return known
  }
  const names = policy.policies.map((one) => one.typedExtensionConfig?.name ?? '')
  throw unsupported(at, names.length === 0 ? 'an empty list of policies' : names.join(', '))
}

function typedEntry(entry: LoadBalancingPolicy_Policy, at: string, runtime: Runtime): Chosen | null {
  const any = entry.typedExtensionConfig?.typedConfig
  if (any === undefined) return null
  const { value } = any
  switch (any.typeUrl.slice(any.typeUrl.lastIndexOf('/') + 1)) {
    case 'envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin': {
      const config = RoundRobin.decode(value)
      const endpoint: EndpointPolicy = { type: 'round-robin', slowStart: slowStartOf(config.slowStartConfig, runtime) }
      return { endpoint, locality: typedLocality(config.localityLbConfig, runtime), subset: null }
    }
    case 'envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest': {
      const config = LeastRequest.decode(value)
      const full = config.enableFullScan === true || config.selectionMethod === 1
      const endpoint = leastRequest(config.choiceCount, config.activeRequestBias, config.slowStartConfig, full, runtime)
      return { endpoint, locality: typedLocality(config.localityLbConfig, runtime), subset: null }
    }
    case 'envoy.extensions.load_balancing_policies.random.v3.Random':
      return {
        endpoint: { type: 'random' },
        locality: typedLocality(Random.decode(value).localityLbConfig, runtime),
        subset: null,
      }
    case 'envoy.extensions.load_balancing_policies.ring_hash.v3.RingHash': {
      const config = RingHash.decode(value)
      const hashing = hashingOf(config.consistentHashingLbConfig ?? config, ownPolicies(config, at))
      return {
        endpoint: ringHash(config.minimumRingSize, config.maximumRingSize, config.hashFunction === 2, hashing, at),
        locality: config.localityWeightedLbConfig === undefined ? { type: 'none' } : { type: 'weighted' },
        subset: null,
      }
    }
    case 'envoy.extensions.load_balancing_policies.maglev.v3.Maglev': {
      const config = Maglev.decode(value)
      return {
        endpoint: maglev(config.tableSize, hashingOf(config.consistentHashingLbConfig, ownPolicies(config, at)), at),
        locality: config.localityWeightedLbConfig === undefined ? { type: 'none' } : { type: 'weighted' },
        subset: null,
      }
    }
    case 'envoy.extensions.load_balancing_policies.wrr_locality.v3.WrrLocality': {
      const picking = WrrLocality.decode(value).endpointPickingPolicy
      // Envoy has it for one policy only, whose load reports this proxy does not read.
      const names = picking?.policies.map((one) => one.typedExtensionConfig?.name ?? '').join(', ') ?? ''
      throw unsupported(`${at}.endpoint_picking_policy`, `WrrLocality over '${names}'`)
    }
    case 'envoy.extensions.load_balancing_policies.subset.v3.Subset': {
      const config = Subset.decode(value)
      if (config.subsetLbPolicy === undefined) throw invalid(`${at}.subset_lb_policy`, 'must be set')
      const chosen = typedPolicy(config.subsetLbPolicy, `${at}.subset_lb_policy`, runtime)
      return { ...chosen, subset: subsetPolicy(config, at) }
    }
    case 'envoy.extensions.load_balancing_policies.cluster_provided.v3.ClusterProvided':
      return { endpoint: { type: 'round-robin', slowStart: null }, locality: { type: 'none' }, subset: null }
    default:
      return null
  }
}

function leastRequest(
  choices: number | undefined,
  bias: RuntimeDouble | undefined,
  slowStart: Cluster_SlowStartConfig | undefined,
  fullScan: boolean,
  runtime: Runtime,
): EndpointPolicy {
  return {
    type: 'least-request',
    choices: choices ?? 2,
    bias: runtimeDouble(bias, 1, runtime),
    fullScan,
    slowStart: slowStartOf(slowStart, runtime),
  }
}

function ringHash(
  min: number | undefined,
  max: number | undefined,
  murmur: boolean,
  hashing: ConsistentHashing,
  at: string,
): EndpointPolicy {
  const minSize = min ?? 1024
  const maxSize = max ?? maxRingSize
  if (minSize > maxSize)
    throw invalid(at, `minimum_ring_size (${minSize}) must not be greater than maximum_ring_size (${maxSize})`)
  return { type: 'ring-hash', minSize, maxSize, murmur, hashing }
}

function maglev(size: number | undefined, hashing: ConsistentHashing, at: string): EndpointPolicy {
  const tableSize = size ?? 65_537
  if (tableSize > maxTableSize || !isPrime(tableSize))
    throw invalid(
      `${at}.table_size`,
      `The table size of maglev must be prime number, and ${maxTableSize} at most; ${tableSize} is not`,
    )
  return { type: 'maglev', tableSize, hashing }
}

function isPrime(number: number): boolean {
  if (number < 2) return false
  for (let divisor = 2; divisor * divisor <= number; divisor++) if (number % divisor === 0) return false
  return true
}

function hashingOf(
  config: Pick<ConsistentHashingLbConfig, 'useHostnameForHashing' | 'hashBalanceFactor'> | undefined,
  policies: HashPolicies | null = null,
): ConsistentHashing {
  return { useHostname: config?.useHostnameForHashing ?? false, balanceFactor: config?.hashBalanceFactor ?? 0, policies }
}

function ownPolicies(config: RingHash | Maglev, at: string): HashPolicies | null {
  return compileHashPolicies(config.consistentHashingLbConfig?.hashPolicy ?? [], `${at}.consistent_hashing_lb_config.hash_policy`)
}

function slowStartOf(config: Cluster_SlowStartConfig | undefined, runtime: Runtime): SlowStart | null {
  const windowMs = durationMs(config?.slowStartWindow, 0)
  if (config === undefined || windowMs <= 0) return null
  return {
    windowMs,
    aggression: runtimeDouble(config.aggression, 1, runtime),
    minWeight: (config.minWeightPercent?.value ?? 10) / 100,
  }
}

function runtimeDouble(source: RuntimeDouble | undefined, fallback: number, runtime: Runtime): () => number {
  const value = source?.defaultValue ?? fallback
  const key = source?.runtimeKey ?? ''
  return key === '' ? () => value : () => runtime.double(key, value)
}

function typedLocality(config: LocalityLbConfig | undefined, runtime: Runtime): LocalityPolicy {
  return localityOf(config?.localityConfigSpecifier, runtime)
}

function localityOf(
  specifier: Cluster_CommonLbConfig['localityConfigSpecifier'] | LocalityLbConfig['localityConfigSpecifier'],
  runtime: Runtime,
): LocalityPolicy {
  if (specifier?.$case === 'localityWeightedLbConfig') return { type: 'weighted' }
  const zones = specifier?.value
  const enabled = zones?.routingEnabled?.value ?? 100
  const least = zones?.minClusterSize ?? 6
  return {
    type: 'zone-aware',
    enabledPercent: () => runtime.number('upstream.zone_routing.enabled', enabled),
    minClusterSize: () => runtime.number('upstream.zone_routing.min_cluster_size', least),
    failTrafficOnPanic: zones?.failTrafficOnPanic ?? false,
  }
}

/** LbSubsetFallbackPolicy, and LbSubsetSelectorFallbackPolicy less one. */
const fallbacks: readonly FallbackPolicy[] = ['none', 'any', 'default']
const selectorFallbacks: readonly SubsetSelector['fallback'][] = [null, 'none', 'any', 'default', 'keys']

function subsetPolicy(
  source: Pick<
    Subset,
    | 'fallbackPolicy'
    | 'defaultSubset'
    | 'subsetSelectors'
    | 'allowRedundantKeys'
    | 'localityWeightAware'
    | 'scaleLocalityWeight'
    | 'panicModeAny'
    | 'listAsAny'
    | 'metadataFallbackPolicy'
  >,
  at: string,
): SubsetPolicy {
  return {
    fallback: fallbacks[source.fallbackPolicy] ?? 'none',
    defaultSubset: entriesOf(source.defaultSubset ?? {}),
    selectors: source.subsetSelectors.map((selector, i) => {
      const path = `${at}: subset_selectors[${i}]`
      const keys = [...new Set(selector.keys)].sort()
      const fallback = selectorFallbacks[selector.fallbackPolicy] ?? null
      const fallbackKeys = new Set(selector.fallbackKeysSubset)
      if (fallback === 'keys') {
        if (fallbackKeys.size === 0) throw invalid(path, 'fallback_keys_subset must not be empty')
        for (const key of fallbackKeys)
          if (!keys.includes(key)) throw invalid(path, `fallback_keys_subset has '${key}', which is no key of the selector`)
        if (fallbackKeys.size >= keys.length)
          throw invalid(path, "fallback_keys_subset must be a proper subset of the selector's keys")
      }
      return { keys, singleHost: selector.singleHostPerSubset, fallback, fallbackKeys }
    }),
    localityWeightAware: source.localityWeightAware,
    scaleLocalityWeight: source.scaleLocalityWeight,
    panicModeAny: source.panicModeAny,
    listAsAny: source.listAsAny,
    fallbackList: source.metadataFallbackPolicy === 1,
    allowRedundantKeys: source.allowRedundantKeys,
  }
}
