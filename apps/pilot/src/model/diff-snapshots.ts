import type { ConfigObject } from '@weft/config/objects'
import type { Change } from './change.ts'
import { fullHost } from './host.ts'
import { type Service, serviceKey } from './service.ts'
import type { Snapshot } from './snapshot.ts'

/** What differs between two snapshots, each thing once. */
export function diffSnapshots(before: Snapshot, after: Snapshot): Change[] {
  const changes = new Map<string, Change>()
  const add = (change: Change): void => void changes.set(`${change.kind} ${change.namespace} ${change.host}`, change)

  if (before.mesh !== after.mesh) add({ kind: 'MeshConfig', namespace: after.mesh.rootNamespace, host: 'mesh' })
  eachDifference(serviceIndex(before), serviceIndex(after), (service) => {
    add({ kind: 'Service', namespace: service.namespace, host: service.host })
  })
  for (const [key, set] of after.endpoints) {
    if (before.endpoints.get(key) !== set) add(endpointsChange(key))
  }
  for (const key of before.endpoints.keys()) if (!after.endpoints.has(key)) add(endpointsChange(key))
  eachDifference(before.objects, after.objects, (object) => {
    const { kind, metadata } = object
    // What these say is in the services and endpoints above.
    if (kind === 'Service' || kind === 'ServiceEntry') return
    for (const host of hostsOf(object, after.mesh.domain)) add({ kind, namespace: metadata.namespace, host })
  })
  eachDifference(before.rawObjects, after.rawObjects, ({ metadata }) => {
    add({ kind: 'Raw', namespace: metadata.namespace, host: metadata.name })
  })
  eachDifference(before.credentials, after.credentials, ({ namespace, name }) => {
    add({ kind: 'Credential', namespace, host: name })
  })
  return [...changes.values()]
}

function endpointsChange(key: string): Change {
  const slash = key.indexOf('/')
  return { kind: 'Endpoints', namespace: key.slice(0, slash), host: key.slice(slash + 1) }
}

const indexes = new WeakMap<Snapshot, ReadonlyMap<string, Service>>()

function serviceIndex(snapshot: Snapshot): ReadonlyMap<string, Service> {
  let index = indexes.get(snapshot)
  if (index === undefined) {
    index = new Map(snapshot.services.map((service) => [serviceKey(service.namespace, service.host), service]))
    indexes.set(snapshot, index)
  }
  return index
}

/** Calls `visit` with what is new, what is gone, and both sides of what is another version. */
function eachDifference<T extends { version: string }>(
  before: ReadonlyMap<string, T>,
  after: ReadonlyMap<string, T>,
  visit: (item: T) => void,
): void {
  for (const [key, item] of after) {
    const last = before.get(key)
    if (last === item || last?.version === item.version) continue
    visit(item)
    if (last !== undefined) visit(last)
  }
  for (const [key, item] of before) if (!after.has(key)) visit(item)
}

/** The hosts a VirtualService or DestinationRule speaks about; any other object's name. */
function hostsOf(object: ConfigObject, domain: string): string[] {
  const { namespace, name } = object.metadata
  if (object.kind === 'DestinationRule') return [fullHost(object.spec.host, namespace, domain)]
  // A delegate has no hosts: whoever names it is concerned, so that it concerns all.
  if (object.kind === 'VirtualService') {
    return object.spec.hosts.length === 0 ? ['*'] : object.spec.hosts.map((host) => fullHost(host, namespace, domain))
  }
  return [name]
}
