import { ClusterLoadAssignment } from '@weft/contracts/envoy/config/endpoint/v3/endpoint'
import { WeftError } from '@weft/service/errors'
import type { ConnectionServices } from './filters/network/filter.ts'
import type { LogFiles } from './observe/access-log/log-file.ts'
import type { Stats } from './observe/stats.ts'
import { compileCluster } from './plan/cluster.ts'
import { ExtensionStore } from './plan/extension-store.ts'
import { compileFilterConfigs } from './plan/filter-configs.ts'
import { addressText, compileListener } from './plan/listener.ts'
import type { PlanContext } from './plan/plan-context.ts'
import type { Runtime } from './plan/runtime.ts'
import { compileSecret, SecretStore } from './plan/secret-store.ts'
import { decodeRouteTable, type RouteTable } from './routing/route-table.ts'
import type { ResourceError, ResourceKind, ResourceUpdate } from './threads.ts'
import { LiveListener } from './transport/live-listener.ts'
import type { Destination } from './transport/socket-calls.ts'
import { Cluster, type EndpointsUpdate } from './upstream/cluster.ts'
import type { EndpointSlab } from './upstream/endpoint-slab.ts'
import type { WorkerServices } from './worker-services.ts'

/** What requests look up by name. Replaced as a whole; never changed. */
interface Names {
  clusters: ReadonlyMap<string, Cluster>
  routes: ReadonlyMap<string, RouteTable>
}

export interface LivePlanOptions {
  services: WorkerServices
  stats: Stats
  runtime: Runtime
  slab: EndpointSlab
  logFiles: LogFiles
  drainTimeMs: number
  /** Whether this worker opens unix sockets (one of all does). */
  ownsPipes: boolean
}

/** Order in which kinds come and (reversed) go: what is named is there before who names it. */
const order: readonly ResourceKind[] = ['secret', 'cluster', 'endpoints', 'extension', 'route', 'listener']

/** The configuration a worker serves by: takes updates, compiles what changed, swaps, and keeps the last good version of what fails. */
export class LivePlan implements ConnectionServices {
  private names: Names = { clusters: new Map(), routes: new Map() }
  private readonly options: LivePlanOptions
  private readonly secrets = new SecretStore()
  private readonly extensions = new ExtensionStore()
  /** By the cluster's name. */
  private readonly assignments = new Map<string, EndpointsUpdate>()
  private readonly listeners = new Map<string, LiveListener>()
  /** Made anew when it is first asked after listeners changed. */
  private listenersByAddress: Map<string, LiveListener> | null = null
  /** Bytes of what is live, to leave alone what did not change. */
  private readonly bytes = new Map<string, Buffer>()
  private readonly context: PlanContext

  constructor(options: LivePlanOptions) {
    this.options = options
    this.context = {
      stats: options.stats,
      runtime: options.runtime,
      secrets: this.secrets,
      services: options.services,
      extensions: this.extensions,
      logFiles: options.logFiles,
      direction: 'unspecified',
    }
  }

  get timers() {
    return this.options.services.timers
  }

  get processState() {
    return this.options.services.processState
  }

  routeTable(name: string): RouteTable | null {
    return this.names.routes.get(name) ?? null
  }

  cluster(name: string): Cluster | undefined {
    return this.names.clusters.get(name)
  }

  /** Makes an update live, as one change. */
  async apply(
    resources: readonly ResourceUpdate[],
  ): Promise<{ errors: ResourceError[]; listening: { listener: string; address: string }[] }> {
    const errors: ResourceError[] = []
    const listening: { listener: string; address: string }[] = []
    const clusters = new Map(this.names.clusters)
    const routes = new Map(this.names.routes)
    const replaced: Cluster[] = []
    const fail = (resource: ResourceUpdate, error: unknown) => {
      errors.push({ kind: resource.kind, name: resource.name, message: WeftError.from(error).describe() })
    }
    const coming = resources.filter((one) => one.bytes !== null)
    const going = resources.filter((one) => one.bytes === null)
    for (const kind of order) {
      if (kind === 'listener') break
      for (const resource of coming) {
        if (resource.kind !== kind || this.unchanged(resource)) continue
        try {
          this.takeIn(resource, clusters, routes, replaced)
          this.remember(resource)
        } catch (error) {
          fail(resource, error)
        }
      }
    }
    for (const resource of going) if (resource.kind !== 'listener') this.takeOut(resource, clusters, routes, replaced)
    // Listeners that go stop before what they name goes, those that come find what they name.
    this.names = { clusters, routes }
    for (const resource of going) if (resource.kind === 'listener') this.removeListener(resource.name)
    for (const resource of coming) {
      if (resource.kind !== 'listener' || this.unchanged(resource)) continue
      try {
        for (const address of await this.takeListener(resource)) listening.push({ listener: resource.name, address })
        this.remember(resource)
      } catch (error) {
        fail(resource, error)
      }
    }
    for (const cluster of replaced) cluster.close()
    return { errors, listening }
  }

