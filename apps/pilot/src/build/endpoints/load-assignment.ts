import { HealthStatus } from '@weft/contracts/envoy/config/core/v3/health_check'
import type { ClusterLoadAssignment } from '@weft/contracts/envoy/config/endpoint/v3/endpoint'
import { LbEndpoint } from '@weft/contracts/envoy/config/endpoint/v3/endpoint_components'
import type { Endpoint, Health, Workload } from '../../model/workload.ts'
import { type LocalityGroup, weightOf } from './locality-groups.ts'

/** Whether mutual TLS of the mesh is what an endpoint takes. */
export type TakesMeshTls = (endpoint: Endpoint) => boolean

const healthStatus: Record<Health, (typeof HealthStatus)[keyof typeof HealthStatus]> = {
  healthy: HealthStatus.UNKNOWN,
  unhealthy: HealthStatus.UNHEALTHY,
  draining: HealthStatus.DRAINING,
}

/** The endpoints of a subset: those whose workload carries all its labels. */
export function withLabels(endpoints: readonly Endpoint[], labels: Readonly<Record<string, string>>): readonly Endpoint[] {
  const wanted = Object.entries(labels)
  if (wanted.length === 0) return endpoints
  return endpoints.filter(({ workload }) => wanted.every(([name, value]) => workload.labels[name] === value))
}

/** The endpoints of one cluster by locality, with weights, priorities, health, and what a sidecar has to know to reach them. */
export function loadAssignment(
  clusterName: string,
  groups: readonly LocalityGroup[],
  takesMeshTls: TakesMeshTls,
): ClusterLoadAssignment {
  return {
    clusterName,
    endpoints: groups.map(({ locality: { region, zone, subZone }, endpoints, weight, priority }) => ({
      locality: { region, zone, subZone },
      metadata: undefined,
      lbEndpoints: endpoints.map((endpoint) => lbEndpoint(endpoint, weightOf(endpoint), takesMeshTls(endpoint))),
      lbConfig: undefined,
      loadBalancingWeight: weight,
      priority,
      proximity: undefined,
    })),
    namedEndpoints: {},
    policy: undefined,
  }
}

function lbEndpoint(endpoint: Endpoint, weight: number, meshTls: boolean): LbEndpoint {
  const { workload } = endpoint
  return LbEndpoint.fromPartial({
    hostIdentifier: { $case: 'endpoint', value: { address: addressOf(endpoint) } },
    healthStatus: healthStatus[workload.health],
    loadBalancingWeight: weight,
    metadata: {
      filterMetadata: {
        ...(meshTls ? { 'envoy.transport_socket_match': { tlsMode: 'istio' } } : {}),
        istio: { workload: workloadText(workload) },
      },
    },
  })
}

function addressOf({ address, port }: Endpoint) {
  if (address.startsWith('unix://')) {
    return { address: { $case: 'pipe' as const, value: { path: address.slice('unix://'.length) } } }
  }
  return {
    address: { $case: 'socketAddress' as const, value: { address, portSpecifier: { $case: 'portValue' as const, value: port } } },
  }
}

/** `name;namespace;canonical name;canonical revision;cluster`, as Istio's telemetry reads it. */
function workloadText({ name, namespace, labels }: Workload): string {
  const canonical = labels['service.istio.io/canonical-name'] ?? labels['app'] ?? name
  const revision = labels['service.istio.io/canonical-revision'] ?? labels['version'] ?? 'latest'
  return [name, namespace, canonical, revision, ''].join(';')
}

const identitiesBySet = new WeakMap<object, readonly string[]>()

/** The identities that the endpoints of a set have, sorted; worked out once for a set. */
export function identitiesOf(set: { readonly byPort: ReadonlyMap<number, readonly Endpoint[]> } | undefined): readonly string[] {
  if (set === undefined) return []
  const known = identitiesBySet.get(set)
  if (known !== undefined) return known
  const identities = new Set<string>()
  for (const endpoints of set.byPort.values()) {
    for (const { workload } of endpoints) if (workload.identity !== '') identities.add(workload.identity)
  }
  const sorted = [...identities].sort()
  identitiesBySet.set(set, sorted)
  return sorted
}
