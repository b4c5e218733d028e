import { isIP } from 'node:net'
import { Cluster, Cluster_DiscoveryType, Cluster_DnsLookupFamily } from '@weft/contracts/envoy/config/cluster/v3/cluster'
import { type MeshSettings, meshKey } from '../../model/mesh-settings.ts'
import type { Service } from '../../model/service.ts'
import { applyConnectionPool } from '../clusters/connection-pool.ts'
import { outboundClusterName } from '../names.ts'
import type { Recipe } from '../resource-cache.ts'
import { publicUpstreamSocket, type SystemRoots } from '../tls/contexts.ts'
import { keyOf, milliseconds } from '../wire.ts'

/** Where keys are fetched: the cluster that leads there, and whether some service of the mesh is behind it. */
export interface JwksSource {
  readonly uri: string
  readonly cluster: string
  readonly host: string
  readonly port: number
  readonly tls: boolean
  readonly known: boolean
}

/** Reads a jwksUri; undefined when it is no http(s) URL. A service may be named in short, `name.namespace`. */
export function jwksSource(
  uri: string,
  mesh: MeshSettings,
  service: (host: string) => Service | undefined,
): JwksSource | undefined {
  const url = URL.canParse(uri) ? new URL(uri) : undefined
  if (url === undefined || (url.protocol !== 'https:' && url.protocol !== 'http:')) return undefined
  const tls = url.protocol === 'https:'
  const port = url.port === '' ? (tls ? 443 : 80) : Number(url.port)
  const stated = url.hostname.replace(/^\[(.*)\]$/, '$1')
  const full = `${stated}.svc.${mesh.domain}`
  const host = service(stated) === undefined && service(full) !== undefined ? full : stated
  const known = service(host)?.ports.some(({ number }) => number === port) ?? false
  return { uri, cluster: outboundClusterName(port, '', host), host, port, tls, known }
}

export interface JwksClusterContext {
  readonly mesh: MeshSettings
  readonly systemRoots: SystemRoots
  readonly origins: readonly string[]
}

/** The cluster for a key server that is no service of the mesh, named as if it were. */
export function jwksCluster(
  { cluster: name, host, port, tls }: JwksSource,
  { mesh, systemRoots, origins }: JwksClusterContext,
): Recipe {
  return {
    name,
    key: keyOf('jwks', tls, systemRoots, meshKey(mesh)),
    origins,
    build: () => {
      const cluster = Cluster.fromPartial({
        name,
        clusterDiscoveryType: {
          $case: 'type',
          value: isIP(host) === 0 ? Cluster_DiscoveryType.STRICT_DNS : Cluster_DiscoveryType.STATIC,
        },
        dnsLookupFamily: Cluster_DnsLookupFamily.V4_PREFERRED,
        dnsRefreshRate: milliseconds(60_000),
        respectDnsTtl: true,
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
                          value: { address: host, portSpecifier: { $case: 'portValue', value: port } },
                        },
                      },
                    },
                  },
                },
              ],
            },
          ],
        },
        transportSocket: tls ? publicUpstreamSocket(host, systemRoots) : undefined,
      })
      if (isIP(host) !== 0) {
        cluster.dnsRefreshRate = undefined
        cluster.respectDnsTtl = false
      }
      applyConnectionPool(cluster, undefined, mesh)
      return Cluster.encode(cluster).finish()
    },
  }
}
