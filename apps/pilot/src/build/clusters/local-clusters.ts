import { Cluster, Cluster_DiscoveryType, Cluster_LbPolicy } from '@weft/contracts/envoy/config/cluster/v3/cluster'
import type { MeshSettings } from '../../model/mesh-settings.ts'
import { isHttp, isHttp2 } from '../../model/service.ts'
import type { Instance } from '../../scope/scope.ts'
import { clusterNames, inboundClusterName } from '../names.ts'
import type { Recipe } from '../resource-cache.ts'
import { keyOf, milliseconds } from '../wire.ts'
import { applyConnectionPool, applyHttpProtocol } from './connection-pool.ts'

/**
 * Where traffic goes that no service is named for: nowhere, or to where it was going, which only a proxy that catches
 * connections with their destination (`transparent`) can know.
 */
export function builtInClusters(mesh: MeshSettings, transparent: boolean): Recipe[] {
  const recipe = (name: string, fill: (cluster: Cluster) => void): Recipe => ({
    name,
    key: keyOf(mesh.connectTimeoutMs),
    origins: [],
    build: () => {
      const cluster = Cluster.fromPartial({ name })
      applyConnectionPool(cluster, undefined, mesh.connectTimeoutMs)
      fill(cluster)
      return Cluster.encode(cluster).finish()
    },
  })
  const toOriginal = (cluster: Cluster): void => {
    cluster.clusterDiscoveryType = { $case: 'type', value: Cluster_DiscoveryType.ORIGINAL_DST }
    cluster.lbPolicy = Cluster_LbPolicy.CLUSTER_PROVIDED
  }
  const blackHole = recipe(clusterNames.blackHole, (cluster) => {
    cluster.clusterDiscoveryType = { $case: 'type', value: Cluster_DiscoveryType.STATIC }
  })
  if (!transparent) return [blackHole]
  return [blackHole, recipe(clusterNames.passthrough, toOriginal), recipe(clusterNames.inboundPassthrough, toOriginal)]
}

/** The application beside a sidecar, at one of its ports. */
export interface ApplicationAddress {
  readonly address: string
  readonly port: number
}

/** The cluster that leads to the application, for one port of the workload. */
export function inboundCluster(instance: Instance, application: ApplicationAddress, mesh: MeshSettings): Recipe {
  const name = inboundClusterName(instance.endpoint.port)
  const { address, port } = application
  const { protocol } = instance.port
  return {
    name,
    key: keyOf(address, port, protocol, mesh.connectTimeoutMs),
    origins: [instance.service.origin],
    build: () => {
      const cluster = Cluster.fromPartial({
        name,
        clusterDiscoveryType: { $case: 'type', value: Cluster_DiscoveryType.STATIC },
        loadAssignment: {
          clusterName: name,
          endpoints: [
            {
              lbEndpoints: [
                {
                  hostIdentifier: {
                    $case: 'endpoint',
                    value: {
                      address: {
                        address: {
                          $case: 'socketAddress',
                          value: { address, portSpecifier: { $case: 'portValue', value: port } },
                        },
                      },
                    },
                  },
                },
              ],
            },
          ],
        },
      })
      applyConnectionPool(cluster, undefined, mesh.connectTimeoutMs)
      cluster.connectTimeout = milliseconds(Math.min(mesh.connectTimeoutMs, 10_000))
      applyHttpProtocol(cluster, isHttp(protocol) && isHttp2(protocol), undefined)
      return Cluster.encode(cluster).finish()
    },
  }
}
