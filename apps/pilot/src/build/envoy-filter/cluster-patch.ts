import { Cluster } from '@weft/contracts/envoy/config/cluster/v3/cluster'
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
    patched = merged(ApplyTo.CLUSTER, patched, patch.value)
  }
  return patched
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
