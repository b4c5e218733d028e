import { type ConfigObject, type Kind, keyOf, type RawObject, type TypedObject } from '@weft/config/objects'
import type { Credential } from '../credentials/credential.ts'
import type { RegisteredService, RegistryContents } from '../registries/registry.ts'
import { mergeDelegates } from './delegates.ts'
import { ingressClasses, isOurIngress, type PortByName, translateIngresses } from './ingress.ts'
import { joinEndpoints } from './join-endpoints.ts'
import { mergeDestinationRules } from './merge-destination-rules.ts'
import type { MeshSettings } from './mesh-settings.ts'
import { resolveDestinationRule, resolveVirtualService } from './resolve.ts'
import type { Service } from './service.ts'
import type { Snapshot } from './snapshot.ts'
import type { EndpointSet } from './workload.ts'
import { indexWorkloads } from './workload-index.ts'

export interface SnapshotInputs {
  mesh: MeshSettings
  /** Objects in force, by key. */
  objects: ReadonlyMap<string, ConfigObject>
  rawObjects?: ReadonlyMap<string, RawObject>
  /** In order of precedence: of one service known to two registries the first one's holds, with the endpoints of both. */
  registries: readonly RegistryContents[]
  credentials?: ReadonlyMap<string, Credential>
}

/** Resolved objects by the object they come from: what did not change is not resolved again. */
const resolvedVirtualServices = new WeakMap<TypedObject<'VirtualService'>, TypedObject<'VirtualService'>>()
const resolvedDestinationRules = new WeakMap<TypedObject<'DestinationRule'>, TypedObject<'DestinationRule'>>()

/** Puts everything together into the next snapshot; what did not change is shared with `before`. */
export function buildSnapshot(inputs: SnapshotInputs, before?: Snapshot): Snapshot {
  const { mesh, registries } = inputs
  const version = (before?.version ?? 0) + 1

  const registered = registries.flatMap(({ services }) => services)
  const { services, servicesByHost } = indexServices(registered, before)
  const ingress = ingressesOf(inputs.objects, mesh, servicesByHost, before)
  const objects = withDerived(inputs.objects, ingress.translated)
  const byKind = objectsByKind(objects)
  const listed = registries.map(({ workloads }) => workloads)
  const endpoints: ReadonlyMap<string, EndpointSet> = joinEndpoints(registered, listed, before?.endpoints ?? new Map(), version)

  const groups = new Set([...registries.map(({ workloads }) => workloads), ...registered.map(({ workloads }) => workloads)])
  const workloads = indexWorkloads(groups, before?.workloads)

  const virtualServices = byKind('VirtualService').map((object) =>
    cached(resolvedVirtualServices, object, () => resolveVirtualService(object, mesh.domain)),
  )
  const resolvedRules = byKind('DestinationRule').map((object) =>
    cached(resolvedDestinationRules, object, () => resolveDestinationRule(object, mesh.domain)),
  )
  const destinationRulesByHost = mergeDestinationRules(resolvedRules)
  return {
    version,
    mesh,
    services,
    servicesByHost,
    endpoints,
    workloads,
    objects,
    rawObjects: inputs.rawObjects ?? new Map(),
    virtualServices: mergeDelegates(virtualServices),
    destinationRules: [...destinationRulesByHost.values()].flat(),
    destinationRulesByHost,
    gateways: new Map(byKind('Gateway').map((gateway) => [`${gateway.metadata.namespace}/${gateway.metadata.name}`, gateway])),
    sidecars: byKind('Sidecar'),
    envoyFilters: byKind('EnvoyFilter'),
    peerAuthentications: byKind('PeerAuthentication'),
    requestAuthentications: byKind('RequestAuthentication'),
    authorizationPolicies: byKind('AuthorizationPolicy'),
    telemetries: byKind('Telemetry'),
    ingress,
    credentials: inputs.credentials ?? new Map(),
  }
}

