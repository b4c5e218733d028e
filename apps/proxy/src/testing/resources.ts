import { Cluster } from '@weft/contracts/envoy/config/cluster/v3/cluster'
import { ClusterLoadAssignment } from '@weft/contracts/envoy/config/endpoint/v3/endpoint'
import type { LbEndpoint } from '@weft/contracts/envoy/config/endpoint/v3/endpoint_components'
import { Listener } from '@weft/contracts/envoy/config/listener/v3/listener'
import { RouteConfiguration } from '@weft/contracts/envoy/config/route/v3/route'
import { Router } from '@weft/contracts/envoy/extensions/filters/http/router/v3/router'
import { Echo } from '@weft/contracts/envoy/extensions/filters/network/echo/v3/echo'
import { HttpConnectionManager } from '@weft/contracts/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager'
import { DownstreamTlsContext, UpstreamTlsContext } from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/tls'
import { HttpProtocolOptions } from '@weft/contracts/envoy/extensions/upstreams/http/v3/http_protocol_options'
import type { ResourceUpdate } from '../threads.ts'

/** Builders of Envoy resources for tests: what a test does not say is as plain as can be. */

/** A message as an Any. */
export function any(type: string, value: Uint8Array): { typeUrl: string; value: Buffer } {
  return { typeUrl: `type.googleapis.com/${type}`, value: Buffer.from(value) }
}

/** An extension with its configuration: a filter, an access log, a transport socket. */
export function typed(name: string, type: string, config: Uint8Array) {
  return { name, configType: { $case: 'typedConfig' as const, value: any(type, config) } }
}

export const routerFilter = typed(
  'envoy.filters.http.router',
  'envoy.extensions.filters.http.router.v3.Router',
  Router.encode(Router.fromPartial({})).finish(),
)

/** A network filter that sends back what comes. */
export const echo = typed('echo', 'envoy.extensions.filters.network.echo.v3.Echo', Echo.encode(Echo.fromPartial({})).finish())

type HcmPartial = Parameters<(typeof HttpConnectionManager)['fromPartial']>[0]
type ListenerPartial = Parameters<(typeof Listener)['fromPartial']>[0]
type ClusterPartial = Parameters<(typeof Cluster)['fromPartial']>[0]
type RouteConfigurationPartial = Parameters<(typeof RouteConfiguration)['fromPartial']>[0]
type RoutePartial = NonNullable<NonNullable<NonNullable<RouteConfigurationPartial['virtualHosts']>[number]['routes']>[number]>

/** A route by prefix to a cluster. */
export function routeTo(cluster: string, prefix = '/', action: object = {}): RoutePartial {
  return {
    match: { pathSpecifier: { $case: 'prefix', value: prefix } },
    action: { $case: 'route', value: { clusterSpecifier: { $case: 'cluster', value: cluster }, ...action } },
  }
}

/** A network filter: an HTTP connection manager over these routes. */
export function connectionManager(routes: readonly RoutePartial[], more: HcmPartial = {}) {
  const hcm = HttpConnectionManager.fromPartial({
    statPrefix: 'test',
    routeSpecifier: {
      $case: 'routeConfig',
      value: { name: 'inline', virtualHosts: [{ name: 'all', domains: ['*'], routes: [...routes] }] },
    },
    httpFilters: [routerFilter],
    // What reads until the end need not wait a second for it.
    delayedCloseTimeout: { seconds: 0, nanos: 20_000_000 },
    ...more,
  })
  const type = 'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'
  return typed('envoy.filters.network.http_connection_manager', type, HttpConnectionManager.encode(hcm).finish())
}

const tlsContext = 'envoy.extensions.transport_sockets.tls.v3.'

/** A listener's TLS. */
export function downstreamTls(context: Parameters<(typeof DownstreamTlsContext)['fromPartial']>[0]) {
  const bytes = DownstreamTlsContext.encode(DownstreamTlsContext.fromPartial(context)).finish()
  return typed('envoy.transport_sockets.tls', `${tlsContext}DownstreamTlsContext`, bytes)
}

