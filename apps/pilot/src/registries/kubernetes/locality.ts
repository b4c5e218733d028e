import { type ApiObject, labelsOf } from '@weft/kubernetes/resource'
import type { Locality } from '../../model/workload.ts'

/** The locality that a Node's labels say. */
export function readNodeLocality(object: ApiObject): Locality {
  const labels = labelsOf(object)
  return {
    region: labels['topology.kubernetes.io/region'] ?? labels['failure-domain.beta.kubernetes.io/region'] ?? '',
    zone: labels['topology.kubernetes.io/zone'] ?? labels['failure-domain.beta.kubernetes.io/zone'] ?? '',
    subZone: labels['topology.istio.io/subzone'] ?? '',
  }
}
