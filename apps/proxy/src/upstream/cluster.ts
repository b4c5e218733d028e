import type { ConnectionOptions } from 'node:tls'
import type { Cluster as ClusterProto } from '@weft/contracts/envoy/config/cluster/v3/cluster'
import { HealthStatus } from '@weft/contracts/envoy/config/core/v3/health_check'
import type { ClusterLoadAssignment } from '@weft/contracts/envoy/config/endpoint/v3/endpoint'
import type { Http1ClientOptions } from '@weft/http/h1/client-connection'
import type { Counter, StatSource, Stats } from '../observe/stats.ts'
import type { HostWish } from '../observe/stream-info.ts'
import type { ClusterPlan } from '../plan/cluster.ts'
import { invalid } from '../plan/problems.ts'
import { fractionOf } from '../plan/runtime.ts'
import { matchSocket } from '../plan/socket-matches.ts'
import { Timeout } from '../transport/timer-wheel.ts'
import type { UpstreamTls } from '../transport/upstream-tls.ts'
import type { ClusterHandle, CountedCall, WorkerServices } from '../worker-services.ts'
import { CircuitBreaker } from './circuit-breaker.ts'
import { ClusterStats } from './cluster-stats.ts'
import { countCall } from './counted-call.ts'
import { applyEndpoint, Endpoint, hostState, localityKey, noLocality } from './endpoint.ts'
import { addressKey, endpointAddress } from './endpoint-address.ts'
import { EndpointSlab, healthFlag } from './endpoint-slab.ts'
import { AggregateBalancer, type AggregateMember } from './load-balancers/aggregate-balancer.ts'
import { balancerStats } from './load-balancers/balancer-stats.ts'
import { originalDestination } from './load-balancers/original-destination.ts'
import type { Balancer, PickContext } from './load-balancers/pick-context.ts'
import type { OriginalDestinationPolicy } from './load-balancers/policy.ts'
import type { LocalityHosts } from './load-balancers/priority-hosts.ts'
import { defaultJudging } from './load-balancers/priority-load.ts'
import { type BalancerSurroundings, PrioritySet } from './load-balancers/priority-set.ts'
import { SubsetBalancer } from './load-balancers/subset-balancer.ts'
import type { LocalZones } from './load-balancers/zone-routing.ts'
import { NamedEndpoints } from './named-endpoints.ts'
import { type OutlierRows, outlierRows } from './outlier-rows.ts'
import type { UpstreamCluster } from './upstream-cluster.ts'

/** Aggregate clusters of aggregate clusters: that deep, so that a circle ends. */
const maxNesting = 4
/** The health of endpoints that a filter may ask for, where a cluster says nothing else. */
const wishableHealth: readonly HealthStatus[] = [HealthStatus.UNKNOWN, HealthStatus.HEALTHY, HealthStatus.DEGRADED]
/** Most addresses of an ORIGINAL_DST cluster at once: clients choose them. */
const maxOriginalDestinations = 10_000

/** What one update says about a cluster's endpoints. */
export interface EndpointsUpdate {
  assignment: ClusterLoadAssignment
  slots: Readonly<Record<string, number>> | undefined
}

/**
 * A live cluster of one worker: endpoints, balancer, pools, breakers. It lives as long as the cluster's bytes stay the same;
 * endpoints come and go in it, and an endpoint that stays keeps its connections.
 */
export class Cluster implements UpstreamCluster, ClusterHandle, AggregateMember {
  readonly name: string
  readonly plan: ClusterPlan
  readonly source: ClusterProto
  readonly stats: ClusterStats
  /** Runtime's percentage of requests that are refused for maintenance. */
  readonly maintenanceKey: string
  readonly connectTimeoutMs: number
  readonly idleTimeoutMs: number
  readonly maxRequests: number
  readonly http1Options: Http1ClientOptions
  readonly breakers: readonly [CircuitBreaker, CircuitBreaker]
  readonly slab: EndpointSlab
  readonly outlierRows: OutlierRows | null
  readonly services: WorkerServices
  private readonly localSlots: boolean
  private endpoints = new Map<string, Endpoint>()
  private readonly balancer: PrioritySet | SubsetBalancer
  /** What picks instead of the balancer of own endpoints: ORIGINAL_DST, aggregate and dynamic forward proxies' clusters. */
  private readonly chooser: Balancer | null = null
  private readonly named: NamedEndpoints | null = null
  readonly forwardsToPort: number | null
  private readonly cleanup: Timeout
  private readonly usedDestinations = new Set<Endpoint>()
  /** The share (0…1) of requests that the control plane has dropped while the cluster has too many. */
  dropShare = 0
  private assignments = 0
  private failedPassively: Counter[] | null = null
  /** Whether endpoints have come (EDS, DNS) or are in the cluster itself. */
  warm = false

