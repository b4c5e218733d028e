import { Cluster_DiscoveryType, Cluster_LbPolicy, Cluster as ClusterProto } from '@weft/contracts/envoy/config/cluster/v3/cluster'
import type { Http1ProtocolOptions, Http2ProtocolOptions } from '@weft/contracts/envoy/config/core/v3/protocol'
import { ClusterConfig } from '@weft/contracts/envoy/extensions/clusters/aggregate/v3/cluster'
import type { DnsCacheConfig } from '@weft/contracts/envoy/extensions/common/dynamic_forward_proxy/v3/dns_cache'
import { HttpProtocolOptions } from '@weft/contracts/envoy/extensions/upstreams/http/v3/http_protocol_options'
import { defaultClientOptions, type Http1ClientOptions } from '@weft/http/h1/client-connection'
import type { Http2Options } from '@weft/http/h2/options'
import type { PeerExchange } from '../filters/istio/peer-exchange.ts'
import { statsMatcher } from '../observe/stats-matcher.ts'
import { compileHashPolicies, type HashPolicies } from '../routing/hash-policy.ts'
import type { HeadMatcher } from '../routing/matchers/header-matcher.ts'
import { compileResponseMatch } from '../routing/matchers/response-match.ts'
import { compileRetryPolicy, type RetryPlan } from '../routing/retry-policy.ts'
import { compileMirrors, type MirrorPolicy } from '../routing/route-action.ts'
import { metadataReader } from '../shared/metadata-path.ts'
import { meshAlpn } from '../transport/mesh-alpn.ts'
import type { UpstreamTls } from '../transport/upstream-tls.ts'
import type { BalancerPolicy, OriginalDestinationPolicy } from '../upstream/load-balancers/policy.ts'
import { type AutoNames, compileAutoNames } from './auto-names.ts'
import { compileBalancer } from './balancer.ts'
import { compileClusterFilters } from './cluster-filters.ts'
import { dnsServersOf } from './dns-servers.ts'
import { durationMs } from './duration.ts'
import { forwardNamesOf } from './forward-names.ts'
import { compileHeaderCasing } from './header-casing.ts'
import { compileUpstreamHttp2Options } from './http2-options.ts'
import { invalid, unsupported } from './problems.ts'
import { Runtime } from './runtime.ts'
import type { SecretStore } from './secret-store.ts'
import { compileSocketMatches, type SocketMatch } from './socket-matches.ts'
import { compileNearEnds, type NearEnds } from './source-address.ts'
import { compileUpstreamTls } from './upstream-tls.ts'

/** Which HTTP a cluster's endpoints are spoken to by. */
export type UpstreamHttp = 'http1' | 'http2' | 'downstream' | 'auto'

/** Whether the handshake by these TLS settings is asked which HTTP to speak. */
export function negotiatesBy(http: UpstreamHttp, tls: UpstreamTls | null): boolean {
  return tls !== null && (http === 'auto' || (http === 'http1' && tls.alpn.includes(meshAlpn)))
}

