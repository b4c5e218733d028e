import { http, httpFilter, type Message, typed } from '../bootstrap.ts'
import { get, group, type ParityCase, type Ports, request } from '../case.ts'

const admission = (more: Message = {}): Message =>
  httpFilter('admission_control', 'AdmissionControl', { success_criteria: {}, ...more })
const bandwidth = (more: Message = {}): Message =>
  httpFilter('bandwidth_limit', 'BandwidthLimit', { stat_prefix: 'n', limit_kbps: 1, ...more })
const bridge = httpFilter('grpc_http1_bridge', 'Config')

const adaptive = (controller: Message = {}, more: Message = {}): Message =>
  httpFilter('adaptive_concurrency', 'AdaptiveConcurrency', {
    gradient_controller_config: {
      concurrency_limit_params: { concurrency_update_interval: '0.1s' },
      min_rtt_calc_params: { interval: '60s' },
      ...controller,
    },
    ...more,
  })

/** An answer of gRPC over HTTP/1.1, with trailers. */
const grpcAnswer = (...trailers: [string, string][]) => ({
  headers: [['content-type', 'application/grpc']] as [string, string][],
  chunks: ['abc', 'def'],
  trailers,
})
const trailersTaken: Message = {
  typed_extension_protocol_options: {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': typed('envoy.extensions.upstreams.http.v3.HttpProtocolOptions', {
      explicit_http_config: { http_protocol_options: { enable_trailers: true } },
    }),
  },
}
const grpc = (path: string, ...headers: string[]): string =>
  request('POST', path, ['content-type: application/grpc', ...headers], 'x')

