import { isIP } from 'node:net'
import { Cluster } from '@weft/contracts/envoy/config/cluster/v3/cluster'
import { ClusterLoadAssignment } from '@weft/contracts/envoy/config/endpoint/v3/endpoint'
import { Listener } from '@weft/contracts/envoy/config/listener/v3/listener'
import { durationMs } from '../plan/duration.ts'
import { invalid } from '../plan/problems.ts'
import type { ResourceKind } from '../threads.ts'
import { compileProbe } from './health-checks/compile-probe.ts'

/** Cluster.DiscoveryType. */
export const discoveryType = { static: 0, strictDns: 1, logicalDns: 2, eds: 3, originalDst: 4 } as const

/** Rules between fields, which the API's own annotations cannot say and the main thread has to know. Throws WeftError. */
export function checkCrossFieldRules(kind: ResourceKind, bytes: Uint8Array): void {
  if (kind === 'cluster') checkCluster(Cluster.decode(bytes))
  else if (kind === 'listener') checkListener(Listener.decode(bytes))
  else if (kind === 'endpoints') checkAddresses(ClusterLoadAssignment.decode(bytes), '')
}

/** Endpoints that nobody looks up have addresses, not names. */
function checkAddresses(assignment: ClusterLoadAssignment | undefined, path: string): void {
  for (const [i, group] of (assignment?.endpoints ?? []).entries()) {
    for (const [k, { hostIdentifier }] of group.lbEndpoints.entries()) {
      const address = hostIdentifier?.$case === 'endpoint' ? hostIdentifier.value.address?.address : undefined
      if (address?.$case !== 'socketAddress' || isIP(address.value.address) !== 0) continue
      throw invalid(
        `${path}endpoints[${i}].lb_endpoints[${k}].endpoint.address.socket_address.address`,
        `malformed IP address: '${address.value.address}'`,
        'names are looked up in clusters of type STRICT_DNS and LOGICAL_DNS',
      )
    }
  }
}

function checkCluster(cluster: Cluster): void {
  const type = cluster.clusterDiscoveryType?.$case === 'type' ? cluster.clusterDiscoveryType.value : discoveryType.static
  if (type === discoveryType.eds) {
    if (cluster.edsClusterConfig?.edsConfig === undefined)
      throw invalid('eds_cluster_config.eds_config', 'must be set in an EDS cluster')
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
  for (const [index, config] of cluster.healthChecks.entries()) compileProbe(config, cluster.name, `health_checks[${index}]`)
}

function checkListener({ address, additionalAddresses }: Listener): void {
  const all = [address, ...additionalAddresses.map((additional) => additional.address)]
  for (const [index, each] of all.entries()) {
    if (each?.address?.$case !== 'socketAddress') continue
    const host = each.address.value.address
    if (isIP(host) !== 0) continue
    const path = index === 0 ? 'address' : `additional_addresses[${index - 1}].address`
    throw invalid(`${path}.socket_address.address`, `malformed IP address: '${host}'`, 'a listener takes no names')
  }
}
