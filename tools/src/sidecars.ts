/**
 * Two sidecars with mutual TLS between them, as static bootstraps with what Pilot would configure: for scenarios and
 * benchmarks of what passes between sidecars. The same documents run real Envoy.
 */
import { type IssuedCertificate, TestAuthority } from '@weft/proxy/testing/certificates'
import { accessLog, address, cluster, httpFilter, type Message, router, typed } from './e2e/parity/bootstrap.ts'

/** Certificates of both sides, by one authority. */
export interface SidecarKeys {
  root: string
  client: IssuedCertificate
  server: IssuedCertificate
}

/** Identities of the two workloads. */
export const identities = {
  client: 'spiffe://cluster.local/ns/default/sa/client',
  server: 'spiffe://cluster.local/ns/default/sa/server',
} as const

export async function createSidecarKeys(): Promise<SidecarKeys> {
  const authority = await TestAuthority.create()
  return {
    root: authority.pem,
    client: await authority.issue(identities.client),
    server: await authority.issue(identities.server),
  }
}

export interface SidecarOptions {
  keys: SidecarKeys
  /** What the applications on both sides speak. */
  application: 'http1' | 'http2'
  /** What the sidecars speak between them; `shared`: whatever their applications speak, on connections that requests share. */
  between: 'http1' | 'http2' | 'shared'
  /** Filters in front of the router. */
  filters?: Message[]
  /** A file for access logs. */
  accessLog?: string
  route?: Message
}

const http2Options: Message = {
  typed_extension_protocol_options: {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': typed('envoy.extensions.upstreams.http.v3.HttpProtocolOptions', {
      explicit_http_config: { http2_protocol_options: {} },
    }),
  },
}

/** As good as none, as where no DestinationRule states any. */
const limits: Message = {
  thresholds: [{ max_connections: 65_536, max_pending_requests: 65_536, max_requests: 65_536, max_retries: 65_536 }],
}

function tlsContext(own: IssuedCertificate, root: string, peer: string, alpn: string[]): Message {
  return {
    alpn_protocols: alpn,
    tls_certificates: [{ certificate_chain: { inline_string: own.cert }, private_key: { inline_string: own.key } }],
    validation_context: {
      trusted_ca: { inline_string: root },
      match_typed_subject_alt_names: [{ san_type: 'URI', matcher: { exact: peer } }],
    },
  }
}

function manager(prefix: string, toCluster: string, options: SidecarOptions, more: Message): Message {
  return {
    name: 'envoy.filters.network.http_connection_manager',
    typed_config: typed('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager', {
      stat_prefix: prefix,
      stream_idle_timeout: '0s',
      route_config: {
        name: prefix,
        virtual_hosts: [
          {
            name: 'all',
            domains: ['*'],
            routes: [{ match: { prefix: '/' }, route: { cluster: toCluster, timeout: '0s', ...options.route } }],
          },
        ],
      },
      http_filters: [...(options.filters ?? []), router],
      ...(options.accessLog === undefined ? {} : { access_log: [fileLog(options.accessLog)] }),
      ...more,
    }),
  }
}

function fileLog(path: string): Message {
  const log = accessLog('')
  return {
    ...log,
    name: 'envoy.access_loggers.file',
    typed_config: typed('envoy.extensions.access_loggers.file.v3.FileAccessLog', { path }),
  }
}

/** The client's: plaintext in, mutual TLS out to the others' ports. */
export function clientSidecar(listen: number, admin: number, others: readonly number[], options: SidecarOptions): Message {
  const { keys, application, between } = options
  const http2 = application === 'http2' || between === 'http2'
  const alpn = [...(between === 'shared' ? ['weft-h2'] : []), 'istio', http2 ? 'h2' : 'http/1.1']
  const out = cluster('outbound', others, {
    ...(http2 ? http2Options : {}),
    circuit_breakers: limits,
    transport_socket: {
      name: 'envoy.transport_sockets.tls',
      typed_config: typed('envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext', {
        sni: 'outbound_.80_._.server.default.svc.cluster.local',
        common_tls_context: tlsContext(keys.client, keys.root, identities.server, alpn),
      }),
    },
  })
  const retried: Message = {
    retry_policy: {
      retry_on: 'connect-failure,refused-stream,unavailable,cancelled',
      num_retries: 2,
      retry_host_predicate: [
        {
          name: 'envoy.retry_host_predicates.previous_hosts',
          typed_config: typed('envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate'),
        },
      ],
      host_selection_retry_max_attempts: 5,
    },
  }
  const withRetries = { ...options, route: { ...retried, ...options.route } }
  return bootstrap(admin, [out], {
    name: 'outbound',
    address: address(listen),
    filter_chains: [{ filters: [manager('outbound', 'outbound', withRetries, {})] }],
  })
}

/** The server's: mutual TLS in, plaintext out to the application. */
export function serverSidecar(listen: number, admin: number, application: number, options: SidecarOptions): Message {
  const { keys, between } = options
  const alpn = [...(between === 'shared' ? ['weft-h2'] : []), 'h2', 'http/1.1']
  const toApplication = cluster('inbound', [application], {
    ...(options.application === 'http2' ? http2Options : {}),
    circuit_breakers: limits,
  })
  const more: Message = {
    forward_client_cert_details: 'APPEND_FORWARD',
    set_current_client_cert_details: { subject: true, uri: true },
  }
  return bootstrap(admin, [toApplication], {
    name: 'inbound',
    address: address(listen),
    traffic_direction: 'INBOUND',
    listener_filters: [
      {
        name: 'envoy.filters.listener.tls_inspector',
        typed_config: typed('envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector'),
      },
    ],
    filter_chains: [
      {
        filter_chain_match: { transport_protocol: 'tls' },
        transport_socket: {
          name: 'envoy.transport_sockets.tls',
          typed_config: typed('envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext', {
            require_client_certificate: true,
            common_tls_context: tlsContext(keys.server, keys.root, identities.client, alpn),
          }),
        },
        filters: [manager('inbound', 'inbound', options, more)],
      },
    ],
  })
}

function bootstrap(admin: number, clusters: Message[], listener: Message): Message {
  return {
    node: { id: 'sidecar', cluster: 'sidecar' },
    admin: { address: address(admin) },
    static_resources: { listeners: [listener], clusters },
  }
}

/** An RBAC filter that lets a workload do GET and POST: what an AuthorizationPolicy turns into. */
export function allowPolicy(principal: string | null): Message {
  const principals: Message[] =
    principal === null ? [{ any: true }] : [{ authenticated: { principal_name: { exact: principal } } }]
  const method = (name: string): Message => ({ header: { name: ':method', string_match: { exact: name } } })
  return httpFilter('rbac', 'RBAC', {
    rules: {
      action: 'ALLOW',
      policies: { items: { permissions: [{ or_rules: { rules: [method('GET'), method('POST')] } }], principals } },
    },
  })
}
