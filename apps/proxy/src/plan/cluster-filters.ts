import type { Filter } from '@weft/contracts/envoy/config/cluster/v3/filter'
import { MetadataExchange } from '@weft/contracts/istio/filters/metadata_exchange'
import { compilePeerExchange, type PeerExchange } from '../filters/istio/peer-exchange.ts'
import { unsupported } from './problems.ts'

const exchangeType = 'envoy.tcp.metadataexchange.config.MetadataExchange'

/** Compiles the network filters of a cluster's connections: there is one, Istio's metadata exchange. null: none is asked for. */
export function compileClusterFilters(filters: readonly Filter[], at: string): PeerExchange | null {
  let exchange: PeerExchange | null = null
  for (const [i, { name, typedConfig }] of filters.entries()) {
    const type = typedConfig?.typeUrl.replace(/^.*\//, '') ?? ''
    if (typedConfig === undefined || type !== exchangeType)
      throw unsupported(`${at}[${i}]`, `network filter '${type || name}' of a cluster`)
    exchange ??= compilePeerExchange(MetadataExchange.decode(typedConfig.value))
  }
  return exchange
}
