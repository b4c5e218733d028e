import { serviceKey } from '../model/service.ts'
import type { Snapshot } from '../model/snapshot.ts'
import type { ProxyNode } from './proxy-node.ts'
import type { Instance } from './scope.ts'

/** Instances of a snapshot by `namespace address`, made when the first proxy asks. */
const indexes = new WeakMap<Snapshot['endpoints'], Map<string, Instance[]>>()

/** The service ports that lead to a proxy's addresses, in order of port, the oldest service first. */
export function instancesOf(snapshot: Snapshot, proxy: Pick<ProxyNode, 'ips' | 'namespace'>): readonly Instance[] {
  let index = indexes.get(snapshot.endpoints)
  if (index === undefined) {
    index = indexInstances(snapshot)
    indexes.set(snapshot.endpoints, index)
  }
  const found = proxy.ips.flatMap((ip) => index.get(`${proxy.namespace} ${ip}`) ?? [])
  return found.sort((a, b) => a.endpoint.port - b.endpoint.port)
}

function indexInstances(snapshot: Snapshot): Map<string, Instance[]> {
  const index = new Map<string, Instance[]>()
  for (const service of snapshot.services) {
    const set = snapshot.endpoints.get(serviceKey(service.namespace, service.host))
    if (set === undefined) continue
    for (const port of service.ports) {
      for (const endpoint of set.byPort.get(port.number) ?? []) {
        const key = `${endpoint.workload.namespace} ${endpoint.address}`
        const list = index.get(key)
        const instance: Instance = { service, port, endpoint }
        if (list === undefined) index.set(key, [instance])
        else list.push(instance)
      }
    }
  }
  return index
}
