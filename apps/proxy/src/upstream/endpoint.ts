import { HealthStatus } from '@weft/contracts/envoy/config/core/v3/health_check'
import type { LbEndpoint } from '@weft/contracts/envoy/config/endpoint/v3/endpoint_components'
import type { EndpointAddress } from './endpoint-address.ts'
import { cell, degradedMask, type EndpointSlab, excludedMask, healthFlag, unhealthyMask } from './endpoint-slab.ts'
import type { UpstreamPool } from './pool.ts'
import type { UpstreamCluster } from './upstream-cluster.ts'
import type { UpstreamHost } from './upstream-host.ts'

/** Values of an endpoint's state: what its health makes of it, and whether it counts among the cluster's hosts at all. */
export const hostState = { unhealthy: 0, degraded: 1, healthy: 2, excluded: 4 } as const

/** One endpoint of a cluster. It stays the same object over updates that keep its address, with its connections. */
export class Endpoint implements UpstreamHost {
  /** Its name in slots, logs and stats. */
  readonly key: string
  readonly address: EndpointAddress
  /** Whose it is: for an aggregate cluster's pick, another than the route's. */
  readonly cluster: UpstreamCluster
  /** More addresses of its, at the same port: one of them is as good as the first. */
  otherAddresses: readonly string[] = []
  weight = 1
  hostname = ''
  metadata: Readonly<Record<string, unknown>> = {}
  locality = { region: '', zone: '', subZone: '' }
  priority = 0
  slot = 0
  /** As EDS said, in its word and in what that comes to. */
  edsStatus: HealthStatus = HealthStatus.UNKNOWN
  edsUnhealthy = false
  edsDegraded = false
  edsDraining = false
  /** When it came or last passed its health check after failing (monotonic ms): slow start counts from here. */
  healthySinceMs: number
  private failedCheck = false
  /** As `state` last found it. */
  lastState: number = hostState.unhealthy
  /** Taken out of the cluster: it finishes what it has and takes nothing new. */
  removed = false
  /** Requests of this worker under way; the slab has those of all. */
  active = 0
  /** Connections: of HTTP/1.1 by the priority of requests, then the same of HTTP/2, of what the handshake tells, and bare ones. */
  readonly pools: (UpstreamPool | null)[] = [null, null, null, null, null, null, null, null]
  /** The same of clusters whose requests name what the handshake asks for, by those names. */
  readonly namedPools = new Map<string, UpstreamPool>()
  /** Whether the handshake is asked which HTTP to speak; null: to be found out, by the metadata as they are now. */
  negotiates: boolean | null = null

  constructor(cluster: UpstreamCluster, key: string, address: EndpointAddress) {
    this.cluster = cluster
    this.key = key
    this.address = address
    this.healthySinceMs = performance.now()
  }

  /** Its metadata says that it is one of the few that try a new version. */
  get isCanary(): boolean {
    const metadata = this.metadata['envoy.lb']
    return typeof metadata === 'object' && metadata !== null && 'canary' in metadata && metadata.canary === true
  }

  /** Its health now, as `hostState`; notes when it gets healthy. */
  state(slab: EndpointSlab, now: () => number): number {
    const flags = slab.get(this.slot, cell.health)
    const failedCheck = (flags & healthFlag.failedActiveCheck) !== 0
    if (this.failedCheck && !failedCheck) this.healthySinceMs = now()
    this.failedCheck = failedCheck
    let state: number = hostState.healthy
    if (this.edsUnhealthy || (flags & unhealthyMask) !== 0) state = hostState.unhealthy
    else if (this.edsDegraded || (flags & degradedMask) !== 0) state = hostState.degraded
    if (this.edsDraining || (flags & excludedMask) !== 0) state |= hostState.excluded
    this.lastState = state
    return state
  }

  /** Its health now in the API's words: what was found here counts before what EDS said, but for endpoints that that takes out. */
  healthStatus(slab: EndpointSlab): HealthStatus {
    const flags = slab.get(this.slot, cell.health)
    if ((flags & (healthFlag.failedActiveCheck | healthFlag.failedOutlierCheck)) !== 0) return HealthStatus.UNHEALTHY
    if (!this.edsUnhealthy && (flags & degradedMask) !== 0) return HealthStatus.DEGRADED
    return this.edsStatus
  }

  get allPools(): UpstreamPool[] {
    return [...this.pools.filter((pool) => pool !== null), ...this.namedPools.values()]
  }

  /** Lets its connections end as they get free. */
  drain(): void {
    for (const pool of this.allPools) pool.drain()
  }
}

/** A locality as one text, by which localities sort. */
export function localityKey(locality: { region: string; zone: string; subZone: string } | undefined): string {
  return `${locality?.region ?? ''}\0${locality?.zone ?? ''}\0${locality?.subZone ?? ''}`
}

/** Of an endpoint or a proxy that tells no locality. */
export const noLocality = localityKey(undefined)

/** Takes over what an update says about an endpoint that may be known already. */
export function applyEndpoint(endpoint: Endpoint, source: LbEndpoint): void {
  endpoint.weight = source.loadBalancingWeight ?? 1
  endpoint.metadata = source.metadata?.filterMetadata ?? {}
  endpoint.negotiates = null
  const host = source.hostIdentifier?.$case === 'endpoint' ? source.hostIdentifier.value : undefined
  endpoint.hostname = host?.hostname ?? ''
  endpoint.otherAddresses = (host?.additionalAddresses ?? []).flatMap(({ address }) =>
    address?.address?.$case === 'socketAddress' ? [address.address.value.address] : [],
  )
  const status = source.healthStatus
  endpoint.edsStatus = status
  endpoint.edsUnhealthy = status === HealthStatus.UNHEALTHY || status === HealthStatus.DRAINING || status === HealthStatus.TIMEOUT
  endpoint.edsDegraded = status === HealthStatus.DEGRADED
  endpoint.edsDraining = status === HealthStatus.DRAINING
  endpoint.removed = false
}
