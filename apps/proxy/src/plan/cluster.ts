import { Cluster_DiscoveryType, Cluster_LbPolicy, Cluster as ClusterProto } from '@weft/contracts/envoy/config/cluster/v3/cluster'
import { HttpProtocolOptions } from '@weft/contracts/envoy/extensions/upstreams/http/v3/http_protocol_options'
import { defaultClientOptions, type Http1ClientOptions } from '@weft/http/h1/client-connection'
import type { UpstreamTls } from '../transport/upstream-tls.ts'
import type { PickerPolicy } from '../upstream/load-balancers/host-picker.ts'
import { durationMs } from './duration.ts'
import { invalid, unsupported } from './problems.ts'
import type { SecretStore } from './secret-store.ts'
import { compileSocketMatches, type SocketMatch } from './socket-matches.ts'
import { compileUpstreamTls } from './upstream-tls.ts'

/** A cluster's settings, compiled. */
export interface ClusterPlan {
  name: string
  /** Name in stats: alt_stat_name, or the name. */
  statName: string
  source: ClusterProto
  connectTimeoutMs: number
  /** 0: never. */
  idleTimeoutMs: number
  /** 0: any number. */
  maxRequestsPerConnection: number
  policy: PickerPolicy
  panicThreshold: number
  localityWeighted: boolean
  http1: Http1ClientOptions
  /** The endpoints speak HTTP/2 alone: clients that bring it (gRPC) may use them, HTTP requests not yet. */
  http2Only: boolean
  /** For endpoints that none of `socketMatches` holds for. */
  tls: UpstreamTls | null
  socketMatches: readonly SocketMatch[]
}

const protocolOptionsKey = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions'

/** Compiles a cluster; throws WeftError at the place of what is invalid or not supported. */
export function compileCluster(bytes: Uint8Array, secrets: SecretStore): ClusterPlan {
  const source = ClusterProto.decode(bytes)
  const at = `Cluster ${source.name}`
  if (source.name === '') throw invalid('Cluster', 'a cluster needs a name')
  const discovery = source.clusterDiscoveryType
  if (discovery?.$case === 'clusterType') throw unsupported(`${at}: cluster_type`, `cluster type '${discovery.value.name}'`)
  if (discovery?.value === Cluster_DiscoveryType.ORIGINAL_DST) throw unsupported(`${at}: type`, 'ORIGINAL_DST')
  if (source.lbSubsetConfig !== undefined && source.lbSubsetConfig.subsetSelectors.length > 0) {
    throw unsupported(`${at}: lb_subset_config`, 'subset load balancing')
  }
  const options = protocolOptions(source, at)
  const common = options?.commonHttpProtocolOptions ?? source.commonHttpProtocolOptions
  const http1 =
    options?.upstreamProtocolOptions?.$case === 'explicitHttpConfig' &&
    options.upstreamProtocolOptions.value.protocolConfig?.$case === 'httpProtocolOptions'
      ? options.upstreamProtocolOptions.value.protocolConfig.value
      : source.httpProtocolOptions
  const connectTimeoutMs = durationMs(source.connectTimeout, 5000)
  if (connectTimeoutMs <= 0) throw invalid(`${at}: connect_timeout`, 'must be greater than 0')
  const idleTimeoutMs = durationMs(common?.idleTimeout, 3_600_000)
  return {
    name: source.name,
    statName: source.altStatName === '' ? source.name : source.altStatName,
    source,
    connectTimeoutMs,
    idleTimeoutMs,
    maxRequestsPerConnection: common?.maxRequestsPerConnection ?? source.maxRequestsPerConnection ?? 0,
    policy: pickerPolicy(source, at),
    panicThreshold: source.commonLbConfig?.healthyPanicThreshold?.value ?? 50,
    localityWeighted: source.commonLbConfig?.localityConfigSpecifier?.$case === 'localityWeightedLbConfig',
    http2Only:
      options?.upstreamProtocolOptions?.$case === 'explicitHttpConfig'
        ? options.upstreamProtocolOptions.value.protocolConfig?.$case === 'http2ProtocolOptions'
        : source.http2ProtocolOptions !== undefined,
    http1: {
      ...defaultClientOptions,
      maxHeaders: common?.maxHeadersCount ?? defaultClientOptions.maxHeaders,
      allowChunkedLength: http1?.allowChunkedLength ?? false,
      enableTrailers: http1?.enableTrailers ?? false,
    },
    tls:
      source.transportSocket === undefined
        ? null
        : compileUpstreamTls(source.transportSocket, `${at}: transport_socket`, secrets),
    socketMatches: compileSocketMatches(source, at, secrets),
  }
}

function protocolOptions(source: ClusterProto, at: string): HttpProtocolOptions | undefined {
  for (const [key, any] of Object.entries(source.typedExtensionProtocolOptions)) {
    const path = `${at}: typed_extension_protocol_options['${key}']`
    if (!any.typeUrl.endsWith(`/${protocolOptionsKey}`)) throw unsupported(path, `'${any.typeUrl}'`)
    return HttpProtocolOptions.decode(any.value)
  }
  return undefined
}

function pickerPolicy(source: ClusterProto, at: string): PickerPolicy {
  if (source.loadBalancingPolicy !== undefined) return typedPolicy(source, at)
  switch (source.lbPolicy) {
    case Cluster_LbPolicy.ROUND_ROBIN:
      return { type: 'round-robin' }
    case Cluster_LbPolicy.LEAST_REQUEST: {
      const config = source.lbConfig?.$case === 'leastRequestLbConfig' ? source.lbConfig.value : undefined
      return { type: 'least-request', choices: config?.choiceCount ?? 2, bias: config?.activeRequestBias?.defaultValue ?? 1 }
    }
    case Cluster_LbPolicy.RANDOM:
      return { type: 'random' }
    case Cluster_LbPolicy.RING_HASH:
    case Cluster_LbPolicy.MAGLEV:
      throw unsupported(`${at}: lb_policy`, source.lbPolicy === Cluster_LbPolicy.MAGLEV ? 'MAGLEV' : 'RING_HASH')
    default:
      throw unsupported(`${at}: lb_policy`, `lb_policy ${source.lbPolicy}`)
  }
}

/** load_balancing_policy: the first entry that is known. */
function typedPolicy(source: ClusterProto, at: string): PickerPolicy {
  const policies = source.loadBalancingPolicy?.policies ?? []
  for (const { typedExtensionConfig } of policies) {
    const url = typedExtensionConfig?.typedConfig?.typeUrl ?? ''
    if (url.endsWith('.round_robin.v3.RoundRobin')) return { type: 'round-robin' }
    if (url.endsWith('.least_request.v3.LeastRequest')) return { type: 'least-request', choices: 2, bias: 1 }
    if (url.endsWith('.random.v3.Random')) return { type: 'random' }
  }
  throw unsupported(`${at}: load_balancing_policy`, policies.map((one) => one.typedExtensionConfig?.name ?? '').join(', '))
}
