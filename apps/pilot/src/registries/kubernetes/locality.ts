import type { ApiObject } from '@weft/kubernetes/resource'
import { z } from 'zod'
import type { Locality } from '../../model/workload.ts'

const labelled = z.object({ metadata: z.object({ labels: z.record(z.string(), z.string()).default({}) }) })

/** The locality that a Node's labels say. */
export function readNodeLocality({ value }: ApiObject): Locality {
  const labels = labelsOf(value)
  return {
    region: labels['topology.kubernetes.io/region'] ?? labels['failure-domain.beta.kubernetes.io/region'] ?? '',
    zone: labels['topology.kubernetes.io/zone'] ?? labels['failure-domain.beta.kubernetes.io/zone'] ?? '',
    subZone: labels['topology.istio.io/subzone'] ?? '',
  }
}

/** The network that the label of a Namespace says; that of the mesh's root namespace is the whole cluster's. */
export function readNetwork({ value }: ApiObject): string {
  return labelsOf(value)['topology.istio.io/network'] ?? ''
}

function labelsOf(value: unknown): Record<string, string> {
  const parsed = labelled.safeParse(value)
  return parsed.success ? parsed.data.metadata.labels : {}
}
