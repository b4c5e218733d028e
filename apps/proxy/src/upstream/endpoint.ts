import type { Address } from '@weft/contracts/envoy/config/core/v3/address'
import { HealthStatus } from '@weft/contracts/envoy/config/core/v3/health_check'
import type { LbEndpoint } from '@weft/contracts/envoy/config/endpoint/v3/endpoint_components'
import { invalid, unsupported } from '../plan/problems.ts'
import { degradedMask, type EndpointSlab, healthFlag, unhealthyMask } from './endpoint-slab.ts'
import type { Http1Pool } from './http1-pool.ts'

/** Where an endpoint listens. */
export type EndpointAddress = { type: 'ip'; host: string; port: number } | { type: 'pipe'; path: string }

/** One endpoint of a cluster. It stays the same object over updates that keep its address, with its connections. */
export class Endpoint {
  /** `host:port`, `[v6]:port` or the pipe's path: its name in slots, logs and stats. */
  readonly key: string
  readonly address: EndpointAddress
  weight = 1
  hostname = ''
  metadata: Readonly<Record<string, unknown>> = {}
  locality = { region: '', zone: '', subZone: '' }
  slot = 0
  /** As EDS said. */
  edsUnhealthy = false
  edsDegraded = false
  /** Taken out of the cluster: it finishes what it has and takes nothing new. */
  removed = false
  /** Requests of this worker under way; the slab has those of all. */
  active = 0
  pool: Http1Pool | null = null

  constructor(key: string, address: EndpointAddress) {
    this.key = key
    this.address = address
  }

  isHealthy(slab: EndpointSlab): boolean {
    if (this.edsUnhealthy) return false
    const flags = slab.get(this.slot, 0)
    return (flags & unhealthyMask) === 0 && !this.edsDegraded && (flags & degradedMask) === 0
  }

  isDegraded(slab: EndpointSlab): boolean {
    if (this.edsUnhealthy) return false
    const flags = slab.get(this.slot, 0)
    return (flags & unhealthyMask) === 0 && (this.edsDegraded || (flags & degradedMask) !== 0)
  }

  /** Whether health checking, not load or outliers, says no: such hosts are not used even in panic when EDS says draining. */
  isExcluded(slab: EndpointSlab): boolean {
    return (slab.get(this.slot, 0) & healthFlag.pendingActiveCheck) !== 0
  }
}

/** Address and key of an endpoint, or an error that names the place. */
export function endpointAddress(address: Address | undefined, path: string): { key: string; address: EndpointAddress } {
  const one = address?.address
  if (one === undefined) throw invalid(path, 'an endpoint needs an address')
  switch (one.$case) {
    case 'socketAddress': {
      const { address: host, portSpecifier } = one.value
      if (portSpecifier?.$case !== 'portValue') throw invalid(`${path}.socket_address`, 'a port_value is needed')
      const port = portSpecifier.value
      return { key: host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`, address: { type: 'ip', host, port } }
    }
    case 'pipe':
      return { key: one.value.path, address: { type: 'pipe', path: one.value.path } }
    case 'envoyInternalAddress':
      throw unsupported(`${path}.envoy_internal_address`, 'an internal address')
  }
}

/** Takes over what an update says about an endpoint that may be known already. */
export function applyEndpoint(endpoint: Endpoint, source: LbEndpoint): void {
  endpoint.weight = source.loadBalancingWeight ?? 1
  endpoint.metadata = source.metadata?.filterMetadata ?? {}
  endpoint.hostname = source.hostIdentifier?.$case === 'endpoint' ? source.hostIdentifier.value.hostname : ''
  const status = source.healthStatus
  endpoint.edsUnhealthy = status === HealthStatus.UNHEALTHY || status === HealthStatus.DRAINING || status === HealthStatus.TIMEOUT
  endpoint.edsDegraded = status === HealthStatus.DEGRADED
  endpoint.removed = false
}
