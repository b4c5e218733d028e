import type { DnsCacheConfig } from '@weft/contracts/envoy/extensions/common/dynamic_forward_proxy/v3/dns_cache'
import type { Stats } from '../observe/stats.ts'
import type { WorkerServices } from '../worker-services.ts'
import type { ClusterStats } from './cluster-stats.ts'
import { type DnsCache, type DnsHost, hostAndPort, useDnsCache } from './dns-cache.ts'
import { Endpoint } from './endpoint.ts'
import { addressKey } from './endpoint-address.ts'
import type { Balancer, PickContext } from './load-balancers/pick-context.ts'
import type { UpstreamCluster } from './upstream-cluster.ts'

/** The endpoints of a dynamic forward proxy's cluster: one for each name that a request has named, at the name's address. */
export class NamedEndpoints implements Balancer {
  private readonly cluster: UpstreamCluster & { readonly stats: ClusterStats }
  private readonly endpoints: Map<string, Endpoint>
  private readonly dismiss: (endpoint: Endpoint) => void
  private readonly defaultPort: number
  private readonly cache: DnsCache
  private readonly leave: () => void

  /** `endpoints`: the cluster's own, by name; `defaultPort` is for names without one. */
  constructor(
    config: DnsCacheConfig,
    cluster: NamedEndpoints['cluster'],
    endpoints: Map<string, Endpoint>,
    dismiss: (endpoint: Endpoint) => void,
    around: { services: WorkerServices; stats: Stats; defaultPort: number },
  ) {
    this.cluster = cluster
    this.endpoints = endpoints
    this.dismiss = dismiss
    this.defaultPort = around.defaultPort
    const { cache, leave } = useDnsCache(config, around.services, around.stats)
    const stopHearing = cache.onGone((key) => this.remove(key))
    this.cache = cache
    this.leave = () => {
      stopHearing()
      leave()
    }
  }

  /** null where the name has no address, or none yet: it is looked up then, for the next request. */
  pick(context: PickContext | null): Endpoint | null {
    const target = context?.target ?? null
    if (target === null || target.host === '') return null
    const { host, port } = hostAndPort(target.host, this.defaultPort)
    const found = this.cache.load(host, target.port ?? port, () => {})
    return typeof found === 'object' && found.address !== null ? this.at(found, found.address) : null
  }

  close(): void {
    this.leave()
  }

  private at({ key, port }: DnsHost, host: string): Endpoint {
    const known = this.endpoints.get(key)
    const address = addressKey(host, port)
    if (known?.key === address) return known
    if (known !== undefined) this.remove(key)
    const endpoint = new Endpoint(this.cluster, address, { type: 'ip', host, port })
    endpoint.hostname = key
    this.endpoints.set(key, endpoint)
    this.count(1)
    return endpoint
  }

  private remove(key: string): void {
    const endpoint = this.endpoints.get(key)
    if (endpoint === undefined) return
    this.endpoints.delete(key)
    this.dismiss(endpoint)
    this.count(-1)
  }

  private count(more: 1 | -1): void {
    const { membershipTotal, membershipHealthy, membershipChange } = this.cluster.stats
    membershipTotal.add(more)
    membershipHealthy.add(more)
    membershipChange.inc()
  }
}
