import { envoyValue } from '@weft/config/envoy-value'
import { keyOf as objectKeyOf, type TypedObject } from '@weft/config/objects'
import {
  type EnvoyFilter_EnvoyConfigObjectPatch as ConfigPatch,
  EnvoyFilter_PatchContext as Context,
  EnvoyFilter_Patch_Operation as Operation,
} from '@weft/contracts/istio/networking/v1alpha3/envoy_filter'
import type { Scope } from '../../scope/scope.ts'
import { policyHolds } from '../../scope/workload-policies.ts'
import { keyOf } from '../wire.ts'

type EnvoyFilter = TypedObject<'EnvoyFilter'>

/** One patch of an EnvoyFilter, its value in binary form. */
export interface Patch {
  /** Of its EnvoyFilter's patches. */
  readonly index: number
  readonly applyTo: number
  readonly context: number
  readonly operation: number
  readonly match: NonNullable<ConfigPatch['match']>['objectTypes']
  /** The message of `applyTo`; empty for a REMOVE. */
  readonly value: Uint8Array
}

/** The patches that hold at a proxy, in the order in which they are made. */
export interface ProxyPatches {
  /** Equal where the patches are. */
  readonly key: string
  /** The EnvoyFilters that they are of. */
  readonly origins: readonly string[]
  readonly scope: Scope
  /** Those for one thing, that hold in one context. */
  of(applyTo: number, context: number): readonly Patch[]
}

const found = new WeakMap<Scope, ProxyPatches | null>()

/** What EnvoyFilters change of what a proxy is given; undefined where no one selects it. */
export function proxyPatches(scope: Scope): ProxyPatches | undefined {
  let patches = found.get(scope)
  if (patches === undefined) {
    patches = patchesFor(scope)
    found.set(scope, patches)
  }
  return patches ?? undefined
}

function patchesFor(scope: Scope): ProxyPatches | null {
  const filters = filtersFor(scope)
  const patches = filters.flatMap((filter) => patchesOf(filter, scope))
  if (patches.length === 0) return null
  const namesService = patches.some(({ match }) => match?.$case === 'cluster' && match.value.service !== '')
  const services = namesService ? scope.instances.map(({ service, port }) => `${service.host}:${port.number}`) : []
  // What a patch holds for is decided by the proxy's kind and metadata too, and for inbound clusters by its services.
  const decides = [scope.proxy.type, ...patches.map(({ index }) => index), ...services]
  return {
    key: keyOf(...filters.map((filter) => `${objectKeyOf(filter)}@${filter.version}`), ...decides),
    origins: filters.map(objectKeyOf),
    scope,
    of: (applyTo, context) =>
      patches.filter((patch) => patch.applyTo === applyTo && (patch.context === Context.ANY || patch.context === context)),
  }
}

/** By priority; of one priority the root namespace's first, and each as old as it is. */
function filtersFor({ snapshot, proxy, labels, instances }: Scope): EnvoyFilter[] {
  const { envoyFilters, mesh } = snapshot
  if (envoyFilters.length === 0) return []
  const workload = { type: proxy.type, namespace: proxy.namespace, labels, instances }
  const holds = ({ metadata, spec }: EnvoyFilter): boolean =>
    policyHolds(
      { metadata, spec: { selector: { matchLabels: spec.workloadSelector?.labels ?? {} }, targetRefs: spec.targetRefs } },
      workload,
    )
  return [...new Set([mesh.rootNamespace, proxy.namespace])]
    .flatMap((namespace) => envoyFilters.filter((filter) => filter.metadata.namespace === namespace && holds(filter)))
    .sort((a, b) => a.spec.priority - b.spec.priority)
}

const values = new WeakMap<ConfigPatch, Uint8Array>()

function patchesOf({ spec }: EnvoyFilter, scope: Scope): Patch[] {
  return spec.configPatches.flatMap((configPatch, index) => {
    const { applyTo, match, patch } = configPatch
    if (patch === undefined || !proxyMatches(match, scope)) return []
    let value = values.get(configPatch)
    if (value === undefined) {
      value = patch.operation === Operation.REMOVE ? new Uint8Array() : envoyValue(applyTo, patch.value ?? {}).bytes
      values.set(configPatch, value)
    }
    return [
      { index, applyTo, context: match?.context ?? Context.ANY, operation: patch.operation, match: match?.objectTypes, value },
    ]
  })
}

function proxyMatches(match: ConfigPatch['match'], scope: Scope): boolean {
  const { proxyVersion = '', metadata = {} } = match?.proxy ?? {}
  if (proxyVersion !== '' && !new RegExp(proxyVersion).test(version(scope))) return false
  return Object.entries(metadata).every(([name, value]) => scope.proxy.metadata[name] === value)
}

function version({ proxy }: Scope): string {
  const stated = proxy.metadata['ISTIO_VERSION']
  return typeof stated === 'string' ? stated : ''
}
