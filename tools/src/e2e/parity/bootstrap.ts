import type { Ports } from './case.ts'

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }
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
export const logFormat =
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
