import type { MeshSettings } from '../model/mesh-settings.ts'
import { protocolOfPort } from '../model/protocol.ts'
import type { Service, ServicePort } from '../model/service.ts'
import type { Workload } from '../model/workload.ts'
import type { InstanceFacts } from './instance-facts.ts'
import type { RegisteredService } from './registry.ts'

export interface AssembleOptions {
  name: string
  namespace: string
  origin: string
  mesh: MeshSettings
  /** Whether the platform itself chose this port of an instance, so that it says nothing about the service's own. */
  isDynamic?: (port: number) => boolean
}

/** The service's port where instances neither say one nor agree on one. */
const unsaidPort = 80
const noTargetPorts: ReadonlyMap<number, number | string> = new Map()

/**
 * A service from what its instances say, for platforms that know instances alone. Its ports are those that instances say
 * (the first in order of id goes before others), or else the one they all listen on, or else 80. What is as it was
 * in `before` is the very object; without instances it keeps its ports.
 */
export function assembleService(
  instances: readonly InstanceFacts[],
  { name, namespace, origin, mesh, isDynamic = () => false }: AssembleOptions,
  before: RegisteredService | undefined,
): RegisteredService {
  const ordered = [...instances].sort((a, b) => (a.id < b.id ? -1 : 1))
  const numbers = new Set(
    ordered.flatMap(({ ports: [own] }) => (own === undefined || own.servicePort !== undefined ? [] : [own.port])),
  )
  const [only] = numbers
  const agreed = numbers.size === 1 && only !== undefined && !isDynamic(only) ? only : unsaidPort

  const ports = new Map<number, ServicePort>()
  for (const { ports: own } of ordered) {
    for (const { name: said, servicePort = agreed, protocol } of own) {
      if (ports.has(servicePort)) continue
      const taken = [...ports.values()].some((port) => port.name === (said || (protocol ?? '')))
      const portName = taken ? `${said || protocol || 'port'}-${servicePort}` : said || (protocol ?? '')
      const kind = protocolOfPort({ name: said, number: servicePort, appProtocol: protocol })
      ports.set(servicePort, { name: portName, number: servicePort, protocol: kind })
    }
  }
  const service = serviceOf([...ports.values()], { name, namespace, origin, mesh }, before?.service)
  const known = new Map(before?.workloads.map((workload) => [workload.name, workload]))
  const workloads = ordered.map((facts) => sameOr(workloadOf(facts, ports, agreed, mesh), known.get(facts.id)))
  const same =
    before !== undefined &&
    before.workloads.length === workloads.length &&
    workloads.every((workload, index) => workload === before.workloads[index])
  if (same && service === before.service) return before
  return { service, selector: undefined, targetPorts: noTargetPorts, workloads: same ? before.workloads : workloads, exact: true }
}

function serviceOf(
  ports: readonly ServicePort[],
  { name, namespace, origin, mesh }: Omit<AssembleOptions, 'isDynamic'>,
  before: Service | undefined,
): Service {
  const said = ports.length === 0 && before !== undefined ? before.ports : [...ports].sort((a, b) => a.number - b.number)
  const version = JSON.stringify([origin, said])
  if (before?.version === version) return before
  return {
    host: `${name}.${namespace}.svc.${mesh.domain}`,
    name,
    namespace,
    addresses: [],
    ports: said,
    resolution: 'static',
    meshExternal: false,
    headless: false,
    exportTo: [],
    subjectAltNames: [],
    labels: {},
    createdMs: 0,
    origin,
    version,
  }
}

function workloadOf(facts: InstanceFacts, ports: ReadonlyMap<number, ServicePort>, agreed: number, mesh: MeshSettings): Workload {
  const { id, namespace, address, labels, locality, network, weight, health, serviceAccount, sidecar, origin } = facts
  return {
    key: `${namespace}/${id}`,
    name: id,
    namespace,
    address,
    ports: Object.fromEntries(facts.ports.map(({ servicePort = agreed, port }) => [ports.get(servicePort)?.name ?? '', port])),
    labels,
    serviceAccount,
    identity: serviceAccount === '' ? '' : `spiffe://${mesh.trustDomain}/ns/${namespace}/sa/${serviceAccount}`,
    locality,
    network,
    weight,
    health,
    tlsMode: sidecar ? 'istio' : 'disabled',
    origin,
  }
}

/** The workload there was, where it says the same. */
function sameOr(workload: Workload, before: Workload | undefined): Workload {
  return before !== undefined && JSON.stringify(before) === JSON.stringify(workload) ? before : workload
}
