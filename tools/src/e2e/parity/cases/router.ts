import { cluster, http, httpFilter, type Message } from '../bootstrap.ts'
import { get, group, type ParityCase, request } from '../case.ts'

/** Requests of this machine count as internal: what they ask of the router holds. */
const trusting: Message = {
  use_remote_address: true,
  internal_address_config: { cidr_ranges: [{ address_prefix: '127.0.0.0', prefix_len: 8 }] },
}
const withRouter = (fields: Message): Message => ({ ...trusting, http_filters: [httpFilter('router', 'Router', fields)] })
const slow = { answers: [{ delayMs: 1500 }] }
const http1Options = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions'

function detect(config: Message): Message {
  const type = 'type.googleapis.com/envoy.extensions.http.original_ip_detection.xff.v3.XffConfig'
  return { original_ip_detection_extensions: [{ name: 'xff', typed_config: { '@type': type, ...config } }] }
}

const forwarded = [[], ['1.1.1.1'], ['1.1.1.1, 10.0.0.2'], ['10.0.0.3,10.0.0.2'], ['bad, 10.0.0.2'], ['']].map((values) =>
  get('/', ...values.map((value) => `x-forwarded-for: ${value}`)),
)

const cases: ParityCase[] = [
  {
    name: 'strict-headers',
    bootstrap: (ports) =>
      http(ports, {
        manager: withRouter({
          strict_check_headers: ['x-envoy-max-retries', 'x-envoy-retry-on', 'x-envoy-upstream-rq-timeout-ms'],
        }),
      }),
    turns: [
      'x-envoy-max-retries: x',
      'x-envoy-max-retries: 2',
      'x-envoy-retry-on: 5xx,bogus',
      'x-envoy-retry-on: 5xx, reset',
      'x-envoy-upstream-rq-timeout-ms: -1',
    ].map((line) => get('/', line)),
    ignoreStats: /cx_|pending/,
  },
  {
    name: 'expected-time-respected',
    bootstrap: (ports) => http(ports, { manager: withRouter({ respect_expected_rq_timeout: true }) }),
    origins: { a: { answers: [{}, {}, { delayMs: 1500 }] } },
    turns: [
      get('/', 'x-envoy-upstream-rq-timeout-ms: 4000'),
      get('/', 'x-envoy-expected-rq-timeout-ms: abc'),
      get('/', 'x-envoy-expected-rq-timeout-ms: 300'),
    ],
    ignoreStats: /cx_|pending|_ms$|rq_time/,
  },
  {
    name: 'no-headers-of-its-own',
    bootstrap: (ports) =>
      http(ports, {
        manager: withRouter({ suppress_envoy_headers: true }),
        routes: [{ match: { prefix: '/' }, route: { cluster: 'a', prefix_rewrite: '/z', host_rewrite_literal: 'q.test' } }],
      }),
    turns: [get('/'), get('/x')],
  },
  {
    name: 'statuses-not-counted',
    bootstrap: (ports) => http(ports, { manager: withRouter({ dynamic_stats: false }) }),
    origins: { a: { answers: [{ status: 404 }, {}] } },
    turns: [get('/1'), get('/2')],
  },
  {
    name: 'canaries-and-another-name',
    bootstrap: (ports) => http(ports, { manager: trusting }),
    origins: { a: { answers: [{ headers: [['x-envoy-upstream-canary', 'true']] }, { status: 503 }] } },
    turns: [get('/1', 'x-envoy-upstream-alt-stat-name: alt'), get('/2', 'x-envoy-upstream-alt-stat-name: alt')],
  },
  {
    name: 'no-content-in-place-of-a-timeout',
    bootstrap: (ports) => http(ports, { manager: trusting }),
    origins: { a: slow },
    turns: [get('/', 'x-envoy-upstream-rq-timeout-ms: 300', 'x-envoy-upstream-rq-timeout-alt-response: 1')],
    ignoreStats: /cx_/,
  },
  {
    name: 'longest-stream-asked-for',
    bootstrap: (ports) => http(ports, { manager: trusting }),
    origins: { a: slow },
    turns: [get('/', 'x-envoy-upstream-stream-duration-ms: 300')],
    ignoreStats: /cx_/,
  },
  {
    name: 'longest-stream-of-a-cluster',
    bootstrap: (ports) =>
      http(ports, {
        clusters: [
          cluster('a', [ports['a'] ?? 0], {
            typed_extension_protocol_options: {
              [http1Options]: {
                '@type': `type.googleapis.com/${http1Options}`,
                common_http_protocol_options: { max_stream_duration: '0.3s' },
                explicit_http_config: { http_protocol_options: {} },
              },
            },
          }),
        ],
      }),
    origins: { a: slow },
    turns: [get('/')],
    ignoreStats: /cx_/,
  },
  {
    name: 'a-traced-request-is-told-its-id',
    bootstrap: (ports) => http(ports, { manager: trusting }),
    turns: [get('/', 'x-envoy-force-trace: 1', 'x-request-id: mine'), get('/', 'x-request-id: mine')],
  },
  {
    name: 'attempts-told-to-the-client',
    bootstrap: (ports) =>
      http(ports, {
        virtualHosts: [
          {
            name: 'all',
            domains: ['*'],
            include_request_attempt_count: true,
            include_attempt_count_in_response: true,
            retry_policy: { retry_on: '5xx', num_retries: 1, retry_back_off: { base_interval: '0.001s' } },
            routes: [
              { match: { prefix: '/d' }, direct_response: { status: 200 } },
              { match: { prefix: '/' }, route: { cluster: 'a' } },
            ],
          },
        ],
      }),
    origins: { a: { answers: [{ status: 503 }, {}, { raw: '', after: 'close' }] } },
    turns: [get('/1'), get('/d'), get('/2')],
    ignoreStats: /cx_|pending/,
  },
  {
    name: 'slow-down-is-not-tried-again',
    bootstrap: (ports) =>
      http(ports, {
        routes: [
          {
            match: { prefix: '/l' },
            route: { cluster: 'a', retry_policy: { retry_on: 'envoy-ratelimited', retry_back_off: { base_interval: '0.001s' } } },
          },
          { match: { prefix: '/' }, route: { cluster: 'a', retry_policy: { retry_on: '5xx' } } },
        ],
      }),
    origins: {
      a: {
        answers: [
          { status: 503, headers: [['x-envoy-ratelimited', '1']] },
          { status: 429, headers: [['x-envoy-ratelimited', '1']] },
          {},
        ],
      },
    },
    turns: [get('/1'), get('/l')],
  },
  {
    name: 'reset-before-request',
    bootstrap: (ports) =>
      http(ports, {
        routes: [{ match: { prefix: '/' }, route: { cluster: 'a', retry_policy: { retry_on: 'reset-before-request' } } }],
      }),
    origins: { a: { answers: [{ raw: '', after: 'close' }, {}] } },
    turns: [get('/')],
    ignoreStats: /cx_/,
  },
  {
    name: 'headers-that-ask-for-a-retry',
    bootstrap: (ports) => http(ports, { manager: trusting }),
    origins: { a: { answers: [{ status: 404, headers: [['x-again', '1']] }, {}, { status: 404 }] } },
    turns: ['/1', '/2'].map((path) =>
      get(path, 'x-envoy-retry-on: retriable-headers', 'x-envoy-retriable-header-names: x-other, x-again'),
    ),
  },
  {
    name: 'cluster-by-the-first-value',
    bootstrap: (ports) => http(ports, { routes: [{ match: { prefix: '/' }, route: { cluster_header: 'x-to' } }] }),
    turns: [get('/', 'x-to: a', 'x-to: b'), get('/', 'x-to: b', 'x-to: a'), get('/', 'x-to:')],
  },
  {
    name: 'trusted-proxies-by-network',
    bootstrap: (ports) =>
      http(ports, {
        manager: detect({
          xff_trusted_cidrs: { cidrs: ['10.0.0.0', '127.0.0.0'].map((address_prefix) => ({ address_prefix, prefix_len: 8 })) },
        }),
        log: '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%\n',
      }),
    turns: forwarded,
  },
  {
    name: 'trusted-proxies-appended',
    bootstrap: (ports) =>
      http(ports, { manager: detect({ skip_xff_append: false }), log: '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%\n' }),
    turns: forwarded,
  },
  {
    name: 'state-of-a-request-in-headers',
    bootstrap: (ports) =>
      http(ports, {
        filters: [
          httpFilter('set_filter_state', 'Config', {
            on_request_headers: [
              {
                object_key: 'k',
                factory_key: 'envoy.string',
                format_string: { text_format_source: { inline_string: 'kept-%REQ(x-in)%' } },
              },
            ],
          }),
        ],
        routes: [
          {
            match: { prefix: '/' },
            route: { cluster: 'a' },
            request_headers_to_add: ['PER_REQUEST_STATE(k)', 'FILTER_STATE(k)', 'FILTER_STATE(k:PLAIN)'].map((operator, i) => ({
              header: { key: `x-state-${i}`, value: `%${operator}%` },
            })),
          },
        ],
      }),
    turns: [get('/', 'x-in: 1')],
  },
]

