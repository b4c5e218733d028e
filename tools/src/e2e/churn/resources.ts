import { fromJson, toBinary } from '@bufbuild/protobuf'
import { descriptors } from '@weft/contracts/descriptors'
import { createResource, type Resource } from '@weft/xds/cache/resource'
import { typeUrls } from '@weft/xds/types'
import { address, cluster, type Message, router, typed } from '../parity/bootstrap.ts'
import type { Json } from '../parity/json.ts'

/** A kind of resource that changes. */
export type Kind = 'route' | 'cluster' | 'endpoint' | 'listener' | 'secret'

export const kinds: readonly Kind[] = ['route', 'cluster', 'endpoint', 'listener', 'secret']

/** What the whole configuration is made of: how often each kind has changed, and what stays. */
export interface ChurnState {
  versions: Record<Kind, number>
  origins: readonly number[]
  ports: { http: number; tls: number }
  certificates: readonly { certificate: string; key: string }[]
}

const ads: Message = { ads: {}, resource_api_version: 'V3' }

/** All resources of a kind, as they are at a state. */
export function resourcesOfKind(kind: Kind, state: ChurnState): Resource[] {
  const version = state.versions[kind]
  switch (kind) {
    case 'route':
      return [encode(kind, 'routes', routeConfiguration(version))]
    case 'cluster':
      return ['a', 'b'].map((name) => encode(kind, name, edsCluster(name, version)))
    case 'endpoint':
      return ['a', 'b'].map((name, index) => encode(kind, name, endpoints(name, state.origins, version + index)))
    case 'listener':
      return [encode(kind, 'http', listener('http', state.ports.http, version)), encode(kind, 'tls', tlsListener(state, version))]
    case 'secret': {
      const chosen = state.certificates[version % state.certificates.length]
      if (chosen === undefined) throw new Error('no certificates')
      return [
        encode(kind, 'own', {
          name: 'own',
          tls_certificate: {
            certificate_chain: { inline_string: chosen.certificate },
            private_key: { inline_string: chosen.key },
          },
        }),
      ]
    }
  }
}

export function encode(kind: Kind, name: string, json: Json): Resource {
  const registry = descriptors()
  const type = registry.getMessage(typeUrls[kind].slice('type.googleapis.com/'.length))
  if (type === undefined) throw new Error(`no descriptor of a ${kind}`)
  return createResource(typeUrls[kind], name, toBinary(type, fromJson(type, json, { registry })))
}

/** Each version sends to the other cluster, with another header, past more or fewer routes that don't match. */
function routeConfiguration(version: number): Message {
  const others: Message[] = Array.from({ length: version % 5 }, (_, i) => ({
    match: { path: `/other/${i}` },
    direct_response: { status: 500 },
  }))
  return {
    name: 'routes',
    virtual_hosts: [
      {
        name: `host-${version % 3}`,
        domains: ['*'],
        routes: [
          ...others,
          {
            match: { prefix: '/' },
            route: { cluster: version % 2 === 0 ? 'a' : 'b', timeout: `${5 + (version % 7)}s` },
            response_headers_to_add: [{ header: { key: 'x-version', value: String(version) } }],
          },
        ],
      },
    ],
  }
}

function edsCluster(name: string, version: number): Message {
  const made = cluster(name, [], {
    type: 'EDS',
    connect_timeout: `${(2 + version * 0.001).toFixed(3)}s`,
    eds_cluster_config: { eds_config: ads },
  })
  delete made['load_assignment']
  return { ...made, lb_policy: version % 2 === 0 ? 'ROUND_ROBIN' : 'LEAST_REQUEST' }
}

/** Two of the origins, others each time. */
function endpoints(name: string, origins: readonly number[], version: number): Message {
  const chosen = [version % origins.length, (version + 1) % origins.length].map((at) => origins[at] ?? 0)
  return {
    cluster_name: name,
    endpoints: [{ lb_endpoints: chosen.map((port) => ({ endpoint: { address: address(port) }, load_balancing_weight: 1 })) }],
  }
}

function listener(name: string, port: number, version: number, transport?: Message): Message {
  const manager = typed('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager', {
    stat_prefix: name,
    server_name: `version-${version}`,
    rds: { route_config_name: 'routes', config_source: ads },
    http_filters: [router],
  })
  return {
    name,
    address: address(port),
    filter_chains: [
      {
        filters: [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }],
        ...(transport === undefined ? {} : { transport_socket: transport }),
      },
    ],
  }
}

function tlsListener({ ports }: ChurnState, version: number): Message {
  return listener('tls', ports.tls, version, {
    name: 'envoy.transport_sockets.tls',
    typed_config: typed('envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext', {
      common_tls_context: { tls_certificate_sds_secret_configs: [{ name: 'own', sds_config: ads }] },
    }),
  })
}

/** The bootstrap of a proxy that takes everything from ADS at a port. */
export function churnBootstrap(adsPort: number, admin: number): Message {
  return {
    node: { id: 'churned', cluster: 'churn' },
    admin: { address: address(admin) },
    dynamic_resources: {
      ads_config: {
        api_type: 'GRPC',
        transport_api_version: 'V3',
        grpc_services: [{ envoy_grpc: { cluster_name: 'ads' } }],
      },
      cds_config: ads,
      lds_config: ads,
    },
    static_resources: {
      clusters: [
        cluster('ads', [adsPort], {
          typed_extension_protocol_options: {
            'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': typed(
              'envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
              { explicit_http_config: { http2_protocol_options: {} } },
            ),
          },
        }),
      ],
    },
  }
}
