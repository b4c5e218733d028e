import { WeftError } from '@weft/service/errors'
import type { ListenerFilterKind } from './filter.ts'
import { httpInspector } from './http-inspector/index.ts'
import { listenerLocalRatelimit } from './local-ratelimit/index.ts'
import { proxyProtocol } from './proxy-protocol/index.ts'
import { tlsInspector } from './tls-inspector/index.ts'

/** Every listener filter there is but original_dst, which asks the socket (plan/listener.ts). */
const kinds: readonly ListenerFilterKind[] = [proxyProtocol, tlsInspector, httpInspector, listenerLocalRatelimit]
const byType = new Map(kinds.flatMap((kind) => kind.types.map((type) => [type, kind] as const)))

/** The listener filter kind for a typed_config's type URL. */
export function listenerFilterKind(typeUrl: string, path: string): ListenerFilterKind {
  const kind = byType.get(typeUrl.split('/').pop() ?? '')
  if (kind !== undefined) return kind
  throw new WeftError('unimplemented', `no listener filter takes a configuration of type '${typeUrl}'`, {
    where: { path },
    hint: `known: ${[...byType.keys()].join(', ')}`,
  })
}
