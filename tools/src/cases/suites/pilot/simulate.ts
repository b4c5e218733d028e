import type { Listener } from '@weft/contracts/envoy/config/listener/v3/listener'
import type { FilterChain } from '@weft/contracts/envoy/config/listener/v3/listener_components'
import type { RouteConfiguration } from '@weft/contracts/envoy/config/route/v3/route'
import type { HeaderMatcher, Route, VirtualHost } from '@weft/contracts/envoy/config/route/v3/route_components'
import { DownstreamTlsContext } from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/tls'
import type { StringMatcher } from '@weft/contracts/envoy/type/matcher/v3/string'
import { type Built, httpOf, targetOf, tcpOf } from '@weft/pilot/testing/built-for'
import { matchFilterChain } from './filter-chain-match.ts'

/** A connection, and where it is HTTP a request, as the case file describes it. */
export interface Call {
  readonly mode: 'outbound' | 'inbound' | 'gateway'
  readonly address: string
  readonly port: number
  readonly host: string
  readonly path: string
  readonly protocol: 'http' | 'http2' | 'tcp'
  readonly tls: 'plaintext' | 'tls' | 'mtls'
  readonly alpn: string
  readonly serverName: string
  /** The certificate that a server would have to show for the call to be mutual TLS as this client means it. */
  readonly secret: string
}

/** How far a call comes through a proxy's configuration; named as in the case file. */
export interface Outcome {
  Error?: string
  ListenerMatched?: string
  FilterChainMatched?: string
  RouteConfigMatched?: string
  VirtualHostMatched?: string
  RouteMatched?: string
  ClusterMatched?: string
}

/** Takes a call through the listeners and routes of a proxy, by Envoy's rules of matching. */
export function simulate(built: Built, call: Call): Outcome {
  const outcome: Outcome = {}
  const listener = findListener(built, call)
  if (listener === undefined) return { Error: 'no listener matched' }
  outcome.ListenerMatched = listener.name
  const inspects = (name: string): boolean => listener.listenerFilters.some((filter) => filter.name.endsWith(name))
  const seesTls = inspects('tls_inspector')
  const chain = matchFilterChain(listener, {
    address: call.address,
    port: call.port,
    serverName: seesTls && call.tls !== 'plaintext' ? call.serverName : '',
    transportProtocol: seesTls && call.tls !== 'plaintext' ? 'tls' : 'raw_buffer',
    applicationProtocol: applicationProtocol(call, seesTls, inspects('http_inspector')),
  })
  if (chain === undefined) return { ...outcome, Error: 'no filter chains matched' }
  outcome.FilterChainMatched = chain.name
  const terminates = chain.transportSocket?.name.endsWith('.tls') === true
  if (terminates && call.tls === 'plaintext') return { ...outcome, Error: 'invalid TLS' }
  if (terminates && asksForMutualTls(chain, call.secret) !== (call.tls === 'mtls')) return { ...outcome, Error: 'invalid mTLS' }
  if (chain.filters.some(({ name }) => name.endsWith('tcp_proxy'))) {
    return { ...outcome, ClusterMatched: String(tcpOf(chain).clusterSpecifier?.value) }
  }
  if ((call.tls !== 'plaintext' && !terminates) || call.protocol === 'tcp') return { ...outcome, Error: 'protocol error' }
  return request(built, chain, call, outcome)
}

function request(built: Built, chain: FilterChain, call: Call, outcome: Outcome): Outcome {
  const specifier = httpOf(chain).routeSpecifier
  const routes =
    specifier?.$case === 'rds'
      ? built.routes.get(specifier.value.routeConfigName)
      : specifier?.$case === 'routeConfig'
        ? specifier.value
        : undefined
  if (routes === undefined) return { ...outcome, Error: 'no route configuration' }
  outcome.RouteConfigMatched = routes.name
  const host = findVirtualHost(routes, call)
  if (host === undefined) return { ...outcome, Error: 'no virtual host matched' }
  outcome.VirtualHostMatched = host.name
  if (host.requireTls === 2 && call.tls === 'plaintext') return { ...outcome, Error: 'tls required, sending 301' }
  const route = host.routes.find((candidate) => routeMatches(candidate, call))
  if (route === undefined) return { ...outcome, Error: 'no route matched' }
  outcome.RouteMatched = route.name
  if (route.action?.$case === 'route') outcome.ClusterMatched = targetOf(route)
  return outcome
}

