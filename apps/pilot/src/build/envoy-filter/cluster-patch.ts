import { envoyMessageName } from '@weft/config/envoy-value'
import { Cluster } from '@weft/contracts/envoy/config/cluster/v3/cluster'
import { TransportSocket } from '@weft/contracts/envoy/config/core/v3/base'
import {
  EnvoyFilter_ApplyTo as ApplyTo,
  EnvoyFilter_PatchContext as Context,
  EnvoyFilter_Patch_Operation as Operation,
} from '@weft/contracts/istio/networking/v1alpha3/envoy_filter'
import type { Scope } from '../../scope/scope.ts'
import { merged } from './merge.ts'
import type { Patch, ProxyPatches } from './proxy-patches.ts'

/** A cluster after a proxy's patches; undefined where one removes it. */
export function patchedCluster(bytes: Uint8Array, patches: ProxyPatches): Uint8Array | undefined {
  const { name } = Cluster.decode(bytes)
  let patched = bytes
  for (const patch of patches.of(ApplyTo.CLUSTER, contextOf(name, patches.scope))) {
    if (patch.operation === Operation.ADD || !matches(name, patch, patches.scope)) continue
    if (patch.operation === Operation.REMOVE) return undefined
    patched = mergedCluster(patched, patch.value)
  }
  return patched
}

const clusterName = envoyMessageName(ApplyTo.CLUSTER)
const socketName = 'envoy.config.core.v3.TransportSocket'

/** A cluster whose endpoints choose among transport sockets takes none beside them: a patch's goes into the first of its name. */
function mergedCluster(bytes: Uint8Array, value: Uint8Array): Uint8Array {
  const cluster = Cluster.decode(bytes)
  const { transportSocket: socket, ...rest } = Cluster.decode(value)
  if (socket === undefined || cluster.transportSocketMatches.length === 0) return merged(clusterName, bytes, value)
  const own = cluster.transportSocketMatches.find(({ transportSocket }) => transportSocket?.name === socket.name)
  if (own?.transportSocket !== undefined) {
    const bytesOf = (one: TransportSocket): Uint8Array => TransportSocket.encode(one).finish()
    own.transportSocket = TransportSocket.decode(merged(socketName, bytesOf(own.transportSocket), bytesOf(socket)))
  }
  return merged(clusterName, Cluster.encode(cluster).finish(), Cluster.encode({ ...rest, transportSocket: undefined }).finish())
}

function contextOf(name: string, { proxy }: Scope): number {
  if (proxy.type === 'router') return Context.GATEWAY
  return name.startsWith('inbound|') || name === 'InboundPassthroughCluster' ? Context.SIDECAR_INBOUND : Context.SIDECAR_OUTBOUND
}

function matches(name: string, { match }: Patch, { instances }: Scope): boolean {
  if (match?.$case !== 'cluster') return true
  const wanted = match.value
  if (wanted.name !== '') return wanted.name === name
  const [direction, port = '', subset, host = ''] = name.split('|')
  if (wanted.subset !== '' && wanted.subset !== subset) return false
  if (wanted.portNumber !== 0 && wanted.portNumber !== Number(port)) return false
  if (wanted.service === '') return true
  const hosts =
    direction === 'inbound' ? instances.filter((one) => one.port.number === Number(port)).map((one) => one.service.host) : [host]
  return hosts.includes(wanted.service)
}
