import { ClusterLoadAssignment } from '@weft/contracts/envoy/config/endpoint/v3/endpoint'
import { Stats } from '../observe/stats.ts'
import { decodeRouteTable } from '../routing/route-table.ts'
import type { ResourceKind } from '../threads.ts'
import { endpointAddress } from '../upstream/endpoint.ts'
import { compileCluster } from './cluster.ts'
import { compileFilterConfigs } from './filter-configs.ts'
import { compileListener } from './listener.ts'
import type { PlanContext } from './plan-context.ts'
import { Runtime } from './runtime.ts'
import { compileSecret, SecretStore } from './secret-store.ts'

/**
 * Compiles one resource as a worker would, opening nothing: throws a WeftError that names the place of what is invalid or
 * not supported, so that the main thread can refuse (NACK) it before a worker sees it.
 */
export function checkResource(kind: ResourceKind, bytes: Uint8Array): void {
  const context: PlanContext = {
    stats: new Stats(null),
    runtime: new Runtime(),
    secrets: new SecretStore(),
    services: null,
    logFiles: null,
    direction: 'unspecified',
  }
  switch (kind) {
    case 'listener': {
      const plan = compileListener(bytes, context)
      for (const chain of plan.allChains) chain.filter.close?.()
      return
    }
    case 'route':
      decodeRouteTable(bytes, context.runtime, compileFilterConfigs(context))
      return
    case 'cluster': {
      const { source } = compileCluster(bytes, context.secrets)
      if (source.loadAssignment !== undefined) checkEndpoints(source.loadAssignment, `Cluster ${source.name}: load_assignment.`)
      return
    }
    case 'endpoints': {
      const assignment = ClusterLoadAssignment.decode(bytes)
      checkEndpoints(assignment, `ClusterLoadAssignment ${assignment.clusterName}: `)
      return
    }
    case 'secret':
      compileSecret(bytes)
  }
}

function checkEndpoints(assignment: ClusterLoadAssignment, at: string): void {
  assignment.endpoints.forEach((group, i) => {
    group.lbEndpoints.forEach((one, k) => {
      if (one.hostIdentifier?.$case !== 'endpoint') return
      endpointAddress(one.hostIdentifier.value.address, `${at}endpoints[${i}].lb_endpoints[${k}].endpoint.address`)
    })
  })
}
