import { FilterConfig as GrpcStats } from '@weft/contracts/envoy/extensions/filters/http/grpc_stats/v3/config'
import type { Any } from '@weft/contracts/google/protobuf/any'
import { MetadataExchange } from '@weft/contracts/istio/filters/metadata_exchange'
import { Config as PeerMetadata } from '@weft/contracts/istio/filters/peer_metadata'
import { PluginConfig } from '@weft/contracts/istio/filters/stats'
import { type SelectedMetrics, selectedMetrics } from '../../scope/metrics.ts'
import type { Scope } from '../../scope/scope.ts'
import type { TelemetryMode } from '../../scope/telemetry.ts'
import { peerExchange } from '../tls/contexts.ts'
import { pack } from '../wire.ts'

/** The filters that count Istio's metrics of requests: they tell and note who speaks to whom, and count at the end. */
export interface HttpMetricFilters {
  readonly first: { readonly name: string; readonly config: Any }
  readonly last: readonly { readonly name: string; readonly config: Any }[]
}

const istioHeaders = { $case: 'istioHeaders', value: { skipExternalClusters: true } } as const

/** Those of HTTP; undefined: no Telemetry selects metrics, or the proxy is Envoy, which has no such filters. */
export function httpMetricFilters(
  scope: Scope,
  mode: TelemetryMode,
  side: 'inbound' | 'outbound' | 'gateway',
): HttpMetricFilters | undefined {
  const metrics = metricsOf(scope, mode)
  if (metrics === undefined) return undefined
  const method = [{ methodSpecifier: istioHeaders }]
  const peers = PeerMetadata.fromPartial(
    side === 'inbound'
      ? { downstreamDiscovery: method, downstreamPropagation: method }
      : { upstreamDiscovery: method, upstreamPropagation: method },
  )
  const messages = GrpcStats.fromPartial({
    emitFilterState: true,
    perMethodStatSpecifier: { $case: 'statsForAllMethods', value: false },
  })
  return {
    first: { name: 'istio.metadata_exchange', config: pack('io.istio.http.peer_metadata.Config', PeerMetadata, peers) },
    last: [
      {
        name: 'envoy.filters.http.grpc_stats',
        config: pack('envoy.extensions.filters.http.grpc_stats.v3.FilterConfig', GrpcStats, messages),
      },
      { name: 'istio.stats', config: statsConfig(metrics, side !== 'outbound') },
    ],
  }
}

/** The filter that counts connections; undefined as above. */
export function tcpMetricFilter(scope: Scope, mode: TelemetryMode): Any | undefined {
  const metrics = metricsOf(scope, mode)
  return metrics === undefined ? undefined : statsConfig(metrics, mode === 'server')
}

/** Whether this proxy counts connections, and so tells the other end who it is and asks it. */
export function exchangesPeers(scope: Scope, mode: TelemetryMode): boolean {
  return metricsOf(scope, mode) !== undefined
}

const exchange = pack(
  'envoy.tcp.metadataexchange.config.MetadataExchange',
  MetadataExchange,
  MetadataExchange.fromPartial({ protocol: peerExchange }),
)

/** The filter by which the ends of a connection tell each other, of listeners; a cluster's has the same two fields. */
export const peerExchangeFilter = { name: 'istio.metadata_exchange', typedConfig: exchange }

function metricsOf(scope: Scope, mode: TelemetryMode): SelectedMetrics | undefined {
  return scope.proxy.isWeft ? selectedMetrics(scope, mode) : undefined
}

/** `disableHostHeaderFallback`: clients outside of the mesh name hosts as they like. */
function statsConfig({ interval, changes }: SelectedMetrics, disableHostHeaderFallback: boolean): Any {
  const config = PluginConfig.fromPartial({
    disableHostHeaderFallback,
    tcpReportingDuration: interval,
    metrics: changes.map(({ metric, dropped, removed, dimensions }) => ({
      name: metric,
      drop: dropped,
      tagsToRemove: [...removed],
      dimensions: { ...dimensions },
    })),
  })
  return pack('stats.PluginConfig', PluginConfig, config)
}

/** What of a scope these filters depend on. */
export function metricsKey(scope: Scope): string {
  return JSON.stringify([metricsOf(scope, 'client'), metricsOf(scope, 'server')])
}
