import type { JsonObject } from '@bufbuild/protobuf'
import { fromJson, toBinary } from '@bufbuild/protobuf'
import { descriptors } from '@weft/contracts/descriptors'
import { parseConfigDocument } from '../../bootstrap/document.ts'
import type { ResourceKind } from '../../threads.ts'
import { kindUrls } from '../resource.ts'
import { decodeDocuments, messageType } from '../validation/decode.ts'
import type { Served } from './discovery-server.ts'

/** A resource written as YAML, in binary; nothing is checked but its shape, so that bad ones can be made. */
export function resource(kind: ResourceKind, yaml: string): Served {
  const type = messageType(kindUrls[kind].slice('type.googleapis.com/'.length))
  const json: JsonObject = parseConfigDocument(yaml).json
  const name = json['name'] ?? json['cluster_name']
  return { name: String(name ?? ''), bytes: toBinary(type, fromJson(type, json, { registry: descriptors() })) }
}

/** A bootstrap written as YAML, checked, in binary. */
export function bootstrap(yaml: string): Uint8Array {
  return decodeDocuments('envoy.config.bootstrap.v3.Bootstrap', [parseConfigDocument(yaml)])
}

/** A listener with one connection manager whose routes come by RDS over ADS. */
export function rdsListener(name: string, port: number, routeName: string): string {
  return `
name: ${name}
address: {socket_address: {address: 127.0.0.1, port_value: ${port}}}
filter_chains:
- filters:
  - name: envoy.filters.network.http_connection_manager
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
      stat_prefix: ${name}
      rds: {route_config_name: ${routeName}, config_source: {ads: {}, resource_api_version: V3}}
      http_filters:
      - name: envoy.filters.http.router
        typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
`
}

/** An EDS cluster over ADS. */
export function edsCluster(name: string, extra = ''): string {
  return `
name: ${name}
type: EDS
connect_timeout: 1s
eds_cluster_config: {eds_config: {ads: {}, resource_api_version: V3}}
${extra}
`
}

/** Endpoints of a cluster at ports of the loopback. */
export function assignment(cluster: string, ...ports: number[]): string {
  const endpoints = ports.map((port) => `{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: ${port}}}}}`)
  return `{cluster_name: ${cluster}, endpoints: [{lb_endpoints: [${endpoints.join(', ')}]}]}`
}

/** A route configuration that sends everything to one cluster. */
export function routeTo(name: string, cluster: string): string {
  return `{name: ${name}, virtual_hosts: [{name: all, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: ${cluster}}}]}]}`
}

/** The bootstrap of a node whose control plane is at a port of the loopback. */
export function adsBootstrap(port: number, extra = ''): string {
  return `
node: {id: "node-1", cluster: "test"}
dynamic_resources:
  ads_config:
    api_type: GRPC
    transport_api_version: V3
    grpc_services: [{envoy_grpc: {cluster_name: xds}}]
  cds_config: {ads: {}, resource_api_version: V3}
  lds_config: {ads: {}, resource_api_version: V3}
static_resources:
  clusters:
  - name: xds
    type: STATIC
    connect_timeout: 1s
    load_assignment: ${assignment('xds', port)}
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
${extra}
`
}
