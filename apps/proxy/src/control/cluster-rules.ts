import { isIP } from 'node:net'
import {
  type Cluster,
  Cluster_LbSubsetConfig_LbSubsetSelector_LbSubsetSelectorFallbackPolicy as Fallback,
} from '@weft/contracts/envoy/config/cluster/v3/cluster'
import type { Address } from '@weft/contracts/envoy/config/core/v3/address'
import { RequestMethod } from '@weft/contracts/envoy/config/core/v3/base'
import type { HealthCheck, HealthCheck_HttpHealthCheck } from '@weft/contracts/envoy/config/core/v3/health_check'
import type { ClusterLoadAssignment } from '@weft/contracts/envoy/config/endpoint/v3/endpoint'
import type { Endpoint } from '@weft/contracts/envoy/config/endpoint/v3/endpoint_components'
import type { Int64Range } from '@weft/contracts/envoy/type/v3/range'
import { durationMs } from '../plan/duration.ts'
import { invalid, unsupported } from '../plan/problems.ts'
import { compileHeaderEdits } from '../routing/header-edits.ts'
import { checkConfigSource } from './config-source-rules.ts'
import { compileProbe } from './health-checks/compile-probe.ts'
import { eventLogPaths } from './health-checks/events.ts'

/** Cluster.DiscoveryType. */
export const discoveryType = { static: 0, strictDns: 1, logicalDns: 2, eds: 3, originalDst: 4 } as const

/** The most bytes of a socket's path, unix(7). */
const longestSocketPath = 107

/** Endpoints that nobody looks up have addresses, not names. */
export function checkAddresses(assignment: ClusterLoadAssignment | undefined, path: string): void {
  for (const [i, group] of (assignment?.endpoints ?? []).entries()) {
    for (const [k, { hostIdentifier }] of group.lbEndpoints.entries()) {
      if (hostIdentifier === undefined) throw invalid(`${path}endpoints[${i}].lb_endpoints[${k}]`, 'Address must be set')
      const host = hostIdentifier.$case === 'endpoint' ? hostIdentifier.value : undefined
      const address = host?.address?.address
      if (host !== undefined) checkOthers(host, `${path}endpoints[${i}].lb_endpoints[${k}].endpoint`)
      const at = `${path}endpoints[${i}].lb_endpoints[${k}].endpoint.address`
      if (address?.$case === 'pipe' && Buffer.byteLength(address.value.path) > longestSocketPath)
        throw invalid(`${at}.pipe.path`, `exceeds maximum UNIX domain socket path size of ${longestSocketPath + 1}`)
      if (address?.$case === 'pipe' && address.value.path.includes('\0'))
        throw invalid(`${at}.pipe.path`, 'UNIX domain socket pathname contains embedded null characters')
      if (address?.$case !== 'socketAddress' || isIP(address.value.address) !== 0) continue
      throw invalid(
        `${at}.socket_address.address`,
        `malformed IP address: '${address.value.address}'`,
        'names are looked up in clusters of type STRICT_DNS and LOGICAL_DNS',
      )
    }
  }
}

/** More addresses of an endpoint are IP addresses, at the port of its first. */
function checkOthers({ address, additionalAddresses }: Endpoint, path: string): void {
  const portOf = (one: Address | undefined): number | null =>
    one?.address?.$case === 'socketAddress' && one.address.value.portSpecifier?.$case === 'portValue'
      ? one.address.value.portSpecifier.value
      : null
  const port = portOf(address)
  for (const [i, { address: other }] of additionalAddresses.entries()) {
    const at = `${path}.additional_addresses[${i}].address`
    if (other?.address === undefined) throw invalid(at, 'Address must be set')
    if (other.address.$case !== 'socketAddress' || port === null) throw unsupported(at, 'an address that is no IP address')
    if (isIP(other.address.value.address) === 0)
      throw invalid(`${at}.socket_address.address`, `malformed IP address: '${other.address.value.address}'`)
    if (portOf(other) !== port)
      throw unsupported(`${at}.socket_address.port_value`, 'another port than that of the first address')
  }
}

