import { WeftError } from '@weft/service/errors'
import { adaptiveConcurrency } from './adaptive-concurrency/index.ts'
import { admissionControl } from './admission-control/index.ts'
import { alpn } from './alpn/index.ts'
import { bandwidthLimit } from './bandwidth-limit/index.ts'
import { basicAuth } from './basic-auth/index.ts'
import { buffer } from './buffer/index.ts'
import { compressor } from './compressor/index.ts'
import { cors } from './cors/index.ts'
import { credentialInjector } from './credential-injector/index.ts'
import { csrf } from './csrf/index.ts'
import { decompressor } from './decompressor/index.ts'
import { dynamicForwardProxy } from './dynamic-forward-proxy/index.ts'
import { extAuthz } from './ext-authz/index.ts'
import { fault } from './fault/index.ts'
import type { HttpFilterKind } from './filter.ts'
import { grpcHttp1Bridge } from './grpc-http1-bridge/index.ts'
import { grpcStats } from './grpc-stats/index.ts'
import { grpcWeb } from './grpc-web/index.ts'
import { headerMutation } from './header-mutation/index.ts'
import { headerToMetadata } from './header-to-metadata/index.ts'
import { healthCheck } from './health-check/index.ts'
import { ipTagging } from './ip-tagging/index.ts'
import { istioStats } from './istio-stats/index.ts'
import { jwtAuthn } from './jwt-authn/index.ts'
import { localRatelimit } from './local-ratelimit/index.ts'
import { mixer } from './mixer/index.ts'
import { peerMetadata } from './peer-metadata/index.ts'
import { ratelimit } from './ratelimit/index.ts'
import { rbac } from './rbac/index.ts'
import { router } from './router/index.ts'
import { setFilterState } from './set-filter-state/index.ts'
import { setMetadata } from './set-metadata/index.ts'
import { statefulSession } from './stateful-session/index.ts'
import type { TerminalFilterKind } from './terminal-filter.ts'
import { typescript } from './typescript/index.ts'

const prefix = 'type.googleapis.com/'

/** Every HTTP filter there is, but the one that ends a chain. A new one is a folder and a line here. */
const kinds: readonly HttpFilterKind[] = [
  adaptiveConcurrency,
  admissionControl,
  bandwidthLimit,
  basicAuth,
  alpn,
  buffer,
  compressor,
  cors,
  credentialInjector,
  csrf,
  decompressor,
  dynamicForwardProxy,
  extAuthz,
  fault,
  grpcHttp1Bridge,
  grpcStats,
  grpcWeb,
  headerMutation,
  headerToMetadata,
  healthCheck,
  ipTagging,
  istioStats,
  jwtAuthn,
  localRatelimit,
  mixer,
  peerMetadata,
  ratelimit,
  rbac,
  setFilterState,
  setMetadata,
  statefulSession,
  typescript,
]

const byType = new Map<string, HttpFilterKind | TerminalFilterKind>(
  [...kinds, router].flatMap((kind) => kind.types.map((type) => [type, kind] as const)),
)
const byRouteType = new Map<string, HttpFilterKind>(
  kinds.flatMap((kind) => (kind.routeTypes ?? []).map((type) => [type, kind] as const)),
)

/** What ends a chain that is empty. */
export const defaultTerminal: TerminalFilterKind = router

/** The message types that HTTP filters, and routes for them, take as configuration. */
export const httpFilterTypes: ReadonlySet<string> = new Set([...byType.keys(), ...byRouteType.keys()])

/** The filter kind for a typed_config's type URL. */
export function httpFilterKind(typeUrl: string, path: string): HttpFilterKind | TerminalFilterKind {
  const kind = byType.get(typeUrl.startsWith(prefix) ? typeUrl.slice(prefix.length) : typeUrl)
  if (kind === undefined) throw notFound(typeUrl, path, byType)
  return kind
}

/** The filter kind that takes a route's override of this type. */
export function httpFilterKindOfRoute(typeUrl: string, path: string): HttpFilterKind {
  const kind = byRouteType.get(typeUrl.startsWith(prefix) ? typeUrl.slice(prefix.length) : typeUrl)
  if (kind === undefined) throw notFound(typeUrl, path, byRouteType)
  return kind
}

function notFound(typeUrl: string, path: string, known: ReadonlyMap<string, unknown>): WeftError {
  return new WeftError('unimplemented', `no HTTP filter takes a configuration of type '${typeUrl}'`, {
    where: { path },
    hint: `known: ${[...known.keys()].join(', ')}`,
  })
}
