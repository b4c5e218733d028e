import { cluster, http, httpFilter, type Message, typed } from '../bootstrap.ts'
import { group, type ParityCase, type Ports } from '../case.ts'
import type { Json } from '../json.ts'

function validated(name: string, bootstrap: (ports: Ports) => Json): ParityCase {
  return { name, origins: {}, validateOnly: true, bootstrap }
}

function route(fields: Message): (ports: Ports) => Json {
  return (ports) => http({ ...ports, a: 1 }, { routes: [fields] })
}

function clusterWith(fields: Message): (ports: Ports) => Json {
  return (ports) => http(ports, { clusters: [cluster('a', [1], fields)] })
}

const toA = { cluster: 'a' }

/** What must be refused, each beside the nearest thing that must not. */
const cases: ParityCase[] = [
  validated('plain-good', (ports) => http(ports)),
  validated('unknown-field', (ports) => http(ports, { more: { no_such_field: 1 } })),
  validated('route-without-action', route({ match: { prefix: '/' } })),
  validated('route-without-path', route({ match: {}, route: toA })),
  validated('route-bad-regex', route({ match: { safe_regex: { regex: '(' } }, route: toA })),
  validated('route-good-regex', route({ match: { safe_regex: { regex: '(a)' } }, route: toA })),
  validated('route-unknown-cluster', route({ match: { prefix: '/' }, route: { cluster: 'nowhere' } })),
  validated(
    'route-weights-of-nothing',
    route({ match: { prefix: '/' }, route: { weighted_clusters: { clusters: [{ name: 'a', weight: 0 }] } } }),
  ),
  validated('route-negative-timeout', route({ match: { prefix: '/' }, route: { ...toA, timeout: '-1s' } })),
  validated('route-status-too-low', route({ match: { prefix: '/' }, direct_response: { status: 99 } })),
  validated('route-status-good', route({ match: { prefix: '/' }, direct_response: { status: 200 } })),
  validated(
    'route-two-rewrites',
    route({
      match: { prefix: '/' },
      route: { ...toA, prefix_rewrite: '/x', regex_rewrite: { pattern: { regex: 'a' }, substitution: 'b' } },
    }),
  ),
  validated(
    'header-with-a-line-end',
    route({ match: { prefix: '/' }, route: toA, request_headers_to_add: [{ header: { key: 'x', value: 'a\nb' } }] }),
  ),
  validated(
    'header-unknown-operator',
    route({ match: { prefix: '/' }, route: toA, request_headers_to_add: [{ header: { key: 'x', value: '%NO_SUCH%' } }] }),
  ),
  validated('header-remove-host', route({ match: { prefix: '/' }, route: toA, request_headers_to_remove: ['host'] })),
  validated('two-hosts-for-a-domain', (ports) =>
    http(ports, {
      virtualHosts: ['x', 'y'].map((name) => ({ name, domains: ['a.test'], routes: [{ match: { prefix: '/' }, route: toA }] })),
    }),
  ),
  validated('host-without-domains', (ports) => http(ports, { virtualHosts: [{ name: 'x', domains: [], routes: [] }] })),
  validated('two-clusters-of-a-name', (ports) => http(ports, { clusters: [cluster('a', [1]), cluster('a', [2])] })),
  validated('cluster-no-connect-time', clusterWith({ connect_timeout: '0s' })),
  validated('cluster-bad-policy', clusterWith({ lb_policy: 'NO_SUCH' })),
  validated('cluster-ring-hash', clusterWith({ lb_policy: 'RING_HASH', ring_hash_lb_config: { minimum_ring_size: 16 } })),
  validated(
    'cluster-ring-too-large',
    clusterWith({ lb_policy: 'RING_HASH', ring_hash_lb_config: { minimum_ring_size: 99999999 } }),
  ),
  validated('cluster-hostname-in-static', (ports) =>
    http(ports, {
      clusters: [
        {
          name: 'a',
          type: 'STATIC',
          load_assignment: {
            cluster_name: 'a',
            endpoints: [
              { lb_endpoints: [{ endpoint: { address: { socket_address: { address: 'name.test', port_value: 1 } } } }] },
            ],
          },
        },
      ],
    }),
  ),
  validated('no-filter-of-that-kind', (ports) =>
    http(ports, {
      filters: [{ name: 'x', typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.none.v3.None' } }],
    }),
  ),
  validated('manager-without-routes', (ports) => http(ports, { manager: { route_config: null } })),
  validated('manager-without-prefix', (ports) => http(ports, { manager: { stat_prefix: '' } })),
  validated('router-not-last', (ports) => http(ports, { filters: [httpFilter('router', 'Router')] })),
  validated('fault-percent-too-high', (ports) =>
    http(ports, {
      filters: [httpFilter('fault', 'HTTPFault', { abort: { http_status: 100000, percentage: { numerator: 1 } } })],
    }),
  ),
  validated('log-unknown-operator', (ports) => http(ports, { log: '%WHAT%\n' })),
  validated('log-length-of-what-is-not-cut', (ports) => http(ports, { log: '%START_TIME:4%\n' })),
  validated('log-header-or-nothing', (ports) => http(ports, { log: '%REQ(X-A?)% %REQ(?X-B):5%\n' })),
  validated('port-too-high', (ports) =>
    http(ports, { listener: { address: { socket_address: { address: '127.0.0.1', port_value: 70000 } } } }),
  ),
  validated(
    'retry-limits-turned-round',
    route({
      match: { prefix: '/' },
      route: { ...toA, retry_policy: { retry_back_off: { base_interval: '2s', max_interval: '1s' } } },
    }),
  ),
  validated(
    'retry-limits-below-a-millisecond',
    route({
      match: { prefix: '/' },
      route: { ...toA, retry_policy: { retry_back_off: { base_interval: '0.001s', max_interval: '0.0001s' } } },
    }),
  ),
  validated(
    'route-weight-missing',
    route({ match: { prefix: '/' }, route: { weighted_clusters: { clusters: [{ name: 'a' }, { name: 'a', weight: 1 }] } } }),
  ),
  ...['envoy.http.stateful_session.header', 'envoy.http.stateful_session.cookie', 'header'].map((name) =>
    validated(`session-state-named-${name}`, (ports) =>
      http(ports, {
        filters: [
          httpFilter('stateful_session', 'StatefulSession', {
            session_state: {
              name,
              typed_config: typed('envoy.extensions.http.stateful_session.header.v3.HeaderBasedSessionState', { name: 'x' }),
            },
          }),
        ],
      }),
    ),
  ),
  ...[[''], ['a\0b'], ['x y']].map((clear_route_cache_headers, i) =>
    validated(`headers-that-clear-routes-${i}`, (ports) =>
      http(ports, {
        filters: [
          httpFilter('ext_authz', 'ExtAuthz', {
            clear_route_cache_headers,
            http_service: { server_uri: { uri: 'http://a', cluster: 'a', timeout: '1s' } },
          }),
        ],
      }),
    ),
  ),
  ...([{ stage: 0 }, { hits_addend: {} }, { hits_addend: { number: 1 } }] as Message[]).map((limit, i) =>
    validated(`limits-of-a-filter-${i}`, (ports) =>
      http(ports, {
        filters: [
          httpFilter('local_ratelimit', 'LocalRateLimit', {
            stat_prefix: 'l',
            rate_limits: [{ actions: [{ remote_address: {} }], ...limit }],
            token_bucket: { max_tokens: 1, fill_interval: '1s' },
          }),
        ],
      }),
    ),
  ),
  ...([{}, { default_value: { value: 1 } }] as Message[]).map((sr_threshold, i) =>
    validated(`share-of-success-${i}`, (ports) =>
      http(ports, {
        filters: [httpFilter('admission_control', 'AdmissionControl', { sr_threshold, success_criteria: { http_criteria: {} } })],
      }),
    ),
  ),
  ...['here', './here'].map((symlink_root, i) =>
    validated(`runtime-folder-${i}`, (ports) =>
      http(ports, { more: { layered_runtime: { layers: [{ name: 'd', disk_layer: { symlink_root, subdirectory: 'x' } }] } } }),
    ),
  ),
  ...([null, {}, { dns_cache_circuit_breaker: { max_pending_requests: 0 } }] as (Message | null)[]).map((config, i) =>
    validated(`names-looked-up-${i}`, (ports) => {
      const cache = (more: Message): Message => (config === null ? {} : { dns_cache_config: { name: 'names', ...more } })
      const type = typed('envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig', cache({}))
      return http(ports, {
        filters: [httpFilter('dynamic_forward_proxy', 'FilterConfig', cache(config ?? {}))],
        clusters: [
          {
            name: 'a',
            connect_timeout: '1s',
            lb_policy: 'CLUSTER_PROVIDED',
            cluster_type: { name: 'envoy.clusters.dynamic_forward_proxy', typed_config: type },
          },
        ],
      })
    }),
  ),
  ...(
    [{ ident_expr: { name: '' } }, { select_expr: { operand: { ident_expr: { name: 'request' } }, field: '' } }] as Message[]
  ).map((condition, i) =>
    validated(`condition-without-a-name-${i}`, (ports) =>
      http(ports, {
        filters: [
          httpFilter('rbac', 'RBAC', {
            rules: { policies: { p: { permissions: [{ any: true }], principals: [{ any: true }], condition } } },
          }),
        ],
      }),
    ),
  ),
  validated('no-users-at-all', (ports) =>
    http(ports, { filters: [httpFilter('basic_auth', 'BasicAuth', { users: { inline_string: '' } })] }),
  ),
  validated('metadata-of-any-type', (ports) =>
    http(ports, {
      filters: [
        httpFilter('set_metadata', 'Config', {
          metadata: [{ metadata_namespace: 'n', typed_value: typed('google.protobuf.Empty') }],
        }),
      ],
      routes: [
        {
          match: { prefix: '/' },
          route: toA,
          metadata: { typed_filter_metadata: { x: typed('envoy.config.core.v3.Node', { id: 'n' }) } },
        },
        { match: { prefix: '/x' }, filter_action: { action: typed('google.protobuf.Empty') } },
      ],
    }),
  ),
  validated('hash-policy-empty', route({ match: { prefix: '/' }, route: { ...toA, hash_policy: [{}] } })),
]

export const rejectCases = group('reject', cases)
