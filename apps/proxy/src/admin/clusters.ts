import type { CircuitBreakers_Thresholds } from '@weft/contracts/envoy/config/cluster/v3/circuit_breaker'
import type { LbEndpoint } from '@weft/contracts/envoy/config/endpoint/v3/endpoint_components'
import type { ClusterState } from '../control/clusters.ts'
import type { Control } from '../control/control.ts'
import { endpointKey } from '../control/endpoint-slots.ts'
import { cell, healthFlag } from '../upstream/endpoint-slab.ts'
import { type AdminEndpoint, json, text } from './endpoint.ts'
import { searchRegex } from './regex-fault.ts'

/** Words of `/clusters` for the bits of an endpoint's health, and the fields of its JSON. */
const flags: readonly [bit: number, word: string, field: string][] = [
  [healthFlag.failedActiveCheck, '/failed_active_hc', 'failed_active_health_check'],
  [healthFlag.failedOutlierCheck, '/failed_outlier_check', 'failed_outlier_check'],
  [healthFlag.failedEdsHealth, '/failed_eds_health', ''],
  [healthFlag.degradedActiveCheck, '/degraded_active_hc', 'failed_active_degraded_check'],
  [healthFlag.degradedEdsHealth, '/degraded_eds_health', ''],
  [healthFlag.pendingDynamicRemoval, '/pending_dynamic_removal', 'pending_dynamic_removal'],
  [healthFlag.pendingActiveCheck, '/pending_active_hc', 'pending_active_hc'],
  [healthFlag.excludedByCheck, '/excluded_via_immediate_hc_fail', 'excluded_via_immediate_hc_fail'],
  [healthFlag.activeCheckTimeout, '/active_hc_timeout', 'active_hc_timeout'],
  [healthFlag.draining, '/eds_status_draining', ''],
  [healthFlag.degradedByAnswers, '/degraded_outlier_detection', 'failed_degraded_outlier_detection'],
]

/** `/clusters`: every endpoint with its numbers. */
export const clusters: AdminEndpoint = {
  path: '/clusters',
  help: 'upstream cluster status',
  parameters: [
    ['filter', 'Regular expression (RE2) for filtering clusters by name'],
    ['format', 'File format to use; One of (text, json)'],
  ],
  handle: ({ control }, { query }) => {
    const pattern = query.get('filter')
    let wanted: (name: string) => boolean = () => true
    if (pattern !== null) {
      try {
        const regex = searchRegex(pattern)
        wanted = (name) => regex.fullMatch(name)
      } catch {
        return text('Invalid re2 regex', 400)
      }
    }
    const listed = control.clusters
      .active()
      .filter(({ name }) => wanted(name))
      .sort((a, b) => (a.name < b.name ? -1 : 1))
    return query.get('format') === 'json'
      ? json({ cluster_statuses: listed.map((cluster) => asJson(control, cluster)) })
      : text(
          listed
            .flatMap((cluster) => asText(control, cluster))
            .map((line) => `${line}\n`)
            .join(''),
        )
  },
}

interface Host {
  key: string
  endpoint: LbEndpoint
  hostname: string
  region: string
  zone: string
  subZone: string
  priority: number
  numbers: Record<string, number>
  health: number
  /** Percent; -1: not known. */
  rates: { successRate: number; localSuccessRate: number }
}

function hostsOf(control: Control, cluster: ClusterState): Host[] {
  return (cluster.assignment?.endpoints ?? []).flatMap((locality) =>
    locality.lbEndpoints.flatMap((endpoint) => {
      const key = endpointKey(endpoint)
      if (key === undefined) return []
      const slot = cluster.slots.keys.get(key) ?? 0
      const get = (which: number): number => control.slab.get(slot, which)
      return [
        {
          key,
          endpoint,
          hostname: endpoint.hostIdentifier?.$case === 'endpoint' ? endpoint.hostIdentifier.value.hostname : '',
          region: locality.locality?.region ?? '',
          zone: locality.locality?.zone ?? '',
          subZone: locality.locality?.subZone ?? '',
          priority: locality.priority,
          health: get(cell.health),
          rates: control.outliers.ratesOf(cluster.name, key),
          numbers: {
            cx_active: get(cell.activeConnections),
            cx_connect_fail: get(cell.connectFailures),
            cx_total: get(cell.connectionsTotal),
            rq_active: get(cell.activeRequests),
            rq_error: get(cell.requestsError) + get(cell.localFailures),
            rq_pending_active: get(cell.pendingRequests),
            rq_success: get(cell.requestsSuccess),
            rq_timeout: 0,
            rq_total: get(cell.requestsSuccess) + get(cell.requestsError) + get(cell.localFailures) + get(cell.activeRequests),
          },
        },
      ]
    }),
  )
}

