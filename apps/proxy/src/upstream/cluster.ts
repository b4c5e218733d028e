import type { ConnectionOptions } from 'node:tls'
import type { Cluster as ClusterProto } from '@weft/contracts/envoy/config/cluster/v3/cluster'
import type { ClusterLoadAssignment } from '@weft/contracts/envoy/config/endpoint/v3/endpoint'
import type { Http1ClientOptions } from '@weft/http/h1/client-connection'
import type { Stats } from '../observe/stats.ts'
import type { ClusterPlan } from '../plan/cluster.ts'
import { invalid } from '../plan/problems.ts'
import { matchSocket } from '../plan/socket-matches.ts'
import type { UpstreamTls } from '../transport/upstream-tls.ts'
import type { ClusterHandle, WorkerServices } from '../worker-services.ts'
import { CircuitBreaker } from './circuit-breaker.ts'
import { ClusterStats } from './cluster-stats.ts'
import { applyEndpoint, Endpoint, endpointAddress } from './endpoint.ts'
import { cell, EndpointSlab } from './endpoint-slab.ts'
import { Http1Pool } from './http1-pool.ts'
import { type LocalityHosts, PrioritySet } from './load-balancers/priority-set.ts'

/** What one update says about a cluster's endpoints. */
export interface EndpointsUpdate {
  assignment: ClusterLoadAssignment
  slots: Readonly<Record<string, number>> | undefined
}

/**
 * A live cluster of one worker: endpoints, balancer, pools, breakers. It lives as long as the cluster's bytes stay the same;
 * endpoints come and go in it, and an endpoint that stays keeps its connections.
 */