const direct = (prefix: string, answer: Message, more: Message = {}): Message => ({
  match: { prefix },
  direct_response: { body: { inline_string: '{}' }, ...answer },
  ...more,
})
const add = (key: string, value: string): Message => ({ header: { key, value } })
const redirect = (prefix: string, action: Message): Message => ({ match: { prefix }, redirect: action })

const answers: ParityCase[] = [
  {
    name: 'types-of-local-bodies',
    bootstrap: (ports) =>
      http(ports, {
        routes: [
          direct('/added', { status: 200 }, { response_headers_to_add: [add('content-type', 'application/json')] }),
          direct('/removed', { status: 200 }, { response_headers_to_remove: ['content-type', 'content-length'] }),
          direct('/last', { status: 599 }),
          {
            match: { prefix: '/empty' },
            direct_response: { status: 200 },
            response_headers_to_add: [add('content-type', 'a/b')],
          },
        ],
      }),
    turns: ['/added', '/removed', '/last', '/empty'].flatMap((path) => [get(path), request('HEAD', path)]),
  },
  {
    name: 'paths-behind-redirects',
    bootstrap: (ports) =>
      http(ports, {
        log: '%RESPONSE_CODE% %REQ(:PATH)% %UPSTREAM_CLUSTER%\n',
        routes: [
          redirect('/old', { prefix_rewrite: '/new' }),
          redirect('/re', { regex_rewrite: { pattern: { regex: '^/re/([a-z]+)' }, substitution: '/\\1' } }),
          redirect('/path', { path_redirect: '/p' }),
          redirect('/port', { port_redirect: 8443 }),
        ],
      }),
    turns: [get('/old/x?y'), get('/re/abc'), get('/path'), get('/port', 'host: a.test:http'), get('/port', 'host: [::1]:80')],
  },
  {
    name: 'redirect-to-tls-has-no-cluster',
    bootstrap: (ports) =>
      http(ports, {
        log: '%RESPONSE_CODE% %UPSTREAM_CLUSTER%\n',
        virtualHosts: [
          { name: 'all', domains: ['*'], require_tls: 'ALL', routes: [{ match: { prefix: '/' }, route: { cluster: 'a' } }] },
        ],
      }),
    turns: [get('/x?y')],
  },
  {
    name: 'rewrites-that-leave-nothing-or-the-same',
    bootstrap: (ports) =>
      http(ports, {
        routes: [
          {
            match: { prefix: '/empty' },
            route: { cluster: 'a', regex_rewrite: { pattern: { regex: '.*' }, substitution: '' } },
          },
          {
            match: { prefix: '/same' },
            route: { cluster: 'a', host_rewrite_literal: 'a.test', append_x_forwarded_host: true },
          },
        ],
      }),
    turns: [get('/empty/x?y'), get('/same')],
  },
  {
    name: 'routes-of-followed-redirects',
    bootstrap: (ports) =>
      http(ports, {
        log: '%RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %ROUTE_NAME% %REQ(:PATH)%\n',
        routes: [
          { match: { prefix: '/b' }, name: 'b', route: { cluster: 'b' } },
          { match: { prefix: '/' }, name: 'first', route: { cluster: 'a', internal_redirect_policy: {} } },
        ],
        clusters: ['a', 'b'].map((name) => cluster(name, [ports[name] ?? 0])),
      }),
    origins: {
      a: {
        answers: ['http://a.test/b/x', 'ftp://a.test/b', 'http://a.test/b'].map((location) => ({
          status: 302,
          headers: [['location', location] as const],
        })),
      },
      b: {},
    },
    turns: [get('/1'), get('/2'), get('/3')],
  },
  {
    name: 'flags-behind-the-body-of-an-answer',
    bootstrap: (ports) =>
      http(ports, {
        manager: {
          local_reply_config: {
            body_format: { text_format_source: { inline_string: '%RESPONSE_CODE%|%RESPONSE_FLAGS%|%LOCAL_REPLY_BODY%\n' } },
          },
        },
        routes: [{ match: { path: '/one' }, route: { cluster: 'a' } }],
      }),
    turns: [get('/none'), { send: ['bad\r\n\r\n'], untilClosed: true, patienceMs: 1400 }],
    ignoreStats: /cx_/,
  },
]

/** What the router is told, and tells. */
export const routerCases: readonly ParityCase[] = [...group('router', cases), ...group('answers', answers)]