function asText(control: Control, cluster: ClusterState): string[] {
  const name = cluster.name
  const lines = [`${name}::observability_name::${cluster.message.altStatName || name}`]
  const averages = control.outliers.averagesOf(name)
  if (averages !== undefined) {
    const { external, local } = averages
    lines.push(
      `${name}::outlier::success_rate_average::${sixDigits(external.average)}`,
      `${name}::outlier::success_rate_ejection_threshold::${sixDigits(external.threshold)}`,
      `${name}::outlier::local_origin_success_rate_average::${sixDigits(local.average)}`,
      `${name}::outlier::local_origin_success_rate_ejection_threshold::${sixDigits(local.threshold)}`,
    )
  }
  for (const [word, priority] of [
    ['default', 0],
    ['high', 1],
  ] as const) {
    for (const [limit, value] of Object.entries(limitsOf(cluster, priority)))
      lines.push(`${name}::${word}_priority::${limit}::${value}`)
  }
  lines.push(`${name}::added_via_api::${cluster.origin === 'dynamic'}`)
  if (cluster.message.edsClusterConfig?.serviceName)
    lines.push(`${name}::eds_service_name::${cluster.message.edsClusterConfig.serviceName}`)
  for (const host of hostsOf(control, cluster)) {
    const at = `${name}::${host.key}::`
    for (const [number, value] of Object.entries(host.numbers)) lines.push(`${at}${number}::${value}`)
    const words = flags.filter(([bit]) => (host.health & bit) !== 0).map(([, word]) => word)
    lines.push(
      `${at}hostname::${host.hostname}`,
      `${at}health_flags::${words.length === 0 ? 'healthy' : words.join('')}`,
      `${at}weight::${host.endpoint.loadBalancingWeight ?? 1}`,
      `${at}region::${host.region}`,
      `${at}zone::${host.zone}`,
      `${at}sub_zone::${host.subZone}`,
      `${at}canary::${isCanary(host.endpoint)}`,
      `${at}priority::${host.priority}`,
      `${at}success_rate::${host.rates.successRate}`,
      `${at}local_origin_success_rate::${host.rates.localSuccessRate}`,
    )
  }
  return lines
}

function asJson(control: Control, cluster: ClusterState): unknown {
  const name = cluster.name
  return {
    name,
    ...(cluster.origin === 'dynamic' ? { added_via_api: true } : {}),
    host_statuses: hostsOf(control, cluster).map((host) => {
      const gauges = ['cx_active', 'rq_active', 'rq_pending_active']
      const stat = ([stat, value]: [string, number]): unknown => ({
        ...(gauges.includes(stat) ? { type: 'GAUGE' } : {}),
        ...(value === 0 ? {} : { value: String(value) }),
        name: stat,
      })
      const numbers = Object.entries(host.numbers)
      return {
        address: addressJson(host.key),
        stats: [
          ...numbers.filter(([stat]) => !gauges.includes(stat)).map(stat),
          ...numbers.filter(([stat]) => gauges.includes(stat)).map(stat),
        ],
        health_status: {
          ...Object.fromEntries(
            flags.filter(([bit, , field]) => field !== '' && (host.health & bit) !== 0).map(([, , field]) => [field, true]),
          ),
          eds_health_status: edsHealth(host.health),
        },
        ...(host.rates.successRate < 0 ? {} : { success_rate: { value: host.rates.successRate } }),
        ...(host.rates.localSuccessRate < 0 ? {} : { local_origin_success_rate: { value: host.rates.localSuccessRate } }),
        weight: host.endpoint.loadBalancingWeight ?? 1,
        ...(host.hostname === '' ? {} : { hostname: host.hostname }),
        ...(host.priority === 0 ? {} : { priority: host.priority }),
        locality: {
          ...(host.region === '' ? {} : { region: host.region }),
          ...(host.zone === '' ? {} : { zone: host.zone }),
          ...(host.subZone === '' ? {} : { sub_zone: host.subZone }),
        },
      }
    }),
    ...thresholdsJson(control, name),
    circuit_breakers: { thresholds: [limitsOf(cluster, 0), { priority: 'HIGH', ...limitsOf(cluster, 1) }] },
    observability_name: cluster.message.altStatName || name,
    ...(cluster.message.edsClusterConfig?.serviceName ? { eds_service_name: cluster.message.edsClusterConfig.serviceName } : {}),
  }
}

/** As `%g` prints. */
function sixDigits(value: number): string {
  return String(Number(value.toPrecision(6)))
}

function edsHealth(health: number): string {
  if ((health & healthFlag.draining) !== 0) return 'DRAINING'
  if ((health & healthFlag.failedEdsHealth) !== 0) return 'UNHEALTHY'
  return (health & healthFlag.degradedEdsHealth) !== 0 ? 'DEGRADED' : 'HEALTHY'
}

function thresholdsJson(control: Control, name: string): Record<string, unknown> {
  const averages = control.outliers.averagesOf(name)
  const given = (field: string, value: number | undefined): Record<string, unknown> =>
    value === undefined || value < 0 ? {} : { [field]: { value } }
  return {
    ...given('success_rate_ejection_threshold', averages?.external.threshold),
    ...given('local_origin_success_rate_ejection_threshold', averages?.local.threshold),
  }
}

function limitsOf(cluster: ClusterState, priority: number): Record<string, number> {
  const set: CircuitBreakers_Thresholds | undefined = cluster.message.circuitBreakers?.thresholds.find(
    (threshold) => threshold.priority === priority,
  )
  return {
    max_connections: set?.maxConnections ?? 1024,
    max_pending_requests: set?.maxPendingRequests ?? 1024,
    max_requests: set?.maxRequests ?? 1024,
    max_retries: set?.maxRetries ?? 3,
  }
}

function isCanary(endpoint: LbEndpoint): boolean {
  const value: unknown = endpoint.metadata?.filterMetadata['envoy.lb']?.['canary']
  return value === true
}

/** An endpoint's key as the API's Address in JSON. */
export function addressJson(key: string): unknown {
  const match = /^\[?(?<host>[^\]]*?)\]?:(?<port>\d+)$/.exec(key)
  if (match?.groups === undefined) return { pipe: { path: key } }
  return { socket_address: { address: match.groups['host'], port_value: Number(match.groups['port']) } }
}