export class Cluster implements ClusterHandle {
  readonly name: string
  readonly plan: ClusterPlan
  readonly source: ClusterProto
  readonly stats: ClusterStats
  readonly connectTimeoutMs: number
  readonly idleTimeoutMs: number
  readonly maxRequests: number
  readonly http1Options: Http1ClientOptions
  readonly breakers: readonly [CircuitBreaker, CircuitBreaker]
  readonly slab: EndpointSlab
  private readonly services: WorkerServices
  private readonly localSlots: boolean
  private endpoints = new Map<string, Endpoint>()
  private balancer: PrioritySet
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
    this.source = plan.source
    this.services = services
    this.stats = new ClusterStats(stats, plan.statName)
    this.connectTimeoutMs = plan.connectTimeoutMs
    this.idleTimeoutMs = plan.idleTimeoutMs
    this.maxRequests = plan.maxRequestsPerConnection
    this.http1Options = plan.http1
    // Without slots from the main thread this worker counts for itself.
    this.localSlots = slots === undefined
    this.slab = slots === undefined ? localSlab : shared
    const slotOf = (priority: 'default' | 'high') => slots?.[priority] ?? (this.localSlots ? localSlab.allocate() : 0)
    this.breakers = [
      new CircuitBreaker(plan.source.circuitBreakers, 0, this.slab, slotOf('default')),
      new CircuitBreaker(plan.source.circuitBreakers, 1, this.slab, slotOf('high')),
    ]
    this.balancer = this.createBalancer([], undefined)
    if (plan.source.loadAssignment !== undefined) this.setEndpoints({ assignment: plan.source.loadAssignment, slots: undefined })
  }

  /** TLS towards an endpoint: by its metadata where the cluster has transport_socket_matches; null: plaintext. */
  tlsOf(endpoint: Endpoint | undefined): UpstreamTls | null {
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
    const { assignment, slots } = update
    const next = new Map<string, Endpoint>()
    const priorities: LocalityHosts[][] = []
    assignment.endpoints.forEach((group, i) => {
      const list = group.lbConfig?.$case === 'loadBalancerEndpoints' ? group.lbConfig.value.lbEndpoints : group.lbEndpoints
      const hosts: Endpoint[] = []
      list.forEach((one, k) => {
        const path = `ClusterLoadAssignment ${this.name}: endpoints[${i}].lb_endpoints[${k}]`
        if (one.hostIdentifier?.$case !== 'endpoint') throw invalid(path, 'an endpoint is needed')
        const { key, address } = endpointAddress(one.hostIdentifier.value.address, path)
        let endpoint = next.get(key)
        if (endpoint !== undefined) return
        const known = this.endpoints.get(key)
        endpoint = known ?? new Endpoint(key, address)
        applyEndpoint(endpoint, one)
        endpoint.slot = this.slotFor(key, known, slots)
        const { locality } = group
        endpoint.locality = { region: locality?.region ?? '', zone: locality?.zone ?? '', subZone: locality?.subZone ?? '' }
        next.set(key, endpoint)
        hosts.push(endpoint)
      })
      priorities[group.priority] ??= []
      priorities[group.priority]!.push({ hosts, weight: group.loadBalancingWeight ?? 0 })
    })
    for (let i = 0; i < priorities.length; i++) priorities[i] ??= []
    const before = this.endpoints
    this.endpoints = next
    this.balancer = this.createBalancer(priorities, assignment.policy?.overprovisioningFactor)
    this.warm = true
    this.stats.membershipTotal.set(next.size)
    this.balancer.refresh()
    this.stats.membershipHealthy.set(this.balancer.healthyCount)
    if (before.size > 0 || next.size > 0) this.stats.membershipChange.inc()
    for (const [key, endpoint] of before) {
      if (next.has(key)) continue
      endpoint.removed = true
      endpoint.pool?.drain()
      if (this.localSlots) localSlab.release(endpoint.slot)
    }
  }

  private createBalancer(priorities: LocalityHosts[][], overprovisioning: number | undefined): PrioritySet {
    return new PrioritySet(
      priorities,
      {
        policy: this.plan.policy,
        panicThreshold: this.plan.panicThreshold,
        localityWeighted: this.plan.localityWeighted,
        overprovisioning: overprovisioning ?? 140,
      },
      this.slab,
      Math.random,
    )
  }

  /** An endpoint for the next request; null: none. */
  pick(): Endpoint | null {
    const endpoint = this.balancer.pick()
    if (endpoint === null) this.stats.noneHealthy.inc()
    else if (this.balancer.panic) this.stats.healthyPanic.inc()
    return endpoint
  }

  /** The endpoint's connections, made on first use. */
  poolOf(endpoint: Endpoint): Http1Pool {
    endpoint.pool ??= new Http1Pool(this, endpoint, this.services, this.slab, this.breakers[0])
    return endpoint.pool
  }

  /** The cluster left the configuration or was replaced. */
  close(): void {
    for (const endpoint of this.endpoints.values()) {
      endpoint.removed = true
      endpoint.pool?.drain()
      if (this.localSlots) localSlab.release(endpoint.slot)
    }
    if (this.localSlots) for (const breaker of this.breakers) localSlab.release(breaker.slot)
    this.plan.tls?.close()
    for (const { tls } of this.plan.socketMatches) tls?.close()
  }

  // ClusterHandle

  membership(): { total: number; healthy: number; degraded: number } {
    let healthy = 0
    let degraded = 0
    for (const endpoint of this.endpoints.values()) {
      if (endpoint.isHealthy(this.slab)) healthy++
      else if (endpoint.isDegraded(this.slab)) degraded++
    }
    return { total: this.endpoints.size, healthy, degraded }
  }

  pickAddress(): { host: string; port: number; key: string } | null {
    const endpoint = this.pick()
    if (endpoint === null || endpoint.address.type !== 'ip') return null
    return { host: endpoint.address.host, port: endpoint.address.port, key: endpoint.key }
  }

  tlsOptions(key: string): ConnectionOptions | null | 'not-ready' {
    return this.tlsOf(this.endpoints.get(key))?.connectOptions('', '') ?? null
  }

  beginRequest(key: string): { end(outcome: 'success' | 'error' | 'timeout' | 'cancelled'): void } {
    const { stats, slab } = this
    const slot = this.endpoints.get(key)?.slot ?? 0
    const startedMs = performance.now()
    stats.requestTotal.inc()
    stats.requestActive.inc()
    slab.add(slot, cell.activeRequests, 1)
    let ended = false
    return {
      end(outcome) {
        if (ended) return
        ended = true
        stats.requestActive.dec()
        slab.add(slot, cell.activeRequests, -1)
        stats.requestTime.record(Math.round(performance.now() - startedMs))
        if (outcome === 'timeout') stats.requestTimeout.inc()
        else if (outcome === 'cancelled') stats.requestCancelled.inc()
        else stats.response(outcome === 'success' ? 200 : 503, true)
      },
    }
  }
}

/** Slots of clusters that came without any: development and tests, where no main thread shares them out. */
const localSlab = new EndpointSlab(16384)