const cases: ParityCase[] = [
  {
    name: 'admission-control',
    bootstrap: (ports) =>
      http(ports, { filters: [admission({ max_rejection_probability: { default_value: { value: 0 }, runtime_key: 'x' } })] }),
    origins: {
      a: {
        answers: [
          {},
          { status: 404 },
          { status: 503 },
          {
            headers: [
              ['content-type', 'application/grpc'],
              ['grpc-status', '4'],
            ],
            body: '',
          },
          { raw: '', after: 'reset' },
        ],
      },
    },
    turns: ['/1', '/2', '/3', '/4', '/5'].map((path) => get(path)),
  },
  {
    name: 'admission-control-criteria',
    bootstrap: (ports) =>
      http(ports, {
        filters: [
          admission({
            success_criteria: {
              http_criteria: {
                http_success_status: [
                  { start: 200, end: 300 },
                  { start: 503, end: 504 },
                ],
              },
              grpc_criteria: { grpc_success_status: [4] },
            },
            max_rejection_probability: { default_value: { value: 0 }, runtime_key: 'x' },
          }),
        ],
      }),
    origins: {
      a: {
        answers: [
          {},
          { status: 404 },
          { status: 503 },
          {
            headers: [
              ['content-type', 'application/grpc'],
              ['grpc-status', '4'],
            ],
            body: '',
          },
        ],
      },
    },
    turns: ['/1', '/2', '/3', '/4'].map((path) => get(path)),
  },
  ...(
    [
      {},
      { success_criteria: { http_criteria: { http_success_status: [{ start: 300, end: 200 }] } } },
      { success_criteria: { http_criteria: { http_success_status: [{ start: 10, end: 200 }] } } },
      { success_criteria: { grpc_criteria: { grpc_success_status: [17] } } },
      { sr_threshold: { default_value: { value: 0.5 }, runtime_key: 'x' } },
      { sampling_window: '0.5s' },
      { enabled: { default_value: false, runtime_key: 'x' }, rps_threshold: { default_value: 5, runtime_key: 'y' } },
      { success_criteria: { http_criteria: { http_success_status: [{ start: 200, end: 200 }] } } },
    ] as Message[]
  ).map((more, i) => ({
    name: `admission-control-verdict-${i}`,
    validateOnly: true,
    bootstrap: (ports: Ports) => http(ports, { filters: [admission(more)] }),
  })),
  {
    name: 'adaptive-concurrency',
    bootstrap: (ports) => http(ports, { filters: [adaptive()] }),
    turns: [get('/1'), get('/2')],
    admin: ['/stats?filter=adaptive_concurrency'],
    ignoreStats: /adaptive/,
  },
  {
    name: 'adaptive-concurrency-at-its-limit',
    bootstrap: (ports) =>
      http(ports, {
        filters: [
          adaptive(
            { min_rtt_calc_params: { interval: '60s', min_concurrency: 1 } },
            { concurrency_limit_exceeded_status: { code: 429 } },
          ),
        ],
      }),
    origins: { a: { answers: [{ delayMs: 700 }] } },
    turns: [{ send: [get('/1')] }, { send: [250, get('/2')], together: true }, get('/3')],
  },
  ...(
    [
      [{}, {}],
      [{ concurrency_limit_params: {} }, {}],
      [{ concurrency_limit_params: { concurrency_update_interval: '0s' } }, {}],
      [{ min_rtt_calc_params: {} }, {}],
      [{ min_rtt_calc_params: { fixed_value: '0.1s' } }, {}],
      [{ min_rtt_calc_params: { fixed_value: '0.1s', interval: '30s' } }, {}],
      [{ min_rtt_calc_params: { interval: '0.0001s' } }, {}],
      [{ concurrency_limit_params: { concurrency_update_interval: '1s', max_concurrency_limit: 0 } }, {}],
      [{ concurrency_limit_params: { concurrency_update_interval: '1s', min_concurrency_limit: 5 } }, {}],
      [{}, { concurrency_limit_exceeded_status: { code: 200 } }],
    ] as [Message, Message][]
  ).map(([controller, more], i) => ({
    name: `adaptive-concurrency-verdict-${i}`,
    validateOnly: true,
    bootstrap: (ports: Ports) => http(ports, { filters: [adaptive(controller, more)] }),
  })),
  {
    name: 'bandwidth-of-answers',
    bootstrap: (ports) => http(ports, { filters: [bandwidth({ enable_mode: 'RESPONSE' })] }),
    origins: { a: { answers: [{ body: 'x'.repeat(300) }] } },
    turns: [get('/1'), request('POST', '/2', [], 'y'.repeat(300)), get('/3')],
    ignoreStats: /enforced|allowed_size/,
  },
  {
    name: 'bandwidth-of-requests',
    bootstrap: (ports) => http(ports, { filters: [bandwidth({ enable_mode: 'REQUEST' })] }),
    turns: [get('/1'), request('POST', '/2', [], 'y'.repeat(300)), request('POST', '/3', [], 'y'.repeat(1100))],
    ignoreStats: /enforced|size/,
  },
  {
    name: 'bandwidth-by-route',
    bootstrap: (ports) =>
      http(ports, {
        filters: [bandwidth({})],
        routes: [
          {
            match: { prefix: '/limited' },
            route: { cluster: 'a' },
            typed_per_filter_config: {
              'envoy.filters.http.bandwidth_limit': typed('envoy.extensions.filters.http.bandwidth_limit.v3.BandwidthLimit', {
                stat_prefix: 'n',
                limit_kbps: 10,
                enable_mode: 'REQUEST_AND_RESPONSE',
              }),
            },
          },
          { match: { prefix: '/' }, route: { cluster: 'a' } },
        ],
      }),
    turns: [get('/1'), request('POST', '/limited', [], 'y'.repeat(300))],
    ignoreStats: /allowed_size|enforced/,
  },
  {
    name: 'bandwidth-off',
    bootstrap: (ports) =>
      http(ports, {
        filters: [
          bandwidth({ enable_mode: 'REQUEST_AND_RESPONSE', runtime_enabled: { default_value: false, runtime_key: 'x' } }),
        ],
      }),
    turns: [request('POST', '/2', [], 'y'.repeat(300))],
  },
  ...(
    [
      { limit_kbps: null as never },
      { limit_kbps: null as never, enable_mode: 'REQUEST' },
      { limit_kbps: 0 },
      { fill_interval: '0.01s' },
      { fill_interval: '2s' },
      { stat_prefix: '' },
    ] as Message[]
  ).map((more, i) => ({
    name: `bandwidth-verdict-${i}`,
    validateOnly: true,
    bootstrap: (ports: Ports) => http(ports, { filters: [bandwidth(more)] }),
  })),
  {
    name: 'grpc-over-one',
    bootstrap: (ports) => http(ports, { filters: [bridge], clusters: [{ ...clusterA(ports), ...trailersTaken }] }),
    origins: {
      a: {
        answers: [
          grpcAnswer(['grpc-status', '0']),
          grpcAnswer(['grpc-status', '5'], ['grpc-message', 'not there']),
          grpcAnswer(['x-other', '1']),
          grpcAnswer(['grpc-status', 'x']),
          {
            headers: [
              ['content-type', 'application/grpc'],
              ['grpc-status', '3'],
            ],
            body: '',
          },
          { body: 'plain' },
          grpcAnswer(['grpc-status', '5']),
        ],
      },
    },
    turns: [
      grpc('/pkg.Service/Method'),
      grpc('/pkg.Service/Method'),
      grpc('/pkg.Service/Method'),
      grpc('/pkg.Service/Method'),
      grpc('/pkg.Service/Other?x=y'),
      grpc('/odd'),
      request('POST', '/pkg.Service/Method', [], 'x'),
    ],
  },
]

function clusterA(ports: Ports): Message {
  return {
    name: 'a',
    type: 'STATIC',
    load_assignment: {
      cluster_name: 'a',
      endpoints: [
        {
          lb_endpoints: [{ endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: ports['a'] ?? 1 } } } }],
        },
      ],
    },
  }
}

export const limitFilterCases: readonly ParityCase[] = group('limits', cases)
