import type { RegisteredService } from '../registries/registry.ts'
import { selects } from './host.ts'
import { serviceKey } from './service.ts'
import type { Endpoint, EndpointSet, Workload } from './workload.ts'

/**
 * Finds each service's endpoints: those its registry knows, and the workloads of its namespace that its selector asks
 * for. A set that is as it was in `before` is that very object.
 */
export function joinEndpoints(
  services: readonly RegisteredService[],
  workloads: readonly Workload[],
  before: ReadonlyMap<string, EndpointSet>,
  version: number,
): Map<string, EndpointSet> {
  const byLabel = indexByLabel(workloads)
  const sets = new Map<string, EndpointSet>()
  for (const registered of services) {
    const { service, selector } = registered
    const key = serviceKey(service.namespace, service.host)
    const found =
      selector === undefined ? registered.workloads : [...registered.workloads, ...select(service.namespace, selector, byLabel)]
    const last = before.get(key)
    const kept = last === undefined ? undefined : joined.get(last)
    if (last !== undefined && kept?.registered === registered && sameList(kept.workloads, found)) {
      sets.set(key, last)
      continue
    }
    const byPort = portsOf(registered, found)
    const set = last !== undefined && sameEndpoints(last.byPort, byPort) ? last : { version: `${version}`, byPort }
    joined.set(set, { registered, workloads: found })
    sets.set(key, set)
  }
  return sets
}

/** What a set was made of: when that is the same again, so is the set, and nothing has to be made to see it. */
const joined = new WeakMap<EndpointSet, { registered: RegisteredService; workloads: readonly Workload[] }>()

function sameList(a: readonly Workload[], b: readonly Workload[]): boolean {
  return a.length === b.length && a.every((workload, index) => workload === b[index])
}

function portsOf({ service, targetPorts }: RegisteredService, workloads: readonly Workload[]): Map<number, readonly Endpoint[]> {
  const byPort = new Map<number, readonly Endpoint[]>()
  for (const port of service.ports) {
    byPort.set(
      port.number,
      workloads.map((workload) => ({
        address: workload.address,
        port: portAt(workload, port, targetPorts.get(port.number)),
        servicePort: port.number,
        workload,
      })),
    )
  }
  return byPort
}

type LabelIndex = ReadonlyMap<string, readonly Workload[]>

function labelKey(namespace: string, key: string, value: string): string {
  return `${namespace}\0${key}\0${value}`
}

function indexByLabel(workloads: readonly Workload[]): LabelIndex {
  const index = new Map<string, Workload[]>()
  for (const workload of workloads) {
    for (const label in workload.labels) {
      const key = labelKey(workload.namespace, label, workload.labels[label]!)
      const list = index.get(key)
      if (list === undefined) index.set(key, [workload])
      else list.push(workload)
    }
  }
  return index
}

/** Looks among the workloads that have the selector's rarest label. */
function select(namespace: string, selector: Readonly<Record<string, string>>, index: LabelIndex): readonly Workload[] {
  let fewest: readonly Workload[] | undefined
  for (const key in selector) {
    const candidates = index.get(labelKey(namespace, key, selector[key]!)) ?? []
    if (fewest === undefined || candidates.length < fewest.length) fewest = candidates
  }
  return (fewest ?? []).filter(({ labels }) => selects(selector, labels))
}

/** The workload's own port of that name goes before the service's target port, and that before the same number. */
function portAt(workload: Workload, port: { name: string; number: number }, target: number | string | undefined): number {
  if (workload.address.startsWith('unix:')) return 0
  const own = workload.ports[port.name]
  if (own !== undefined) return own
  if (typeof target === 'string') return workload.ports[target] ?? port.number
  return target ?? port.number
}

function sameEndpoints(a: EndpointSet['byPort'], b: EndpointSet['byPort']): boolean {
  if (a.size !== b.size) return false
  for (const [port, endpoints] of b) {
    const others = a.get(port)
    if (others === undefined || others.length !== endpoints.length) return false
    for (const [index, endpoint] of endpoints.entries()) {
      if (others[index]!.workload !== endpoint.workload || others[index]!.port !== endpoint.port) return false
    }
  }
  return true
}
