import { Cluster } from '@weft/contracts/envoy/config/cluster/v3/cluster'
import { ClusterLoadAssignment } from '@weft/contracts/envoy/config/endpoint/v3/endpoint'
import type { LbEndpoint } from '@weft/contracts/envoy/config/endpoint/v3/endpoint_components'
import { Listener } from '@weft/contracts/envoy/config/listener/v3/listener'
import { RouteConfiguration } from '@weft/contracts/envoy/config/route/v3/route'
import { Router } from '@weft/contracts/envoy/extensions/filters/http/router/v3/router'
import { HttpConnectionManager } from '@weft/contracts/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager'
import type { ResourceUpdate } from '../threads.ts'

/** Builders of Envoy resources for tests: what a test does not say is as plain as can be. */

/** A message as an Any. */
export function any(type: string, value: Uint8Array): { typeUrl: string; value: Buffer } {
  return { typeUrl: `type.googleapis.com/${type}`, value: Buffer.from(value) }
}

export const routerFilter = {
  name: 'envoy.filters.http.router',
  configType: {
    $case: 'typedConfig' as const,
    value: any('envoy.extensions.filters.http.router.v3.Router', Router.encode(Router.fromPartial({})).finish()),
  },
}

/** An HTTP filter with its configuration. */
export function httpFilter(name: string, type: string, config: Uint8Array) {
  return { name, configType: { $case: 'typedConfig' as const, value: any(type, config) } }
}

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
    ...more,
  })
  const type = 'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'
  return {
    name: 'envoy.filters.network.http_connection_manager',
    configType: { $case: 'typedConfig' as const, value: any(type, HttpConnectionManager.encode(hcm).finish()) },
  }
}

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
