import { cluster, http, httpFilter, listenerFilter, type Message, networkFilter, tcp } from '../bootstrap.ts'
import { get, group, type ParityCase, type Ports } from '../case.ts'

const value = (object_key: string, format: string, more: Message = {}): Message => ({
  object_key,
  format_string: { text_format_source: { inline_string: format } },
  ...more,
})
const text = (key: string, format: string, more: Message = {}): Message =>
  value(key, format, { factory_key: 'envoy.string', ...more })
const state = (fields: Message): Message => networkFilter('set_filter_state', 'Config', fields)
const shown = (...keys: string[]): string => `${keys.map((key) => `${key}=%FILTER_STATE(${key}:PLAIN)%`).join(' ')}\n`

const cases: ParityCase[] = [
  {
    name: 'of-a-session',
    bootstrap: (ports) =>
      tcp(ports, {
        filters: [
          state({
            on_new_connection: [
              text('a', '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%'),
              text('b', '%FILTER_STATE(a:PLAIN)%+%DOWNSTREAM_TLS_VERSION%+%REQ(x)%'),
              text('c', '%DOWNSTREAM_TLS_VERSION%', { skip_if_empty: true }),
              value('envoy.string', 'plain'),
            ],
            on_downstream_tls_handshake: [text('d', 'never')],
            on_downstream_data: [text('e', '%FILTER_STATE(b:PLAIN)%!')],
          }),
        ],
        log: shown('a', 'b', 'c', 'd', 'e', 'envoy.string'),
      }),
    turns: [get('/1'), get('/2')],
  },
  {
    name: 'names-a-cluster',
    origins: { a: {}, b: {} },
    bootstrap: (ports) =>
      tcp(ports, {
        filters: [state({ on_new_connection: [value('envoy.tcp_proxy.cluster', 'b')] })],
        clusters: [cluster('a', [ports['a'] ?? 1]), cluster('b', [ports['b'] ?? 1])],
      }),
    turns: [get('/1')],
  },
  {
    name: 'names-a-target',
    bootstrap: (ports) =>
      tcp(ports, {
        listener: { listener_filters: [listenerFilter('tls_inspector', 'TlsInspector')] },
        filters: [
          state({
            on_new_connection: [
              value('envoy.upstream.dynamic_host', '127.0.0.1'),
              value('envoy.upstream.dynamic_port', String(ports['a'])),
            ],
          }),
          networkFilter('sni_dynamic_forward_proxy', 'FilterConfig', {
            dns_cache_config: { name: 'n', dns_lookup_family: 'V4_ONLY' },
          }),
        ],
        clusters: [
          {
            name: 'a',
            lb_policy: 'CLUSTER_PROVIDED',
            cluster_type: {
              name: 'envoy.clusters.dynamic_forward_proxy',
              typed_config: {
                '@type': 'type.googleapis.com/envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig',
                dns_cache_config: { name: 'n', dns_lookup_family: 'V4_ONLY' },
              },
            },
          },
        ],
      }),
    turns: [get('/1')],
  },
  {
    name: 'of-requests',
    bootstrap: (ports) => {
      const whole = http(ports, {
        filters: [httpFilter('set_filter_state', 'Config', { on_request_headers: [text('b', '%FILTER_STATE(a:PLAIN)%2')] })],
        log: shown('a', 'b'),
      })
      const { listeners } = whole['static_resources'] as { listeners: { filter_chains: { filters: Message[] }[] }[] }
      listeners[0]?.filter_chains[0]?.filters.unshift(state({ on_new_connection: [text('a', 'one')] }))
      return whole
    },
    turns: [get('/1'), { send: [get('/2'), get('/3')], answers: 2 }],
  },
  ...(
    [
      { on_new_connection: [value('nobody', 'x')] },
      { on_new_connection: [text('x', '%NONSENSE%')] },
      { on_new_connection: [{ object_key: 'x', factory_key: 'envoy.string' }] },
      { on_new_connection: [{ ...text('x', 'y'), object_key: '' }] },
      {},
    ] as Message[]
  ).map((fields, i) => ({
    name: `verdict-${i}`,
    validateOnly: true,
    bootstrap: (ports: Ports) => tcp(ports, { filters: [state(fields)] }),
  })),
]

export const connectionStateCases: readonly ParityCase[] = group('connection-state', cases)