  private unchanged(resource: ResourceUpdate): boolean {
    // Endpoints may come with other slots.
    if (resource.kind === 'endpoints' || resource.bytes === null) return false
    return this.bytes.get(`${resource.kind}/${resource.name}`)?.equals(resource.bytes) ?? false
  }

  private remember(resource: ResourceUpdate): void {
    if (resource.kind !== 'endpoints' && resource.bytes !== null) {
      this.bytes.set(`${resource.kind}/${resource.name}`, Buffer.from(resource.bytes))
    }
  }

  private takeIn(
    resource: ResourceUpdate,
    clusters: Map<string, Cluster>,
    routes: Map<string, RouteTable>,
    replaced: Cluster[],
  ): void {
    const { options } = this
    const bytes = resource.bytes!
    switch (resource.kind) {
      case 'secret':
        this.secrets.set(resource.name, compileSecret(bytes).secret)
        return
      case 'extension':
        this.extensions.set(resource.name, bytes)
        return
      case 'cluster': {
        const plan = compileCluster(bytes, this.secrets, options.runtime)
        const cluster = new Cluster(plan, options.services, options.stats, options.slab, resource.slots)
        const known = this.assignments.get(cluster.name)
        if (known !== undefined) cluster.setEndpoints(known)
        const before = clusters.get(resource.name)
        if (before !== undefined) replaced.push(before)
        clusters.set(resource.name, cluster)
        return
      }
      case 'endpoints': {
        const update: EndpointsUpdate = { assignment: ClusterLoadAssignment.decode(bytes), slots: resource.slots }
        clusters.get(resource.name)?.setEndpoints(update)
        this.assignments.set(resource.name, update)
        return
      }
      case 'route':
        routes.set(resource.name, decodeRouteTable(bytes, options.runtime, compileFilterConfigs(this.context)))
        return
      case 'listener':
        return
    }
  }

  private takeOut(
    resource: ResourceUpdate,
    clusters: Map<string, Cluster>,
    routes: Map<string, RouteTable>,
    replaced: Cluster[],
  ): void {
    const { kind, name } = resource
    this.bytes.delete(`${kind}/${name}`)
    switch (kind) {
      case 'secret':
        this.secrets.set(name, null)
        return
      case 'extension':
        this.extensions.set(name, null)
        return
      case 'cluster': {
        const cluster = clusters.get(name)
        if (cluster !== undefined) replaced.push(cluster)
        clusters.delete(name)
        return
      }
      case 'endpoints':
        this.assignments.delete(name)
        return
      case 'route':
        routes.delete(name)
        return
      case 'listener':
        return
    }
  }

  private async takeListener(resource: ResourceUpdate): Promise<string[]> {
    const { options } = this
    const plan = compileListener(resource.bytes!, this.context)
    const before = this.listeners.get(resource.name)
    if (before !== undefined && sameAddresses(before.plan.addresses.map(addressText), plan.addresses.map(addressText))) {
      before.replace(plan, options.drainTimeMs)
      return before.bound
    }
    const listener = new LiveListener(plan, this, options.stats, (destination) => this.listenerAt(destination))
    const bound = await listener.open(options.ownsPipes)
    this.listeners.set(resource.name, listener)
    this.listenersByAddress = null
    before?.drain(options.drainTimeMs)
    return bound
  }

  /** The listener of an address: at just this one, else at all of its family. */
  private listenerAt({ address, port }: Destination): LiveListener | null {
    this.listenersByAddress ??= new Map(
      [...this.listeners.values()].flatMap((one) => one.plan.addresses.map((at) => [addressText(at), one] as const)),
    )
    const any = address.includes(':') ? '::' : '0.0.0.0'
    const at = (host: string): LiveListener | undefined => this.listenersByAddress?.get(addressText({ type: 'ip', host, port }))
    return at(address) ?? at(any) ?? null
  }

  private removeListener(name: string): void {
    this.bytes.delete(`listener/${name}`)
    const listener = this.listeners.get(name)
    if (listener === undefined) return
    this.listeners.delete(name)
    this.listenersByAddress = null
    listener.drain(this.options.drainTimeMs)
  }

  /** Stops accepting and lets requests in flight end. */
  drain(which: readonly string[] | 'all', inboundOnly: boolean): void {
    for (const [name, listener] of this.listeners) {
      if (which !== 'all' && !which.includes(name)) continue
      if (inboundOnly && listener.plan.direction !== 'inbound') continue
      listener.drain(this.options.drainTimeMs)
    }
  }

  /** Ends everything now. */
  close(): void {
    for (const listener of this.listeners.values()) listener.close()
    for (const cluster of this.names.clusters.values()) cluster.close()
  }
}

function sameAddresses(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((one, i) => one === b[i])
}
