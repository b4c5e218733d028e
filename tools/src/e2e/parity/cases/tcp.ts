import { address, cluster, http, listenerFilter, type Message, networkFilter, tcp, tcpLogFormat, typed } from '../bootstrap.ts'
import { type ClientTurn, get, group, type ParityCase, type Ports } from '../case.ts'

const nowhere = (name = 'a') => cluster(name, [1])
const empty: Message = { name: 'a', type: 'STATIC', connect_timeout: '1s', load_assignment: { cluster_name: 'a', endpoints: [] } }
/** What is said is not listened to for long. */
const untilClosed = (...send: (string | number)[]): ClientTurn => ({ send, untilClosed: true, patienceMs: 3000 })
/** Cluster `a`, spoken to by TLS. */
const secured = (ports: Ports, fields: Message): Message =>
  cluster('a', [ports['a'] ?? 1], {
    transport_socket: {
      name: 'envoy.transport_sockets.tls',
      typed_config: typed('envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext'),
    },
    ...fields,
  })
const everyone = { permissions: [{ any: true }], principals: [{ any: true }] }
const rbac = (fields: Message) => networkFilter('rbac', 'RBAC', { stat_prefix: 'n', ...fields })
const sourcePrefix = (address_prefix: string, prefix_len: number): Message => ({
  permissions: [{ any: true }],
  principals: [{ direct_remote_ip: { address_prefix, prefix_len } }],
})

const proxied =
  (fields: Message = {}, more: Message = {}) =>
  (ports: Ports) =>
    tcp(ports, {
      log: `${tcpLogFormat.trimEnd()} from=%DOWNSTREAM_REMOTE_ADDRESS% to=%DOWNSTREAM_LOCAL_ADDRESS% tlv=%DYNAMIC_METADATA(envoy.filters.listener.proxy_protocol:seen)%\n`,
      listener: { listener_filters: [listenerFilter('proxy_protocol', 'ProxyProtocol', fields)], ...more },
    })

/** A PROXY header of version 2. */
function binary(command: number, family: number, body: string): string {
  const length = String.fromCharCode(body.length >> 8, body.length & 0xff)
  return `\r\n\r\n\0\r\nQUIT\n${String.fromCharCode(command, family)}${length}${body}`
}
const ends4 = '\x0a\x01\x02\x03\x0a\x09\x09\x09\x11\xd7\x00\x50'

const upstreamProxy = (version: string, more: Message = {}): Message => ({
  transport_socket: {
    name: 'envoy.transport_sockets.upstream_proxy_protocol',
    typed_config: typed('envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport', {
      config: { version, ...more },
      transport_socket: {
        name: 'envoy.transport_sockets.raw_buffer',
        typed_config: typed('envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer'),
      },
    }),
  },
})

