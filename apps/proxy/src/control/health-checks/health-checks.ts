import type { HealthCheck } from '@weft/contracts/envoy/config/core/v3/health_check'
import type { LbEndpoint } from '@weft/contracts/envoy/config/endpoint/v3/endpoint_components'
import type { ComponentLog } from '../../log.ts'
import { clusterPrefix } from '../../observe/cluster-prefix.ts'
import type { StatScope, Stats } from '../../observe/stats.ts'
import { matchMetadata } from '../../plan/socket-matches.ts'
import { pipeName } from '../../transport/pipe.ts'
import type { UpstreamTls } from '../../transport/upstream-tls.ts'
import { endpointAddress } from '../../upstream/endpoint-address.ts'
import { cell, type EndpointSlab, healthFlag } from '../../upstream/endpoint-slab.ts'
import type { ClusterState } from '../clusters.ts'
import { endpointKey } from '../endpoint-slots.ts'
import { compileProbe } from './compile-probe.ts'
import { EndpointCheck } from './endpoint-check.ts'
import { type HealthCheckEvents, healthCheckEvents } from './events.ts'
import type { ProbeTarget } from './probe.ts'

export interface HealthChecksOptions {
  slab: EndpointSlab
  stats: Stats
  /** TLS of a cluster's endpoints; null for plaintext. */
  /** `metadata`: of the endpoint, by which transport sockets are matched. */
  tlsOf(cluster: ClusterState, metadata: Readonly<Record<string, unknown>>): UpstreamTls | null
  /** An endpoint that was well is not any more; one passed a check. */
  failed?: (cluster: string, endpoint: string) => void
  passed?: (cluster: string, endpoint: string) => void
  /** The runtime's number of a key, which goes before the configured one. */
  runtime?: (key: string, fallback: number) => number
  log: ComponentLog
}

