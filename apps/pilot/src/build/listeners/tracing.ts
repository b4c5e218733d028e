import { OpenTelemetryConfig } from '@weft/contracts/envoy/config/trace/v3/opentelemetry'
import {
  ZipkinConfig_CollectorEndpointVersion as EndpointVersion,
  ZipkinConfig,
} from '@weft/contracts/envoy/config/trace/v3/zipkin'
import type { HttpConnectionManager_Tracing } from '@weft/contracts/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager'
import { HttpConnectionManager } from '@weft/contracts/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager'
import type { DeepPartial } from '@weft/contracts/envoy/type/tracing/v3/custom_tag'
import { CustomTag } from '@weft/contracts/envoy/type/tracing/v3/custom_tag'
import { providerNamed, type TracingProvider } from '../../model/extension-providers.ts'
import type { Service } from '../../model/service.ts'
import type { Scope } from '../../scope/scope.ts'
import { type SelectedTracing, selectedTracing, type TelemetryMode } from '../../scope/telemetry.ts'
import { outboundClusterName } from '../names.ts'
import { milliseconds, pack } from '../wire.ts'
import { serviceAt } from './service-at.ts'

/** Percent of requests that begin a trace where nothing is said. */
const usualSampling = 1

/** A collector of spans that this proxy sees as a service. */
interface Collector {
  readonly provider: TracingProvider
  readonly service: Service
}

/**
 * Where spans go: to the provider that a Telemetry names or that is the mesh's, or where neither says anything, with `enableTracing`
 * to the collector that ProxyConfig names.
 */
function collectorOf(scope: Scope, selected: SelectedTracing | undefined): Collector | undefined {
  const { mesh } = scope.snapshot
  const named = selected?.provider === undefined ? undefined : providerNamed(mesh.extensionProviders, selected.provider)
  const legacy = selected === undefined && mesh.enableTracing ? zipkinAt(scope.settings.tracing.zipkinAddress) : undefined
  const provider = named?.type === 'tracing' ? named : legacy
  const service = provider === undefined ? undefined : serviceAt(provider, scope)
  return provider === undefined || service === undefined ? undefined : { provider, service }
}

function zipkinAt(address: string): TracingProvider | undefined {
  const colon = address.lastIndexOf(':')
  const port = Number(address.slice(colon + 1))
  if (colon <= 0 || !Number.isInteger(port)) return undefined
  const path = '/api/v2/spans'
  return {
    type: 'tracing',
    protocol: 'zipkin',
    service: address.slice(0, colon),
    port,
    path,
    maxTagLength: undefined,
    wideIds: true,
  }
}

/** The tracing of a proxy's HTTP connection managers; undefined where spans have nowhere to go. */
export function tracing(scope: Scope, mode: TelemetryMode): DeepPartial<HttpConnectionManager_Tracing> | undefined {
  const selected = selectedTracing(scope, mode)
  const collector = collectorOf(scope, selected)
  if (collector === undefined) return undefined
  const { settings, proxy } = scope
  const { maxPathTagLength } = settings.tracing
  const sampling = selected?.sampling ?? settings.tracing.sampling ?? usualSampling
  return HttpConnectionManager.fromPartial({
    tracing: {
      clientSampling: { value: 100 },
      randomSampling: { value: sampling },
      overallSampling: { value: 100 },
      maxPathTagLength: maxPathTagLength ?? collector.provider.maxTagLength,
      customTags: customTags(scope, selected),
      noContextPropagation: selected?.propagatesContext === false,
      spawnUpstreamSpan: proxy.type === 'router',
      provider: providerOf(collector, serviceName(scope)),
    },
  }).tracing
}

/** What of a scope `tracing` depends on. */
export function tracingKey(scope: Scope): string {
  const modes = (['client', 'server'] as const).map((mode) => {
    const selected = selectedTracing(scope, mode)
    const collector = collectorOf(scope, selected)
    return collector === undefined ? '' : [collector, selected, customTags(scope, selected)]
  })
  return modes.every((mode) => mode === '') ? '' : JSON.stringify([modes, scope.settings.tracing, serviceName(scope)])
}