/** What Ingresses are in Istio's own terms; that of `before` where nothing that says so is another. */
function ingressesOf(
  objects: ReadonlyMap<string, ConfigObject>,
  mesh: MeshSettings,
  servicesByHost: Snapshot['servicesByHost'],
  before: Snapshot | undefined,
): Snapshot['ingress'] {
  const from: (TypedObject<'Ingress'> | TypedObject<'IngressClass'>)[] = []
  for (const object of objects.values()) if (object.kind === 'Ingress' || object.kind === 'IngressClass') from.push(object)
  const ports = new Map<string, number | undefined>()
  const portByName: PortByName = (host, name) => {
    const [service] = servicesByHost.get(host)?.values() ?? []
    const number = service?.ports.find((port) => port.name === name)?.number
    ports.set(`${host} ${name}`, number)
    return number
  }
  const last = before?.ingress
  const isSame =
    last !== undefined &&
    before?.mesh === mesh &&
    last.from.length === from.length &&
    from.every((object, index) => object === last.from[index]) &&
    [...last.ports].every(([key, number]) => portByName(...(key.split(' ') as [string, string])) === number)
  if (isSame) return last
  const classes = ingressClasses(from)
  const ours = from.filter((object) => object.kind === 'Ingress').filter((object) => isOurIngress(object, classes, mesh.ingress))
  return { from, ports, translated: translateIngresses(ours.sort(objectOrder), mesh, portByName) }
}

function withDerived(
  objects: ReadonlyMap<string, ConfigObject>,
  { objects: derived }: Snapshot['ingress']['translated'],
): ReadonlyMap<string, ConfigObject> {
  if (derived.length === 0) return objects
  const all = new Map(objects)
  for (const object of derived) all.set(keyOf(object), object)
  return all
}

interface IndexedServices {
  readonly services: readonly Service[]
  readonly servicesByHost: ReadonlyMap<string, ReadonlyMap<string, Service>>
}

/** The services that registries know, of each host and namespace the first; shared with `before` when they are the same. */
function indexServices(registered: readonly RegisteredService[], before: Snapshot | undefined): IndexedServices {
  const servicesByHost = new Map<string, Map<string, Service>>()
  const services: Service[] = []
  for (const { service } of registered) {
    const byNamespace = servicesByHost.get(service.host)
    if (byNamespace?.has(service.namespace)) continue
    services.push(service)
    if (byNamespace === undefined) servicesByHost.set(service.host, new Map([[service.namespace, service]]))
    else byNamespace.set(service.namespace, service)
  }
  const known = before?.servicesByHost
  const same =
    before?.services.length === services.length &&
    services.every((service) => known?.get(service.host)?.get(service.namespace) === service)
  return same ? before : { services: services.sort(serviceOrder), servicesByHost }
}

function cached<K extends object, V>(cache: WeakMap<K, V>, key: K, make: () => V): V {
  let value = cache.get(key)
  if (value === undefined) {
    value = make()
    cache.set(key, value)
  }
  return value
}

/** Kinds that come in by a registry, many of them, and are not looked up here. */
const registryKinds: ReadonlySet<Kind> = new Set<Kind>(['Service', 'ServiceEntry', 'WorkloadEntry', 'WorkloadGroup', 'Workload'])

function objectsByKind(objects: ReadonlyMap<string, ConfigObject>): <K extends Kind>(kind: K) => TypedObject<K>[] {
  const lists = new Map<Kind, ConfigObject[]>()
  for (const object of objects.values()) {
    if (registryKinds.has(object.kind)) continue
    const list = lists.get(object.kind)
    if (list === undefined) lists.set(object.kind, [object])
    else list.push(object)
  }
  for (const list of lists.values()) list.sort(objectOrder)
  return (kind) => (lists.get(kind) ?? []).filter((object) => isKind(object, kind))
}

function isKind<K extends Kind>(object: ConfigObject, kind: K): object is ConfigObject & TypedObject<K> {
  return object.kind === kind
}

/** Oldest first, then by name, then by namespace: Istio's order of precedence. */
function objectOrder(a: Pick<ConfigObject, 'metadata'>, b: Pick<ConfigObject, 'metadata'>): number {
  return (
    a.metadata.createdMs - b.metadata.createdMs ||
    compare(a.metadata.name, b.metadata.name) ||
    compare(a.metadata.namespace, b.metadata.namespace)
  )
}

/** Oldest first, then by name, namespace and host. */
export function serviceOrder(a: Service, b: Service): number {
  return a.createdMs - b.createdMs || compare(a.name, b.name) || compare(a.namespace, b.namespace) || compare(a.host, b.host)
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
