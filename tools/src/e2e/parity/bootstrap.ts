import type { Ports } from './case.ts'
import type { Json } from './json.ts'

export type Message = { [key: string]: Json }

const typePrefix = 'type.googleapis.com/'

/** The content of an Any. */
export function typed(type: string, fields: Message = {}): Message {
  return { '@type': typePrefix + type, ...fields }
}

/** An HTTP filter of Envoy's, by the folder of its API. */
export function httpFilter(folder: string, message: string, fields: Message = {}): Message {
  return {
    name: `envoy.filters.http.${folder}`,
    typed_config: typed(`envoy.extensions.filters.http.${folder}.v3.${message}`, fields),
  }
}

export const router: Message = httpFilter('router', 'Router')

export function address(port: number): Message {
  return { socket_address: { address: '127.0.0.1', port_value: port } }
}

/** A STATIC cluster over ports of the loopback. */
export function cluster(name: string, ports: readonly number[], more: Message = {}): Message {
  return {
    name,
    type: 'STATIC',
    connect_timeout: '1s',
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: ports.map((port) => ({ endpoint: { address: address(port) } })) }],
    },
    ...more,
  }
}

/** What each access log line says, of what doesn't hang on time. */
const logFormat =
  '%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% ' +
  'rx=%BYTES_RECEIVED% tx=%BYTES_SENT% cluster=%UPSTREAM_CLUSTER% host=%UPSTREAM_HOST% attempts=%UPSTREAM_REQUEST_ATTEMPT_COUNT% ' +
  'route=%ROUTE_NAME% authority=%REQ(:AUTHORITY)% failure=%UPSTREAM_TRANSPORT_FAILURE_REASON%\n'

export interface HttpOptions {
  /** Of the one virtual host for all domains; everything to cluster `a` without. */
  routes?: Message[]
  virtualHosts?: Message[]
  /** In front of the router. */
  filters?: Message[]
  /** More of the connection manager. */
  manager?: Message
  /** More of the route configuration. */
  routeConfig?: Message
  /** Cluster `a` at origin `a` without. */
  clusters?: Message[]
  /** More of the bootstrap. */
  more?: Message
  listener?: Message
  log?: string
}

/** A bootstrap with one HTTP listener, an admin address and an access log on standard output. */
export function http(ports: Ports, options: HttpOptions = {}): Message {
  const routes = options.routes ?? [{ match: { prefix: '/' }, route: { cluster: 'a' } }]
  const manager = typed('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager', {
    stat_prefix: 'ingress',
    route_config: {
      name: 'local',
      virtual_hosts: options.virtualHosts ?? [{ name: 'all', domains: ['*'], routes }],
      ...options.routeConfig,
    },
    http_filters: [...(options.filters ?? []), router],
    access_log: [accessLog(options.log ?? logFormat)],
    ...options.manager,
  })
  const listener: Message = {
    name: 'http',
    address: address(ports['http'] ?? 0),
    filter_chains: [{ filters: [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }] }],
    ...options.listener,
  }
  return {
    admin: { address: address(ports['admin'] ?? 0) },
    static_resources: { listeners: [listener], clusters: options.clusters ?? [cluster('a', [ports['a'] ?? 1])] },
    ...options.more,
  }
}

export function accessLog(format: string | Message, filter?: Message): Message {
  const log_format: Message = typeof format === 'string' ? { text_format_source: { inline_string: `LOG ${format}` } } : format
  return {
    name: 'envoy.access_loggers.stdout',
    ...(filter === undefined ? {} : { filter }),
    typed_config: typed('envoy.extensions.access_loggers.stream.v3.StdoutAccessLog', { log_format }),
  }
}

/** A network filter of Envoy's, by the folder of its API. */
export function networkFilter(folder: string, message: string, fields: Message = {}): Message {
  return {
    name: `envoy.filters.network.${folder}`,
    typed_config: typed(`envoy.extensions.filters.network.${folder}.v3.${message}`, fields),
  }
}

/** A listener filter of Envoy's, by the folder of its API. */
export function listenerFilter(folder: string, message: string, fields: Message = {}): Message {
  return {
    name: `envoy.filters.listener.${folder}`,
    typed_config: typed(`envoy.extensions.filters.listener.${folder}.v3.${message}`, fields),
  }
}

/** What each access log line says of a TCP session. */
export const tcpLogFormat =
  '%RESPONSE_FLAGS% %CONNECTION_TERMINATION_DETAILS% %RESPONSE_CODE_DETAILS% rx=%BYTES_RECEIVED% tx=%BYTES_SENT% ' +
  'cluster=%UPSTREAM_CLUSTER% host=%UPSTREAM_HOST% attempts=%UPSTREAM_REQUEST_ATTEMPT_COUNT% ' +
  'sni=%REQUESTED_SERVER_NAME% failure=%UPSTREAM_TRANSPORT_FAILURE_REASON%\n'

export interface TcpOptions {
  /** In front of tcp_proxy. */
  filters?: Message[]
  /** More of tcp_proxy; it goes to cluster `a` where nothing else is said. */
  proxy?: Message
  /** More of the filter chain. */
  chain?: Message
  /** Instead of the one chain. */
  chains?: Message[]
  /** Cluster `a` at origin `a` without. */
  clusters?: Message[]
  listener?: Message
  more?: Message
  log?: string
}

/** A bootstrap with one listener that forwards TCP, and an admin address. */
export function tcp(ports: Ports, options: TcpOptions = {}): Message {
  const proxy = networkFilter('tcp_proxy', 'TcpProxy', {
    stat_prefix: 'tcp',
    ...(options.proxy?.['weighted_clusters'] === undefined ? { cluster: 'a' } : {}),
    ...(options.log === '' ? {} : { access_log: [accessLog(options.log ?? tcpLogFormat)] }),
    ...options.proxy,
  })
  const listener: Message = {
    name: 'tcp',
    address: address(ports['http'] ?? 0),
    filter_chains: options.chains ?? [{ filters: [...(options.filters ?? []), proxy], ...options.chain }],
    ...options.listener,
  }
  return {
    admin: { address: address(ports['admin'] ?? 0) },
    static_resources: { listeners: [listener], clusters: options.clusters ?? [cluster('a', [ports['a'] ?? 1])] },
    ...options.more,
  }
}
