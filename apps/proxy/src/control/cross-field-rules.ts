import { isIP } from 'node:net'
import { Cluster } from '@weft/contracts/envoy/config/cluster/v3/cluster'
import { ClusterLoadAssignment } from '@weft/contracts/envoy/config/endpoint/v3/endpoint'
import { Listener } from '@weft/contracts/envoy/config/listener/v3/listener'
import { invalid } from '../plan/problems.ts'
import type { ResourceKind } from '../threads.ts'
import { checkAddresses, checkCluster, checkPolicy } from './cluster-rules.ts'

/** Rules between fields, which the API's own annotations cannot say and the main thread has to know. Throws WeftError. */
export function checkCrossFieldRules(kind: ResourceKind, bytes: Uint8Array): void {
  if (kind === 'cluster') checkCluster(Cluster.decode(bytes))
  else if (kind === 'listener') checkListener(Listener.decode(bytes))
  else if (kind === 'endpoints') {
    const assignment = ClusterLoadAssignment.decode(bytes)
    checkAddresses(assignment, '')
    checkPolicy(assignment, '')
  }
}

function checkListener({ address, additionalAddresses }: Listener): void {
  const all = [address, ...additionalAddresses.map((additional) => additional.address)]
  for (const [index, each] of all.entries()) {
    if (each?.address?.$case !== 'socketAddress') continue
    const host = each.address.value.address
    if (isIP(host) !== 0) continue
    const path = index === 0 ? 'address' : `additional_addresses[${index - 1}].address`
    throw invalid(`${path}.socket_address.address`, `malformed IP address: '${host}'`, 'a listener takes no names')
  }
}
