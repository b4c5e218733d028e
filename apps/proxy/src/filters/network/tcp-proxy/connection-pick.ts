import type { HashPolicy } from '@weft/contracts/envoy/type/v3/hash_policy'
import { invalid } from '../../../plan/problems.ts'
import { targetOf } from '../../../upstream/dns-cache.ts'
import { addressKey } from '../../../upstream/endpoint-address.ts'
import type { Hash64 } from '../../../upstream/load-balancers/hash64.ts'
import { latin1, xxHash64 } from '../../../upstream/load-balancers/hash64.ts'
import type { MetadataCriteria } from '../../../upstream/load-balancers/metadata-criteria.ts'
import type { PickContext } from '../../../upstream/load-balancers/pick-context.ts'
import type { AcceptedInfo } from '../filter.ts'

/** Writes a connection's hash; false: there is nothing to hash. */
export type ConnectionHash = (info: AcceptedInfo, into: Hash64) => boolean

/** Compiles tcp_proxy's hash policy; null: it has none. */
export function compileConnectionHash(policies: readonly HashPolicy[], path: string): ConnectionHash | null {
  const specifier = policies[0]?.policySpecifier
  if (policies.length === 0) return null
  switch (specifier?.$case) {
    case 'sourceIp':
      return (info, into) => hashText(info.remoteAddress, into)
    case 'filterState': {
      const { key } = specifier.value
      return (info, into) => {
        const value = info.filterState?.get(key)
        return typeof value === 'string' && hashText(value, into)
      }
    }
    default:
      throw invalid(`${path}[0]`, 'one of source_ip and filter_state is needed')
  }
}

function hashText(text: string, into: Hash64): boolean {
  xxHash64(latin1(text), into)
  return true
}

/** A connection as load balancers see it. */
export function connectionPick(
  info: AcceptedInfo,
  hash: ConnectionHash | null,
  metadataMatch: MetadataCriteria | null,
): PickContext {
  const { directLocal, localAddress, localPort } = info
  return {
    hashInto: (into) => hash?.(info, into) ?? false,
    metadataMatch,
    hostAttempts: 1,
    accepts: () => true,
    priorityLoads: () => null,
    requestHeader: () => null,
    metadata: () => info.metadata ?? null,
    target: targetOf(info.filterState, info.serverName),
    originalDestination: directLocal === undefined ? null : addressKey(localAddress, localPort),
  }
}