/** A cluster's settings, compiled. */
export interface ClusterPlan {
  name: string
  /** Name in stats: alt_stat_name, or the name. */
  statName: string
  source: ClusterProto
  connectTimeoutMs: number
  /** 0: never. */
  idleTimeoutMs: number
  /** How long a try may take, all its body included (ms); 0: any time. */
  maxStreamMs: number
  /** 0: any number. */
  maxRequestsPerConnection: number
  balancer: BalancerPolicy
  /** Names of the clusters that an aggregate cluster is made of; null: it has endpoints of its own. */
  aggregate: readonly string[] | null
  /** Of a dynamic forward proxy: where the names that requests bring are kept; null: it has endpoints of its own. */
  forwardNames: DnsCacheConfig | null
  /** For ORIGINAL_DST. */
  originalDestination: OriginalDestinationPolicy | null
  /** Where connections are made from, and by sockets of which kind. */
  nearEnds: NearEnds
  /** For limits that runtime keys override. */
  runtime: Runtime
  http1: Http1ClientOptions
  http2: Http2Options
  /** What endpoints are spoken to by; `downstream`: what the client came by; `auto`: what the TLS handshake says. */
  http: UpstreamHttp
  /** Whether the handshake with some endpoint is asked which HTTP to speak. */
  negotiates: boolean
  /** For endpoints that none of `socketMatches` holds for. */
  tls: UpstreamTls | null
  socketMatches: readonly SocketMatch[]
  /** Clients share no connections: it is asked for, or some endpoints are told by a PROXY header whose connection it is. */
  keepsClientsApart: boolean
  /** What counts in place of what a request's route says of it; null: as that says. */
  hashing: HashPolicies | null
  retry: RetryPlan | null
  mirrors: readonly MirrorPolicy[] | null
  /** Tells answers that are errors to outlier detection; null: by their status. */
  errorMatcher: HeadMatcher | null
  /** What requests have the handshake ask for; null: nothing. */
  autoNames: AutoNames | null
  /** How TCP connections tell their endpoints' sidecars who is there; null: they don't. */
  peerExchange: PeerExchange | null
}

const tcpOptionsKey = 'envoy.extensions.upstreams.tcp.v3.TcpProtocolOptions'
const protocolOptionsKey = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions'

/** Compiles a cluster; throws WeftError at the place of what is invalid or not supported. */
export function compileCluster(bytes: Uint8Array, secrets: SecretStore, runtime = new Runtime()): ClusterPlan {
  const source = ClusterProto.decode(bytes)
  const at = `Cluster ${source.name}`
  if (source.name === '') throw invalid('Cluster', 'a cluster needs a name')
  const options = protocolOptions(source, at)
  const common = options?.commonHttpProtocolOptions ?? source.commonHttpProtocolOptions
  const { http, http1, http2 } = httpOf(source, options)
  if (http === 'http1' && source.healthChecks.some(({ healthChecker }) => healthChecker?.$case === 'grpcHealthCheck'))
    throw invalid(`${at}: health_checks[0]`, `${source.name} cluster must support HTTP/2 for gRPC healthchecking`)
  // Used where names are resolved, and where stats are shown; said here what is wrong with them.
  dnsServersOf(source.typedDnsResolverConfig, at)
  statsMatcher(source.statsMatcher, `${at}: stats_matcher`)
  const forwardNames = forwardNamesOf(source, options?.upstreamHttpProtocolOptions, options !== undefined, at)
  const connectTimeoutMs = durationMs(source.connectTimeout, 5000)
  if (connectTimeoutMs <= 0) throw invalid(`${at}: connect_timeout`, 'must be greater than 0')
  const tls =
    source.transportSocket === undefined ? null : compileUpstreamTls(source.transportSocket, `${at}: transport_socket`, secrets)
  const socketMatches = compileSocketMatches(source, at, secrets)
  const sockets = [tls, ...socketMatches.map((match) => match.tls)]
  if (http === 'auto' && sockets.includes(null))
    throw invalid(
      `${at}: auto_config`,
      `ALPN configured for cluster ${source.name} which has a non-ALPN transport socket; every one has to be an UpstreamTlsContext`,
    )
  const idleTimeoutMs = durationMs(common?.idleTimeout, 3_600_000)
  return {
    name: source.name,
    statName: source.altStatName === '' ? source.name : source.altStatName,
    source,
    connectTimeoutMs,
    idleTimeoutMs,
    maxStreamMs: durationMs(common?.maxStreamDuration, 0),
    maxRequestsPerConnection: common?.maxRequestsPerConnection ?? source.maxRequestsPerConnection ?? 0,
    balancer: compileBalancer(source, at, runtime),
    aggregate: forwardNames === null ? aggregateOf(source, at) : null,
    forwardNames,
    originalDestination: originalDestinationOf(source, at),
    nearEnds: compileNearEnds(source, at),
    runtime,
    http,
    http2: {
      ...compileUpstreamHttp2Options(http2),
      maxHeaders: common?.maxHeadersCount ?? defaultClientOptions.maxHeaders,
      maxHeadBytes: (common?.maxResponseHeadersKb ?? 60) * 1024,
    },
    http1: {
      ...defaultClientOptions,
      maxHeaders: common?.maxHeadersCount ?? defaultClientOptions.maxHeaders,
      maxHeadBytes: (common?.maxResponseHeadersKb ?? 80) * 1024,
      allowChunkedLength: http1?.allowChunkedLength ?? false,
      enableTrailers: http1?.enableTrailers ?? false,
      casing: compileHeaderCasing(http1, `${at}: http_protocol_options`),
      absoluteTargets: http1?.sendFullyQualifiedUrl ?? false,
    },
    tls,
    socketMatches,
    ...compileForRequests(options, `${at}: typed_extension_protocol_options['${protocolOptionsKey}']`, runtime),
    autoNames: compileAutoNames(options?.upstreamHttpProtocolOptions),
    peerExchange: compileClusterFilters(source.filters, `${at}: filters`),
    negotiates: sockets.some((one) => negotiatesBy(http, one)),
    keepsClientsApart: source.connectionPoolPerDownstreamConnection || sockets.some((one) => one?.prelude !== undefined),
  }
}

