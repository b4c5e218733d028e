import { headerName } from '@weft/http/header-name'
import type { RequestHead } from '@weft/http/message'
import type { HostWish } from '../../../observe/stream-info.ts'
import type { HashPolicies, HashSource } from '../../../routing/hash-policy.ts'
import type { RetryPlan } from '../../../routing/retry-policy.ts'
import type { ClusterChoice, ForwardPlan } from '../../../routing/route-action.ts'
import { targetOf } from '../../../upstream/dns-cache.ts'
import type { Endpoint } from '../../../upstream/endpoint.ts'
import type { Hash64 } from '../../../upstream/load-balancers/hash64.ts'
import { isRecord, MetadataCriteria } from '../../../upstream/load-balancers/metadata-criteria.ts'
import type { PickContext, PriorityShares } from '../../../upstream/load-balancers/pick-context.ts'
import type { PriorityLoads } from '../../../upstream/load-balancers/priority-load.ts'
import type { UpstreamHost } from '../../../upstream/upstream-host.ts'
import type { RoutedExchange } from '../routed-exchange.ts'

/** A request as load balancers see it: its hash, the metadata it asks for, and what its tries so far mean for the next. */
export class RequestPick implements PickContext, HashSource {
  /** `set-cookie` values for cookies that hash policies made. */
  cookies: string[] | null = null
  private readonly exchange: RoutedExchange
  private forward: ForwardPlan | null = null
  private hashing: HashPolicies | null = null
  private choice: ClusterChoice | null = null
  private retry: RetryPlan | null = null
  private tried: UpstreamHost[] | null = null
  private excluded: boolean[] | null = null
  private loads: PriorityLoads | null = null

  constructor(exchange: RoutedExchange) {
    this.exchange = exchange
  }

  /** Another request, or another route for it; `hashing`: of its cluster, in place of the route's. */
  begin(
    forward: ForwardPlan | null,
    choice: ClusterChoice | null,
    retry: RetryPlan | null,
    hashing: HashPolicies | null = null,
  ): void {
    this.hashing = hashing ?? forward?.hashing ?? null
    this.forward = forward
    this.choice = choice
    this.retry = retry
    this.cookies = null
    this.tried = null
    this.excluded = null
    this.loads = null
  }

  /** A try is over, another one follows. */
  noteTried(endpoint: UpstreamHost): void {
    if ((this.retry?.hosts ?? null) === null) return
    this.tried ??= []
    this.tried.push(endpoint)
  }

  // PickContext

  hashInto(into: Hash64, ofBalancer: HashPolicies | null = null): boolean {
    const hashing = ofBalancer ?? this.hashing
    if (hashing === null) return false
    this.cookies = null
    return hashing.hash(this, into)
  }

  get metadataMatch(): MetadataCriteria | null {
    const own = this.choice?.metadataMatch ?? this.forward?.metadataMatch ?? null
    const dynamic = this.exchange.metadataOrNull?.['envoy.lb']
    if (!isRecord(dynamic)) return own
    return own === null ? new MetadataCriteria(dynamic) : own.merge(dynamic)
  }

  get hostAttempts(): number {
    return this.tried === null ? 1 : 1 + (this.retry?.hosts?.attempts ?? 0)
  }

  /** Of the first try alone: another one may have another endpoint. */
  get hostWish(): HostWish | null {
    const { hostWish, attemptCount } = this.exchange.info
    return attemptCount > 1 ? null : hostWish
  }

  accepts(endpoint: Endpoint): boolean {
    return this.tried === null || this.retry?.hosts?.refuses(endpoint, this.tried) !== true
  }

  /** Leaves out priorities that were tried, looked at anew after each `update_frequency` tries. */
  priorityLoads(shares: PriorityShares): PriorityLoads | null {
    const { tried } = this
    if (tried === null) return null
    const frequency = this.retry?.hosts?.priorityFrequency ?? 0
    if (frequency === 0 || tried.length < frequency) return null
    if (tried.length % frequency !== 0) return this.loads
    this.excluded ??= []
    while (this.excluded.length < shares.priorityCount) this.excluded.push(false)
    for (const endpoint of tried) if (endpoint.priority < this.excluded.length) this.excluded[endpoint.priority] = true
    this.loads = shares.loadsWithout(this.excluded)
    if (this.loads === null) {
      // All were tried: from the start again.
      this.excluded.fill(false)
      tried.length = 0
      this.loads = shares.loadsWithout(this.excluded)
    }
    return this.loads
  }

  requestHeader(name: string): string | null {
    return this.exchange.request.headers.get(headerName(name))
  }

  metadata(): Readonly<Record<string, unknown>> | null {
    return this.exchange.metadataOrNull
  }

  get target(): { host: string; port: number | null } {
    return targetOf(this.exchange.filterState, this.exchange.request.authority)
  }

  get originalDestination(): string | null {
    const { connection } = this.exchange
    return connection.directLocal === undefined ? null : address(connection.localAddress, connection.localPort)
  }

  // HashSource

  get request(): RequestHead {
    return this.exchange.request
  }

  get clientAddress(): string {
    return this.exchange.info.downstreamRemoteAddress
  }

  get connectionName(): string {
    const { connection } = this.exchange
    return address(connection.remoteAddress, connection.remotePort) + address(connection.localAddress, connection.localPort)
  }

  get filterState(): ReadonlyMap<string, unknown> {
    return this.exchange.filterState
  }

  setCookie(value: string): void {
    this.cookies ??= []
    this.cookies.push(value)
  }
}

function address(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
