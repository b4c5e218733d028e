import { type DescMessage, fromJson, type JsonObject, type Registry, toBinary } from '@bufbuild/protobuf'
import { descriptors } from '@weft/contracts/descriptors'
import { EnvoyFilter_ApplyTo as ApplyTo } from '@weft/contracts/istio/networking/v1alpha3/envoy_filter'
import { WeftError } from '@weft/service/errors'

const messages: Readonly<Record<number, string>> = {
  [ApplyTo.LISTENER]: 'envoy.config.listener.v3.Listener',
  [ApplyTo.FILTER_CHAIN]: 'envoy.config.listener.v3.FilterChain',
  [ApplyTo.LISTENER_FILTER]: 'envoy.config.listener.v3.ListenerFilter',
  [ApplyTo.NETWORK_FILTER]: 'envoy.config.listener.v3.Filter',
  [ApplyTo.HTTP_FILTER]: 'envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter',
  [ApplyTo.ROUTE_CONFIGURATION]: 'envoy.config.route.v3.RouteConfiguration',
  [ApplyTo.VIRTUAL_HOST]: 'envoy.config.route.v3.VirtualHost',
  [ApplyTo.HTTP_ROUTE]: 'envoy.config.route.v3.Route',
  [ApplyTo.CLUSTER]: 'envoy.config.cluster.v3.Cluster',
  [ApplyTo.EXTENSION_CONFIG]: 'envoy.config.core.v3.TypedExtensionConfig',
  [ApplyTo.BOOTSTRAP]: 'envoy.config.bootstrap.v3.Bootstrap',
}

/** The name of Envoy's message that an EnvoyFilter's patch is about. */
export function envoyMessageName(applyTo: number): string {
  return messages[applyTo] ?? ''
}

/** One of Envoy's messages by its name, and all those that it may hold. */
export function envoyMessage(name: string): { desc: DescMessage; registry: Registry } {
  const registry = descriptors()
  const desc = registry.getMessage(name)
  if (desc === undefined) throw new WeftError('internal', `the contracts have no message '${name}'`)
  return { desc, registry }
}

/**
 * The value of an EnvoyFilter's patch in binary form. A field that Envoy does not have is left out, as Istio does, and told as
 * `unknown`; throws where it cannot be read at all.
 */
export function envoyValue(applyTo: number, value: JsonObject): { bytes: Uint8Array; unknown: string } {
  const { desc, registry } = envoyMessage(envoyMessageName(applyTo))
  try {
    return { bytes: toBinary(desc, fromJson(desc, value, { registry })), unknown: '' }
  } catch (thrown) {
    const bytes = toBinary(desc, fromJson(desc, value, { registry, ignoreUnknownFields: true }))
    return { bytes, unknown: thrown instanceof Error ? thrown.message : String(thrown) }
  }
}
