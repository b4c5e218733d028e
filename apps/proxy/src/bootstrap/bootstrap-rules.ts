import { existsSync } from 'node:fs'
import { isIP } from 'node:net'
import { fromBinary, toBinary } from '@bufbuild/protobuf'
import { descriptors } from '@weft/contracts/descriptors'
import type { Bootstrap } from '@weft/contracts/envoy/config/bootstrap/v3/bootstrap'
import type { Cluster } from '@weft/contracts/envoy/config/cluster/v3/cluster'
import { ApiConfigSource, ApiConfigSource_ApiType, ConfigSource } from '@weft/contracts/envoy/config/core/v3/config_source'
import { ZipkinConfig } from '@weft/contracts/envoy/config/trace/v3/zipkin'
import { DnsCacheConfig } from '@weft/contracts/envoy/extensions/common/dynamic_forward_proxy/v3/dns_cache'
import { LocalRateLimit } from '@weft/contracts/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit'
import { WeftError } from '@weft/service/errors'
import { type ClusterDefaults, clusterDefaults } from '../control/cluster-defaults.ts'
import { discoveryType } from '../control/cluster-rules.ts'
import { checkConfigSource } from '../control/config-source-rules.ts'
import { clusterOf } from '../control/sources.ts'
import { messageType } from '../control/validation/decode.ts'
import { findMessages } from '../control/validation/find-messages.ts'
import { checkStatTags } from '../observe/stat-tags.ts'
import { dnsServersOf } from '../plan/dns-servers.ts'
import { durationMs } from '../plan/duration.ts'
import { invalid } from '../plan/problems.ts'
import { compileNearEnds } from '../plan/source-address.ts'
import { isPseudo } from '../routing/matchers/header-matcher.ts'
import { compileStringMatcher } from '../routing/matchers/string-matcher.ts'
import { bootstrapType } from './load.ts'

/** What a bootstrap may not say beside what else it says; `bytes` are the same. Throws WeftError. */
export function checkBootstrap(bootstrap: Bootstrap, bytes: Uint8Array): void {
  const clusters = bootstrap.staticResources?.clusters ?? []
  checkStatTags(bootstrap.statsConfig)
  if (bootstrap.watchdog !== undefined && bootstrap.watchdogs !== undefined)
    throw invalid('watchdog', 'Only one of watchdog or watchdogs should be set!')
  if (bootstrap.statsFlush?.$case === 'statsFlushOnAdmin' && bootstrap.statsFlushInterval !== undefined)
    throw invalid('stats_flush_on_admin', 'Only one of stats_flush_interval or stats_flush_on_admin should be set!')
  const flushMs = durationMs(bootstrap.statsFlushInterval, 5_000)
  if (durationMs(bootstrap.statsEvictionInterval, 0) % flushMs !== 0)
    throw invalid('stats_eviction_interval', 'must be a multiple of stats_flush_interval')
  const engine = bootstrap.defaultRegexEngine?.typedConfig?.typeUrl.split('/').pop() ?? ''
  if (engine !== '' && engine !== 'envoy.extensions.regex_engines.v3.GoogleRE2')
    throw invalid('default_regex_engine.typed_config', `Didn't find a registered implementation for type URL: '${engine}'`)
  const ads = bootstrap.dynamicResources?.adsConfig?.apiType
  if (ads === ApiConfigSource_ApiType.AGGREGATED_GRPC || ads === ApiConfigSource_ApiType.AGGREGATED_DELTA_GRPC)
    throw invalid('dynamic_resources.ads_config.api_type', 'must be of non-aggregated gRPC')
  checkDefaults(clusterDefaults(bootstrap))
  const local = bootstrap.clusterManager?.localClusterName ?? ''
  if (local !== '' && !clusters.some(({ name }) => name === local))
    throw invalid('cluster_manager.local_cluster_name', `local cluster '${local}' must be defined`)
  if (local === '')
    for (const encoded of messagesIn(bytes, 'envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit'))
      if (LocalRateLimit.decode(encoded).localClusterRateLimit !== undefined)
        throw invalid('cluster_manager.local_cluster_name', 'a local_cluster_rate_limit needs the local cluster')
  for (const encoded of messagesIn(bytes, 'envoy.config.trace.v3.ZipkinConfig')) {
    const { collectorCluster } = ZipkinConfig.decode(encoded)
    if (collectorCluster !== '' && !clusters.some(({ name }) => name === collectorCluster))
      throw invalid('collector_cluster', `the cluster '${collectorCluster}' of the tracer is not among static_resources.clusters`)
  }
  const caches = new Map<string, string>()
  for (const encoded of messagesIn(bytes, 'envoy.extensions.common.dynamic_forward_proxy.v3.DnsCacheConfig')) {
    const config = DnsCacheConfig.decode(encoded)
    const { name } = config
    const settings = JSON.stringify(withoutDefaults(config))
    if ((caches.get(name) ?? settings) !== settings)
      throw invalid('dns_cache_config', `config specified DNS cache '${name}' with different settings`)
    caches.set(name, settings)
  }
  const admin = bootstrap.admin?.address?.address
  if (admin?.$case === 'socketAddress' && isIP(admin.value.address) === 0)
    throw invalid('admin.address.socket_address.address', `malformed IP address: ${admin.value.address}`)
  for (const [i, one] of (bootstrap.admin?.allowPaths ?? []).entries()) compileStringMatcher(one, `admin.allow_paths[${i}]`)
  checkControlPlanes(bytes, clusters)
  for (const encoded of messagesIn(bytes, 'envoy.config.core.v3.ConfigSource')) {
    const config = ConfigSource.decode(encoded)
    checkConfigSource(config, 'config_source')
    const source = config.configSourceSpecifier
    if (source?.$case !== 'path' && source?.$case !== 'pathConfigSource') continue
    const path = source.$case === 'path' ? source.value : source.value.path
    if (!existsSync(path))
      throw invalid(source.$case, `paths must refer to an existing path in the system: '${path}' does not exist`)
  }
}