  constructor(
    plan: ClusterPlan,
    services: WorkerServices,
    stats: Stats,
    shared: EndpointSlab,
    slots: Readonly<Record<string, number>> | undefined,
  ) {
    this.plan = plan
    this.name = plan.name
    this.maintenanceKey = `upstream.maintenance_mode.${plan.name}`
    this.source = plan.source
    this.services = services
    this.stats = new ClusterStats(stats, plan.statName, plan.tls !== null || plan.socketMatches.length > 0)
    this.connectTimeoutMs = plan.connectTimeoutMs
    this.idleTimeoutMs = plan.idleTimeoutMs
    this.maxRequests = plan.maxRequestsPerConnection
    this.http1Options = plan.http1
    this.outlierRows = outlierRows(plan)
    // Without slots from the main thread this worker counts for itself.
    this.localSlots = slots === undefined
    this.slab = slots === undefined ? localSlab : shared
    const slotOf = (priority: 'default' | 'high') => slots?.[priority] ?? (this.localSlots ? localSlab.allocate() : 0)
    this.breakers = [
      new CircuitBreaker(plan, 0, this.slab, slotOf('default')),
      new CircuitBreaker(plan, 1, this.slab, slotOf('high')),
    ]
    this.balancer = this.createBalancer(this.stats.scope)
    const { originalDestination: original, aggregate } = plan
    this.cleanup = new Timeout(() => original !== null && this.forgetDestinations(original))
    if (original !== null) this.chooser = { pick: (context) => this.endpointOf(original, context) }
    else if (aggregate !== null)
      this.chooser = new AggregateBalancer(() => this.members(), plan.balancer.panicThreshold, Math.random)
    this.forwardsToPort = plan.forwardNames === null ? null : this.tlsOf(undefined) === null ? 80 : 443
    if (plan.forwardNames !== null) {
      const around = { services, stats, defaultPort: this.forwardsToPort ?? 80 }
      this.named = new NamedEndpoints(plan.forwardNames, this, this.endpoints, (endpoint) => this.dismiss(endpoint), around)
      this.chooser = this.named
      this.warm = true
    } else if (plan.source.loadAssignment !== undefined)
      this.setEndpoints({ assignment: plan.source.loadAssignment, slots: undefined })
  }

  tlsOf(endpoint: { readonly metadata: Readonly<Record<string, unknown>> } | undefined): UpstreamTls | null {
    const match = matchSocket(this.plan.socketMatches, endpoint?.metadata ?? {})
    return match === undefined ? this.plan.tls : match.tls
  }

  get host(): ReadonlyMap<string, Endpoint> {
    return this.endpoints
  }

  /** Whether the endpoint's own slots are used (else those of this worker). */
  private slotFor(key: string, known: Endpoint | undefined, slots: Readonly<Record<string, number>> | undefined): number {
    if (this.localSlots) return known?.slot ?? localSlab.allocate()
    return slots?.[key] ?? known?.slot ?? 0
  }