interface Checked {
  stats: StatScope
  cluster: ClusterState
  endpoints: Map<string, EndpointCheck>
  events: HealthCheckEvents | null
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
    const config = cluster.message.healthChecks[0]!
    if (checked?.cluster.bytes !== cluster.bytes) {
      // Asked for before the one before goes, its stats stay.
      const stats = this.#options.stats.scope(statPrefix(cluster))
      this.forget(cluster.name)
      checked = { cluster, stats, endpoints: new Map(), events: healthCheckEvents(config, cluster.name, this.#options.log) }
    }
    checked.cluster = cluster
    this.#clusters.set(cluster.name, checked)
    const endpoints = (cluster.assignment?.endpoints ?? []).flatMap(({ lbEndpoints }) => lbEndpoints)
    const keys = new Set<string>()
    for (const endpoint of endpoints) {
      const key = endpointKey(endpoint)
      if (key === undefined) continue
      keys.add(key)
      if (!checked.endpoints.has(key)) this.#start(checked, config, endpoint, key)
    }
    for (const [key, check] of checked.endpoints) {
      if (keys.has(key)) continue
      check.close()
      checked.endpoints.delete(key)
    }
  }

  /** Resolves when every endpoint of a cluster has been checked once: after `initial_jitter` and `timeout` at most. */
  async firstChecked(name: string): Promise<void> {
    await Promise.all([...(this.#clusters.get(name)?.endpoints.values() ?? [])].map((check) => check.first))
  }

  forget(name: string): void {
    const checked = this.#clusters.get(name)
    if (checked === undefined) return
    for (const check of checked.endpoints.values()) check.close()
    checked.events?.close()
    checked.stats.leave()
    this.#clusters.delete(name)
  }

  close(): void {
    for (const name of [...this.#clusters.keys()]) this.forget(name)
  }

  #start(checked: Checked, config: HealthCheck, endpoint: LbEndpoint, key: string): void {
    const { slab, log, runtime } = this.#options
    const { cluster, events, stats } = checked
    const { name } = cluster
    const host = endpoint.hostIdentifier?.$case === 'endpoint' ? endpoint.hostIdentifier.value : undefined
    const slot = cluster.slots.keys.get(key) ?? 0
    if (host?.healthCheckConfig?.disableActiveHealthCheck === true) {
      slab.setHealth(slot, healthFlag.pendingActiveCheck, false)
      slab.setHealth(slot, healthFlag.failedActiveCheck, false)
      return
    }
    const prefix = statPrefix(cluster)
    const counters = {
      attempt: stats.counter(`${prefix}.attempt`),
      success: stats.counter(`${prefix}.success`),
      failure: stats.counter(`${prefix}.failure`),
      network: stats.counter(`${prefix}.network_failure`),
      passive: stats.counter(`${prefix}.passive_failure`),
      verify: stats.counter(`${prefix}.verify_cluster`),
    }
    const own = host?.healthCheckConfig
    const altKey = own?.address === undefined ? key : endpointAddress(own.address, 'health_check_config.address').key
    const altPort = own?.portValue || (config.altPort ?? 0)
    const criteria = config.transportSocketMatchCriteria
    const metadata = criteria === undefined ? (endpoint.metadata?.filterMetadata ?? {}) : { [matchMetadata]: criteria }
    const alpn = config.tlsOptions?.alpnProtocols ?? []
    const target = (): ProbeTarget | null => {
      const tls = this.#options.tlsOf(cluster, metadata)?.connectOptions(host?.hostname ?? '', null) ?? null
      if (tls === 'not-ready') return null
      return {
        address: addressOf(altKey, altPort),
        hostname: own?.hostname ?? '',
        tls: tls && alpn.length > 0 ? { ...tls, ALPNProtocols: alpn } : tls,
      }
    }
    const verifies = (): boolean => {
      if ((runtime?.('health_check.verify_cluster', 100) ?? 100) < 100) return false
      counters.verify.inc()
      return true
    }
    const set = (flag: number, on: boolean): boolean => slab.setHealth(slot, flag, on)
    const isFailed = (): boolean => (slab.get(slot, cell.health) & healthFlag.failedActiveCheck) !== 0
    checked.endpoints.set(
      key,
      new EndpointCheck({
        config,
        probe: compileProbe(config, name, 'health_checks[0]', verifies),
        target,
        hasTraffic: () => [...cluster.slots.keys.values()].some((each) => slab.get(each, cell.connectionsTotal) > 0),
        failed: isFailed,
        begins: () => counters.attempt.inc(),
        checked: (result, failed, transition, first) => {
          const good = result === 'healthy' || result === 'degraded'
          if (good) counters.success.inc()
          else counters.failure.inc()
          if (result === 'network' || result === 'timeout') counters.network.inc()
          set(healthFlag.activeCheckTimeout, result === 'timeout' && failed && (transition === 'changed' || !first))
          if (result === 'excluded') set(healthFlag.excludedByCheck, true)
          else if (good && !failed) set(healthFlag.excludedByCheck, false)
          const changed = set(healthFlag.failedActiveCheck, failed)
          set(healthFlag.pendingActiveCheck, false)
          const degradation = good && set(healthFlag.degradedActiveCheck, result === 'degraded')
          events?.checked({ endpoint, key, result, failed, changed: transition === 'changed' && changed, degradation, first })
          if (changed) log.info(`${name}: ${key} is ${failed ? 'unhealthy' : 'healthy'} now`)
          if (changed && failed) this.#options.failed?.(name, key)
          if (good && !failed) this.#options.passed?.(name, key)
        },
      }),
    )
  }
}

function addressOf(key: string, altPort: number): ProbeTarget['address'] {
  const match = /^\[?(?<host>[^\]]*?)\]?:(?<port>\d+)$/.exec(key)
  if (match?.groups === undefined) return { path: pipeName(key) }
  return { host: match.groups['host'] ?? '', port: altPort > 0 ? altPort : Number(match.groups['port']) }
}

function statPrefix({ message }: ClusterState): string {
  return `${clusterPrefix(message)}.health_check`
}
