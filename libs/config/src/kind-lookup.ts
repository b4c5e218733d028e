import type { Kind } from './objects.ts'

/** Versions by kind; one message serves them all. */
const groups: Readonly<Record<string, { versions: readonly string[]; kinds: readonly Kind[] }>> = {
  'networking.istio.io': {
    versions: ['v1alpha3', 'v1beta1', 'v1'],
    kinds: [
      'VirtualService',
      'DestinationRule',
      'Gateway',
      'ServiceEntry',
      'WorkloadEntry',
      'WorkloadGroup',
      'Sidecar',
      'EnvoyFilter',
    ],
  },
  'security.istio.io': {
    versions: ['v1beta1', 'v1'],
    kinds: ['PeerAuthentication', 'RequestAuthentication', 'AuthorizationPolicy'],
  },
  'telemetry.istio.io': { versions: ['v1alpha1', 'v1'], kinds: ['Telemetry'] },
  '': { versions: ['v1'], kinds: ['Service'] },
  'networking.k8s.io': { versions: ['v1'], kinds: ['Ingress', 'IngressClass'] },
  'mesh.weft.dev': { versions: ['v1'], kinds: ['Workload'] },
}

/** Groups of Kubernetes itself: what Weft does not act on in them is somebody else's. */
const foreignGroups = new Set(['', 'networking.k8s.io'])

/** Kinds of Istio that nothing acts on yet: accepted as they are, with a notice. */
const acceptedKinds: Readonly<Record<string, readonly string[]>> = {
  'networking.istio.io': ['ProxyConfig'],
  'extensions.istio.io': ['WasmPlugin', 'TrafficExtension'],
}

/** Groups whose documents are handed on unread: Mixer's own, and the policies of Istio 1.0. */
const rawGroups = new Set(['config.istio.io', 'rbac.istio.io', 'authentication.istio.io'])

export type KindLookup =
  | { type: 'typed'; kind: Kind }
  | { type: 'raw' }
  /** It belongs to someone else, or nothing acts on it yet. */
  | { type: 'ignored'; message: string }
  /** In a group of ours, but no such kind or version. */
  | { type: 'unknown'; message: string; hint: string }

/** What a document's apiVersion and kind make of it. */
export function lookUpKind(apiVersion: string, kind: string): KindLookup {
  const slash = apiVersion.indexOf('/')
  const group = slash < 0 ? '' : apiVersion.slice(0, slash)
  const version = apiVersion.slice(slash + 1)
  if (!/^[A-Za-z][A-Za-z0-9]{0,62}$/.test(kind))
    return { type: 'unknown', message: 'kind is no word', hint: 'such as VirtualService' }
  if (rawGroups.has(group)) return { type: 'raw' }
  if (acceptedKinds[group]?.includes(kind)) return { type: 'ignored', message: `${kind} is not acted on yet` }
  const known = groups[group]
  const typed = known?.kinds.find((name) => name === kind)
  const isForeign = foreignGroups.has(group) && (typed === undefined || !known?.versions.includes(version))
  if (known === undefined || isForeign) {
    return { type: 'ignored', message: `${kind} (${apiVersion}) is nothing that Weft acts on` }
  }
  if (typed === undefined) {
    const hint = `${group} has ${[...known.kinds, ...(acceptedKinds[group] ?? [])].join(', ')}`
    return { type: 'unknown', message: `unknown kind "${kind}" in ${group}`, hint }
  }
  if (!known.versions.includes(version)) {
    return { type: 'unknown', message: `unknown version "${version}" of ${group}`, hint: `write ${known.versions.join(', ')}` }
  }
  return { type: 'typed', kind: typed }
}
