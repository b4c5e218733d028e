import type { LbEndpoint } from '@weft/contracts/envoy/config/endpoint/v3/endpoint_components'
import { WeftError } from '@weft/service/errors'
import type { SecretStore } from '../plan/secret-store.ts'
import { compileSocketMatches, matchSocket, type SocketMatch } from '../plan/socket-matches.ts'
import { compileUpstreamTls } from '../plan/upstream-tls.ts'
import type { UpstreamTls } from '../transport/upstream-tls.ts'
import type { ClusterState, Clusters } from './clusters.ts'
import { endpointKey } from './endpoint-slots.ts'
import type { GrpcCluster } from './grpc-clients.ts'
import type { Secrets } from './secrets.ts'

/**
 * Gives the clusters by which the control plane is reached: waits until one is live (endpoints and secrets known), and
 * throws WeftError when there is none. The same certificates give the same secure context, so that connections are shared.
 */
export function controlPlaneClusters(
  parts: () => { clusters: Pick<Clusters, 'whenLive'>; secrets: Pick<Secrets, 'store'> },
): (name: string) => Promise<GrpcCluster> {
  let tlsOf: ReturnType<typeof clusterTls> | undefined
  return async (name) => {
    const { clusters, secrets } = parts()
    tlsOf ??= clusterTls(secrets.store)
    const cluster = await clusters.whenLive(name)
    if (cluster === undefined)
      throw new WeftError('not_found', `there is no cluster ${name} to reach the control plane by`, {
        hint: 'name one of static_resources.clusters in grpc_services',
      })
    const tls = tlsOf(cluster)?.connectOptions('', null) ?? null
    if (tls === 'not-ready') throw new WeftError('unavailable', `cluster ${name} waits for its secrets`)
    const endpoints = (cluster.assignment?.endpoints ?? []).flatMap(({ lbEndpoints }) => lbEndpoints)
    return { addresses: endpoints.map(addressOf).filter((address) => address !== undefined), tls }
  }
}

/** `host:port`, or `unix:path` of a pipe, whose path may be a relative one. */
function addressOf(endpoint: LbEndpoint): string | undefined {
  const key = endpointKey(endpoint)
  const host = endpoint.hostIdentifier?.$case === 'endpoint' ? endpoint.hostIdentifier.value.address?.address : undefined
  return key !== undefined && host?.$case === 'pipe' ? `unix:${key}` : key
}

/** TLS of a cluster's endpoint of this metadata, compiled once for each version of the cluster; null for plaintext. */
export function clusterTls(
  secrets: SecretStore,
): (cluster: ClusterState, metadata?: Readonly<Record<string, unknown>>) => UpstreamTls | null {
  const compiled = new WeakMap<Uint8Array, { tls: UpstreamTls | null; matches: readonly SocketMatch[] }>()
  return ({ name, bytes, message }, metadata = {}) => {
    const { transportSocket } = message
    let held = compiled.get(bytes)
    if (held === undefined) {
      const path = `Cluster ${name}: transport_socket`
      held = {
        tls: transportSocket === undefined ? null : compileUpstreamTls(transportSocket, path, secrets),
        matches: compileSocketMatches(message, `Cluster ${name}`, secrets),
      }
      compiled.set(bytes, held)
    }
    const match = matchSocket(held.matches, metadata)
    return match === undefined ? held.tls : match.tls
  }
}
