import { isIP } from 'node:net'
import type { Cluster } from '@weft/contracts/envoy/config/cluster/v3/cluster'
import type { ClusterLoadAssignment } from '@weft/contracts/envoy/config/endpoint/v3/endpoint'
import type { LbEndpoint } from '@weft/contracts/envoy/config/endpoint/v3/endpoint_components'
import { WeftError } from '@weft/service/errors'
import { dnsServersOf } from '../plan/dns-servers.ts'
import { durationMs } from '../plan/duration.ts'
import { createResolve, type Resolve, type Resolved, resolveByFamily } from './dns-resolver.ts'

export interface DnsEndpointsOptions {
  cluster: Cluster
  /** LOGICAL_DNS: one endpoint, the first address. */
  logical: boolean
  changed(assignment: ClusterLoadAssignment): void
  failed(name: string, reason: string): void
  /** Counts, under the names of Envoy's `update_…`. */
  count(what: 'attempt' | 'success' | 'failure' | 'no_rebuild' | 'empty'): void
  resolve?: Resolve
}

/** The endpoints of a STRICT_DNS or LOGICAL_DNS cluster: its names resolved now and again, each on its own clock. */
export class DnsEndpoints {
  readonly #options: DnsEndpointsOptions
  readonly #answers = new Map<string, string[] | undefined>()
  readonly #timers = new Set<NodeJS.Timeout>()
  /** How often in a row a name could not be resolved. */
  readonly #failures = new Map<string, number>()
  readonly #ask: Resolve
  #shown = ''
  #closed = false

  constructor(options: DnsEndpointsOptions) {
    this.#options = options
    this.#ask =
      options.resolve ??
      createResolve(
        dnsServersOf(options.cluster.typedDnsResolverConfig, `Cluster ${options.cluster.name}`),
        options.cluster.respectDnsTtl,
      )
    const names = new Set<string>()
    for (const locality of options.cluster.loadAssignment?.endpoints ?? [])
      for (const endpoint of locality.lbEndpoints) {
        const name = nameOf(endpoint)
        if (name !== undefined && isIP(name) === 0) names.add(name)
      }
    for (const name of names) this.#answers.set(name, undefined)
    for (const name of names) void this.#resolve(name)
    if (names.size === 0) this.#show()
  }

  close(): void {
    this.#closed = true
    for (const timer of this.#timers) clearTimeout(timer)
  }

  async #resolve(name: string): Promise<void> {
    const { cluster, failed, logical, count } = this.#options
    count('attempt')
    let reason = ''
    let found: Resolved | undefined
    try {
      found = await resolveByFamily(this.#ask, name, cluster.dnsLookupFamily)
      // One that goes by the first address keeps it until there is another.
      if (logical && found.addresses.length === 0) reason = 'it has no address'
    } catch (error) {
      reason = WeftError.from(error).message
    }
    if (this.#closed) return
    const before = this.#answers.get(name)
    if (found !== undefined && reason === '') {
      count('success')
      if (found.addresses.length === 0) count('empty')
      if (before !== undefined && sameAddresses(before, found.addresses)) count('no_rebuild')
      this.#answers.set(name, found.addresses)
      this.#failures.delete(name)
    } else {
      count('failure')
      failed(name, reason)
      // The last good answer stays; a name that never had one counts as answered with nothing, so that others can go on.
      this.#answers.set(name, before ?? [])
      found = undefined
    }
    this.#show()
    this.#again(name, found === undefined ? this.#backOffMs(name) : refreshMs(cluster, found))
  }

  #again(name: string, waitMs: number): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      void this.#resolve(name)
    }, waitMs)
    timer.unref()
    this.#timers.add(timer)
  }

  /** How long until a name that could not be resolved is tried again: as often as others, or further apart each time. */
  #backOffMs(name: string): number {
    const { dnsFailureRefreshRate: rate, dnsRefreshRate } = this.#options.cluster
    if (rate === undefined) return durationMs(dnsRefreshRate, 5_000)
    const failures = this.#failures.get(name) ?? 0
    this.#failures.set(name, failures + 1)
    const baseMs = durationMs(rate.baseInterval, 1_000)
    return Math.max(1, Math.random() * Math.min(baseMs * 2 ** Math.min(failures, 30), durationMs(rate.maxInterval, 10 * baseMs)))
  }

  /** Tells the endpoints once every name has been tried, and then whenever they are others. */
  #show(): void {
    if ([...this.#answers.values()].some((addresses) => addresses === undefined)) return
    const shown = JSON.stringify([...this.#answers])
    if (shown === this.#shown) return
    this.#shown = shown
    const { cluster, logical, changed } = this.#options
    const assignment = cluster.loadAssignment
    changed({
      clusterName: cluster.name,
      namedEndpoints: assignment?.namedEndpoints ?? {},
      policy: assignment?.policy,
      endpoints: (assignment?.endpoints ?? []).map((locality) => ({
        ...locality,
        lbEndpoints: locality.lbEndpoints.flatMap((endpoint) => {
          const name = nameOf(endpoint)
          if (name === undefined || isIP(name) !== 0) return [endpoint]
          const addresses = this.#answers.get(name) ?? []
          return (logical ? addresses.slice(0, 1) : addresses).map((address) => atAddress(endpoint, address, name))
        }),
      })),
    })
  }
}

/** How long until a name that was resolved is asked for again. */
function refreshMs(cluster: Cluster, { addresses, ttlMs }: Resolved): number {
  const isTimed = cluster.respectDnsTtl && addresses.length > 0 && ttlMs !== undefined && ttlMs > 0
  // So that names that were asked for together are not for ever.
  return (isTimed ? ttlMs : durationMs(cluster.dnsRefreshRate, 5_000)) + Math.random() * durationMs(cluster.dnsJitter, 0)
}

function sameAddresses(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((one) => b.includes(one))
}

function nameOf(endpoint: LbEndpoint): string | undefined {
  const host = endpoint.hostIdentifier?.$case === 'endpoint' ? endpoint.hostIdentifier.value : undefined
  return host?.address?.address?.$case === 'socketAddress' ? host.address.address.value.address : undefined
}

function atAddress(endpoint: LbEndpoint, ip: string, name: string): LbEndpoint {
  const host = endpoint.hostIdentifier?.$case === 'endpoint' ? endpoint.hostIdentifier.value : undefined
  const address = host?.address?.address
  if (host === undefined || address?.$case !== 'socketAddress') return endpoint
  return {
    ...endpoint,
    hostIdentifier: {
      $case: 'endpoint',
      value: {
        ...host,
        hostname: host.hostname === '' ? name : host.hostname,
        // A name is what it is at, and nothing else.
        additionalAddresses: [],
        address: { address: { $case: 'socketAddress', value: { ...address.value, address: ip } } },
      },
    },
  }
}