/** A message without what says nothing: two of the same meaning become the same. */
function withoutDefaults(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value || undefined
  if (Array.isArray(value)) return value.length === 0 ? undefined : value.map(withoutDefaults)
  const told = Object.entries(value).flatMap(([key, one]) => {
    const left = withoutDefaults(one)
    return left === undefined ? [] : [[key, left] as const]
  })
  return told.length === 0 ? undefined : Object.fromEntries(told)
}

/** What clusters have by default is as a cluster's own. */
function checkDefaults({ upstreamBindConfig, typedDnsResolverConfig }: ClusterDefaults): void {
  if (upstreamBindConfig !== undefined)
    compileNearEnds({ upstreamBindConfig, upstreamConnectionOptions: undefined }, 'cluster_manager')
  dnsServersOf(typedDnsResolverConfig, 'bootstrap')
}

/** Whether something in it comes from elsewhere, be it by a file: whoever gives it is told who asks. */
export function fetchesSomething(bootstrap: Uint8Array): boolean {
  const sources = ['envoy.config.core.v3.ConfigSource', 'envoy.config.core.v3.ApiConfigSource']
  return sources.some((name) => messagesIn(bootstrap, name).next().done !== true)
}

/** Every message of a type in the bootstrap, in binary. */
function* messagesIn(bootstrap: Uint8Array, name: string): Generator<Uint8Array> {
  const type = messageType(bootstrapType)
  for (const { desc, message } of findMessages(descriptors(), type, fromBinary(type, bootstrap), name))
    yield toBinary(desc, message)
}

/** A control plane has to be reachable before anything is fetched: by a static cluster that is not itself fetched. */
function checkControlPlanes(bootstrap: Uint8Array, clusters: readonly Cluster[]): void {
  for (const encoded of messagesIn(bootstrap, 'envoy.config.core.v3.ApiConfigSource')) {
    const config = ApiConfigSource.decode(encoded)
    if (config.apiType !== ApiConfigSource_ApiType.REST && config.grpcServices.length !== 1)
      throw invalid('api_config_source.grpc_services', 'API configs must have either a gRPC service or a cluster name defined')
    for (const { key } of config.grpcServices.flatMap((service) => service.initialMetadata))
      if (isPseudo(key))
        throw invalid('api_config_source.grpc_services[0].initial_metadata', ':-prefixed or host headers may not be modified')
    const name = clusterOf(config)
    const cluster = clusters.find((each) => each.name === name)
    const isEds = cluster?.clusterDiscoveryType?.value === discoveryType.eds
    if (name === '' || (cluster !== undefined && !isEds)) continue
    throw new WeftError(
      'invalid_argument',
      isEds ? `the control plane's cluster '${name}' may not be EDS itself` : `no static cluster is named '${name}'`,
      { where: { path: 'api_config_source' }, hint: 'name a static cluster in envoy_grpc.cluster_name' },
    )
  }
}
