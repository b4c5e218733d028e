import { Any } from '@weft/contracts/google/protobuf/any'
import { Struct } from '@weft/contracts/google/protobuf/struct'
import type { MetadataExchange } from '@weft/contracts/istio/filters/metadata_exchange'
import type { Counter, Stats } from '../../observe/stats.ts'
import { structBytes, type WorkloadMetadata, workloadOfNode } from './workload-metadata.ts'

/**
 * How Istio's sidecars tell each other on a TCP connection who they are: each sends, before anything else, a magic number, a length
 * and that many bytes of a google.protobuf.Any. The protocol of the TLS handshake (ALPN) says that both do.
 */
const magic = 0x3d230467
const headBytes = 8
/** A sidecar tells less than 1 KiB. */
const maxToldBytes = 64 * 1024
const structType = 'type.googleapis.com/google.protobuf.Struct'
const metadataKey = 'x-envoy-peer-metadata'
const idKey = 'x-envoy-peer-metadata-id'

/** The exchange as it is configured. */
export interface PeerExchange {
  readonly protocol: string
  /** Labels that are told besides those that every workload has. */
  readonly labels: ReadonlySet<string>
}

/** Reads its configuration. */
export function compilePeerExchange({ protocol, additionalLabels }: MetadataExchange): PeerExchange {
  return { protocol, labels: new Set(additionalLabels) }
}

/** What a node sends first. */
export function introduction(
  node: Parameters<typeof workloadOfNode>[0] & { readonly id: string },
  { labels }: PeerExchange,
): Buffer {
  // The locality is told by requests alone.
  const own = workloadOfNode({ metadata: node.metadata }, labels)
  const value = Buffer.from(structBytes({ [metadataKey]: own.toStruct(), ...(node.id === '' ? {} : { [idKey]: node.id }) }))
  const told = Any.encode({ typeUrl: structType, value }).finish()
  const head = Buffer.alloc(headBytes)
  head.writeUInt32BE(magic, 0)
  head.writeUInt32BE(told.length, 4)
  return Buffer.concat([head, told])
}

/** `more`: it is not all there; `none`: these bytes are no introduction. Else so many bytes are one, and whom it names (null: nobody). */
export type Introduced = 'more' | 'none' | { readonly bytes: number; readonly peer: WorkloadMetadata | null }

/** Reads what the other side sent first. */
export function readIntroduction(bytes: Buffer, { labels }: PeerExchange): Introduced {
  if (bytes.length < headBytes) return 'more'
  if (bytes.readUInt32BE(0) !== magic) return 'none'
  const length = bytes.readUInt32BE(4)
  if (length > maxToldBytes) return 'none'
  const end = headBytes + length
  if (bytes.length < end) return 'more'
  try {
    const struct: unknown = Struct.unwrap(Struct.decode(Any.decode(bytes.subarray(headBytes, end)).value))
    const metadata = typeof struct === 'object' && struct !== null && metadataKey in struct ? struct[metadataKey] : undefined
    if (typeof metadata !== 'object' || metadata === null) return { bytes: end, peer: null }
    return { bytes: end, peer: workloadOfNode({ metadata: { ...metadata } }, labels) }
  } catch {
    return 'none'
  }
}

/** What the exchange counts, as Envoy does. */
export class ExchangeCounters {
  readonly spoken: Counter
  readonly notSpoken: Counter
  readonly told: Counter
  readonly noIntroduction: Counter
  readonly noMetadata: Counter

  constructor(stats: Stats) {
    const counter = (name: string) => stats.counter(`metadata_exchange.${name}`)
    this.spoken = counter('alpn_protocol_found')
    this.notSpoken = counter('alpn_protocol_not_found')
    this.told = counter('metadata_added')
    this.noIntroduction = counter('initial_header_not_found')
    this.noMetadata = counter('header_not_found')
  }
}
