import { cluster, http, httpFilter, type Message } from '../bootstrap.ts'
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
  validated('hash-policy-empty', route({ match: { prefix: '/' }, route: { ...toA, hash_policy: [{}] } })),
]

export const rejectCases = group('reject', cases)