function compileForRequests(
  options: HttpProtocolOptions | undefined,
  at: string,
  runtime: Runtime,
): Pick<ClusterPlan, 'hashing' | 'retry' | 'mirrors' | 'errorMatcher'> {
  const { hashPolicy = [], retryPolicy, requestMirrorPolicies = [], outlierDetection } = options ?? {}
  const isError = outlierDetection?.errorMatcher
  return {
    hashing: compileHashPolicies(hashPolicy, `${at}.hash_policy`),
    retry: retryPolicy === undefined ? null : compileRetryPolicy(retryPolicy, `${at}.retry_policy`),
    mirrors:
      requestMirrorPolicies.length === 0 ? null : compileMirrors(requestMirrorPolicies, `${at}.request_mirror_policies`, runtime),
    errorMatcher: isError === undefined ? null : compileResponseMatch(isError, `${at}.outlier_detection.error_matcher`),
  }
}

/** Which HTTP, and the options of each. */
function httpOf(
  source: ClusterProto,
  options: HttpProtocolOptions | undefined,
): {
  http: ClusterPlan['http']
  http1: Http1ProtocolOptions | undefined
  http2: Http2ProtocolOptions | undefined
} {
  const choice = options?.upstreamProtocolOptions
  switch (choice?.$case) {
    case 'explicitHttpConfig': {
      const config = choice.value.protocolConfig
      if (config?.$case === 'http2ProtocolOptions') return { http: 'http2', http1: undefined, http2: config.value }
      return { http: 'http1', http1: config?.$case === 'httpProtocolOptions' ? config.value : undefined, http2: undefined }
    }
    case 'useDownstreamProtocolConfig':
      return { http: 'downstream', http1: choice.value.httpProtocolOptions, http2: choice.value.http2ProtocolOptions }
    case 'autoConfig':
      return { http: 'auto', http1: choice.value.httpProtocolOptions, http2: choice.value.http2ProtocolOptions }
    default:
      return {
        http: source.http2ProtocolOptions === undefined ? 'http1' : 'http2',
        http1: source.httpProtocolOptions,
        http2: source.http2ProtocolOptions,
      }
  }
}