function findListener({ listeners }: Built, call: Call): Listener | undefined {
  if (call.mode === 'inbound') return listeners.get('virtualInbound')
  const listener = listeners.get(`${call.address}_${call.port}`) ?? listeners.get(`0.0.0.0_${call.port}`)
  return listener ?? (call.mode === 'outbound' ? listeners.get('virtualOutbound') : undefined)
}

function applicationProtocol(call: Call, seesTls: boolean, seesHttp: boolean): string {
  if (call.tls !== 'plaintext') return seesTls ? call.alpn : ''
  if (!seesHttp || call.protocol === 'tcp') return ''
  return call.protocol === 'http' ? 'http/1.1' : 'h2c'
}

function asksForMutualTls(chain: FilterChain, secret: string): boolean {
  const config = chain.transportSocket?.configType
  if (config?.$case !== 'typedConfig') return false
  const context = DownstreamTlsContext.decode(config.value.value)
  const common = context.commonTlsContext
  // Istio hands files on as secrets of this name; here they are named as files.
  const files = common?.tlsCertificates.map(({ certificateChain, privateKey }) => {
    return `file-cert:${certificateChain?.specifier?.value}~${privateKey?.specifier?.value}`
  })
  const named = common?.tlsCertificateSdsSecretConfigs.some(({ name }) => name === secret) || files?.includes(secret) === true
  return named && context.requireClientCertificate === true
}

function findVirtualHost(routes: RouteConfiguration, call: Call): VirtualHost | undefined {
  const host = routes.ignorePortInHostMatching ? call.host.replace(/:\d+$/, '') : call.host
  let best: { host: VirtualHost; rank: number } | undefined
  for (const virtualHost of routes.virtualHosts) {
    for (const domain of virtualHost.domains) {
      const rank = domainRank(domain, host)
      if (rank > (best?.rank ?? -1)) best = { host: virtualHost, rank }
    }
  }
  return best?.host
}

/** Exact names go before suffixes, those before prefixes, longer ones first, `*` last; -1 when it does not match. */
function domainRank(domain: string, host: string): number {
  if (domain === host) return 3_000
  if (domain === '*') return 0
  if (domain.startsWith('*')) return host.endsWith(domain.slice(1)) ? 2_000 + domain.length : -1
  if (domain.endsWith('*')) return host.startsWith(domain.slice(0, -1)) ? 1_000 + domain.length : -1
  return -1
}

function routeMatches({ match }: Route, call: Call): boolean {
  const path = match?.pathSpecifier
  const pathMatches =
    path?.$case === 'prefix'
      ? call.path.startsWith(path.value)
      : path?.$case === 'path'
        ? call.path === path.value
        : path?.$case === 'safeRegex' && new RegExp(`^(?:${path.value.regex})$`).test(call.path)
  return pathMatches && (match?.headers ?? []).every((header) => headerMatches(header, call))
}

function headerMatches(matcher: HeaderMatcher, call: Call): boolean {
  const value = matcher.name === ':authority' ? call.host : matcher.name === ':method' ? 'GET' : undefined
  const specifier = matcher.headerMatchSpecifier
  const found = value !== undefined && (specifier?.$case !== 'stringMatch' || textMatches(specifier.value, value))
  return found !== matcher.invertMatch
}

function textMatches({ matchPattern }: StringMatcher, value: string): boolean {
  if (matchPattern?.$case === 'exact') return value === matchPattern.value
  if (matchPattern?.$case === 'prefix') return value.startsWith(matchPattern.value)
  return matchPattern?.$case === 'safeRegex' && new RegExp(`^(?:${matchPattern.value.regex})$`).test(value)
}
