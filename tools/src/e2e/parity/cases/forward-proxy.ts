import { cluster, http, httpFilter, listenerFilter, type Message, networkFilter, tcp, typed } from '../bootstrap.ts'
import { get, group, type ParityCase, type Ports, request } from '../case.ts'

const cache = (more: Message = {}): Message => ({ name: 'names', dns_lookup_family: 'V4_ONLY', ...more })
const filter = (more: Message = {}): Message =>
  httpFilter('dynamic_forward_proxy', 'FilterConfig', { dns_cache_config: cache(), ...more })

/** A cluster that connects to whatever a request names. */
function dynamic(name: string, config: Message = {}, more: Message = {}): Message {
  return {
    name,
    connect_timeout: '1s',
    lb_policy: 'CLUSTER_PROVIDED',
    cluster_type: {
      name: 'envoy.clusters.dynamic_forward_proxy',
      typed_config: typed('envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig', {
        dns_cache_config: cache(),
        ...config,
      }),
    },
    ...more,
  }
}

const perRoute = (fields: Message): Message => ({
  'envoy.filters.http.dynamic_forward_proxy': typed(
    'envoy.extensions.filters.http.dynamic_forward_proxy.v3.PerRouteConfig',
    fields,
  ),
})

/** Everything to cluster `d`, over this filter. */
const forward = (ports: Ports, more: Message = {}, config: Message = {}, clusterMore: Message = {}): Message =>
  http(ports, {
    filters: [
      httpFilter('header_mutation', 'HeaderMutation', {
        mutations: { request_mutations: [{ append: { header: { key: 'x-to', value: `localhost:${ports['a']}` } } }] },
      }),
      filter(more),
    ],
    routes: [
      {
        match: { prefix: '/literal' },
        route: { cluster: 'd' },
        typed_per_filter_config: perRoute({ host_rewrite_literal: `127.0.0.1:${ports['a']}` }),
      },
      {
        match: { prefix: '/header' },
        route: { cluster: 'd' },
        typed_per_filter_config: perRoute({ host_rewrite_header: 'x-to' }),
      },
      { match: { prefix: '/none' }, route: { cluster: 'd' }, typed_per_filter_config: perRoute({ host_rewrite_header: 'x-no' }) },
      {
        match: { prefix: '/name' },
        route: { cluster: 'd' },
        typed_per_filter_config: perRoute({ host_rewrite_literal: 'nowhere.invalid' }),
      },
      {
        match: { prefix: '/bad' },
        route: { cluster: 'd' },
        typed_per_filter_config: perRoute({ host_rewrite_literal: 'a b:x' }),
      },
      { match: { prefix: '/plain' }, route: { cluster: 'a' } },
      { match: { prefix: '/' }, route: { cluster: 'd' } },
    ],
    clusters: [cluster('a', [ports['a'] ?? 1]), dynamic('d', config, clusterMore)],
  })

