import type { TypedObject } from '@weft/config/objects'
import type { PolicyTargetReference, WorkloadSelector } from '@weft/contracts/istio/type/v1beta1/selector'
import { selects } from '../model/host.ts'
import type { Snapshot } from '../model/snapshot.ts'
import type { Instance } from './scope.ts'

type Authorization = TypedObject<'AuthorizationPolicy'>
type Authentication = TypedObject<'RequestAuthentication'>

/** The policies that hold at one workload: the root namespace's first, then its own namespace's, each oldest first. */
export interface WorkloadPolicies {
  readonly requestAuthentications: readonly Authentication[]
  readonly authorizationPolicies: readonly Authorization[]
}

/** A workload as policies select it. */
export interface SelectedWorkload {
  readonly type: 'sidecar' | 'router'
  readonly namespace: string
  readonly labels: Readonly<Record<string, string>>
  readonly instances: readonly Instance[]
}

const authentications = namespaceIndex<Authentication>()
const authorizations = namespaceIndex<Authorization>()

export function workloadPolicies(snapshot: Snapshot, workload: SelectedWorkload): WorkloadPolicies {
  const { rootNamespace } = snapshot.mesh
  return {
    requestAuthentications: holding(authentications(snapshot.requestAuthentications), rootNamespace, workload),
    authorizationPolicies: holding(authorizations(snapshot.authorizationPolicies), rootNamespace, workload),
  }
}

/** Whether a policy is one that only notes what it would do (Istio's annotation). */
export function isDryRun({ metadata }: Authorization): boolean {
  return ['true', 'True', 'TRUE', 't', 'T', '1'].includes(metadata.annotations['istio.io/dry-run'] ?? '')
}

const none: readonly never[] = []

function holding<P extends Authorization | Authentication>(
  policies: ReadonlyMap<string, readonly P[]>,
  rootNamespace: string,
  workload: SelectedWorkload,
): readonly P[] {
  if (policies.size === 0) return none
  const namespaces = [...new Set([rootNamespace, workload.namespace])]
  return namespaces.flatMap((namespace) => (policies.get(namespace) ?? none).filter((policy) => policyHolds(policy, workload)))
}

interface Targeted {
  readonly metadata: { readonly namespace: string }
  readonly spec: {
    readonly selector?: WorkloadSelector | undefined
    readonly targetRef?: PolicyTargetReference | undefined
    readonly targetRefs: readonly PolicyTargetReference[]
  }
}

/**
 * Whether a policy of the root namespace or the workload's own selects it: by labels, or as one of its targets, which are
 * in the policy's namespace: a service that leads to the workload, or the Gateway (of the Gateway API) that it serves.
 */
export function policyHolds({ metadata, spec }: Targeted, workload: SelectedWorkload): boolean {
  const targets = spec.targetRef === undefined ? spec.targetRefs : [spec.targetRef, ...spec.targetRefs]
  if (targets.length === 0) return selects(spec.selector?.matchLabels ?? {}, workload.labels)
  return targets.some(({ kind, name }) => {
    if (kind === 'Gateway') {
      return workload.namespace === metadata.namespace && workload.labels['gateway.networking.k8s.io/gateway-name'] === name
    }
    if (kind !== 'Service' && kind !== 'ServiceEntry') return false
    return workload.instances.some(({ service }) => service.name === name && service.namespace === metadata.namespace)
  })
}

/** Policies by namespace, worked out once for a list that many proxies share. */
function namespaceIndex<P extends Authorization | Authentication>(): (
  policies: readonly P[],
) => ReadonlyMap<string, readonly P[]> {
  const indexes = new WeakMap<readonly P[], ReadonlyMap<string, readonly P[]>>()
  return (policies) => {
    let index = indexes.get(policies)
    if (index === undefined) {
      index = Map.groupBy(policies, ({ metadata }) => metadata.namespace)
      indexes.set(policies, index)
    }
    return index
  }
}