function serviceName({ labels, proxy }: Scope): string {
  return `${labels['service.istio.io/canonical-name'] ?? labels['app'] ?? (proxy.workloadName || proxy.name.split('.', 1)[0])}.${proxy.namespace}`
}

function providerOf({ provider, service }: Collector, serviceNameOf: string) {
  const cluster = outboundClusterName(provider.port, '', service.host)
  if (provider.protocol === 'zipkin') {
    const config = ZipkinConfig.fromPartial({
      collectorCluster: cluster,
      collectorHostname: service.host,
      collectorEndpoint: provider.path,
      collectorEndpointVersion: EndpointVersion.HTTP_JSON,
      traceId128bit: provider.wideIds,
      sharedSpanContext: false,
    })
    const value = pack('envoy.config.trace.v3.ZipkinConfig', ZipkinConfig, config)
    return { name: 'envoy.tracers.zipkin', configType: { $case: 'typedConfig' as const, value } }
  }
  const config = OpenTelemetryConfig.fromPartial({
    serviceName: serviceNameOf,
    ...(provider.path === ''
      ? { grpcService: { targetSpecifier: { $case: 'envoyGrpc', value: { clusterName: cluster, authority: service.host } } } }
      : {
          httpService: {
            httpUri: {
              uri: `http://${service.host}:${provider.port}${provider.path}`,
              httpUpstreamType: { $case: 'cluster', value: cluster },
              timeout: milliseconds(5_000),
            },
          },
        }),
  })
  const value = pack('envoy.config.trace.v3.OpenTelemetryConfig', OpenTelemetryConfig, config)
  return { name: 'envoy.tracers.opentelemetry', configType: { $case: 'typedConfig' as const, value } }
}

/** Tags that a Telemetry states, or else ProxyConfig, and those by which Istio tells whose span it is. */
function customTags(scope: Scope, selected: SelectedTracing | undefined): CustomTag[] {
  const { labels, proxy, settings } = scope
  const own: Readonly<Record<string, string>> = {
    'istio.canonical_revision': labels['service.istio.io/canonical-revision'] ?? labels['version'] ?? 'latest',
    'istio.canonical_service': serviceName(scope).slice(0, -proxy.namespace.length - 1),
    'istio.mesh_id': proxy.meshId || 'unknown',
    'istio.namespace': proxy.namespace,
  }
  const istio = (selected?.istioTags ?? settings.tracing.istioTags) ? Object.entries(own) : []
  return [
    ...istio.map(([tag, value]) => CustomTag.fromPartial({ tag, type: { $case: 'literal', value: { value } } })),
    ...(selected?.customTags === undefined ? statedTags(settings.tracing.customTags) : selectedTags(selected.customTags)),
  ]
}

function statedTags(tags: Scope['settings']['tracing']['customTags']): CustomTag[] {
  return tags.map(({ tag, type, value, defaultValue }) =>
    CustomTag.fromPartial({
      tag,
      type:
        type === 'literal'
          ? { $case: 'literal', value: { value } }
          : { $case: type === 'header' ? 'requestHeader' : 'environment', value: { name: value, defaultValue } },
    }),
  )
}

function selectedTags(tags: NonNullable<SelectedTracing['customTags']>): CustomTag[] {
  return Object.entries(tags)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([tag, { type }]): CustomTag[] => {
      if (type === undefined) return []
      if (type.$case === 'formatter') return [CustomTag.fromPartial({ tag, type: { $case: 'value', value: type.value.value } })]
      if (type.$case === 'header') return [CustomTag.fromPartial({ tag, type: { $case: 'requestHeader', value: type.value } })]
      return [CustomTag.fromPartial({ tag, type })]
    })
}