const cases: ParityCase[] = [
  {
    name: 'bytes-there-and-back',
    bootstrap: (ports) => tcp(ports),
    turns: [get('/'), { send: [get('/1'), 20, get('/2')], answers: 2 }],
  },
  { name: 'an-unknown-cluster', bootstrap: (ports) => tcp(ports, { proxy: { cluster: 'zz' } }), turns: [untilClosed()] },
  {
    name: 'none-may-wait',
    bootstrap: (ports) =>
      tcp(ports, {
        clusters: [cluster('a', [ports['a'] ?? 1], { circuit_breakers: { thresholds: [{ max_pending_requests: 0 }] } })],
      }),
    turns: [untilClosed()],
  },
  {
    name: 'no-endpoint',
    bootstrap: (ports) => tcp(ports, { clusters: [empty] }),
    turns: [untilClosed()],
    // Envoy finds a cluster without any endpoint in panic for TCP, and not for HTTP.
    ignoreStats: /lb_healthy_panic/,
  },
  { name: 'nobody-listens', bootstrap: (ports) => tcp(ports, { clusters: [nowhere()] }), turns: [untilClosed()] },
  {
    name: 'a-drain-is-looked-at',
    bootstrap: (ports) =>
      tcp(ports, {
        log: `%ACCESS_LOG_TYPE% ${tcpLogFormat}`,
        proxy: { check_drain_close: true, access_log_options: { flush_access_log_on_start: true } },
      }),
    turns: [get('/')],
  },
  {
    name: 'waits-between-attempts',
    bootstrap: (ports) =>
      tcp(ports, { clusters: [nowhere()], proxy: { max_connect_attempts: 3, backoff_options: { base_interval: '0.01s' } } }),
    turns: [untilClosed()],
  },
  {
    name: 'values-of-a-proxy-header-that-are-no-text',
    bootstrap: proxied({ rules: [{ tlv_type: 2, on_tlv_present: { key: 'seen', value_string_encoding: 'SANITIZED_UTF8' } }] }),
    turns: [{ send: [binary(0x21, 0x11, `${ends4}\x02\0\x07\xe2\x82\xffx\xc3\xa9y`), get('/')] }],
  },
  {
    name: 'a-rule-that-denies-late',
    bootstrap: (ports) =>
      tcp(ports, { filters: [rbac({ delay_deny: '0.3s', rules: { action: 'DENY', policies: { all: everyone } } })] }),
    turns: [untilClosed(get('/'))],
  },
  {
    name: 'nobody-listens-three-times',
    bootstrap: (ports) => tcp(ports, { clusters: [nowhere()], proxy: { max_connect_attempts: 3 } }),
    turns: [untilClosed()],
  },
  {
    name: 'too-many-connections',
    bootstrap: (ports) =>
      tcp(ports, { clusters: [cluster('a', [ports['a'] ?? 1], { circuit_breakers: { thresholds: [{ max_connections: 1 }] } })] }),
    turns: [
      { send: [get('/'), 800], answers: 2, patienceMs: 900 },
      { ...untilClosed(300), together: true },
    ],
    ignoreStats: /upstream_cx_overflow/,
  },
  {
    name: 'an-idle-session',
    bootstrap: (ports) => tcp(ports, { proxy: { idle_timeout: '0.4s' } }),
    turns: [untilClosed(get('/'))],
  },
  {
    name: 'a-session-that-lasts-too-long',
    bootstrap: (ports) => tcp(ports, { proxy: { max_downstream_connection_duration: '0.4s' } }),
    turns: [untilClosed(get('/'))],
  },
  {
    name: 'a-client-that-says-no-more',
    bootstrap: (ports) => tcp(ports),
    turns: [{ ...untilClosed(get('/')), halfClose: true }],
  },
  {
    name: 'a-server-that-closes',
    bootstrap: (ports) => tcp(ports),
    origins: { a: { answers: [{ after: 'close' }] } },
    turns: [untilClosed(get('/'))],
  },
  {
    name: 'a-server-that-resets',
    bootstrap: (ports) => tcp(ports),
    origins: { a: { onConnect: 'reset' } },
    turns: [untilClosed()],
  },
  {
    name: 'a-client-that-resets',
    bootstrap: (ports) => tcp(ports),
    turns: [{ send: [get('/'), 200], reset: true }],
  },
  {
    name: 'a-client-that-leaves-a-silent-server',
    bootstrap: (ports) => tcp(ports),
    origins: { a: { answers: [{ raw: '', after: 'silence' }] } },
    turns: [{ send: [get('/')], leaveAfterMs: 200 }],
  },
  {
    name: 'a-handshake-that-takes-too-long',
    bootstrap: (ports) => tcp(ports, { clusters: [secured(ports, { connect_timeout: '0.3s' })] }),
    origins: { a: { readNothing: true } },
    // What has come of the second is left unread, and it is reset.
    turns: [untilClosed(), untilClosed(get('/'))],
  },
  {
    name: 'a-server-that-closes-before-the-handshake-is-done',
    bootstrap: (ports) => tcp(ports, { clusters: [secured(ports, {})] }),
    origins: { a: { onConnect: 'close' } },
    turns: [untilClosed()],
  },
  {
    name: 'weights-and-metadata',
    bootstrap: (ports) =>
      tcp(ports, {
        proxy: {
          weighted_clusters: {
            clusters: [
              { name: 'a', weight: 1 },
              { name: 'b', weight: 0 },
            ].slice(0, 1),
          },
        },
        clusters: [
          cluster('a', [ports['a'] ?? 1], {
            lb_subset_config: { fallback_policy: 'NO_FALLBACK', subset_selectors: [{ keys: ['v'] }] },
          }),
        ],
      }),
    turns: [untilClosed()],
  },
  {
    name: 'rules-let-in',
    bootstrap: (ports) =>
      tcp(ports, { filters: [rbac({ rules: { action: 'ALLOW', policies: { p: sourcePrefix('127.0.0.0', 8) } } })] }),
    turns: [get('/')],
  },
  {
    name: 'rules-refuse',
    bootstrap: (ports) => tcp(ports, { filters: [rbac({ rules: { action: 'DENY', policies: { p: everyone } } })] }),
    turns: [untilClosed(get('/'))],
  },
  {
    name: 'rules-in-the-shadow',
    bootstrap: (ports) =>
      tcp(ports, {
        filters: [rbac({ shadow_rules: { action: 'DENY', policies: { p: everyone } }, shadow_rules_stat_prefix: 'sh_' })],
        log: '%DYNAMIC_METADATA(envoy.filters.network.rbac)%\n',
      }),
    turns: [get('/')],
  },
  {
    name: 'a-rate-limit',
    bootstrap: (ports) =>
      tcp(ports, {
        filters: [
          networkFilter('local_ratelimit', 'LocalRateLimit', {
            stat_prefix: 'n',
            token_bucket: { max_tokens: 1, tokens_per_fill: 1, fill_interval: '3600s' },
          }),
        ],
      }),
    turns: [get('/'), untilClosed()],
  },
  {
    name: 'a-limit-of-connections',
    bootstrap: (ports) =>
      tcp(ports, { filters: [networkFilter('connection_limit', 'ConnectionLimit', { stat_prefix: 'n', max_connections: 1 })] }),
    turns: [
      { send: [get('/'), 800], answers: 2, patienceMs: 900 },
      { ...untilClosed(300), together: true },
    ],
  },
  {
    name: 'a-limit-of-connections-that-shows-late',
    bootstrap: (ports) =>
      tcp(ports, {
        filters: [networkFilter('connection_limit', 'ConnectionLimit', { stat_prefix: 'n', max_connections: 1, delay: '0.6s' })],
      }),
    turns: [
      { send: [get('/'), 1200], answers: 2, patienceMs: 1300 },
      // What it says is never read.
      { ...untilClosed(200, get('/')), together: true },
    ],
  },
  {
    name: 'a-direct-response',
    bootstrap: (ports) =>
      tcp(ports, {
        chains: [{ filters: [networkFilter('direct_response', 'Config', { response: { inline_string: 'go away\n' } })] }],
      }),
    turns: [untilClosed()],
  },
  {
    name: 'an-echo',
    bootstrap: (ports) => tcp(ports, { chains: [{ filters: [networkFilter('echo', 'Echo')] }] }),
    // An end that is read together with bytes closes Envoy's side before they are back.
    turns: [{ ...untilClosed('hello', 100), halfClose: true }],
  },
  {
    name: 'proxy-protocol-1',
    bootstrap: proxied(),
    turns: [
      `PROXY TCP4 10.1.2.3 10.9.9.9 4567 80\r\n${get('/')}`,
      `PROXY TCP6 1:2::3 4:5::6 65535 1\r\n${get('/')}`,
      `PROXY UNKNOWN\r\n${get('/')}`,
      { send: ['PRO', 20, 'XY TCP4 10.1.2.3 10.9.9.9 0 0\r', 20, `\n${get('/')}`] },
    ],
  },
  {
    name: 'proxy-protocol-1-malformed',
    bootstrap: proxied(),
    turns: [
      'PROXY TCP4 10.1.2.3 10.9.9.9 4567\r\n',
      'PROXY TCP4 300.1.2.3 10.9.9.9 4567 80\r\n',
      'PROXY  TCP4 10.1.2.3 10.9.9.9 4567 80\r\n',
      'PROXY TCP4 10.1.2.3 ::1 4567 80\r\n',
      'PROXY TCP4 10.1.2.3 10.9.9.9 4567 65536\r\n',
      get('/'),
    ].map((line) => untilClosed(line)),
  },
  {
    name: 'proxy-protocol-2',
    bootstrap: proxied({ rules: [{ tlv_type: 2, on_tlv_present: { key: 'seen' } }] }),
    turns: [
      `${binary(0x21, 0x11, ends4)}${get('/')}`,
      `${binary(0x20, 0x11, ends4)}${get('/')}`,
      `${binary(0x21, 0x11, `${ends4}\x02\x00\x03abc`)}${get('/')}`,
      untilClosed(binary(0x31, 0x11, ends4)),
      untilClosed(binary(0x21, 0x11, 'ab')),
      untilClosed(binary(0x21, 0x31, 'a'.repeat(216))),
      untilClosed(binary(0x21, 0x11, `${ends4}\x02\x00\x09abc`)),
    ],
  },
  {
    name: 'proxy-protocol-or-not',
    bootstrap: proxied({ allow_requests_without_proxy_protocol: true }),
    turns: [get('/'), `PROXY TCP4 10.1.2.3 10.9.9.9 4567 80\r\n${get('/')}`, untilClosed('PROXY FOO\r\n')],
  },
  {
    name: 'proxy-protocol-of-another-version',
    bootstrap: proxied({ disallowed_versions: ['V1'] }),
    turns: [
      untilClosed(`PROXY TCP4 10.1.2.3 10.9.9.9 4567 80\r\n${get('/')}`),
      // No further than the version is looked at.
      untilClosed('PROXY TCP4 300.1.2.3 10.9.9.9 4567 80\r\n'),
      `${binary(0x21, 0x11, ends4)}${get('/')}`,
    ],
  },
  {
    name: 'protocol-options',
    bootstrap: (ports) => {
      const type = 'envoy.extensions.upstreams.tcp.v3.TcpProtocolOptions'
      const options = { [type]: typed(type, { idle_timeout: '5s' }) }
      return tcp(ports, { clusters: [cluster('a', [ports['a'] ?? 1], { typed_extension_protocol_options: options })] })
    },
    turns: [get('/')],
  },
  ...['V1', 'V2'].map(
    (version): ParityCase => ({
      name: `proxy-protocol-upstream-${version.toLowerCase()}`,
      // The client's own header makes the one upstream the same in each run.
      bootstrap: (ports) =>
        tcp(ports, {
          listener: { listener_filters: [listenerFilter('proxy_protocol', 'ProxyProtocol')] },
          clusters: [cluster('a', [ports['a'] ?? 1], upstreamProxy(version))],
        }),
      turns: [`PROXY TCP4 10.1.2.3 10.9.9.9 4567 80\r\n${get('/')}`],
    }),
  ),
  ...['V1', 'V2'].map(
    (version): ParityCase => ({
      name: `proxy-protocol-upstream-of-requests-${version.toLowerCase()}`,
      bootstrap: (ports) =>
        http(ports, {
          listener: { listener_filters: [listenerFilter('proxy_protocol', 'ProxyProtocol')] },
          clusters: [cluster('a', [ports['a'] ?? 1], upstreamProxy(version))],
        }),
      turns: ['4567', '4568'].map((port) => `PROXY TCP4 10.1.2.3 10.9.9.9 ${port} 80\r\n${get('/')}`),
    }),
  ),
  ...['ADD_IF_ABSENT', 'OVERWRITE_BY_TYPE_IF_EXISTS_OR_ADD', 'APPEND_IF_EXISTS_OR_ADD'].map(
    (policy): ParityCase => ({
      name: `proxy-protocol-tlvs-${policy.toLowerCase().replaceAll('_', '-')}`,
      bootstrap: (ports) => {
        const pass_through_tlvs = { match_type: 'INCLUDE_ALL' }
        const value = Buffer.from('x').toString('base64')
        const format = (inline_string: string): Message => ({ format_string: { text_format_source: { inline_string } } })
        return tcp(ports, {
          listener: { listener_filters: [listenerFilter('proxy_protocol', 'ProxyProtocol', { pass_through_tlvs })] },
          proxy: {
            proxy_protocol_tlvs: [
              { type: 0xe1, value },
              { type: 0xe2, ...format('%DOWNSTREAM_REMOTE_ADDRESS%') },
            ],
            proxy_protocol_tlv_merge_policy: policy,
          },
          clusters: [
            cluster('a', [ports['a'] ?? 1], upstreamProxy('V2', { pass_through_tlvs, added_tlvs: [{ type: 0xe0, value }] })),
          ],
        })
      },
      turns: [`${binary(0x21, 0x11, `${ends4}\xe1\0\x04ours`)}${get('/')}`],
    }),
  ),
  {
    name: 'chains-by-source',
    bootstrap: (ports) => {
      const says = (text: string): Message[] => [
        networkFilter('direct_response', 'Config', { response: { inline_string: text } }),
      ]
      const chain = (text: string, match?: Message): Message => ({
        name: text,
        filters: says(text),
        ...(match === undefined ? {} : { filter_chain_match: match }),
      })
      return tcp(ports, {
        chains: [
          chain('direct', { direct_source_prefix_ranges: [{ address_prefix: '127.0.0.0', prefix_len: 8 }] }),
          chain('source', { source_prefix_ranges: [{ address_prefix: '10.1.0.0', prefix_len: 16 }], source_ports: [4567] }),
          chain('external', { source_type: 'EXTERNAL' }),
          chain('port', { destination_port: 81 }),
        ],
        listener: { listener_filters: [listenerFilter('proxy_protocol', 'ProxyProtocol')] },
      })
    },
    turns: ['10.1.2.3 10.9.9.9 4567 80', '10.1.2.3 10.9.9.9 4567 81', '10.2.2.3 10.9.9.9 1 80'].map((ends) =>
      untilClosed(`PROXY TCP4 ${ends}\r\n`),
    ),
  },
  {
    name: 'clients-that-say-nothing',
    bootstrap: (ports) =>
      tcp(ports, {
        listener: { listener_filters: [listenerFilter('tls_inspector', 'TlsInspector')], listener_filters_timeout: '0.3s' },
      }),
    turns: [untilClosed()],
  },
  {
    name: 'servers-that-speak-first',
    bootstrap: (ports) =>
      tcp(ports, {
        chains: [{ filters: [networkFilter('direct_response', 'Config', { response: { inline_string: 'welcome' } })] }],
        listener: {
          listener_filters: [listenerFilter('tls_inspector', 'TlsInspector'), listenerFilter('http_inspector', 'HttpInspector')],
          listener_filters_timeout: '0.3s',
          continue_on_listener_filters_timeout: true,
        },
      }),
    turns: [untilClosed()],
  },
  {
    name: 'http-found-in-plaintext',
    bootstrap: (ports) => {
      const chain = (text: string, protocols?: string[]): Message => ({
        name: text,
        filters: [networkFilter('direct_response', 'Config', { response: { inline_string: text } })],
        ...(protocols === undefined ? {} : { filter_chain_match: { application_protocols: protocols } }),
      })
      return tcp(ports, {
        chains: [chain('one', ['http/1.1']), chain('ten', ['http/1.0']), chain('two', ['h2c']), chain('rest')],
        listener: { listener_filters: [listenerFilter('http_inspector', 'HttpInspector')] },
      })
    },
    turns: [get('/'), 'GET / HTTP/1.0\r\n\r\n', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'hello there\r\n', 'GET / HTTP/9.9\r\n'].map(
      (text) => untilClosed(text),
    ),
  },
  {
    name: 'a-unix-socket',
    bootstrap: (ports) =>
      tcp(ports, {
        clusters: [
          {
            ...nowhere(),
            load_assignment: {
              cluster_name: 'a',
              endpoints: [{ lb_endpoints: [{ endpoint: { address: { pipe: { path: '/nowhere/at.all' } } } }] }],
            },
          },
        ],
      }),
    turns: [untilClosed()],
    admin: ['/listeners'],
  },
  {
    name: 'refused-configurations',
    validateOnly: true,
    bootstrap: (ports) =>
      tcp(ports, {
        clusters: [
          {
            ...nowhere(),
            load_assignment: { cluster_name: 'a', endpoints: [{ lb_endpoints: [{ endpoint: { address: address(1) } }] }] },
          },
        ],
        filters: [networkFilter('connection_limit', 'ConnectionLimit', { stat_prefix: 'n', max_connections: 0 })],
      }),
  },
]

export const tcpCases = group('tcp', cases)