/** What a cluster may not say beside what else it says. Throws WeftError. */
export function checkCluster(cluster: Cluster): void {
  const type = cluster.clusterDiscoveryType?.$case === 'type' ? cluster.clusterDiscoveryType.value : discoveryType.static
  if (type === discoveryType.eds) {
    if (cluster.edsClusterConfig?.edsConfig === undefined)
      throw invalid('eds_cluster_config.eds_config', 'must be set in an EDS cluster')
    checkConfigSource(cluster.edsClusterConfig.edsConfig, 'eds_cluster_config.eds_config')
    if (cluster.loadAssignment !== undefined) throw invalid('load_assignment', 'may not be set in an EDS cluster')
  } else if (cluster.edsClusterConfig !== undefined)
    throw invalid('eds_cluster_config', 'may be set in an EDS cluster only', 'set type: EDS or leave it out')
  if (type === discoveryType.logicalDns) {
    const endpoints = cluster.loadAssignment?.endpoints ?? []
    if (endpoints.length !== 1 || endpoints[0]?.lbEndpoints.length !== 1)
      throw invalid('load_assignment', 'a LOGICAL_DNS cluster has one locality with one endpoint', 'use STRICT_DNS for several')
  }
  if (type === discoveryType.originalDst && cluster.loadAssignment !== undefined)
    throw invalid('load_assignment', 'may not be set in an ORIGINAL_DST cluster')
  if (type === discoveryType.static && cluster.clusterDiscoveryType?.$case !== 'clusterType')
    checkAddresses(cluster.loadAssignment, 'load_assignment.')
  if (cluster.loadAssignment !== undefined) checkPolicy(cluster.loadAssignment, 'load_assignment.')
  if (cluster.httpProtocolOptions !== undefined && cluster.http2ProtocolOptions !== undefined)
    throw invalid('http2_protocol_options', 'http_protocol_options and http2_protocol_options may not both be set')
  for (const [i, limits] of (cluster.circuitBreakers?.perHostThresholds ?? []).entries()) {
    const { maxPendingRequests, maxRequests, maxRetries, retryBudget, trackRemaining } = limits
    if (trackRemaining || [maxPendingRequests, maxRequests, maxRetries, retryBudget].some((one) => one !== undefined))
      throw invalid(
        `circuit_breakers.per_host_thresholds[${i}]`,
        'Unsupported field in per_host_thresholds',
        'set max_connections',
      )
  }
  for (const [i, selector] of (cluster.lbSubsetConfig?.subsetSelectors ?? []).entries()) {
    if (selector.fallbackKeysSubset.length > 0 && selector.fallbackPolicy !== Fallback.KEYS_SUBSET)
      throw invalid(
        `lb_subset_config.subset_selectors[${i}].fallback_keys_subset`,
        'fallback_keys_subset can be set only for KEYS_SUBSET fallback_policy',
      )
  }
  if (cluster.healthChecks.length > 1) throw invalid('health_checks', 'Multiple health checks not supported', 'keep one')
  const outliers = cluster.outlierDetection
  if (
    outliers?.maxEjectionTime !== undefined &&
    durationMs(outliers.maxEjectionTime, 0) < durationMs(outliers.baseEjectionTime, 30_000)
  )
    throw invalid(
      'outlier_detection.max_ejection_time',
      "outlier detector's max_ejection_time cannot be smaller than base_ejection_time",
    )
  for (const [index, config] of cluster.healthChecks.entries()) checkHealthCheck(cluster, config, `health_checks[${index}]`)
}

function checkHealthCheck(cluster: Cluster, config: HealthCheck, path: string): void {
  const { healthChecker } = config
  if (healthChecker?.$case === 'httpHealthCheck') checkHttpCheck(healthChecker.value, `${path}.http_health_check`)
  eventLogPaths(config, path)
  compileProbe(config, cluster.name, path)
}

/** RequestMethods of the API with which a body may be sent. */
const bodyMethods: readonly RequestMethod[] = [RequestMethod.POST, RequestMethod.PUT, RequestMethod.OPTIONS, RequestMethod.PATCH]

function checkHttpCheck(check: HealthCheck_HttpHealthCheck, path: string): void {
  checkRanges(check.expectedStatuses, `${path}.expected_statuses`)
  checkRanges(check.retriableStatuses, `${path}.retriable_statuses`)
  if (check.send !== undefined && !bodyMethods.includes(check.method))
    throw invalid(`${path}.send`, 'a check can send a payload by POST, PUT, PATCH and OPTIONS only')
  const { requestHeadersToAdd, requestHeadersToRemove } = check
  compileHeaderEdits({ requestHeadersToAdd, requestHeadersToRemove, responseHeadersToAdd: [], responseHeadersToRemove: [] }, path)
}

function checkRanges(ranges: readonly Int64Range[], path: string): void {
  for (const [i, { start, end }] of ranges.entries()) {
    if (start >= end)
      throw invalid(`${path}[${i}]`, `Invalid http status range: expecting start < end, but found ${start} and ${end}`)
    if (start < 100 || end > 600)
      throw invalid(`${path}[${i}]`, `Invalid http status range: ${start} to ${end} is outside 100 to 600`)
  }
}

/** What an assignment's policy may not say. Throws WeftError. */
export function checkPolicy({ policy }: ClusterLoadAssignment, path: string): void {
  const drops = policy?.dropOverloads ?? []
  if (drops.length > 1)
    throw invalid(`${path}policy.drop_overloads`, `Cluster drop_overloads config has ${drops.length} categories`, 'keep one')
  const { numerator = 0, denominator = 0 } = drops[0]?.dropPercentage ?? {}
  if (numerator > [100, 10_000, 1_000_000][denominator]!)
    throw invalid(`${path}policy.drop_overloads[0].drop_percentage`, 'Cluster drop_overloads config is invalid: more than all')
}
