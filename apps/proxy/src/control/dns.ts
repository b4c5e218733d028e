import { lookup, Resolver } from 'node:dns/promises'
import { isIP } from 'node:net'
import type { Cluster } from '@weft/contracts/envoy/config/cluster/v3/cluster'
import type { ClusterLoadAssignment } from '@weft/contracts/envoy/config/endpoint/v3/endpoint'
import type { LbEndpoint } from '@weft/contracts/envoy/config/endpoint/v3/endpoint_components'
import { WeftError } from '@weft/service/errors'
import { durationMs } from '../plan/duration.ts'

/** Cluster.DnsLookupFamily. */
const family = { auto: 0, v4Only: 1, v6Only: 2, v4Preferred: 3, all: 4 } as const

export interface Resolved {
  addresses: string[]
  /** How long the answer holds; undefined when the resolver does not tell. */
  ttlMs: number | undefined
}

/** Resolves a name; tests put their own here. */
export type Resolve = (name: string, wanted: 4 | 6, withTtl: boolean) => Promise<Resolved>

export interface DnsEndpointsOptions {
  cluster: Cluster
  /** LOGICAL_DNS: one endpoint, the first address. */
  logical: boolean
  changed(assignment: ClusterLoadAssignment): void
  failed(name: string, reason: string): void
  resolve?: Resolve
}

/** The endpoints of a STRICT_DNS or LOGICAL_DNS cluster: its names resolved now and again, each on its own clock. */
export class DnsEndpoints {
  readonly #options: DnsEndpointsOptions
  readonly #answers = new Map<string, string[] | undefined>()
  readonly #timers = new Set<NodeJS.Timeout>()
  #shown = ''
  #closed = false

  constructor(options: DnsEndpointsOptions) {
    this.#options = options
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
    const { cluster, failed } = this.#options
    let waitMs = durationMs(cluster.dnsRefreshRate, 5_000)
    try {
      const { addresses, ttlMs } = await resolveName(this.#options.resolve ?? systemResolve, name, cluster)
      if (this.#closed) return
      this.#answers.set(name, addresses)
      if (cluster.respectDnsTtl && ttlMs !== undefined && ttlMs > 0) waitMs = ttlMs
    } catch (error) {
      if (this.#closed) return
      failed(name, WeftError.from(error).message)
      waitMs = durationMs(cluster.dnsFailureRefreshRate?.baseInterval, waitMs)
      // The last good answer stays; a name that never had one counts as answered with nothing, so that others can go on.
      this.#answers.set(name, this.#answers.get(name) ?? [])
    }
    this.#show()
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      void this.#resolve(name)
    }, waitMs)
    timer.unref()
    this.#timers.add(timer)
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

async function resolveName(resolve: Resolve, name: string, cluster: Cluster): Promise<Resolved> {
  const ask = (wanted: 4 | 6): Promise<Resolved> => resolve(name, wanted, cluster.respectDnsTtl)
  const either = async (first: 4 | 6, second: 4 | 6): Promise<Resolved> => {
    const answer = await ask(first).catch(() => undefined)
    return answer !== undefined && answer.addresses.length > 0 ? answer : ask(second)
  }
  switch (cluster.dnsLookupFamily) {
    case family.v4Only:
      return ask(4)
    case family.v6Only:
      return ask(6)
    case family.v4Preferred:
      return either(4, 6)
    case family.all: {
      const answers = await Promise.allSettled([ask(4), ask(6)])
      const good = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []))
      if (good.length === 0) return ask(4)
      const ttls = good.flatMap(({ ttlMs }) => (ttlMs === undefined ? [] : [ttlMs]))
      return {
        addresses: good.flatMap(({ addresses }) => addresses),
        ttlMs: ttls.length === 0 ? undefined : Math.min(...ttls),
      }
    }
    default:
      return either(6, 4)
  }
}

const systemResolve: Resolve = async (name, wanted, withTtl) => {
  if (withTtl) {
    const resolver = new Resolver({ timeout: 5_000, tries: 2 })
    const records = await (wanted === 4 ? resolver.resolve4(name, { ttl: true }) : resolver.resolve6(name, { ttl: true })).catch(
      () => [],
    )
    if (records.length > 0)
      return { addresses: records.map(({ address }) => address), ttlMs: Math.min(...records.map(({ ttl }) => ttl)) * 1000 }
  }
  const addresses = await lookup(name, { all: true, family: wanted })
  return { addresses: [...new Set(addresses.map(({ address }) => address))], ttlMs: undefined }
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
        address: { address: { $case: 'socketAddress', value: { ...address.value, address: ip } } },
      },
    },
  }
}
