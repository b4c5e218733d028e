import { isIP } from 'node:net'
import { parseAddress } from '@weft/service/flags'
import type { AgentSettings } from './settings.ts'

/**
 * The Envoy v3 bootstrap of a proxy in a pod: its node as Istio names it, ADS from Pilot over mutual TLS, and the secrets from
 * Citadel, to which each stream carries the pod's token as it is then: Kubernetes rotates it.
 */
export function podBootstrap(settings: AgentSettings, labels: Readonly<Record<string, string>>): Record<string, unknown> {
  const { role, pod, metadata, domain, trustDomain } = settings
  const workload = typeof metadata['WORKLOAD_NAME'] === 'string' ? metadata['WORKLOAD_NAME'] : pod.name
  const said = metadata['LABELS']
  const pilot = parseAddress(settings.pilot)
  // The account of Pilot is named like its Service, whatever the revision.
  const [service = 'pilot', namespace = 'istio-system'] = isIP(pilot.host) === 0 ? pilot.host.split('.') : []
  const secret = (name: string): Record<string, unknown> => ({ name, sds_config: sdsConfig(settings.tokenFile) })
  return {
    node: {
      id: `${role}~${pod.ip}~${pod.name}.${pod.namespace}~${domain}`,
      cluster: `${workload}.${pod.namespace}`,
      metadata: {
        ...metadata,
        NAME: pod.name,
        NAMESPACE: pod.namespace,
        SERVICE_ACCOUNT: pod.serviceAccount,
        INSTANCE_IPS: pod.ip,
        LABELS: typeof said === 'object' ? { ...said, ...labels } : labels,
        WEFT_PROXY: true,
      },
    },
    admin: { address: socketAddress('127.0.0.1', settings.adminPort) },
    layered_runtime: {
      layers: [
        // Routes hold what users write, and their expressions may be long.
        { name: 'proxy config', static_layer: { 're2.max_program_size.error_level': 32_768, ...settings.runtimeValues } },
        { name: 'admin', admin_layer: {} },
      ],
    },
    dynamic_resources: {
      ads_config: {
        api_type: 'GRPC',
        transport_api_version: 'V3',
        grpc_services: [{ envoy_grpc: { cluster_name: 'xds-grpc' } }],
      },
      cds_config: { ads: {}, resource_api_version: 'V3', initial_fetch_timeout: '0s' },
      lds_config: { ads: {}, resource_api_version: 'V3', initial_fetch_timeout: '0s' },
    },
    static_resources: {
      clusters: [
        // First: the other one's secrets come over it.
        grpcCluster('sds-grpc', settings.citadel, 'citadel.istio-system.svc', {
          validation_context: {
            trusted_ca: { filename: settings.rootCertFile },
            ...sanIs(`spiffe://${trustDomain}/ns/istio-system/sa/citadel`),
          },
        }),
        grpcCluster('xds-grpc', settings.pilot, pilot.host, {
          tls_certificate_sds_secret_configs: [secret('default')],
          combined_validation_context: {
            default_validation_context: sanIs(`spiffe://${trustDomain}/ns/${namespace}/sa/${service}`),
            validation_context_sds_secret_config: secret('ROOTCA'),
          },
        }),
      ],
    },
  }
}

function socketAddress(address: string, port: number): Record<string, unknown> {
  return { socket_address: { address, port_value: port } }
}

function grpcCluster(name: string, address: string, sni: string, tls: Record<string, unknown>): Record<string, unknown> {
  const { host, port } = parseAddress(address)
  return {
    name,
    type: isIP(host) === 0 ? 'STRICT_DNS' : 'STATIC',
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
    transport_socket: {
      name: 'envoy.transport_sockets.tls',
      typed_config: {
        '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
        ...(isIP(sni) === 0 ? { sni } : {}),
        common_tls_context: { alpn_protocols: ['h2'], ...tls },
      },
    },
  }
}

function sanIs(identity: string): Record<string, unknown> {
  return { match_typed_subject_alt_names: [{ san_type: 'URI', matcher: { exact: identity } }] }
}

function sdsConfig(token: string): Record<string, unknown> {
  return {
    resource_api_version: 'V3',
    api_config_source: {
      api_type: 'GRPC',
      transport_api_version: 'V3',
      grpc_services: [
        {
          envoy_grpc: { cluster_name: 'sds-grpc' },
          initial_metadata: [{ key: 'authorization', value: `Bearer %FILE_CONTENT(${token})%` }],
        },
      ],
    },
  }
}
