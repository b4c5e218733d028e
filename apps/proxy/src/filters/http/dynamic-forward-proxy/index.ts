import {
  FilterConfig,
  PerRouteConfig,
} from '@weft/contracts/envoy/extensions/filters/http/dynamic_forward_proxy/v3/dynamic_forward_proxy'
import { type HeaderName, headerName } from '@weft/http/header-name'
import { checkDnsCache, defaultDnsCache } from '../../../plan/forward-names.ts'
import { type DnsCache, type DnsHost, hostAndPort, targetOf, upstreamAddress, useDnsCache } from '../../../upstream/dns-cache.ts'
import { addressKey } from '../../../upstream/endpoint-address.ts'
import type { FilterStatus, HttpFilter, HttpFilterKind, HttpStream } from '../filter.ts'

/** What a route has in place of the name that a request came with. */
type Rewrite = { type: 'literal'; host: string } | { type: 'header'; name: HeaderName }

/** `envoy.filters.http.dynamic_forward_proxy`: has the name that a request goes to resolved before it goes on. */
export const dynamicForwardProxy: HttpFilterKind = {
  types: ['envoy.extensions.filters.http.dynamic_forward_proxy.v3.FilterConfig'],
  routeTypes: ['envoy.extensions.filters.http.dynamic_forward_proxy.v3.PerRouteConfig'],
  compile(bytes, { services, stats, path }) {
    const { implementationSpecifier: kind, saveUpstreamAddress, allowDynamicHostFromFilterState } = FilterConfig.decode(bytes)
    const config = kind?.$case === 'dnsCacheConfig' ? kind.value : defaultDnsCache
    checkDnsCache(config, `${path}.dns_cache_config`)
    if (services === null) return { start: () => null }
    const { cache, leave } = useDnsCache(config, services, stats)
    const options = { saves: saveUpstreamAddress, fromState: allowDynamicHostFromFilterState }
    return {
      start(stream, routeConfig) {
        const port = services.cluster(stream.clusterName)?.forwardsToPort ?? null
        return port === null ? null : new NameFilter(cache, port, (routeConfig as Rewrite | undefined) ?? null, options)
      },
      close: leave,
    }
  },
  compileRouteConfig(bytes): Rewrite | undefined {
    const { hostRewriteSpecifier: rewrite } = PerRouteConfig.decode(bytes)
    if (rewrite === undefined) return undefined
    return rewrite.$case === 'hostRewriteLiteral'
      ? { type: 'literal', host: rewrite.value }
      : { type: 'header', name: headerName(rewrite.value) }
  },
}

class NameFilter implements HttpFilter {
  readonly keepsStream = true
  private readonly cache: DnsCache
  private readonly defaultPort: number
  private readonly rewrite: Rewrite | null
  private readonly options: { saves: boolean; fromState: boolean }
  /** Waits for an address no longer; null: it does not wait. */
  private forget: (() => void) | null = null

  constructor(cache: DnsCache, defaultPort: number, rewrite: Rewrite | null, options: { saves: boolean; fromState: boolean }) {
    this.cache = cache
    this.defaultPort = defaultPort
    this.rewrite = rewrite
    this.options = options
  }

  onRequestHeaders(stream: HttpStream): FilterStatus {
    const { request } = stream
    const { rewrite, cache } = this
    const rewritten = rewrite === null ? null : rewrite.type === 'literal' ? rewrite.host : request.headers.get(rewrite.name)
    if (rewritten !== null && rewritten !== '') request.authority = rewritten
    if (!cache.take())
      return this.refuse(
        stream,
        'Dynamic forward proxy pending request overflow',
        'dynamic_forward_proxy_pending_request_overflow',
      )
    const { host, port } = this.target(stream)
    if (host === '') {
      cache.release()
      stream.reply(400, 'Empty host header', { details: 'empty_host_header' })
      return 'stop'
    }
    const found = cache.load(host, port, (later) => {
      this.leave()
      if (this.goesOn(stream, later)) stream.continueRequest()
    })
    if (typeof found === 'function') {
      this.forget = found
      return 'stop'
    }
    cache.release()
    if (found === 'overflow') return this.refuse(stream, 'DNS cache overflow', 'dns_cache_overflow')
    return this.goesOn(stream, found) ? 'continue' : 'stop'
  }

  onComplete(): void {
    if (this.forget === null) return
    this.forget()
    this.leave()
  }

  private target({ request, filterState }: HttpStream): { host: string; port: number } {
    const target = targetOf(this.options.fromState ? filterState : undefined, request.authority)
    const { host, port } = hostAndPort(target.host, this.defaultPort)
    return { host, port: target.port ?? port }
  }

  private leave(): void {
    this.forget = null
    this.cache.release()
  }

  private goesOn(stream: HttpStream, { address, port, problem }: DnsHost): boolean {
    if (address === null) {
      stream.reply(503, 'DNS resolution failure', { details: `dns_resolution_failure{${problem}}`, flags: ['DF'] })
      return false
    }
    if (this.options.saves) stream.filterState.set(upstreamAddress, addressKey(address, port))
    return true
  }

  private refuse(stream: HttpStream, text: string, details: string): FilterStatus {
    stream.reply(503, text, { details })
    return 'stop'
  }
}
