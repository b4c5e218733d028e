import { typeUrls } from '../types.ts'

const ads = {
  sotw: '/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources',
  delta: '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources',
}

const services: Record<string, { service: string; noun: string }> = {
  [typeUrls.cluster]: { service: 'envoy.service.cluster.v3.ClusterDiscoveryService', noun: 'Clusters' },
  [typeUrls.endpoint]: { service: 'envoy.service.endpoint.v3.EndpointDiscoveryService', noun: 'Endpoints' },
  [typeUrls.listener]: { service: 'envoy.service.listener.v3.ListenerDiscoveryService', noun: 'Listeners' },
  [typeUrls.route]: { service: 'envoy.service.route.v3.RouteDiscoveryService', noun: 'Routes' },
  [typeUrls.secret]: { service: 'envoy.service.secret.v3.SecretDiscoveryService', noun: 'Secrets' },
  [typeUrls.extension]: {
    service: 'envoy.service.extension.v3.ExtensionConfigDiscoveryService',
    noun: 'ExtensionConfigs',
  },
  [typeUrls.runtime]: {
    service: 'envoy.service.runtime.v3.RuntimeDiscoveryService',
    noun: 'Runtime',
  },
}

/** The gRPC method of a discovery stream: the aggregated one, or that of one type. Undefined for a type without one. */
export function discoveryMethod(variant: 'sotw' | 'delta', typeUrl: string | 'aggregated'): string | undefined {
  if (typeUrl === 'aggregated') return ads[variant]
  const entry = services[typeUrl]
  return entry === undefined ? undefined : `/${entry.service}/${variant === 'sotw' ? 'Stream' : 'Delta'}${entry.noun}`
}
