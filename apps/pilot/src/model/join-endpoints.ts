import type { RegisteredService } from '../registries/registry.ts'
import { LabelIndex } from './label-index.ts'
import { serviceKey } from './service.ts'
import type { Endpoint, EndpointSet, Workload } from './workload.ts'

/**
 * Finds each service's endpoints: those its registry knows, and the workloads of its namespace that its selector asks
 * for, of which there is a list a registry. What several registries know of one service (same host and namespace) is put
 * together, each place once. A set that is as it was in `before` is that very object.
 */
export function joinEndpoints(
  services: readonly RegisteredService[],
  workloads: readonly (readonly Workload[])[],
  before: ReadonlyMap<string, EndpointSet>,
  version: number,
): Map<string, EndpointSet> {
  const known = indexes.get(before)
  const byLabel = workloads.map((list, registry) => LabelIndex.of(list, known?.[registry]))
  const sets = new Map<string, EndpointSet>()
  for (const [key, parts] of byService(services)) {
    const found = parts.map(({ service, selector, selects = all, workloads: own }) =>
      selector === undefined
        ? own
        : [...own, ...byLabel.flatMap((index) => index.select(service.namespace, selector)).filter(selects)],
    )
    const last = before.get(key)
    const kept = last === undefined ? undefined : joined.get(last)
    if (
      last !== undefined &&
      kept !== undefined &&
      sameList(kept.parts, parts) &&
      kept.found.every((list, i) => sameList(list, found[i]!))
    ) {
      sets.set(key, last)
      continue
    }
    const byPort = portsOf(parts, found)
    const set = last !== undefined && sameEndpoints(last.byPort, byPort) ? last : { version: `${version}`, byPort }
    joined.set(set, { parts, found })
    sets.set(key, set)
  }
  indexes.set(sets, byLabel)
  return sets
}

/** Of which workloads the sets were made, so that the next need not look at all of them again. */
const indexes = new WeakMap<ReadonlyMap<string, EndpointSet>, readonly LabelIndex[]>()

const all = (): boolean => true

/** What a set was made of: when that is the same again, so is the set, and nothing has to be made to see it. */
const joined = new WeakMap<EndpointSet, { parts: readonly RegisteredService[]; found: readonly (readonly Workload[])[] }>()

/** What registries know of each service, in their order of precedence. */
function byService(services: readonly RegisteredService[]): Map<string, RegisteredService[]> {
  const parts = new Map<string, RegisteredService[]>()
  for (const registered of services) {
    const key = serviceKey(registered.service.namespace, registered.service.host)
    const list = parts.get(key)
    if (list === undefined) parts.set(key, [registered])
    else list.push(registered)
  }
  return parts
}

function sameList<T>(a: readonly T[], b: readonly T[]): boolean {
  return a.length === b.length && a.every((item, index) => item === b[index])
}

/** The first registry says which ports a service has; at another's workloads a port has the name that this one gives it. */
function portsOf(parts: readonly RegisteredService[], found: readonly (readonly Workload[])[]): Map<number, readonly Endpoint[]> {
  const byPort = new Map<number, readonly Endpoint[]>()
  for (const port of parts[0]?.service.ports ?? []) {
    const endpoints = new Map<string, Endpoint>()
    for (const [index, { service, targetPorts, exact, workloads: own }] of parts.entries()) {
      const named = index === 0 ? port : (service.ports.find(({ number }) => number === port.number) ?? port)
      for (const [position, workload] of (found[index] ?? []).entries()) {
        if (exact === true && position < own.length && workload.ports[named.name] === undefined) continue
        const at = portAt(workload, named, targetPorts.get(port.number))
        const place = `${workload.address} ${at}`
        if (!endpoints.has(place)) {
          endpoints.set(place, { address: workload.address, port: at, servicePort: port.number, workload })
        }
      }
    }
    byPort.set(port.number, [...endpoints.values()])
  }
  return byPort
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
