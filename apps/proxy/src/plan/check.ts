import { TypedExtensionConfig } from '@weft/contracts/envoy/config/core/v3/extension'
import { ClusterLoadAssignment } from '@weft/contracts/envoy/config/endpoint/v3/endpoint'
import { httpFilterKind } from '../filters/http/index.ts'
import { Stats } from '../observe/stats.ts'
import { decodeRouteTable } from '../routing/route-table.ts'
import type { ResourceKind } from '../threads.ts'
import { endpointAddress } from '../upstream/endpoint-address.ts'
import { compileCluster } from './cluster.ts'
import { ExtensionStore } from './extension-store.ts'
import { compileFilterConfigs } from './filter-configs.ts'
import { compileListener } from './listener.ts'
import type { PlanContext } from './plan-context.ts'
import { invalid, unsupported } from './problems.ts'
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
    extensions: new ExtensionStore(),
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
      return
    case 'extension':
      checkExtension(bytes, context)
  }
}

/** Of an HTTP filter: other extensions are not discovered. */
function checkExtension(bytes: Uint8Array, { stats, runtime, secrets }: PlanContext): void {
  const { name, typedConfig } = TypedExtensionConfig.decode(bytes)
  const path = `filter configuration ${name}: typed_config`
  if (typedConfig === undefined) throw invalid(path, 'a typed_config is needed')
  const kind = httpFilterKind(typedConfig.typeUrl, path)
  if (kind.terminal === true) throw unsupported(path, 'discovery of the router')
  kind.compile(typedConfig.value, {
    path,
    name,
    statPrefix: 'http.',
    stats,
    runtime,
    secrets,
    services: null,
    direction: 'unspecified',
    fail(inside, message, hint): never {
      throw invalid(inside === '' ? path : `${path}.${inside}`, message, hint)
    },
  })
}

function checkEndpoints(assignment: ClusterLoadAssignment, at: string): void {
  assignment.endpoints.forEach((group, i) => {
    group.lbEndpoints.forEach((one, k) => {
      if (one.hostIdentifier?.$case !== 'endpoint') return
      endpointAddress(one.hostIdentifier.value.address, `${at}endpoints[${i}].lb_endpoints[${k}].endpoint.address`)
    })
  })
}
