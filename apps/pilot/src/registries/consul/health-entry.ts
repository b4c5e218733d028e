import { z } from 'zod'
import type { Health, Locality } from '../../model/workload.ts'
import { parseLocality } from '../file/workloads.ts'
import { type InstanceFacts, type InstancePort, keysOfTags, readHints } from '../instance-facts.ts'

const texts = z
  .record(z.string(), z.string())
  .nullish()
  .transform((value) => value ?? {})

/** One entry of `/v1/health/service/NAME`; the part that is acted on. */
const entrySchema = z.object({
  Node: z.object({ Node: z.string(), Address: z.string().default(''), Datacenter: z.string().default(''), Meta: texts }),
  Service: z.object({
    ID: z.string(),
    Service: z.string(),
    Kind: z.string().default(''),
    Tags: z
      .array(z.string())
      .nullish()
      .transform((value) => value ?? []),
    Meta: texts,
    Address: z.string().default(''),
    Port: z.number().int().min(0).max(65_535).default(0),
    Weights: z.object({ Passing: z.number(), Warning: z.number() }).nullish(),
    Proxy: z.object({ DestinationServiceName: z.string().default(''), DestinationServiceID: z.string().default('') }).nullish(),
  }),
  Checks: z.array(z.object({ CheckID: z.string().default(''), Status: z.string().default('') })).nullish(),
})

export const entriesSchema = z.array(entrySchema)
export type HealthEntry = z.infer<typeof entrySchema>

/** `node/id`: how an instance is named by its sidecar, and unique in a datacenter. */
export function instanceKey(node: string, serviceId: string): string {
  return `${node}/${serviceId}`
}

/**
 * What Consul says of one instance. With `sidecar`, a registered `connect-proxy` of it, it is reached there, over mutual
 * TLS. `defaultProtocol` is of instances that say neither a protocol nor a port's name. Undefined for one that has no port.
 */
export function factsOf(
  entry: HealthEntry,
  sidecar: HealthEntry | undefined,
  defaultProtocol: string | undefined,
): InstanceFacts | undefined {
  const { Node: node, Service: service } = entry
  const hints = readHints({ ...keysOfTags(service.Tags), ...service.Meta })
  const reached = sidecar ?? entry
  const { Port: port, Address: address } = reached.Service
  if (port === 0) return undefined
  const { portName: name = '', servicePort, protocol = name === '' ? defaultProtocol : undefined } = hints
  const own: InstancePort = { name, servicePort, port, protocol }
  if (sidecar !== undefined) own.servicePort ??= service.Port === 0 ? undefined : service.Port
  const { health, weight } = conditionOf(entry, sidecar)
  return {
    id: `${service.ID}.${node.Node}`,
    namespace: hints.namespace ?? 'default',
    address: address === '' ? node.Address : address,
    ports: [own, ...hints.extraPorts],
    labels: { app: service.Service, ...hints.labels },
    locality: hints.locality ?? localityOf(node),
    network: hints.network ?? node.Meta['network'] ?? '',
    weight: hints.weight ?? weight,
    health,
    serviceAccount: hints.serviceAccount ?? '',
    sidecar: hints.sidecar || sidecar !== undefined,
    origin: `consul/${node.Datacenter}/${service.Service}`,
  }
}

/** The node's own words, or else its datacenter as the region. */
function localityOf({ Datacenter, Meta }: HealthEntry['Node']): Locality {
  if (Meta['locality'] !== undefined) return parseLocality(Meta['locality'])
  return { region: Meta['region'] ?? Datacenter, zone: Meta['zone'] ?? '', subZone: Meta['sub-zone'] ?? '' }
}

/** One critical check is enough to be out; one that only warns has the weight that the registration gives it then. */
function conditionOf(entry: HealthEntry, sidecar: HealthEntry | undefined): { health: Health; weight: number } {
  const checks = [...(entry.Checks ?? []), ...(sidecar?.Checks ?? [])]
  const critical = checks.filter(({ Status }) => Status === 'critical')
  const isMaintenance = critical.some(({ CheckID }) => /^_(?:node|service)_maintenance/.test(CheckID))
  const health = critical.length === 0 ? 'healthy' : isMaintenance ? 'draining' : 'unhealthy'
  const weights = entry.Service.Weights
  const said = checks.some(({ Status }) => Status === 'warning') ? weights?.Warning : weights?.Passing
  // Every registration has weight 1 unless it says otherwise.
  return { health, weight: said === undefined || said === 1 ? 0 : said }
}
