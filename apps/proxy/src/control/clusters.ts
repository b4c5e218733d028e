import { Cluster } from '@weft/contracts/envoy/config/cluster/v3/cluster'
import { ClusterLoadAssignment } from '@weft/contracts/envoy/config/endpoint/v3/endpoint'
import { WeftError } from '@weft/service/errors'
import { typeUrls } from '@weft/xds/types'
import type { ComponentLog } from '../log.ts'
import { clusterPrefix } from '../observe/cluster-prefix.ts'
import type { StatScope, Stats } from '../observe/stats.ts'
import type { ResourceError, ResourceUpdate } from '../threads.ts'
import type { EndpointSlab } from '../upstream/endpoint-slab.ts'
import { type ClusterDefaults, withDefaults } from './cluster-defaults.ts'
import { discoveryType } from './cluster-rules.ts'
import { Deferred } from './deferred.ts'
import { DnsEndpoints } from './dns.ts'
import { EndpointSlots, endpointKey } from './endpoint-slots.ts'
import { FetchStats } from './fetch-stats.ts'
import { withKeptEndpoints } from './kept-endpoints.ts'
import { type CheckedResource, checkedResource, sameBytes } from './resource.ts'
import type { Secrets } from './secrets.ts'
import { type ConfigSources, initialFetchTimeoutMs, type NamedWatcher } from './sources.ts'

/** A cluster as the admin endpoints show it. */
export interface ClusterState {
  name: string
  origin: 'static' | 'dynamic'
  version: string
  updatedAt: Date
  message: Cluster
  bytes: Uint8Array
  /** Undefined while its endpoints have not come. */
  assignment: ClusterLoadAssignment | undefined
  slots: EndpointSlots
  /** How many times its set of endpoints changed. */
  membershipChanges: number
}

interface Entry extends ClusterState {
  /** What was last said; `assignment` may keep more. */
  wanted: ClusterLoadAssignment | undefined
  /** What its membership was last counted by. */
  counted: ClusterLoadAssignment | undefined
  resource: CheckedResource
  /** What the workers have: the resource, with what it has by default. */
  published: Uint8Array
  /** Of `cluster.<name>.`. */
  stats: StatScope
  endpointsKnown: Deferred
  live: Deferred
  closers: (() => void)[]
  closed: boolean
}

export interface ClustersOptions {
  sources: ConfigSources
  secrets: Secrets
  slab: EndpointSlab
  stats: Stats
  /** What clusters have that they do not say themselves. */
  defaults: ClusterDefaults
  publish(resources: ResourceUpdate[]): Promise<ResourceError[]>
  /** Endpoints came, changed or went: health checks follow. */
  endpointsChanged(cluster: ClusterState): void
  removed(cluster: ClusterState): void
  /** Resolves when every endpoint of the cluster has been checked once. */
  firstChecked(cluster: ClusterState): Promise<void>
  log: ComponentLog
}

/**
 * Clusters and their endpoints. A cluster warms until its endpoints and secrets are there, then goes live in every worker
 * at once; one that replaces another of its name does so only then.
 */
export class Clusters {
  readonly #options: ClustersOptions
  readonly #active = new Map<string, Entry>()
  readonly #warming = new Map<string, Entry>()

  constructor(options: ClustersOptions) {
    this.#options = options
  }