/** A cluster's TLS. */
export function upstreamTls(context: Parameters<(typeof UpstreamTlsContext)['fromPartial']>[0]) {
  const bytes = UpstreamTlsContext.encode(UpstreamTlsContext.fromPartial(context)).finish()
  return typed('envoy.transport_sockets.tls', `${tlsContext}UpstreamTlsContext`, bytes)
}

/**
 * What the TLS of a workload has in common on both sides: the certificate of secret `default`, and peers that `ROOTCA` vouches for; `names`:
 * only those with one of these URIs.
 */
export const workloadTls = (names: readonly string[] = []) => ({
  tlsCertificateSdsSecretConfigs: [{ name: 'default' }],
  validationContextType: {
    $case: 'combinedValidationContext' as const,
    value: {
      defaultValidationContext: {
        matchTypedSubjectAltNames: names.map((name) => ({
          sanType: 3 as const,
          matcher: { matchPattern: { $case: 'exact' as const, value: name } },
        })),
      },
      validationContextSdsSecretConfig: { name: 'ROOTCA' },
    },
  },
})

/** A listener's TLS with the certificate of secret `own`; clients have to show one that `ROOTCA` vouches for. */
export const mutualTls = downstreamTls({
  requireClientCertificate: true,
  commonTlsContext: {
    tlsCertificateSdsSecretConfigs: [{ name: 'own' }],
    validationContextType: { $case: 'validationContextSdsSecretConfig', value: { name: 'ROOTCA' } },
  },
})

/** A listener on a port of the kernel's choice. */
export function listener(
  name: string,
  filterChains: NonNullable<ListenerPartial>['filterChains'],
  more: ListenerPartial = {},
): ResourceUpdate {
  const source = Listener.fromPartial({
    name,
    address: {
      address: { $case: 'socketAddress', value: { address: '127.0.0.1', portSpecifier: { $case: 'portValue', value: 0 } } },
    },
    filterChains: filterChains ?? [],
    ...more,
  })
  return { kind: 'listener', name, bytes: Listener.encode(source).finish() }
}

/** Endpoints on loopback ports. */
function endpoints(ports: readonly number[]): LbEndpoint[] {
  return ClusterLoadAssignment.fromPartial({
    endpoints: [
      {
        lbEndpoints: ports.map((port) => ({
          hostIdentifier: {
            $case: 'endpoint' as const,
            value: {
              address: {
                address: {
                  $case: 'socketAddress' as const,
                  value: { address: '127.0.0.1', portSpecifier: { $case: 'portValue' as const, value: port } },
                },
              },
            },
          },
        })),
      },
    ],
  }).endpoints[0]!.lbEndpoints
}

/** A STATIC cluster over loopback ports. */
export function cluster(name: string, ports: readonly number[], more: ClusterPartial = {}): ResourceUpdate {
  const source = Cluster.fromPartial({
    name,
    connectTimeout: { seconds: 2, nanos: 0 },
    loadAssignment: { clusterName: name, endpoints: [{ lbEndpoints: endpoints(ports) }] },
    ...more,
  })
  return { kind: 'cluster', name, bytes: Cluster.encode(source).finish() }
}

/** Settings of a cluster for requests to it. */
export function httpOptions(options: Parameters<(typeof HttpProtocolOptions)['fromPartial']>[0]) {
  const type = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions'
  const bytes = HttpProtocolOptions.encode(HttpProtocolOptions.fromPartial(options)).finish()
  return { typedExtensionProtocolOptions: { [type]: any(type, bytes) } }
}

/** A route configuration for all hosts. */
export function routeConfiguration(name: string, routes: readonly RoutePartial[]): ResourceUpdate {
  const source = RouteConfiguration.fromPartial({ name, virtualHosts: [{ name: 'all', domains: ['*'], routes: [...routes] }] })
  return { kind: 'route', name, bytes: RouteConfiguration.encode(source).finish() }
}

/** An update of a cluster's endpoints. */
export function assignment(name: string, ports: readonly number[]): ResourceUpdate {
  const source = ClusterLoadAssignment.fromPartial({ clusterName: name, endpoints: [{ lbEndpoints: endpoints(ports) }] })
  return { kind: 'endpoints', name, bytes: ClusterLoadAssignment.encode(source).finish() }
}