function protocolOptions(source: ClusterProto, at: string): HttpProtocolOptions | undefined {
  let options: HttpProtocolOptions | undefined
  for (const [key, any] of Object.entries(source.typedExtensionProtocolOptions)) {
    const path = `${at}: typed_extension_protocol_options['${key}']`
    // Nothing of those counts here.
    if (key === tcpOptionsKey && any.typeUrl.endsWith(`/${key}`)) continue
    if (!any.typeUrl.endsWith(`/${protocolOptionsKey}`)) throw unsupported(path, `'${any.typeUrl}'`)
    if (key !== protocolOptionsKey) throw invalid(path, 'no extension has options by this name', `write ${protocolOptionsKey}`)
    options = HttpProtocolOptions.decode(any.value)
  }
  return options
}

const aggregateType = 'envoy.extensions.clusters.aggregate.v3.ClusterConfig'

function aggregateOf(source: ClusterProto, at: string): readonly string[] | null {
  const type = source.clusterDiscoveryType
  if (type?.$case !== 'clusterType') return null
  const any = type.value.typedConfig
  if (any === undefined || !any.typeUrl.endsWith(`/${aggregateType}`))
    throw unsupported(`${at}: cluster_type`, `cluster type '${type.value.name}'`)
  if (source.loadBalancingPolicy === undefined && source.lbPolicy !== Cluster_LbPolicy.CLUSTER_PROVIDED)
    throw invalid(
      `${at}: lb_policy`,
      `cluster: LB policy ${nameOf(source.lbPolicy)} is not valid for Cluster type envoy.clusters.aggregate. Only 'CLUSTER_PROVIDED' is allowed with cluster type 'envoy.clusters.aggregate'`,
    )
  const { clusters } = ClusterConfig.decode(any.value)
  if (clusters.length === 0) throw invalid(`${at}: cluster_type.typed_config.clusters`, 'at least one cluster is needed')
  return clusters
}

function originalDestinationOf(source: ClusterProto, at: string): OriginalDestinationPolicy | null {
  const type = source.clusterDiscoveryType
  const isOriginal = type?.$case === 'type' && type.value === Cluster_DiscoveryType.ORIGINAL_DST
  if (!isOriginal) {
    if (
      source.loadBalancingPolicy === undefined &&
      source.lbPolicy === Cluster_LbPolicy.CLUSTER_PROVIDED &&
      type?.$case !== 'clusterType'
    )
      throw invalid(
        `${at}: lb_policy`,
        'CLUSTER_PROVIDED is for clusters that bring a load balancer of their own (ORIGINAL_DST, aggregate)',
      )
    return null
  }
  if (source.loadBalancingPolicy === undefined && source.lbPolicy !== Cluster_LbPolicy.CLUSTER_PROVIDED)
    throw invalid(
      `${at}: lb_policy`,
      `cluster: LB policy ${nameOf(source.lbPolicy)} is not valid for Cluster type ORIGINAL_DST. Only 'CLUSTER_PROVIDED' is allowed with cluster type 'ORIGINAL_DST'`,
    )
  if (source.lbSubsetConfig !== undefined && source.lbSubsetConfig.subsetSelectors.length > 0)
    throw invalid(`${at}: lb_subset_config`, 'cluster: LB policy CLUSTER_PROVIDED cannot be combined with lb_subset_config')
  const config = source.lbConfig?.$case === 'originalDstLbConfig' ? source.lbConfig.value : undefined
  if (config !== undefined && config.httpHeaderName !== '' && !config.useHttpHeader)
    throw invalid(
      `${at}: original_dst_lb_config`,
      'ORIGINAL_DST cluster: invalid config http_header_name and use_http_header=false',
    )
  return {
    header: config?.useHttpHeader === true ? (config.httpHeaderName || 'x-envoy-original-dst-host').toLowerCase() : null,
    metadata: config?.metadataKey === undefined ? null : metadataReader(config.metadataKey),
    portOverride: config?.upstreamPortOverride ?? null,
    cleanupMs: durationMs(source.cleanupInterval, 5_000),
  }
}

function nameOf(policy: number): string {
  return Object.entries(Cluster_LbPolicy).find(([, value]) => value === policy)?.[0] ?? String(policy)
}

export type { Http1ClientOptions }