const cases: ParityCase[] = [
  {
    name: 'names-and-addresses',
    bootstrap: (ports) => forward(ports),
    turns: [
      get('/literal'),
      get('/literal'),
      get('/header'),
      get('/header'),
      get('/none', 'host: nowhere.invalid'),
      get('/name'),
      get('/name'),
      get('/bad'),
      get('/plain'),
      get('/', 'host: 127.0.0.1:1'),
      get('/', 'host: [::1]:1'),
      request('POST', '/header', [], 'a body that waits'),
    ],
    admin: ['/stats?filter=dns_cache'],
  },
  {
    name: 'too-many-names',
    bootstrap: (ports) =>
      forward(ports, { dns_cache_config: cache({ max_hosts: 1 }) }, { dns_cache_config: cache({ max_hosts: 1 }) }),
    turns: [get('/literal'), get('/header'), get('/literal')],
    admin: ['/stats?filter=dns_cache'],
  },
  {
    name: 'no-pending-requests',
    bootstrap: (ports) => {
      const strict = cache({ dns_cache_circuit_breaker: { max_pending_requests: 0 } })
      return forward(ports, { dns_cache_config: strict }, { dns_cache_config: strict })
    },
    turns: [get('/header')],
    admin: ['/stats?filter=dns_cache'],
  },
  {
    name: 'without-the-filter',
    bootstrap: (ports) => http(ports, { clusters: [dynamic('a')] }),
    turns: [get('/', 'host: localhost:1')],
  },
  {
    name: 'no-host',
    bootstrap: (ports) => ({ ...forward(ports) }),
    turns: [get('/', 'host:')],
  },
  {
    name: 'by-server-name',
    bootstrap: (ports) =>
      tcp(ports, {
        filters: [
          networkFilter('sni_dynamic_forward_proxy', 'FilterConfig', {
            dns_cache_config: cache(),
            port_value: ports['tls'] ?? 1,
          }),
        ],
        listener: {
          listener_filters: [listenerFilter('tls_inspector', 'TlsInspector')],
        },
        clusters: [dynamic('a')],
        log: '%RESPONSE_FLAGS% host=%UPSTREAM_HOST% sni=%REQUESTED_SERVER_NAME%\n',
      }),
    ports: ['tls'],
    turns: [
      { send: [], tls: { serverName: 'localhost' }, untilClosed: true, patienceMs: 3000 },
      { send: [], tls: { serverName: 'nowhere.invalid' }, untilClosed: true, patienceMs: 3000 },
    ],
    admin: ['/stats?filter=dns_cache'],
  },
  {
    name: 'saved-address',
    bootstrap: (ports) => ({
      ...forward(ports, { save_upstream_address: true }),
    }),
    turns: [get('/literal')],
  },
  ...(
    [
      [{}, {}, {}],
      [{ dns_cache_config: cache({ max_hosts: 7 }) }, {}, {}],
      [{}, {}, { lb_policy: 'ROUND_ROBIN' }],
      [{}, {}, { load_assignment: { cluster_name: 'd' } }],
      [{}, { allow_coalesced_connections: true }, {}],
      [
        {},
        {},
        {
          transport_socket: {
            name: 'tls',
            typed_config: typed('envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext', {}),
          },
        },
      ],
      [
        {},
        {},
        {
          typed_extension_protocol_options: {
            'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': typed(
              'envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
              {
                explicit_http_config: { http_protocol_options: {} },
                upstream_http_protocol_options: { auto_sni: true },
              },
            ),
          },
        },
      ],
      [
        {},
        { allow_insecure_cluster_options: true },
        {
          typed_extension_protocol_options: {
            'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': typed(
              'envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
              {
                explicit_http_config: { http_protocol_options: {} },
                upstream_http_protocol_options: { auto_sni: true },
              },
            ),
          },
        },
      ],
      [
        {},
        {},
        {
          typed_extension_protocol_options: {
            'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': typed(
              'envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
              {
                explicit_http_config: { http_protocol_options: {} },
                upstream_http_protocol_options: { auto_sni: true, auto_san_validation: true },
              },
            ),
          },
        },
      ],
      [
        {},
        {},
        {
          typed_extension_protocol_options: {
            'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': typed(
              'envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
              {
                explicit_http_config: { http_protocol_options: {} },
              },
            ),
          },
        },
      ],
      [{ dns_cache_config: cache({ host_ttl: '0s' }) }, {}, {}],
      [{ dns_cache_config: cache({ name: '' }) }, {}, {}],
      [{ dns_cache_config: cache({ dns_min_refresh_rate: '0.5s' }) }, {}, {}],
      [
        { dns_cache_config: cache({ preresolve_hostnames: [{ address: 'localhost', port_value: 80 }] }) },
        { dns_cache_config: cache({ preresolve_hostnames: [{ address: 'localhost', port_value: 80 }] }) },
        {},
      ],
      [
        {
          dns_cache_config: cache({
            max_hosts: 1,
            preresolve_hostnames: [
              { address: 'localhost', port_value: 80 },
              { address: 'localhost', port_value: 81 },
            ],
          }),
        },
        {},
        {},
      ],
    ] as [Message, Message, Message][]
  ).map(([more, config, clusterMore], i) => ({
    name: `verdict-${i}`,
    validateOnly: true,
    bootstrap: (ports: Ports) => forward(ports, more, config, clusterMore),
  })),
]

export const forwardProxyCases: readonly ParityCase[] = group('forward-proxy', cases)