  /** Takes over a new set of endpoints; those that are gone finish what they have. */
  setEndpoints(update: EndpointsUpdate): void {
    if (this.named !== null) return
    const { assignment, slots } = update
    const next = new Map<string, Endpoint>()
    const priorities: LocalityHosts[][] = []
    const own = localityKey(this.services.node.locality)
    assignment.endpoints.forEach((group, i) => {
      const list = group.lbConfig?.$case === 'loadBalancerEndpoints' ? group.lbConfig.value.lbEndpoints : group.lbEndpoints
      const hosts: Endpoint[] = []
      list.forEach((one, k) => {
        const path = `ClusterLoadAssignment ${this.name}: endpoints[${i}].lb_endpoints[${k}]`
        if (one.hostIdentifier?.$case !== 'endpoint') throw invalid(path, 'an endpoint is needed')
        const { key, address } = endpointAddress(one.hostIdentifier.value.address, path)
        if (next.has(key)) return
        const known = this.endpoints.get(key)
        const endpoint = known ?? new Endpoint(this, key, address)
        applyEndpoint(endpoint, one)
        endpoint.slot = this.slotFor(key, known, slots)
        endpoint.priority = group.priority
        const { locality } = group
        endpoint.locality = { region: locality?.region ?? '', zone: locality?.zone ?? '', subZone: locality?.subZone ?? '' }
        next.set(key, endpoint)
        hosts.push(endpoint)
      })
      const locality = localityKey(group.locality)
      priorities[group.priority] ??= []
      const level = priorities[group.priority]!
      // Groups of one locality are one.
      const same = level.find(({ key }) => key === locality)
      const weight = group.loadBalancingWeight ?? 0
      if (same !== undefined) level[level.indexOf(same)] = { ...same, hosts: [...same.hosts, ...hosts], weight }
      else level.push({ hosts, weight, key: locality, local: locality !== noLocality && locality === own })
    })
    for (let i = 0; i < priorities.length; i++) priorities[i] ??= []
    const before = this.endpoints
    this.endpoints = next
    this.assignments++
    this.dropShare = fractionOf(assignment.policy?.dropOverloads[0]?.dropPercentage)
    this.balancer.update(priorities, {
      overprovisioning: assignment.policy?.overprovisioningFactor ?? defaultJudging.overprovisioning,
      byWeight: assignment.policy?.weightedPriorityHealth ?? false,
    })
    this.warm = true
    for (const [key, endpoint] of before) if (!next.has(key)) this.dismiss(endpoint)
    if (this.source.commonLbConfig?.closeConnectionsOnHostSetChange !== true) return
    // A new host is to have its share of those that are there: all connections end with what is on them.
    const same = before.size === next.size && [...next.keys()].every((key) => before.has(key))
    if (!same) for (const endpoint of next.values()) endpoint.drain()
  }

  private dismiss(endpoint: Endpoint): void {
    endpoint.removed = true
    endpoint.drain()
    if (this.localSlots) localSlab.release(endpoint.slot)
  }

  private createBalancer(stats: StatSource): PrioritySet | SubsetBalancer {
    const { services, plan } = this
    const { balancer } = plan
    const { type } = balancer.endpoint
    const owner = (services.workerIndex ?? 0) === 0
    const localZones =
      services.localZones === undefined || services.localCluster === plan.name || balancer.locality.type !== 'zone-aware'
        ? null
        : services.localZones
    const kinds = { subsets: balancer.subset !== null, zones: localZones !== null }
    const table = type === 'ring-hash' || type === 'maglev' ? type : 'other'
    const around: BalancerSurroundings = {
      slab: this.slab,
      stats: balancerStats(stats, this.stats.prefix, table, kinds, owner),
      random: Math.random,
      now: () => performance.now(),
      localZones,
    }
    return balancer.subset === null
      ? new PrioritySet([], defaultJudging, balancer, around)
      : new SubsetBalancer([], defaultJudging, balancer, balancer.subset, around)
  }

  /** How this cluster's first priority spreads over localities, when it is the bootstrap's local cluster. */
  zones(): LocalZones {
    return { version: this.assignments + this.slab.version, ...this.balancer.zoneCounts() }
  }

  /** An endpoint for the next request; null: none. Of an aggregate cluster it is an endpoint of another cluster. */
  pick(context: PickContext | null = null): Endpoint | null {
    const wish = context?.hostWish ?? null
    const endpoint = (wish === null ? null : this.wished(wish)) ?? (wish?.strict === true ? null : this.choose(context))
    if (endpoint === null) this.stats.noneHealthy.inc()
    return endpoint
  }

  private choose(context: PickContext | null): Endpoint | null {
    return this.chooser === null ? this.balancer.pick(context) : this.chooser.pick(context)
  }

  /** The endpoint that a request is wanted at, if it is there and its health is one that `override_host_status` allows. */
  private wished({ address }: HostWish): Endpoint | null {
    const endpoint = this.endpoints.get(address)
    if (endpoint === undefined) return null
    const allowed = this.source.commonLbConfig?.overrideHostStatus?.statuses ?? wishableHealth
    return allowed.includes(endpoint.healthStatus(this.slab)) ? endpoint : null
  }

  // AggregateMember

  refresh(): void {
    this.balancer.refresh()
  }

  get counts() {
    return this.balancer.counts
  }

  pickAt(priority: number, degraded: boolean, context: PickContext | null): Endpoint | null {
    return this.chooser === null ? this.balancer.pickAt(priority, degraded, context) : this.chooser.pick(context)
  }

  /** The clusters an aggregate cluster is made of, as far as they are there: those of aggregates among them in their place. */
  private members(depth = 0): Cluster[] {
    const found: Cluster[] = []
    for (const name of this.plan.aggregate ?? []) {
      const cluster = this.services.cluster(name)
      if (!(cluster instanceof Cluster)) continue
      if (cluster.plan.aggregate === null) found.push(cluster)
      else if (depth < maxNesting) found.push(...cluster.members(depth + 1))
    }
    return found
  }

