import { WeftError } from '@weft/service/errors'
import { connectionLimit } from './connection-limit/index.ts'
import { networkDirectResponse } from './direct-response/index.ts'
import { echo } from './echo/index.ts'
import { networkExtAuthz } from './ext-authz/index.ts'
import type { NetworkFilterKind, NetworkGateKind } from './filter.ts'
import { httpConnectionManager } from './http-connection-manager/index.ts'
import { networkIstioStats } from './istio-stats/index.ts'
import { networkLocalRatelimit } from './local-ratelimit/index.ts'
import { metadataExchange } from './metadata-exchange/index.ts'
import { networkMixer } from './mixer/index.ts'
import { networkRbac } from './rbac/index.ts'
import { networkSetFilterState } from './set-filter-state/index.ts'
import { sniCluster } from './sni-cluster/index.ts'
import { sniDynamicForwardProxy } from './sni-dynamic-forward-proxy/index.ts'
import { tcpProxy } from './tcp-proxy/index.ts'

/** Every network filter there is. */
const kinds: readonly NetworkFilterKind[] = [httpConnectionManager, tcpProxy, networkDirectResponse, echo]
/** Every filter that may stand before the last one. */
const gateKinds: readonly NetworkGateKind[] = [
  networkRbac,
  networkExtAuthz,
  networkLocalRatelimit,
  connectionLimit,
  networkSetFilterState,
  sniCluster,
  sniDynamicForwardProxy,
  networkMixer,
  networkIstioStats,
  metadataExchange,
]
const gatesByType = new Map(gateKinds.flatMap((kind) => kind.types.map((type) => [type, kind] as const)))
const byType = new Map(kinds.flatMap((kind) => kind.types.map((type) => [type, kind] as const)))

/** The types of the configurations that they take. */
export const networkFilterTypes: readonly string[] = [...gatesByType.keys(), ...byType.keys()]

/** The network filter kind for a typed_config's type URL: one that ends a chain. */
export function networkFilterKind(typeUrl: string, path: string): NetworkFilterKind {
  const kind = byType.get(typeOf(typeUrl))
  if (kind !== undefined) return kind
  throw notFound(typeUrl, path, gatesByType.has(typeOf(typeUrl)) ? 'this filter cannot end a chain' : undefined)
}

/** The kind of a network filter that stands before the last one. */
export function networkGateKind(typeUrl: string, path: string): NetworkGateKind {
  const kind = gatesByType.get(typeOf(typeUrl))
  if (kind !== undefined) return kind
  throw notFound(typeUrl, path, byType.has(typeOf(typeUrl)) ? 'this filter has to be the last one of its chain' : undefined)
}

function typeOf(typeUrl: string): string {
  return typeUrl.split('/').pop() ?? ''
}

function notFound(typeUrl: string, path: string, misplaced: string | undefined): WeftError {
  if (misplaced !== undefined) return new WeftError('invalid_argument', misplaced, { where: { path } })
  return new WeftError('unimplemented', `no network filter takes a configuration of type '${typeUrl}'`, {
    where: { path },
    hint: `known: ${networkFilterTypes.join(', ')}`,
  })
}
