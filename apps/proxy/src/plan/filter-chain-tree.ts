import { StringValue } from '@weft/contracts/google/protobuf/wrappers'
import type { Matcher } from '@weft/contracts/xds/type/matcher/v3/matcher'
import { RequestHead } from '@weft/http/message'
import { compileMatchTree } from '../routing/matchers/matcher-tree.ts'
import type { ConnectionTraits, FilterChainChoice } from './filter-chain-match.ts'
import { unsupported } from './problems.ts'

/**
 * A listener's `filter_chain_matcher`, whose actions name filter chains (`google.protobuf.StringValue`). What matches nothing
 * goes to `fallback`; what comes to a name that no chain has, nowhere.
 */
export function compileChainTree<T>(
  source: Matcher,
  path: string,
  chains: ReadonlyMap<string, T>,
  fallback: T | null,
): FilterChainChoice<T> {
  const choose = compileMatchTree(
    source,
    path,
    ({ typeUrl, value }, at) => {
      if (!typeUrl.endsWith('/google.protobuf.StringValue')) throw unsupported(at, `the action '${typeUrl}'`)
      return { chain: chains.get(StringValue.decode(value).value) ?? null }
    },
    'accepted',
  )
  return {
    find(traits) {
      const found = choose(subjectOf(traits))
      return found === null ? fallback : found.chain
    },
  }
}

const noRequest = new RequestHead()
/** No listener filter leaves any. */
const noState: ReadonlyMap<string, unknown> = new Map()

/** A connection of which no more is known than its first bytes told. */
function subjectOf(traits: ConnectionTraits) {
  const { remoteAddress, remotePort, localAddress, localPort, serverName } = traits
  return {
    request: noRequest,
    connection: {
      ...{ remoteAddress, remotePort, localAddress, localPort, serverName, tls: null },
      directRemote: { address: traits.directRemoteAddress, port: 0 },
    },
    info: { downstreamRemoteAddress: remoteAddress },
    filterState: noState,
    detected: traits,
  }
}
