import { address, cluster, http, httpFilter } from '../bootstrap.ts'
import { get, group, type ParityCase } from '../case.ts'

const histogram = 'cluster.a.upstream_rq_time$'

const cases: ParityCase[] = [
  {
    name: 'stats-that-stand-at-nothing',
    bootstrap: (ports) => http(ports),
    turns: [get('/')],
    admin: [
      '/stats?filter=^cluster_manager',
      '/stats?filter=^listener_manager',
      '/stats?filter=^filesystem.*failed',
      '/stats?filter=watchdog',
      '/stats?filter=^cluster.a.(upstream_cx_length_ms|upstream_rq_per_cx|upstream_queue_overloaded|ssl|http1|default)',
      '/stats?filter=^http.async-client',
      '/stats?type=TextReadouts',
    ],
  },
  {
    name: 'stats-that-were-used',
    bootstrap: (ports) => http(ports),
    turns: [get('/')],
    admin: [
      '/stats?usedonly&filter=^cluster.a.(circuit|upstream_queue|warming|lb_)',
      '/stats?hidden=only&filter=^cluster.a',
      '/stats?hidden=include&filter=^cluster.a.circuit',
      '/stats?hidden=odd',
    ],
  },
  {
    name: 'histograms-by-bucket',
    // Nothing is recorded: values hang on time.
    bootstrap: (ports) => http(ports),
    turns: [],
    admin: ['cumulative', 'disjoint', 'detailed', 'summary', 'odd'].flatMap((mode) => [
      `/stats?filter=ingress.downstream_rq_time&histogram_buckets=${mode}`,
      `/stats?filter=${histogram}&format=json&histogram_buckets=${mode}`,
    ]),
  },
  {
    name: 'parts-of-the-configuration',
    bootstrap: (ports) =>
      http(ports, {
        clusters: [
          cluster('a', [ports['a'] ?? 1], {
            load_assignment: {
              cluster_name: 'a',
              endpoints: [
                { lb_endpoints: [{ health_status: 'DRAINING', endpoint: { address: address(ports['a'] ?? 1) } }] },
                { priority: 1, lb_endpoints: [{ load_balancing_weight: 3, endpoint: { address: address(ports['a'] ?? 1) } }] },
              ],
            },
          }),
        ],
      }),
    turns: [],
    admin: [
      '/config_dump?resource=static_clusters&mask=cluster.name',
      '/config_dump?resource=dynamic_listeners',
      '/config_dump?resource=static_endpoint_configs',
      '/config_dump?resource=bootstrap',
      '/config_dump?mask=nothing',
      '/clusters?filter=none',
      '/hot_restart_version',
    ],
  },
  {
    name: 'what-direct-answers-and-redirects-leave',
    bootstrap: (ports) =>
      http(ports, {
        filters: [httpFilter('buffer', 'Buffer', { max_request_bytes: 100 })],
        routes: [
          {
            match: { prefix: '/d' },
            direct_response: { status: 200, body: { inline_string: 'x' } },
            request_headers_to_add: [{ header: { key: 'x-q', value: '1' } }],
            response_headers_to_add: [{ header: { key: 'x-e', value: '[%REQ(x-q)%]' } }],
          },
          { match: { prefix: '/r' }, redirect: { prefix_rewrite: '/n' } },
        ],
      }),
    turns: [get('/d'), get('/r/x?y')],
  },
  {
    name: 'private-addresses-without-ranges',
    bootstrap: (ports) => http(ports, { manager: { internal_address_config: {} } }),
    turns: ['10.0.0.1', '172.16.3.4', '100.64.0.1', 'fd00::1', 'fe80::1', '::1', '8.8.8.8'].map((from) =>
      get('/', `x-forwarded-for: ${from}`),
    ),
  },
  {
    name: 'ports-told-onward',
    bootstrap: (ports) => http(ports, { manager: { use_remote_address: true, append_x_forwarded_port: true } }),
    turns: [get('/'), get('/', 'x-forwarded-port: 7')],
  },
  {
    name: 'expected-time-before-edits',
    bootstrap: (ports) =>
      http(ports, {
        routes: [
          {
            match: { prefix: '/' },
            route: { cluster: 'a' },
            request_headers_to_remove: ['x-envoy-expected-rq-timeout-ms'],
            request_headers_to_add: [{ header: { key: 'x-saw', value: '%REQ(x-envoy-expected-rq-timeout-ms)%' } }],
          },
        ],
      }),
    turns: [get('/')],
  },
]

export const adminCases = group('admin', cases)
