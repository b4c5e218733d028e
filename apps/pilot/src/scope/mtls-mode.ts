import type { TypedObject } from '@weft/config/objects'
import type { PeerAuthentication_MutualTLS } from '@weft/contracts/istio/security/v1beta1/peer_authentication'
import { selects } from '../model/host.ts'
import type { Snapshot } from '../model/snapshot.ts'
import type { Workload } from '../model/workload.ts'
import type { MtlsMode } from './scope.ts'

type Policy = TypedObject<'PeerAuthentication'>

/** PeerAuthentications by namespace, those for the whole namespace apart. */
interface Index {
  namespaceWide: ReadonlyMap<string, Policy>
  selecting: ReadonlyMap<string, readonly Policy[]>
}

const indexes = new WeakMap<readonly Policy[], Index>()

/**
 * The PeerAuthentication mode that holds for a workload's port: its port, its workload, its namespace, the mesh (the
 * root namespace), else PERMISSIVE. Of several at one level the oldest. UNSET asks the next level.
 */
export function mtlsModeOf(snapshot: Snapshot, workload: Pick<Workload, 'namespace' | 'labels'>, port: number): MtlsMode {
  const index = indexOf(snapshot.peerAuthentications)
  const own = index.selecting
    .get(workload.namespace)
    ?.find(({ spec }) => selects(spec.selector?.matchLabels ?? {}, workload.labels))
  return (
    modeOf(own?.spec.portLevelMtls[port]) ??
    modeOf(own?.spec.mtls) ??
    modeOf(index.namespaceWide.get(workload.namespace)?.spec.mtls) ??
    modeOf(index.namespaceWide.get(snapshot.mesh.rootNamespace)?.spec.mtls) ??
    'PERMISSIVE'
  )
}

function modeOf(mtls: PeerAuthentication_MutualTLS | undefined): MtlsMode | undefined {
  const modes: readonly (MtlsMode | undefined)[] = [undefined, 'DISABLE', 'PERMISSIVE', 'STRICT']
  return mtls === undefined ? undefined : modes[mtls.mode]
}

function indexOf(policies: readonly Policy[]): Index {
  let index = indexes.get(policies)
  if (index === undefined) {
    const namespaceWide = new Map<string, Policy>()
    const selecting = new Map<string, Policy[]>()
    for (const policy of policies) {
      const { namespace } = policy.metadata
      if (Object.keys(policy.spec.selector?.matchLabels ?? {}).length === 0) {
        if (!namespaceWide.has(namespace)) namespaceWide.set(namespace, policy)
      } else {
        const list = selecting.get(namespace)
        if (list === undefined) selecting.set(namespace, [policy])
        else list.push(policy)
      }
    }
    index = { namespaceWide, selecting }
    indexes.set(policies, index)
  }
  return index
}
