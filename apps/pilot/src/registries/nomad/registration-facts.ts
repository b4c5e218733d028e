import type { Health, Locality } from '../../model/workload.ts'
import { parseLocality } from '../file/workloads.ts'
import { type InstanceFacts, keysOfTags, readHints } from '../instance-facts.ts'
import type { NomadNode, Registration } from './api.ts'

/** What Nomad says of one registration of a service. Undefined for one without a port. */
export function factsOf(registration: Registration, node: NomadNode | undefined, health: Health): InstanceFacts | undefined {
  const { ID, ServiceName, Namespace, JobID, Tags, Address, Port, Datacenter } = registration
  if (Port === 0) return undefined
  const hints = readHints(keysOfTags(Tags))
  const { portName = '', protocol, servicePort, sidecar } = hints
  return {
    id: ID,
    namespace: Namespace,
    address: Address,
    ports: [{ name: portName, protocol, servicePort, port: Port }, ...hints.extraPorts],
    labels: { app: ServiceName, ...hints.labels },
    locality: hints.locality ?? localityOf(node, Datacenter),
    network: hints.network ?? node?.Meta['network'] ?? '',
    weight: hints.weight ?? 0,
    health,
    // What Citadel makes of the job's workload identity.
    serviceAccount: hints.serviceAccount ?? (sidecar ? JobID : ''),
    sidecar,
    origin: `nomad/${Namespace}/${ServiceName}`,
  }
}

/** The node's own words, or else its datacenter as the region. */
function localityOf(node: NomadNode | undefined, datacenter: string): Locality {
  if (node?.Meta['locality'] !== undefined) return parseLocality(node.Meta['locality'])
  return { region: node?.Meta['region'] ?? datacenter, zone: node?.Meta['zone'] ?? '', subZone: node?.Meta['sub-zone'] ?? '' }
}
