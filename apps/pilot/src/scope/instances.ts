import { serviceOrder } from '../model/build-snapshot.ts'
import { ListIndex } from '../model/list-index.ts'
import { type Service, serviceKey } from '../model/service.ts'
import type { Snapshot } from '../model/snapshot.ts'
import type { EndpointSet } from '../model/workload.ts'
import type { ProxyNode } from './proxy-node.ts'
import type { Instance } from './scope.ts'

/** What the instances of a service were worked out from. */
interface Source {
  readonly service: Service
  readonly set: EndpointSet
}

interface Index {
  readonly sources: ReadonlyMap<string, Source>
  /** By `namespace address`. */
  readonly instances: ListIndex<Instance>
}

/** Indexes of snapshots, made when the first proxy asks. */
const indexes = new WeakMap<Snapshot['endpoints'], Index>()
/** The last one made: the next goes on from it. */
let newest: Index | undefined

/** The service ports that lead to a proxy's addresses, in order of port, the oldest service first. */
export function instancesOf(snapshot: Snapshot, proxy: Pick<ProxyNode, 'ips' | 'namespace'>): readonly Instance[] {
  let index = indexes.get(snapshot.endpoints)
  if (index === undefined) {
    index = indexInstances(snapshot, newest)
    indexes.set(snapshot.endpoints, index)
    newest = index
  }
  const { instances } = index
  const found = proxy.ips.flatMap((ip) => instances.get(`${proxy.namespace} ${ip}`))
  return found.sort((a, b) => a.endpoint.port - b.endpoint.port)
}

function indexInstances(snapshot: Snapshot, before: Index | undefined): Index {
  const sources = new Map<string, Source>()
  const come: Source[] = []
  for (const service of snapshot.services) {
    const key = serviceKey(service.namespace, service.host)
    const set = snapshot.endpoints.get(key)
    if (set === undefined) continue
    const last = before?.sources.get(key)
    const source = last?.service === service && last.set === set ? last : { service, set }
    sources.set(key, source)
    if (source !== last) come.push(source)
  }
  if (before === undefined) {
    const base = new Map<string, Instance[]>()
    for (const source of come) for (const [key, instance] of instancesIn(source)) listAt(base, key).push(instance)
    return { sources, instances: new ListIndex(base) }
  }
  const gone = [...before.sources].filter(([key, source]) => sources.get(key) !== source).map(([, source]) => source)
  const lists = new Map<string, Instance[]>()
  const goneServices = new Set(gone.map(({ service }) => service))
  for (const source of [...gone, ...come]) {
    for (const [key] of instancesIn(source)) {
      if (!lists.has(key))
        lists.set(
          key,
          before.instances.get(key).filter(({ service }) => !goneServices.has(service)),
        )
    }
  }
  for (const source of come) for (const [key, instance] of instancesIn(source)) listAt(lists, key).push(instance)
  for (const list of lists.values()) list.sort((a, b) => serviceOrder(a.service, b.service))
  return { sources, instances: before.instances.with(lists) }
}

function listAt(lists: Map<string, Instance[]>, key: string): Instance[] {
  let list = lists.get(key)
  if (list === undefined) {
    list = []
    lists.set(key, list)
  }
  return list
}

function* instancesIn({ service, set }: Source): Iterable<[string, Instance]> {
  for (const port of service.ports) {
    for (const endpoint of set.byPort.get(port.number) ?? []) {
      yield [`${endpoint.workload.namespace} ${endpoint.address}`, { service, port, endpoint }]
    }
  }
}
