import { ClusterLoadAssignment } from '@weft/contracts/envoy/config/endpoint/v3/endpoint'
import { resource } from '../control/testing/resources.ts'
import { Stats } from '../observe/stats.ts'
import { compileCluster } from '../plan/cluster.ts'
import { SecretStore } from '../plan/secret-store.ts'
import { ProcessState } from '../shared/process-state.ts'
import { TokenBuckets } from '../shared/token-buckets.ts'
import { TimerWheel } from '../transport/timer-wheel.ts'
import type { WorkerServices } from '../worker-services.ts'
import { Cluster } from './cluster.ts'
import { EndpointSlab } from './endpoint-slab.ts'
import { type Hash64, xxHash64 } from './load-balancers/hash64.ts'
import { MetadataCriteria } from './load-balancers/metadata-criteria.ts'
import type { PickContext } from './load-balancers/pick-context.ts'

/** A live cluster from YAML, with its siblings by name; `endpoints` is the YAML list of an assignment. */
export function liveCluster(
  yaml: string,
  endpoints: string,
  siblings: Map<string, Cluster> = new Map(),
  more: Partial<WorkerServices> = {},
): { cluster: Cluster; stats: Stats; slab: EndpointSlab; update(endpoints: string): void } {
  const stats = new Stats(null)
  const timers = new TimerWheel()
  const services: WorkerServices = {
    node: { id: 'n', cluster: 'c', metadata: {}, locality: { region: '', zone: 'here', subZone: '' } },
    timers,
    processState: new ProcessState(),
    tokenBuckets: new TokenBuckets(1),
    cluster: (name) => siblings.get(name),
    log: () => undefined,
    ...more,
  }
  const plan = compileCluster(resource('cluster', `{connect_timeout: 1s, ${yaml}}`).bytes, new SecretStore())
  const slab = new EndpointSlab(256)
  const slots: Record<string, number> = {}
  const update = (list: string): void => {
    const { bytes } = resource('endpoints', `{cluster_name: ${plan.name}, endpoints: ${list}}`)
    const assignment = ClusterLoadAssignment.decode(bytes)
    for (const { lbEndpoints } of assignment.endpoints)
      for (const one of lbEndpoints) {
        const address = one.hostIdentifier?.$case === 'endpoint' ? one.hostIdentifier.value.address?.address : undefined
        if (address?.$case !== 'socketAddress') continue
        const { address: host, portSpecifier } = address.value
        slots[`${host}:${portSpecifier?.value}`] ??= slab.allocate()
      }
    cluster.setEndpoints({ assignment, slots })
  }
  const cluster = new Cluster(plan, services, stats, slab, { default: slab.allocate(), high: slab.allocate() })
  siblings.set(plan.name, cluster)
  update(endpoints)
  return { cluster, stats, slab, update }
}

/** One endpoint in YAML: 127.0.0.1 at a port. */
export function host(port: number, more = ''): string {
  return `{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: ${port}}}}${more === '' ? '' : `, ${more}`}}`
}

/** How often each port is picked in `times` picks; 0 for none. */
export function picks(cluster: Cluster, times: number, context: PickContext | null = null): Record<number, number> {
  const counts: Record<number, number> = {}
  for (let i = 0; i < times; i++) {
    const port = portOf(cluster, context)
    counts[port] = (counts[port] ?? 0) + 1
  }
  return counts
}

export function portOf(cluster: Cluster, context: PickContext | null = null): number {
  const endpoint = cluster.pick(context)
  return endpoint?.address.type === 'ip' ? endpoint.address.port : 0
}

/** A request with a key to hash, metadata to match, and headers. */
export function request(options: {
  key?: string
  metadata?: Record<string, unknown>
  headers?: Record<string, string>
  accepts?: PickContext['accepts']
  attempts?: number
}): PickContext {
  return {
    hashInto(into: Hash64) {
      if (options.key === undefined) return false
      xxHash64(options.key, into)
      return true
    },
    metadataMatch: options.metadata === undefined ? null : new MetadataCriteria(options.metadata),
    hostAttempts: options.attempts ?? 1,
    accepts: options.accepts ?? (() => true),
    priorityLoads: () => null,
    requestHeader: (name) => options.headers?.[name] ?? null,
    metadata: () => null,
    originalDestination: null,
  }
}
