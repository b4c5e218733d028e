import { createHash } from 'node:crypto'
import { kubernetesServiceSchema } from '@weft/config/kubernetes-service'
import { readMetadata } from '@weft/config/metadata'
import type { ApiObject } from '@weft/kubernetes/resource'
import type { MeshSettings } from '../../model/mesh-settings.ts'
import type { Service } from '../../model/service.ts'
import { serviceOfKubernetes } from '../file/services.ts'
import type { RegisteredService } from '../registry.ts'

/** A Service of the API server, without its endpoints. */
export interface KubernetesServiceFacts {
  registered: RegisteredService
  /** Of a service with addresses of both families its endpoints are taken in the first. */
  family: 'IPv4' | 'IPv6' | undefined
}

/** Accounts of endpoints that the cluster does not know, by name in its namespace, or as whole identities. */
const accountsAnnotation = 'alpha.istio.io/kubernetes-serviceaccounts'
const identitiesAnnotation = 'alpha.istio.io/canonical-serviceaccounts'

/** Reads a `v1 Service`; undefined for one that cannot be read. Its version changes only with what the mesh acts on. */
export function readService({ value }: ApiObject, mesh: MeshSettings): KubernetesServiceFacts | undefined {
  const { metadata, problems } = readMetadata(value['metadata'])
  const read = kubernetesServiceSchema.safeParse(value['spec'] ?? {})
  if (problems.length > 0 || !read.success) return undefined
  const { data: spec } = read
  const said = JSON.stringify([metadata, spec])
  const version = createHash('sha1').update(said).digest('base64url')
  const { selector, ...rest } = serviceOfKubernetes({ kind: 'Service', metadata, spec, version }, mesh)
  const service: Service = {
    ...rest.service,
    subjectAltNames: [
      ...list(metadata.annotations[accountsAnnotation]).map(
        (name) => `spiffe://${mesh.trustDomain}/ns/${metadata.namespace}/sa/${name}`,
      ),
      ...list(metadata.annotations[identitiesAnnotation]).map((id) => (id.startsWith('spiffe://') ? id : `spiffe://${id}`)),
    ],
  }
  const [family] = spec.ipFamilies ?? []
  return {
    registered: { ...rest, service, selector, selects: isNoPod, exact: rest.workloads.length === 0 },
    family: family === 'IPv4' || family === 'IPv6' ? family : undefined,
  }
}

/** The cluster's own pods come by its slices; the selector is left to find the workloads of others, such as a WorkloadEntry. */
function isNoPod({ origin }: { origin: string }): boolean {
  return !origin.startsWith('Pod/')
}

function list(text: string | undefined): string[] {
  return (text ?? '')
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
}
