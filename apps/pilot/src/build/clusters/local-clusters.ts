import { Cluster, Cluster_DiscoveryType, Cluster_LbPolicy } from '@weft/contracts/envoy/config/cluster/v3/cluster'
import { Address, BindConfig, SocketAddress } from '@weft/contracts/envoy/config/core/v3/address'
import { ConnectionPoolSettings } from '@weft/contracts/istio/networking/v1alpha3/destination_rule'
import { type MeshSettings, meshKey } from '../../model/mesh-settings.ts'
import { isHttp, isHttp2, speaksHttp } from '../../model/service.ts'
import { forwardingCluster } from '../filters/forward-proxy.ts'
import type { Application, InboundPort } from '../listeners/inbound-ports.ts'
import { clusterNames, inboundClusterName } from '../names.ts'
import type { Recipe } from '../resource-cache.ts'
import { keyOf, milliseconds } from '../wire.ts'
import { applyConnectionPool, applyHttpProtocol } from './connection-pool.ts'
import { statName } from './stat-name.ts'

/**
 * Where traffic goes that no service is named for: nowhere, or to where it was going, which only a proxy that catches
 * connections with their destination (`transparent`) can know; or to the host of a request (`forwards`).
 */
export function builtInClusters(mesh: MeshSettings, transparent: boolean, preservesCase: boolean, forwards: boolean): Recipe[] {
  // What is not known is called by the protocol that the client speaks: gRPC as gRPC.
  const asClient = ConnectionPoolSettings.fromPartial({ http: { useClientProtocol: true, idleTimeout: { seconds: 300 } } })
  const recipe = (name: string, fill: (cluster: Cluster) => void): Recipe => ({
    name,
    key: keyOf(meshKey(mesh), preservesCase),
    origins: [],
    build: () => {
      const cluster = Cluster.fromPartial({ name })
      applyConnectionPool(cluster, undefined, mesh)
      applyHttpProtocol(cluster, false, asClient, preservesCase)
      fill(cluster)
      return Cluster.encode(cluster).finish()
    },
  })
  const toOriginal = (cluster: Cluster): void => {
    cluster.clusterDiscoveryType = { $case: 'type', value: Cluster_DiscoveryType.ORIGINAL_DST }
    cluster.lbPolicy = Cluster_LbPolicy.CLUSTER_PROVIDED
  }
  const toApplication = (cluster: Cluster): void => {
    toOriginal(cluster)
    cluster.upstreamBindConfig = applicationCaller()
  }
  const blackHole = recipe(clusterNames.blackHole, (cluster) => {
    cluster.clusterDiscoveryType = { $case: 'type', value: Cluster_DiscoveryType.STATIC }
  })
  const forward = recipe(clusterNames.forwardRest, (cluster) => {
    cluster.clusterDiscoveryType = forwardingCluster(true)
    cluster.lbPolicy = Cluster_LbPolicy.CLUSTER_PROVIDED
  })
  const named = forwards ? [blackHole, forward] : [blackHole]
  if (!transparent) return named
  return [...named, recipe(clusterNames.passthrough, toOriginal), recipe(clusterNames.inboundPassthrough, toApplication)]
}

/** The cluster that leads to the application, for one port of the workload. */
export function inboundCluster(
  { port, instances, application, connectionPool, sidecar }: InboundPort,
  mesh: MeshSettings,
  preservesCase: boolean,
): Recipe {
  const name = inboundClusterName(port)
  const [{ service, port: servicePort }] = instances
  const { protocol } = servicePort
  return {
    name,
    key: keyOf(
      JSON.stringify(application),
      JSON.stringify(connectionPool),
      protocol,
      service.version,
      meshKey(mesh),
      preservesCase,
    ),
    origins: sidecar === undefined ? [service.origin] : [sidecar],
    build: () => {
      const cluster = Cluster.fromPartial({
        name,
        ...(application.type === 'original'
          ? {
              clusterDiscoveryType: { $case: 'type', value: Cluster_DiscoveryType.ORIGINAL_DST },
              lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED,
              upstreamBindConfig: applicationCaller(),
            }
          : {
              clusterDiscoveryType: { $case: 'type', value: Cluster_DiscoveryType.STATIC },
              loadAssignment: {
                clusterName: name,
                endpoints: [
                  {
                    lbEndpoints: [
                      { hostIdentifier: { $case: 'endpoint', value: { address: { address: addressOf(application) } } } },
                    ],
                  },
                ],
              },
            }),
      })
      applyConnectionPool(cluster, connectionPool, mesh)
      cluster.altStatName = statName(mesh.inboundClusterStatName, { service, port: servicePort, subset: '' })
      cluster.connectTimeout = connectionPool?.tcp?.connectTimeout ?? milliseconds(Math.min(mesh.connectTimeoutMs, 10_000))
      applyHttpProtocol(cluster, isHttp(protocol) && isHttp2(protocol), connectionPool, preservesCase && speaksHttp(protocol))
      return Cluster.encode(cluster).finish()
    },
  }
}

/**
 * Calls to the application's own address come from these (Istio's): by them the rules that redirect connections know that one
 * has been through the sidecar already.
 */
function applicationCaller(): BindConfig {
  const from = (address: string): SocketAddress =>
    SocketAddress.fromPartial({ address, portSpecifier: { $case: 'portValue', value: 0 } })
  return BindConfig.fromPartial({ sourceAddress: from('127.0.0.6'), extraSourceAddresses: [{ address: from('::6') }] })
}

function addressOf(application: Exclude<Application, { type: 'original' }>): NonNullable<Address['address']> {
  if (application.type === 'pipe') return { $case: 'pipe', value: { path: application.path, mode: 0 } }
  const { address, port } = application
  return Address.fromPartial({
    address: { $case: 'socketAddress', value: { address, portSpecifier: { $case: 'portValue', value: port } } },
  }).address!
}
