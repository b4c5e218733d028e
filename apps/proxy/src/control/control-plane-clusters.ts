import { WeftError } from '@weft/service/errors'
import { compileUpstreamTls } from '../plan/upstream-tls.ts'
import type { UpstreamTls } from '../transport/upstream-tls.ts'
import type { Clusters } from './clusters.ts'
import { endpointKey } from './endpoint-slots.ts'
import type { GrpcCluster } from './grpc-clients.ts'
import type { Secrets } from './secrets.ts'

/**
 * Gives the clusters by which the control plane is reached: waits until one is live (endpoints and secrets known), and
 * throws WeftError when there is none. The same certificates give the same secure context, so that connections are shared.
 */
export function controlPlaneClusters(
  parts: () => { clusters: Clusters; secrets: Secrets },
): (name: string) => Promise<GrpcCluster> {
  const compiled = new Map<string, { bytes: Uint8Array; tls: UpstreamTls | null }>()
  return async (name) => {
    const { clusters, secrets } = parts()
    const cluster = await clusters.whenLive(name)
    if (cluster === undefined)
      throw new WeftError('not_found', `there is no cluster ${name} to reach the control plane by`, {
        hint: 'name one of static_resources.clusters in grpc_services',
      })
    let held = compiled.get(name)
    if (held?.bytes !== cluster.bytes) {
      const socket = cluster.message.transportSocket
      const path = `Cluster ${name}: transport_socket`
      held = { bytes: cluster.bytes, tls: socket === undefined ? null : compileUpstreamTls(socket, path, secrets.store) }
      compiled.set(name, held)
    }
    const tls = held.tls?.connectOptions('', '') ?? null
    if (tls === 'not-ready') throw new WeftError('unavailable', `cluster ${name} waits for its secrets`)
    const endpoints = (cluster.assignment?.endpoints ?? []).flatMap(({ lbEndpoints }) => lbEndpoints)
    const keys = endpoints.map(endpointKey).filter((key) => key !== undefined)
    return { addresses: keys.map((key) => (/^[/@]/.test(key) ? `unix:${key}` : key)), tls }
  }
}
