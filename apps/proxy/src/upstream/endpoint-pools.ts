import { negotiatesBy } from '../plan/cluster.ts'
import type { ProxiedClient, RequestNames } from '../transport/upstream-tls.ts'
import type { Endpoint } from './endpoint.ts'
import { Http1Pool } from './http1-pool.ts'
import { Http2Pool } from './http2-pool.ts'
import { NegotiatedPool } from './negotiated-pool.ts'
import type { UpstreamPool } from './pool.ts'
import { TcpPool } from './tcp-pool.ts'

/** Places in an endpoint's pools, each for two priorities. */
const poolKind = { http1: 0, http2: 2, negotiated: 4, tcp: 6 } as const
const poolClasses = { 0: Http1Pool, 2: Http2Pool, 4: NegotiatedPool, 6: TcpPool } as const
type PoolKind = keyof typeof poolClasses
/** So many pools of an endpoint for different names are looked through for those without a connection. */
const manyNames = 64

/**
 * An endpoint's connections for requests of a priority that came by this version of HTTP, made on first use. `tunnel`: for an
 * upgrade, which keeps the connection. `names`: what the request has the handshake ask for. `client`: the only one whose requests
 * may share the connections, since endpoints are told of it first.
 */
export function poolOf(
  endpoint: Endpoint,
  priority: 0 | 1,
  requestVersion: 10 | 11 | 20,
  tunnel: boolean,
  names: RequestNames | null,
  client: ProxiedClient | null,
): UpstreamPool {
  return poolAt(endpoint, kindOf(endpoint, requestVersion, tunnel), priority, names, client)
}

/** An endpoint's connections for requests that end here and go on as bare bytes. */
export function tcpPoolOf(
  endpoint: Endpoint,
  priority: 0 | 1,
  names: RequestNames | null,
  client: ProxiedClient | null,
): UpstreamPool {
  return poolAt(endpoint, poolKind.tcp, priority, names, client)
}

function poolAt(
  endpoint: Endpoint,
  kind: PoolKind,
  priority: 0 | 1,
  names: RequestNames | null,
  client: ProxiedClient | null,
): UpstreamPool {
  const { pools, namedPools, cluster } = endpoint
  const own = names !== null || client !== null
  const key = own
    ? `${kind + priority} ${names?.sni ?? ''} ${names?.san ?? ''} ${names?.alpn?.join() ?? ''} ${client === null ? '' : clientKey(client)}`
    : ''
  const known = own ? namedPools.get(key) : pools[kind + priority]
  if (known !== null && known !== undefined) return known
  const pool = new poolClasses[kind]({ endpoint, breaker: cluster.breakers[priority], names, client })
  if (!own) pools[kind + priority] = pool
  else {
    // Clients choose the names, and come and go: what nobody uses any more goes.
    if (namedPools.size >= manyNames) for (const [name, one] of namedPools) if (one.size === 0) namedPools.delete(name)
    namedPools.set(key, pool)
  }
  return pool
}

function clientKey({ remoteAddress, remotePort, localAddress, localPort, tlvs }: ProxiedClient): string {
  const told = (tlvs ?? []).map(({ type, value }) => `${type}=${value.toString('base64')}`)
  return [remoteAddress, remotePort, localAddress, localPort, ...told].join(' ')
}

function kindOf(endpoint: Endpoint, requestVersion: 10 | 11 | 20, tunnel: boolean): PoolKind {
  const { cluster } = endpoint
  const { http, negotiates } = cluster.plan
  if (http === 'http2' || (http === 'downstream' && requestVersion === 20)) return poolKind.http2
  if (!negotiates || http === 'downstream') return poolKind.http1
  // Between sidecars a tunnel has a connection of its own, as long as it may last.
  if (tunnel && http !== 'auto') return poolKind.http1
  endpoint.negotiates ??= negotiatesBy(http, cluster.tlsOf(endpoint))
  return endpoint.negotiates ? poolKind.negotiated : poolKind.http1
}