  /** ORIGINAL_DST: the endpoint of an address, made when it is first asked for, gone when nobody asked for an interval. */
  private endpointOf(policy: OriginalDestinationPolicy, context: PickContext | null): Endpoint | null {
    const wanted = originalDestination(policy, context)
    if (wanted.type === 'invalid') this.stats.originalDestinationInvalid.inc()
    if (wanted.type !== 'address') return null
    const { address } = wanted
    const key = address.type === 'ip' ? addressKey(address.host, address.port) : address.path
    let endpoint = this.endpoints.get(key)
    if (endpoint === undefined) {
      if (this.endpoints.size >= maxOriginalDestinations) return null
      endpoint = new Endpoint(this, key, address)
      this.endpoints.set(key, endpoint)
      this.stats.membershipTotal.inc()
      this.stats.membershipHealthy.inc()
      this.stats.membershipChange.inc()
    }
    this.usedDestinations.add(endpoint)
    if (!this.cleanup.armed) this.services.timers.arm(this.cleanup, policy.cleanupMs)
    return endpoint
  }

  private forgetDestinations(policy: OriginalDestinationPolicy): void {
    for (const [key, endpoint] of this.endpoints) {
      if (this.usedDestinations.has(endpoint) || endpoint.active > 0) continue
      this.endpoints.delete(key)
      this.dismiss(endpoint)
      this.stats.membershipTotal.dec()
      this.stats.membershipHealthy.dec()
      this.stats.membershipChange.inc()
    }
    this.usedDestinations.clear()
    if (this.endpoints.size > 0) this.services.timers.arm(this.cleanup, policy.cleanupMs)
  }

  get isChecked(): boolean {
    return this.source.healthChecks.length > 0
  }

  failCheck(endpoint: { readonly slot: number }): void {
    this.slab.setHealth(endpoint.slot, healthFlag.excludedByCheck, true)
    if (!this.slab.setHealth(endpoint.slot, healthFlag.failedActiveCheck, true)) return
    this.failedPassively ??= [
      this.stats.scope.counter(`${this.stats.prefix}health_check.failure`),
      this.stats.scope.counter(`${this.stats.prefix}health_check.passive_failure`),
    ]
    for (const counter of this.failedPassively) counter.inc()
  }

  /** A host failed its health check or was ejected: with `close_connections_on_host_health_failure` its connections end. */
  onHealthFailure(key: string): void {
    if (!this.source.closeConnectionsOnHostHealthFailure) return
    for (const pool of this.endpoints.get(key)?.allPools ?? []) pool.closeAll()
  }

  /** The cluster left the configuration or was replaced. */
  close(): void {
    for (const endpoint of this.endpoints.values()) this.dismiss(endpoint)
    this.services.timers.cancel(this.cleanup)
    this.named?.close()
    if (this.localSlots) for (const breaker of this.breakers) localSlab.release(breaker.slot)
    this.plan.tls?.close()
    for (const { tls } of this.plan.socketMatches) tls?.close()
    this.stats.close()
  }

  // ClusterHandle

  httpVersion(requestVersion: 10 | 11 | 20): 10 | 11 | 20 {
    const { http } = this.plan
    if (http === 'downstream') return requestVersion
    return http === 'http1' ? 11 : 20
  }

  membership(): { total: number; healthy: number; degraded: number } {
    let healthy = 0
    let degraded = 0
    for (const endpoint of this.endpoints.values()) {
      const state = endpoint.state(this.slab, performance.now.bind(performance)) & 3
      if (state === hostState.healthy) healthy++
      else if (state === hostState.degraded) degraded++
    }
    return { total: this.endpoints.size, healthy, degraded }
  }

  pickAddress(): { host: string; port: number; key: string } | null {
    const endpoint = this.pick()
    if (endpoint === null || endpoint.address.type !== 'ip') return null
    return { host: endpoint.address.host, port: endpoint.address.port, key: endpoint.key }
  }

  tlsOptions(key: string): ConnectionOptions | null | 'not-ready' {
    return this.tlsOf(this.endpoints.get(key))?.connectOptions('', null) ?? null
  }

  beginRequest(key: string): CountedCall {
    return countCall(this.stats, this.slab, this.endpoints.get(key)?.slot ?? 0)
  }
}

/** Slots of clusters that came without any: development and tests, where no main thread shares them out. */
const localSlab = new EndpointSlab(16384)
