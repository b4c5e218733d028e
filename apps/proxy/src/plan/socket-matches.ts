import { isDeepStrictEqual } from 'node:util'
import type { Cluster } from '@weft/contracts/envoy/config/cluster/v3/cluster'
import type { UpstreamTls } from '../transport/upstream-tls.ts'
import { invalid } from './problems.ts'
import type { SecretStore } from './secret-store.ts'
import { compileUpstreamTls } from './upstream-tls.ts'

/** One of a cluster's transport_socket_matches: the security of endpoints whose metadata has all of `criteria`. */
export interface SocketMatch {
  criteria: readonly (readonly [string, unknown])[]
  tls: UpstreamTls | null
}

/** The metadata of an endpoint by which a transport socket is chosen. */
export const matchMetadata = 'envoy.transport_socket_match'

/** Compiles a cluster's transport_socket_matches, in their order. */
export function compileSocketMatches(source: Cluster, at: string, secrets: SecretStore): SocketMatch[] {
  return source.transportSocketMatches.map(({ match, transportSocket }, index) => {
    const path = `${at}: transport_socket_matches[${index}].transport_socket`
    if (transportSocket === undefined) throw invalid(path, 'must be set')
    return { criteria: Object.entries(match ?? {}), tls: compileUpstreamTls(transportSocket, path, secrets) }
  })
}

/** The first match that an endpoint's metadata satisfies; undefined: the cluster's own transport socket holds. */
export function matchSocket(
  matches: readonly SocketMatch[],
  metadata: Readonly<Record<string, unknown>>,
): SocketMatch | undefined {
  if (matches.length === 0) return undefined
  const given = metadata[matchMetadata]
  const labels = new Map(typeof given === 'object' && given !== null ? Object.entries(given) : [])
  return matches.find(({ criteria }) =>
    criteria.every(([key, value]) => labels.has(key) && isDeepStrictEqual(labels.get(key), value)),
  )
}