  active(): ClusterState[] {
    return [...this.#active.values()]
  }

  warming(): ClusterState[] {
    return [...this.#warming.values()]
  }

  /** The cluster that is live, or else the one that warms. */
  get(name: string): ClusterState | undefined {
    return this.#active.get(name) ?? this.#warming.get(name)
  }

  has(name: string): boolean {
    return this.#active.has(name) || this.#warming.has(name)
  }

  /** The bytes last taken for a name, live or warming. */
  bytesOf(name: string): Uint8Array | undefined {
    return (this.#warming.get(name) ?? this.#active.get(name))?.bytes
  }

  isStatic(name: string): boolean {
    return this.#active.get(name)?.origin === 'static' || this.#warming.get(name)?.origin === 'static'
  }

  /** Takes a cluster; it goes live when it is warm. */
  add(resource: CheckedResource, origin: 'static' | 'dynamic'): void {
    const { name } = resource
    const before = this.#active.get(name)
    if (before !== undefined && sameBytes(before.bytes, resource.bytes)) {
      this.#discardWarming(name)
      return
    }
    const warming = this.#warming.get(name)
    if (warming !== undefined && sameBytes(warming.bytes, resource.bytes)) return
    this.#discardWarming(name)
    const source = Cluster.decode(resource.bytes)
    const message = withDefaults(source, this.#options.defaults)
    const entry: Entry = {
      name,
      origin,
      version: resource.version,
      updatedAt: new Date(),
      message,
      bytes: resource.bytes,
      published: message === source ? resource.bytes : Cluster.encode(message).finish(),
      assignment: undefined,
      slots: before?.slots ?? new EndpointSlots(this.#options.slab),
      counted: before?.counted,
      membershipChanges: before?.membershipChanges ?? 0,
      wanted: undefined,
      resource,
      stats: this.#options.stats.scope(`${clusterPrefix(message)}.`),
      endpointsKnown: new Deferred(),
      live: new Deferred(),
      closers: [],
      closed: false,
    }
    this.#warming.set(name, entry)
    this.#options.stats.counter(before === undefined ? 'cluster_manager.cluster_added' : 'cluster_manager.cluster_modified').inc()
    this.#options.secrets.use(resource.secrets)
    entry.closers.push(() => this.#options.secrets.release(resource.secrets))
    this.#watchEndpoints(entry)
    this.#count()
    void this.#warm(entry)
  }

  /** Takes a cluster away; requests on their way end. */
  remove(name: string): void {
    this.#discardWarming(name)
    const entry = this.#active.get(name)
    if (entry === undefined) return
    this.#active.delete(name)
    this.#close(entry)
    entry.slots.close()
    this.#options.stats.counter('cluster_manager.cluster_removed').inc()
    this.#count()
    this.#options.removed(entry)
    void this.#options.publish([
      { kind: 'endpoints', name, bytes: null },
      { kind: 'cluster', name, bytes: null },
    ])
  }

  /** Resolves with the cluster when it is live; undefined for one that is not known. */
  async whenLive(name: string): Promise<ClusterState | undefined> {
    await this.#warming.get(name)?.live.promise
    return this.#active.get(name)
  }

  /** An endpoint failed its health check: one that was only kept because it passed goes now. */
  checkFailed(name: string): void {
    const entry = this.#active.get(name)
    if (entry?.wanted === undefined || entry.wanted === entry.assignment) return
    this.#takeEndpoints(entry, entry.wanted)
  }

  /** Clusters, live or warming, whose configuration refers to a secret. */
  usersOf(secret: string): string[] {
    return [...this.#active.values(), ...this.#warming.values()]
      .filter((entry) => entry.resource.secrets.some(({ name }) => name === secret))
      .map(({ name }) => name)
  }

  names(origin: 'static' | 'dynamic'): string[] {
    return [...new Set([...this.#active.values(), ...this.#warming.values()])]
      .filter((entry) => entry.origin === origin)
      .map(({ name }) => name)
  }

  /** Resolves when none of the clusters that warm now is warming any more. */
  async settled(): Promise<void> {
    await Promise.all([...this.#warming.values()].map((entry) => entry.live.promise))
  }

  close(): void {
    for (const entry of [...this.#active.values(), ...this.#warming.values()]) this.#close(entry)
  }

  async #warm(entry: Entry): Promise<void> {
    const { secrets, publish, log } = this.#options
    await Promise.all([entry.endpointsKnown.within(dnsTimeoutMs(entry.message)), secrets.ready(entry.resource.secrets)])
    if (entry.closed) return
    if (entry.message.healthChecks.length > 0 && entry.assignment !== undefined) {
      this.#endpointUpdate(entry)
      await this.#options.firstChecked(entry)
      if (entry.closed) return
    }
    const before = this.#active.get(entry.name)
    this.#warming.delete(entry.name)
    this.#active.set(entry.name, entry)
    if (before !== undefined) this.#close(before)
    this.#count()
    const resources: ResourceUpdate[] = [
      { kind: 'cluster', name: entry.name, bytes: entry.published, slots: entry.slots.breakers },
      ...this.#endpointUpdate(entry),
    ]
    const errors = await publish(resources)
    for (const error of errors) log.error(`cluster ${entry.name} was refused by a worker: ${error.message}`)
    log.debug(`cluster ${entry.name} is live`)
    entry.live.resolve()
  }

  #watchEndpoints(entry: Entry): void {
    const { message, name } = entry
    const type = message.clusterDiscoveryType?.$case === 'type' ? message.clusterDiscoveryType.value : discoveryType.static
    switch (type) {
      case discoveryType.eds:
        this.#watchEds(entry)
        return
      case discoveryType.strictDns:
      case discoveryType.logicalDns: {
        const dns = new DnsEndpoints({
          cluster: message,
          logical: type === discoveryType.logicalDns,
          changed: (assignment) => this.#takeEndpoints(entry, assignment),
          count: (what) => entry.stats.counter(`${clusterPrefix(message)}.update_${what}`).inc(),
          failed: (host, reason) => {
            this.#options.log.debug(`cluster ${name}: ${host} cannot be resolved: ${reason}`)
          },
        })
        entry.closers.push(() => dns.close())
        return
      }
      case discoveryType.originalDst:
        entry.endpointsKnown.resolve()
        return
      default:
        this.#takeEndpoints(
          entry,
          message.loadAssignment ?? { clusterName: name, endpoints: [], namedEndpoints: {}, policy: undefined },
        )
    }
  }

  #watchEds(entry: Entry): void {
    const { message, name } = entry
    const source = message.edsClusterConfig?.edsConfig
    const service = message.edsClusterConfig?.serviceName || name
    if (source === undefined) {
      entry.endpointsKnown.resolve()
      return
    }
    const stats = new FetchStats(entry.stats, clusterPrefix(message), source)
    void entry.endpointsKnown.within(initialFetchTimeoutMs(source)).then((inTime) => {
      if (inTime || entry.closed) return
      this.#options.log.warn(`cluster ${name}: endpoints have not come within the initial fetch timeout`)
      stats.timedOut()
      entry.endpointsKnown.resolve()
    })
    const refuse = (version: string, reason: string): string[] => {
      stats.answered(version, [reason])
      this.#options.log.warn(`EDS: ${reason}`)
      entry.endpointsKnown.resolve()
      return [reason]
    }
    const empty = (version: string): void => {
      entry.stats.counter(`${clusterPrefix(message)}.update_empty`).inc()
      stats.answered(version, [])
      entry.endpointsKnown.resolve()
    }
    let before: Uint8Array | undefined
    const watcher: NamedWatcher = {
      receive: async (received) => {
        try {
          const resource = checkedResource('endpoints', service, received.version, received.bytes)
          if (before !== undefined && sameBytes(before, resource.bytes))
            entry.stats.counter(`${clusterPrefix(message)}.update_no_rebuild`).inc()
          before = resource.bytes
          this.#takeEndpoints(entry, ClusterLoadAssignment.decode(resource.bytes))
          stats.answered(received.version, [])
          return []
        } catch (error) {
          return refuse(received.version, WeftError.from(error).describe())
        }
      },
      // As in Envoy, what was there stays.
      removed: empty,
      empty,
      refused: (reason) => refuse('', reason),
      failed: () => stats.failed(),
    }
    const counted = { stats: entry.stats, prefix: clusterPrefix(message) }
    const watch = this.#options.sources.watchNamed(source, typeUrls.endpoint, service, watcher, counted)
    entry.closers.push(() => watch.close())
  }

  #takeEndpoints(entry: Entry, assignment: ClusterLoadAssignment): void {
    if (entry.closed) return
    const { message } = entry
    entry.wanted = assignment
    const keeps = message.healthChecks.length > 0 && !message.ignoreHealthOnHostRemoval && this.#active.get(entry.name) === entry
    entry.assignment =
      keeps && entry.assignment !== undefined
        ? withKeptEndpoints(assignment, entry.assignment, entry.slots.keys, this.#options.slab)
        : assignment
    entry.endpointsKnown.resolve()
    if (this.#active.get(entry.name) !== entry) return
    const before = entry.membershipChanges
    void this.#options.publish(this.#endpointUpdate(entry))
    this.#options.stats.counter('cluster_manager.cluster_updated').add(entry.membershipChanges - before)
  }

  #endpointUpdate(entry: Entry): ResourceUpdate[] {
    if (entry.assignment === undefined) return []
    const slots = entry.slots.assign(entry.assignment, checkOf(entry.message))
    entry.membershipChanges += changedPriorities(entry.counted, entry.assignment)
    entry.counted = entry.assignment
    this.#options.endpointsChanged(entry)
    return [{ kind: 'endpoints', name: entry.name, bytes: ClusterLoadAssignment.encode(entry.assignment).finish(), slots }]
  }

  #discardWarming(name: string): void {
    const warming = this.#warming.get(name)
    if (warming === undefined) return
    this.#warming.delete(name)
    this.#close(warming)
    if (!this.#active.has(name)) warming.slots.close()
    warming.live.resolve()
    this.#count()
  }

  #close(entry: Entry): void {
    entry.closed = true
    entry.endpointsKnown.resolve()
    for (const close of entry.closers) close()
    entry.stats.leave()
  }

  #count(): void {
    this.#options.stats.gauge('cluster_manager.active_clusters').set(this.#active.size)
    this.#options.stats.gauge('cluster_manager.warming_clusters').set(this.#warming.size)
  }
}

function checkOf({ healthChecks, commonLbConfig }: Cluster): Parameters<EndpointSlots['assign']>[1] {
  if (healthChecks.length === 0) return 'unchecked'
  return commonLbConfig?.ignoreNewHostsUntilFirstHc === true ? 'ignored-until-checked' : 'checked'
}

/** How long the first endpoints by DNS may take; those by EDS have their subscription's bound. */
function dnsTimeoutMs({ edsClusterConfig }: Cluster): number {
  return edsClusterConfig?.edsConfig === undefined ? 15_000 : 0
}

/** In how many priorities other endpoints are than before. */
function changedPriorities(before: ClusterLoadAssignment | undefined, now: ClusterLoadAssignment): number {
  const [were, are] = [membersOf(before), membersOf(now)]
  return [...new Set([...were.keys(), ...are.keys()])].filter((priority) => were.get(priority) !== are.get(priority)).length
}

/** The endpoints of each priority that has some, in one word. */
function membersOf(assignment: ClusterLoadAssignment | undefined): Map<number, string> {
  const members = new Map<number, string>()
  for (const { priority, lbEndpoints } of assignment?.endpoints ?? []) {
    const keys = new Set(lbEndpoints.map((endpoint) => endpointKey(endpoint) ?? ''))
    if (keys.size > 0) members.set(priority, [members.get(priority) ?? '', ...keys].join())
  }
  return members
}
