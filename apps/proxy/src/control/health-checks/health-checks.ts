import type { HealthCheck } from '@weft/contracts/envoy/config/core/v3/health_check'
import type { LbEndpoint } from '@weft/contracts/envoy/config/endpoint/v3/endpoint_components'
import type { ComponentLog } from '../../log.ts'
import type { Stats } from '../../observe/stats.ts'
import { invalid } from '../../plan/problems.ts'
import type { UpstreamTls } from '../../transport/upstream-tls.ts'
import { cell, type EndpointSlab, healthFlag } from '../../upstream/endpoint-slab.ts'
import type { ClusterState } from '../clusters.ts'
import { endpointKey } from '../endpoint-slots.ts'
import { EndpointCheck } from './endpoint-check.ts'
import { httpProbe } from './http-probe.ts'
import type { Probe, ProbeTarget } from './probe.ts'
import { tcpProbe } from './tcp-probe.ts'

export interface HealthChecksOptions {
  slab: EndpointSlab
  stats: Stats
  /** TLS of a cluster's endpoints; null for plaintext. */
  tlsOf(cluster: ClusterState): UpstreamTls | null
  log: ComponentLog
}

interface Checked {
  cluster: ClusterState
  /** Checks by endpoint; a cluster may have several kinds, all of which have to pass. */
  endpoints: Map<string, { checks: EndpointCheck[]; failing: Set<number>; degraded: Set<number>; answered: Set<number> }>
}

/** The probe that a check's configuration describes. Throws WeftError for one that is not supported. */
export function compileProbe(config: HealthCheck, clusterName: string, path: string): Probe {
  const checker = config.healthChecker
  if (checker?.$case === 'httpHealthCheck') return httpProbe(checker.value, clusterName, `${path}.http_health_check`)
  if (checker?.$case === 'tcpHealthCheck') return tcpProbe(checker.value, `${path}.tcp_health_check`)
  throw invalid(path, 'only http_health_check and tcp_health_check are supported by this proxy')
}

/** Active health checks of every cluster that asks for them; what they find stands in the shared slab. */
export class HealthChecks {
  readonly #options: HealthChecksOptions
  readonly #clusters = new Map<string, Checked>()

  constructor(options: HealthChecksOptions) {
    this.#options = options
  }

  /** Follows a cluster's endpoints: new ones are checked, those gone no longer. */
  follow(cluster: ClusterState): void {
    if (cluster.message.healthChecks.length === 0) {
      this.forget(cluster.name)
      return
    }
    let checked = this.#clusters.get(cluster.name)
    if (checked !== undefined && checked.cluster.bytes !== cluster.bytes) {
      this.forget(cluster.name)
      checked = undefined
    }
    checked ??= { cluster, endpoints: new Map() }
    checked.cluster = cluster
    this.#clusters.set(cluster.name, checked)
    const endpoints = (cluster.assignment?.endpoints ?? []).flatMap(({ lbEndpoints }) => lbEndpoints)
    const keys = new Set<string>()
    for (const endpoint of endpoints) {
      const key = endpointKey(endpoint)
      if (key === undefined) continue
      keys.add(key)
      if (!checked.endpoints.has(key)) this.#start(checked, endpoint, key)
    }
    for (const [key, { checks }] of checked.endpoints) {
      if (keys.has(key)) continue
      for (const check of checks) check.close()
      checked.endpoints.delete(key)
    }
  }

  forget(name: string): void {
    for (const { checks } of this.#clusters.get(name)?.endpoints.values() ?? []) for (const check of checks) check.close()
    this.#clusters.delete(name)
  }

  close(): void {
    for (const name of [...this.#clusters.keys()]) this.forget(name)
  }

  #start(checked: Checked, endpoint: LbEndpoint, key: string): void {
    const { slab, stats, log } = this.#options
    const { cluster } = checked
    const host = endpoint.hostIdentifier?.$case === 'endpoint' ? endpoint.hostIdentifier.value : undefined
    const slot = cluster.slots.keys.get(key) ?? 0
    if (host?.healthCheckConfig?.disableActiveHealthCheck === true) {
      slab.setHealth(slot, healthFlag.pendingActiveCheck, false)
      return
    }
    const state = {
      checks: [] as EndpointCheck[],
      failing: new Set<number>(),
      degraded: new Set<number>(),
      answered: new Set<number>(),
    }
    checked.endpoints.set(key, state)
    const prefix = `cluster.${cluster.message.altStatName || cluster.name}.health_check`
    const counters = {
      attempt: stats.counter(`${prefix}.attempt`),
      success: stats.counter(`${prefix}.success`),
      failure: stats.counter(`${prefix}.failure`),
      network: stats.counter(`${prefix}.network_failure`),
    }
    const altPort = host?.healthCheckConfig?.portValue ?? 0
    const target = (): ProbeTarget | null => {
      const tls = this.#options.tlsOf(cluster)?.connectOptions(host?.hostname ?? '', '') ?? null
      if (tls === 'not-ready') return null
      return { address: addressOf(key, altPort), hostname: host?.healthCheckConfig?.hostname || host?.hostname || '', tls }
    }
    for (const [index, config] of cluster.message.healthChecks.entries()) {
      const probe = compileProbe(config, cluster.name, `health_checks[${index}]`)
      state.checks.push(
        new EndpointCheck({
          config,
          probe,
          target,
          hasTraffic: () => [...cluster.slots.keys.values()].some((each) => slab.get(each, cell.connectionsTotal) > 0),
          checked: (result, found) => {
            counters.attempt.inc()
            if (result === 'healthy' || result === 'degraded') counters.success.inc()
            else counters.failure.inc()
            if (result === 'network') counters.network.inc()
            state.answered.add(index)
            mark(state.failing, index, !found.healthy)
            mark(state.degraded, index, found.degraded)
            const changed = slab.setHealth(slot, healthFlag.failedActiveCheck, state.failing.size > 0)
            slab.setHealth(slot, healthFlag.degradedActiveCheck, state.degraded.size > 0)
            if (state.answered.size === cluster.message.healthChecks.length)
              slab.setHealth(slot, healthFlag.pendingActiveCheck, false)
            if (changed) log.info(`${cluster.name}: ${key} is ${state.failing.size > 0 ? 'unhealthy' : 'healthy'} now`)
          },
        }),
      )
    }
  }
}

function mark(set: Set<number>, index: number, on: boolean): void {
  if (on) set.add(index)
  else set.delete(index)
}

function addressOf(key: string, altPort: number): ProbeTarget['address'] {
  const match = /^\[?(?<host>[^\]]*?)\]?:(?<port>\d+)$/.exec(key)
  if (match?.groups === undefined) return { path: key }
  return { host: match.groups['host'] ?? '', port: altPort > 0 ? altPort : Number(match.groups['port']) }
}
