import { type LabelSelector, selects } from '@weft/inject/label-selector'
import { type ApiObject, labelsOf } from '@weft/kubernetes/resource'

/** What the mesh knows of a namespace. */
export interface Namespace {
  /** By its label; that of the mesh's root namespace is the whole cluster's. */
  network: string
  /** Whether one of MeshConfig's `discoverySelectors` selects it. */
  isDiscovered: boolean
}

/** Reads a `v1 Namespace`. */
export function readNamespace(object: ApiObject, selectors: readonly LabelSelector[]): Namespace {
  const labels = labelsOf(object)
  return {
    network: labels['topology.istio.io/network'] ?? '',
    isDiscovered: selectors.some((selector) => selects(selector, labels)),
  }
}

/** The namespace of a key `namespace/name`; undefined for what has none. */
export function namespaceOf(key: string): string | undefined {
  const slash = key.indexOf('/')
  return slash < 0 ? undefined : key.slice(0, slash)
}
