import { isRecord } from '@weft/config/document'
import { keyOf, type TypedObject } from '@weft/config/objects'
import type { WorkloadEntry } from '@weft/contracts/istio/networking/v1alpha3/workload_entry'
import type { Health, Locality, Workload } from '../../model/workload.ts'

/** `region/zone/subzone`, as WorkloadEntry.locality has it. */
export function parseLocality(text: string): Locality {
  const [region = '', zone = '', subZone = ''] = text.split('/')
  return { region, zone, subZone }
}

const tlsModeLabel = 'security.istio.io/tlsMode'

/** A WorkloadEntry as a workload, whether it stands alone or inside a ServiceEntry. */
export function workloadOfEntry(
  entry: WorkloadEntry,
  about: {
    name: string
    namespace: string
    labels: Readonly<Record<string, string>>
    origin: string
    health: Health
    trustDomain: string
  },
): Workload {
  const { name, namespace, origin, health, trustDomain } = about
  const labels = { ...about.labels, ...entry.labels }
  const mode = labels[tlsModeLabel] ?? (entry.serviceAccount === '' ? 'disabled' : 'istio')
  return {
    key: `${namespace}/${name}`,
    name,
    namespace,
    address: entry.address,
    ports: entry.ports,
    labels,
    serviceAccount: entry.serviceAccount,
    identity: identityOf(trustDomain, namespace, entry.serviceAccount),
    locality: parseLocality(entry.locality || (labels['istio-locality'] ?? '').replaceAll('.', '/')),
    network: entry.network,
    weight: entry.weight,
    health,
    tlsMode: mode === 'istio' ? 'istio' : 'disabled',
    origin,
  }
}

/** A WorkloadEntry object. Its status' condition `Healthy: "False"` takes it out of load balancing. */
export function workloadOfWorkloadEntry(object: TypedObject<'WorkloadEntry'>, trustDomain: string): Workload {
  const { name, namespace, labels } = object.metadata
  const health = healthOf(object.document.value['status'])
  return workloadOfEntry(object.spec, { name, namespace, labels, origin: keyOf(object), health, trustDomain })
}

/** A `Workload` that runs already, at an address of its own; one without is told by the WorkloadEntry of its process. */
export function workloadOfWorkload(object: TypedObject<'Workload'>, trustDomain: string): Workload | undefined {
  const { spec, metadata } = object
  if (spec.address === undefined) return undefined
  const labels = { ...metadata.labels, ...spec.labels }
  return {
    key: `${metadata.namespace}/${metadata.name}`,
    name: metadata.name,
    namespace: metadata.namespace,
    address: spec.address,
    ports: Object.fromEntries(spec.ports.map(({ name, number }) => [name, number])),
    labels,
    serviceAccount: spec.serviceAccount,
    identity: identityOf(trustDomain, metadata.namespace, spec.serviceAccount),
    locality: parseLocality((labels['istio-locality'] ?? '').replaceAll('.', '/')),
    network: '',
    weight: 0,
    health: 'healthy',
    tlsMode: labels[tlsModeLabel] === 'istio' ? 'istio' : 'disabled',
    origin: keyOf(object),
  }
}

function identityOf(trustDomain: string, namespace: string, serviceAccount: string): string {
  return serviceAccount === '' ? '' : `spiffe://${trustDomain}/ns/${namespace}/sa/${serviceAccount}`
}

function healthOf(status: unknown): Health {
  const conditions = isRecord(status) ? status['conditions'] : undefined
  if (!Array.isArray(conditions)) return 'healthy'
  const unhealthy = conditions.some((item: unknown) => isRecord(item) && item['type'] === 'Healthy' && item['status'] === 'False')
  return unhealthy ? 'unhealthy' : 'healthy'
}
