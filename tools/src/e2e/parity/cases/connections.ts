import { cluster, http, httpFilter, listenerFilter, type Message } from '../bootstrap.ts'
import { get, group, type ParityCase } from '../case.ts'

/** How connections are made, and to where. */
const listening =
  (listener: Message): ParityCase['bootstrap'] =>
  (ports) =>
    http(ports, { listener })
const connecting =
  (fields: Message): ParityCase['bootstrap'] =>
  (ports) =>
    http(ports, { clusters: [cluster('a', [ports['a'] ?? 1], fields)] })

const keepAlive = { level: 1, name: 9, int_value: 1 }
const unknown = { level: 1, name: 9999, int_value: 1 }
const bind = { source_address: { address: '127.0.0.1', port_value: 0 } }
const inspector = listenerFilter('tls_inspector', 'TlsInspector')

/** By metadata that a filter sets to where origin a is. */
const told = (config: Message, to = '127.0.0.1:'): ParityCase['bootstrap'] => {
  return (ports) => {
    const metadata = [{ metadata_namespace: 'where', value: { to: to + String(ports['a']) } }]
    const { load_assignment: _, ...rest } = cluster('a', [])
    const original = { type: 'ORIGINAL_DST', lb_policy: 'CLUSTER_PROVIDED', original_dst_lb_config: config }
    return http(ports, { filters: [httpFilter('set_metadata', 'Config', { metadata })], clusters: [{ ...rest, ...original }] })
  }
}
const key = { key: 'where', path: [{ key: 'to' }] }
const headed = [get('/'), get('/', 'x-envoy-original-dst-host: 127.0.0.1:1')]

const cases: ParityCase[] = [
  { name: 'of-sockets-that-are-kept-alive', bootstrap: listening({ tcp_keepalive: { keepalive_time: 300 } }), turns: [get('/')] },
  { name: 'of-sockets-with-options', bootstrap: listening({ socket_options: [keepAlive], freebind: true }), turns: [get('/')] },
  {
    name: 'of-sockets-with-an-unknown-option',
    bootstrap: connecting({ upstream_bind_config: { ...bind, socket_options: [unknown] } }),
    turns: [get('/')],
  },
  {
    name: 'from-sockets-that-are-kept-alive',
    bootstrap: connecting({ upstream_connection_options: { tcp_keepalive: {} } }),
    turns: [get('/')],
  },
  {
    name: 'from-an-address-that-is-not-there',
    bootstrap: connecting({ upstream_bind_config: { source_address: { address: '10.99.8.7', port_value: 0 } } }),
    turns: [get('/')],
  },
  {
    name: 'without-a-filter-that-is-off',
    bootstrap: listening({ listener_filters: [{ ...inspector, filter_disabled: { any_match: true } }] }),
    turns: [get('/')],
  },
  {
    name: 'with-a-filter-that-is-off-elsewhere',
    bootstrap: listening({
      listener_filters: [{ ...inspector, filter_disabled: { destination_port_range: { start: 1, end: 2 } } }],
    }),
    turns: [get('/')],
  },
  {
    name: 'of-each-client-its-own',
    bootstrap: connecting({ connection_pool_per_downstream_connection: true }),
    turns: [get('/'), get('/'), get('/')],
  },
  { name: 'to-where-metadata-says', bootstrap: told({ metadata_key: key }), turns: headed },
  {
    name: 'to-where-metadata-says-before-the-header',
    bootstrap: told({ metadata_key: key, use_http_header: true }),
    turns: headed,
  },
  {
    name: 'to-where-metadata-says-nothing',
    bootstrap: told({ metadata_key: { ...key, path: [{ key: 'other' }] } }),
    turns: headed,
  },
  { name: 'to-where-metadata-is-no-address', bootstrap: told({ metadata_key: key }, 'somewhere:'), turns: headed },
  {
    name: 'over-http2-with-few-resets',
    bootstrap: (ports) => http(ports, { manager: { http2_protocol_options: { stream_reset_burst: 2, stream_reset_rate: 1 } } }),
    origins: { a: { answers: [{ delayMs: 300 }] } },
    turns: [{ send: [], http2: [{ cancelAfterMs: 50 }, { cancelAfterMs: 50 }, {}] }],
  },
  ...['non_forwarding_action', 'filter_action'].map((action) => ({
    name: `to-nowhere-by-${action}`,
    bootstrap: ((ports) => http(ports, { routes: [{ match: { prefix: '/' }, [action]: {} }] })) satisfies ParityCase['bootstrap'],
    turns: [get('/')],
  })),
  {
    name: 'with-fields-longer-than-heads',
    bootstrap: (ports) => http(ports, { manager: { http2_protocol_options: { max_header_field_size_kb: 64 } } }),
    validateOnly: true,
  },
]

export const connectionCases = group('connections', cases)
