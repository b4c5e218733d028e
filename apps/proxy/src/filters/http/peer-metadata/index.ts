import {
  Config,
  type Config_DiscoveryMethod as DiscoveryMethod,
  type Config_PropagationMethod as PropagationMethod,
} from '@weft/contracts/istio/filters/peer_metadata'
import { headerName } from '@weft/http/header-name'
import type { HeaderTable } from '@weft/http/header-table'
import {
  peerKeys,
  structBytes,
  type WorkloadMetadata,
  workloadOfBaggage,
  workloadOfBytes,
  workloadOfNode,
} from '../../istio/workload-metadata.ts'
import type { FilterStatus, HttpFilter, HttpFilterKind, HttpStream } from '../filter.ts'

const peerHeader = headerName('x-envoy-peer-metadata')
const peerIdHeader = headerName('x-envoy-peer-metadata-id')
const baggageHeader = headerName('baggage')
/** Peers whose metadata is kept, by what they call themselves; so many are forgotten together with the next. */
const maxPeers = 500

/**
 * `envoy.filters.http.peer_metadata` (Istio's metadata exchange for HTTP): tells the other side which workload this one is, and
 * notes which the other side is (filter state `downstream_peer` and `upstream_peer`), for statistics, logs and expressions.
 */
export const peerMetadata: HttpFilterKind = {
  types: ['io.istio.http.peer_metadata.Config'],
  compile(bytes, context) {
    const source = Config.decode(bytes)
    const labels = new Set(source.additionalLabels)
    const node = context.services?.node ?? nobody
    const own = workloadOfNode(node, labels)
    const told = {
      id: node.id,
      metadata: Buffer.from(structBytes(own.toStruct())).toString('base64'),
      baggage: workloadOfNode(node).baggage,
    }
    const cache = new PeerCache(labels)
    const plan: Plan = {
      findDownstream: source.downstreamDiscovery.map((method) => discovery(method, cache)),
      findUpstream: source.upstreamDiscovery.map((method) => discovery(method, cache)),
      tellUpstream: source.upstreamPropagation.flatMap((method) => propagation(method, told)),
      tellDownstream: source.downstreamPropagation.flatMap((method) => propagation(method, told)),
    }
    return { start: () => new PeerMetadataFilter(plan) }
  },
}

const nobody = { id: '', metadata: {}, locality: { region: '', zone: '', subZone: '' } }

interface Plan {
  readonly findDownstream: readonly Discovery[]
  readonly findUpstream: readonly Discovery[]
  readonly tellUpstream: readonly Propagation[]
  readonly tellDownstream: readonly Propagation[]
}

/** Finds the peer by what it sent; undefined: it did not say. */
interface Discovery {
  find(headers: HeaderTable): WorkloadMetadata | null
  /** Takes away what was meant for this proxy alone. */
  remove?(headers: HeaderTable): void
}

const nothing: Discovery = { find: () => null }

function discovery({ methodSpecifier }: DiscoveryMethod, cache: PeerCache): Discovery {
  switch (methodSpecifier?.$case) {
    case 'istioHeaders':
      return {
        find: (headers) => cache.peer(headers.get(peerIdHeader) ?? '', headers.get(peerHeader) ?? ''),
        remove(headers) {
          headers.remove(peerIdHeader)
          headers.remove(peerHeader)
        },
      }
    case 'baggage':
      return {
        find(headers) {
          const header = headers.get(baggageHeader)
          return header === null ? null : workloadOfBaggage(header)
        },
      }
    default:
      // Workloads are discovered only where the bootstrap asks for it, which it cannot here: as with Envoy nothing is found then.
      return nothing
  }
}

/** Writes who this workload is. `asked`: what the other side told of itself, for an answer; null: a request always tells. */
type Propagation = (stream: HttpStream, headers: HeaderTable, asked: Asked | null) => void

interface Asked {
  readonly metadata: boolean
  readonly id: boolean
}

function propagation(
  { methodSpecifier }: PropagationMethod,
  told: { readonly id: string; readonly metadata: string; readonly baggage: string },
): Propagation[] {
  switch (methodSpecifier?.$case) {
    case 'istioHeaders': {
      const { skipExternalClusters } = methodSpecifier.value
      return [
        (stream, headers, asked) => {
          if (isOutside(stream, skipExternalClusters)) return
          if (asked?.id !== false) headers.set(peerIdHeader, told.id)
          if (asked?.metadata !== false) headers.set(peerHeader, told.metadata)
        },
      ]
    }
    case 'baggage':
      return [(_stream, headers) => headers.set(baggageHeader, told.baggage)]
    default:
      return []
  }
}

/** Whether the cluster's endpoints have no sidecar that would take the headers away. */
function isOutside({ clusterName, format }: HttpStream, skipsExternal: boolean): boolean {
  if (skipsExternal && clusterName === 'PassthroughCluster') return true
  const istio = format.clusterMetadata?.['istio']
  if (typeof istio !== 'object' || istio === null) return false
  return ('disable_mx' in istio && istio.disable_mx === true) || (skipsExternal && 'external' in istio && istio.external === true)
}

/** Peers by what they call themselves: each tells the same each time. */
class PeerCache {
  private readonly labels: ReadonlySet<string>
  private readonly peers = new Map<string, WorkloadMetadata>()

  constructor(labels: ReadonlySet<string>) {
    this.labels = labels
  }

  /** null: it told nothing, or nothing that can be read. */
  peer(id: string, told: string): WorkloadMetadata | null {
    if (told === '') return null
    const key = `${id} ${told}`
    const known = this.peers.get(key)
    if (known !== undefined) return known
    const peer = workloadOfBytes(Buffer.from(told, 'base64'), this.labels)
    if (peer === null) return null
    if (this.peers.size >= maxPeers) this.peers.clear()
    this.peers.set(key, peer)
    return peer
  }
}

class PeerMetadataFilter implements HttpFilter {
  private readonly plan: Plan
  private asked: Asked = { metadata: false, id: false }

  constructor(plan: Plan) {
    this.plan = plan
  }

  onRequestHeaders(stream: HttpStream): FilterStatus {
    const { headers } = stream.request
    if (this.plan.tellDownstream.length > 0) this.asked = { metadata: headers.has(peerHeader), id: headers.has(peerIdHeader) }
    find(stream, headers, this.plan.findDownstream, peerKeys.downstream)
    for (const tell of this.plan.tellUpstream) tell(stream, headers, null)
    return 'continue'
  }

  onResponseHeaders(stream: HttpStream): FilterStatus {
    const { headers } = stream.response
    find(stream, headers, this.plan.findUpstream, peerKeys.upstream)
    for (const tell of this.plan.tellDownstream) tell(stream, headers, this.asked)
    return 'continue'
  }
}

function find(
  { filterState }: HttpStream,
  headers: HeaderTable,
  ways: readonly Discovery[],
  keys: readonly [string, string],
): void {
  for (const way of ways) {
    const peer = way.find(headers)
    if (peer === null) continue
    if (!filterState.has(keys[0])) for (const key of keys) filterState.set(key, peer)
    break
  }
  for (const way of ways) way.remove?.(headers)
}
