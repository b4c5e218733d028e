import { WeftError } from '@weft/service/errors'
import type { NetworkFilterKind } from './filter.ts'
import { httpConnectionManager } from './http-connection-manager/index.ts'
import { tcpProxy } from './tcp-proxy/index.ts'

/** Every network filter there is. */
const kinds: readonly NetworkFilterKind[] = [httpConnectionManager, tcpProxy]
const byType = new Map(kinds.flatMap((kind) => kind.types.map((type) => [type, kind] as const)))

/** The network filter kind for a typed_config's type URL. */
export function networkFilterKind(typeUrl: string, path: string): NetworkFilterKind {
  const kind = byType.get(typeUrl.split('/').pop() ?? '')
  if (kind !== undefined) return kind
  throw new WeftError('unimplemented', `no network filter takes a configuration of type '${typeUrl}'`, {
    where: { path },
    hint: `known: ${[...byType.keys()].join(', ')}`,
  })
}
