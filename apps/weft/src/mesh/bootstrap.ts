import { identityOf, ports, systemNamespace } from './addresses.ts'

interface ProxyIdentity {
  type: 'sidecar' | 'router'
  /** The address that the node id tells. */
  address: string
  /** Other addresses of its machine. */
  moreAddresses?: readonly string[]
  name: string
  workload: string
  namespace: string
  serviceAccount: string
  labels: Record<string, string>
}

interface Address {
  host: string
  port: number
}

export interface BootstrapOptions {
  /** Pilot's ADS and Citadel's SDS; hosts are IP addresses. */
  pilot: Address
  citadel: Address
  /** The address of the proxy's own admin server. */
  admin: string
  proxy: ProxyIdentity
  /** How connections come to the proxy: caught by packet filter rules, or to addresses where it listens (metadata LOOPBACK). */
  interception: { mode: 'REDIRECT' | 'TPROXY' } | { mode: 'NONE'; loopback: Record<string, unknown> }
  meshId: string
  rootCertFile: string
  joinToken: string
}

/**
 * The Envoy v3 bootstrap of a proxy: its node, its admin server, ADS from Pilot over mutual TLS, and
 * Citadel for the secrets. It holds the join token: the file is for its owner alone.
 */
export function proxyBootstrap(options: BootstrapOptions): Record<string, unknown> {
  const { proxy, pilot, citadel, interception } = options
  const { moreAddresses = [] } = proxy
  return {
    node: {
      id: `${proxy.type}~${proxy.address}~${proxy.name}.${proxy.namespace}~${proxy.namespace}.svc.cluster.local`,
      cluster: `${proxy.workload}.${proxy.namespace}`,
      metadata: {
        NAMESPACE: proxy.namespace,
        LABELS: proxy.labels,
        SERVICE_ACCOUNT: proxy.serviceAccount,
        WORKLOAD_NAME: proxy.workload,
        CLUSTER_ID: 'local',
        MESH_ID: options.meshId,
        INTERCEPTION_MODE: interception.mode,
        ...(interception.mode === 'NONE' ? { LOOPBACK: interception.loopback } : {}),
        ...(moreAddresses.length === 0 ? {} : { INSTANCE_IPS: [proxy.address, ...moreAddresses].join() }),
        WEFT_PROXY: true,
      },
    },
    admin: { address: socketAddress(options.admin, ports.proxyAdmin) },
    dynamic_resources: {
      ads_config: {
        api_type: 'GRPC',
        transport_api_version: 'V3',
        grpc_services: [{ envoy_grpc: { cluster_name: 'xds-grpc' } }],
      },
      cds_config: { ads: {}, resource_api_version: 'V3' },
      lds_config: { ads: {}, resource_api_version: 'V3' },
    },
    static_resources: {
      clusters: [
        // First: the other one's secrets come over it.
        {
          ...grpcCluster('sds-grpc', citadel),
          transport_socket: upstreamTls('citadel.istio-system.svc', {
            validation_context: {
              trusted_ca: { filename: options.rootCertFile },
              ...sanIs(identityOf(systemNamespace, 'citadel')),
            },
          }),
        },
        {
          ...grpcCluster('xds-grpc', pilot),
          transport_socket: upstreamTls('pilot.istio-system.svc', {
            tls_certificate_sds_secret_configs: [sdsSecret('default', options.joinToken)],
            combined_validation_context: {
              default_validation_context: sanIs(identityOf(systemNamespace, 'pilot')),
              validation_context_sds_secret_config: sdsSecret('ROOTCA', options.joinToken),
            },
          }),
        },
      ],
    },
  }
}

function socketAddress(address: string, port: number): Record<string, unknown> {
  return { socket_address: { address, port_value: port } }
}

function grpcCluster(name: string, { host, port }: Address): Record<string, unknown> {
  return {
    name,
    type: 'STATIC',
    connect_timeout: '1s',
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
        explicit_http_config: { http2_protocol_options: {} },
      },
    },
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: socketAddress(host, port) } }] }],
    },
  }
}

function upstreamTls(sni: string, commonTlsContext: Record<string, unknown>): Record<string, unknown> {
  return {
    name: 'envoy.transport_sockets.tls',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
      sni,
      common_tls_context: { alpn_protocols: ['h2'], ...commonTlsContext },
    },
  }
}

function sanIs(identity: string): Record<string, unknown> {
  return { match_typed_subject_alt_names: [{ san_type: 'URI', matcher: { exact: identity } }] }
}

function sdsSecret(name: string, joinToken: string): Record<string, unknown> {
  return {
    name,
    sds_config: {
      resource_api_version: 'V3',
      api_config_source: {
        api_type: 'GRPC',
        transport_api_version: 'V3',
        grpc_services: [
          {
            envoy_grpc: { cluster_name: 'sds-grpc' },
            initial_metadata: [{ key: 'authorization', value: `Bearer ${joinToken}` }],
          },
        ],
      },
    },
  }
}
