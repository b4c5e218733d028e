/** What `e2e random` found by chance, each by itself. */
import { cluster, http, httpFilter, type Message, typed } from '../bootstrap.ts'
import { get, group, type ParityCase, type Ports, request } from '../case.ts'

const toA: Message = { cluster: 'a' }

/** A service that lets requests pass, and gives them three headers. */
function allowed(manager: Message): ParityCase['bootstrap'] {
  return (ports: Ports) =>
    http(ports, {
      manager: { generate_request_id: false, ...manager },
      filters: [
        httpFilter('ext_authz', 'ExtAuthz', {
          http_service: {
            server_uri: { uri: 'b.test', cluster: 'b', timeout: '5s' },
            authorization_response: { allowed_upstream_headers: { patterns: [{ prefix: 'x-r' }] } },
          },
        }),
      ],
      clusters: [cluster('a', [ports['a'] ?? 1]), cluster('b', [ports['b'] ?? 1])],
    })
}

function allowing(value: string): ParityCase['origins'] {
  return { a: {}, b: { answers: [{ headers: [1, 2, 3].map((i) => [`x-r${i}`, value] as const) }] } }
}

const cases: ParityCase[] = [
  {
    name: 'redirects-with-ports-and-paths-of-their-own',
    bootstrap: (ports) =>
      http(ports, {
        routes: [
          { match: { prefix: '/port' }, redirect: { host_redirect: 'new.test:99', port_redirect: 443 } },
          { match: { prefix: '/own' }, redirect: { port_redirect: 443 } },
          { match: { prefix: '/bare' }, redirect: { path_redirect: 'new' } },
          ...['.*', '[^/]*', '/a', 'b*', '^/'].map((regex, i) => ({
            match: { prefix: `/r${i}` },
            redirect: { regex_rewrite: { pattern: { regex }, substitution: '/n' } },
          })),
        ],
      }),
    turns: ['/port', '/own?q', '/bare?q=1', ...[0, 1, 2, 3, 4].map((i) => `/r${i}/a/bb//c?q`)].map((path) =>
      get(path, 'host: old.test:88'),
    ),
  },
  {
    name: 'paths-rewritten-by-matches-of-nothing',
    bootstrap: (ports) =>
      http(ports, {
        routes: ['.*', '[^/]*', 'b*'].map((regex, i) => ({
          match: { prefix: `/r${i}` },
          route: { ...toA, regex_rewrite: { pattern: { regex }, substitution: '/n\\0' } },
        })),
      }),
    turns: [0, 1, 2].map((i) => get(`/r${i}/a/bb//c?q`)),
  },
  {
    name: 'templates-and-path-parameters',
    bootstrap: (ports) =>
      http(ports, {
        routeConfig: { ignore_path_parameters_in_path_matching: true },
        routes: [
          {
            match: {
              path_match_policy: {
                name: 't',
                typed_config: typed('envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig', {
                  path_template: '/a/{x}',
                }),
              },
            },
            direct_response: { status: 200, body: { inline_string: 'template' } },
          },
          { match: { safe_regex: { regex: '/a/[a-z]' } }, direct_response: { status: 200, body: { inline_string: 'regex' } } },
          { match: { prefix: '/' }, direct_response: { status: 404 } },
        ],
      }),
    turns: ['/a;p=1/b?q', '/a/b;p=1?q', '/a/b'].map((path) => get(path)),
  },
  ...[8, 9].map(
    (max_headers_count): ParityCase => ({
      name: `headers-from-ext-authz-of-${max_headers_count}`,
      bootstrap: allowed({ common_http_protocol_options: { max_headers_count } }),
      origins: allowing('v'),
      turns: [get('/', 'x-1: 1')],
    }),
  ),
  ...[300, 400].map(
    (length): ParityCase => ({
      name: `bytes-from-ext-authz-${length}`,
      bootstrap: allowed({ max_request_headers_kb: 1 }),
      origins: allowing('v'.repeat(length)),
      turns: [get('/')],
    }),
  ),
  {
    name: 'an-empty-x-forwarded-for',
    bootstrap: (ports) =>
      http(ports, {
        manager: {
          use_remote_address: true,
          internal_address_config: { cidr_ranges: [{ address_prefix: '127.0.0.0', prefix_len: 8 }] },
        },
        routes: [{ match: { prefix: '/' }, route: { ...toA, request_mirror_policies: [{ cluster: 'b' }] } }],
        clusters: [cluster('a', [ports['a'] ?? 1]), cluster('b', [ports['b'] ?? 1])],
      }),
    origins: { a: {}, b: {} },
    turns: [get('/'), get('/', 'x-forwarded-for: ')],
  },
  {
    name: 'a-copy-with-an-empty-x-forwarded-for',
    bootstrap: (ports) =>
      http(ports, {
        routes: [{ match: { prefix: '/' }, route: { ...toA, request_mirror_policies: [{ cluster: 'b' }] } }],
        clusters: [cluster('a', [ports['a'] ?? 1]), cluster('b', [ports['b'] ?? 1])],
      }),
    origins: { a: {}, b: {} },
    turns: [get('/', 'x-forwarded-for: '), get('/', 'x-forwarded-for: 10.0.0.1')],
  },
  {
    name: 'trailers-that-stay-here-end-the-chunks',
    bootstrap: (ports) =>
      http(ports, {
        manager: { http_protocol_options: { enable_trailers: true } },
        log: '%UPSTREAM_WIRE_BYTES_SENT% %UPSTREAM_HEADER_BYTES_SENT%\n',
      }),
    turns: ['0\r\nx-t: end\r\n\r\n', '3\r\nabc\r\n0\r\nx-t: end\r\n\r\n', '3\r\nabc\r\n0\r\n\r\n'].map(
      (body) => `${request('PUT', '/', ['transfer-encoding: chunked'])}${body}`,
    ),
  },
  {
    name: 'a-call-whose-type-an-early-edit-changes',
    bootstrap: (ports) =>
      http(ports, {
        routes: [{ match: { prefix: '/' }, route: { cluster: 'nowhere' } }],
        routeConfig: { validate_clusters: false },
        manager: {
          early_header_mutation_extensions: [
            {
              name: 'early',
              typed_config: typed('envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation', {
                mutations: [
                  {
                    append: {
                      header: { key: 'content-type', value: '%REQ(x-type)%' },
                      append_action: 'OVERWRITE_IF_EXISTS_OR_ADD',
                    },
                  },
                ],
              }),
            },
          ],
        },
      }),
    turns: [
      get('/', 'content-type: application/grpc', 'x-type: text/plain'),
      get('/', 'content-type: text/plain', 'x-type: application/grpc'),
    ],
  },
  {
    name: 'a-limit-in-proxy-status',
    bootstrap: (ports) =>
      http(ports, {
        manager: { proxy_status_config: { set_recommended_response_code: true, literal_proxy_name: 'p' } },
        log: '%RESPONSE_CODE% %RESPONSE_FLAGS%\n',
        filters: [
          httpFilter('local_ratelimit', 'LocalRateLimit', {
            stat_prefix: 'l',
            token_bucket: { max_tokens: 1, tokens_per_fill: 1, fill_interval: '3600s' },
            filter_enabled: { default_value: { numerator: 100 } },
            filter_enforced: { default_value: { numerator: 100 } },
            response_headers_to_add: [{ header: { key: 'x-flags', value: '%RESPONSE_FLAGS%' } }],
          }),
        ],
      }),
    turns: [get('/'), get('/'), request('HEAD', '/')],
  },
  ...([{ use_remote_address: true }, { use_remote_address: true, xff_num_trusted_hops: 1 }, {}] as Message[]).map(
    (manager, i): ParityCase => ({
      name: `https-in-the-clear-${i}`,
      bootstrap: (ports) =>
        http(ports, { manager, log: '%RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %DOWNSTREAM_LOCAL_CLOSE_REASON%\n' }),
      turns: ['https://a.test/a', 'http://a.test/a', 'HTTPS://a.test/', 'ftp://a.test/'].map((url) => ({
        send: [get(url)],
        untilClosed: true,
        patienceMs: 1400,
      })),
    }),
  ),
  {
    name: 'headers-that-are-missing-count-as-empty',
    bootstrap: (ports) =>
      http(ports, {
        routes: ([{}, { present_match: true }, { present_match: false }, { string_match: { exact: '' } }] as Message[]).flatMap(
          (specifier, i) =>
            [false, true].map((invert_match, k) => ({
              match: {
                prefix: `/${i}${k}`,
                headers: [{ name: 'x-none', treat_missing_header_as_empty: true, invert_match, ...specifier } as Message],
              },
              direct_response: { status: 201 },
            })),
        ),
      }),
    turns: [0, 1, 2, 3].flatMap((i) => [0, 1].flatMap((k) => [get(`/${i}${k}`), get(`/${i}${k}`, 'x-none: a')])),
  },
  {
    name: 'times-of-tries-alone',
    bootstrap: (ports) =>
      http(ports, {
        routes: (
          [
            { timeout: '0s' },
            { max_stream_duration: { max_stream_duration: '9s' } },
            { timeout: '0s', hedge_policy: { hedge_on_per_try_timeout: true } },
          ] as Message[]
        ).map((more, i) => ({
          match: { prefix: `/${i}` },
          route: { ...toA, retry_policy: { retry_on: '5xx', per_try_timeout: '8s' }, ...more } as Message,
        })),
      }),
    origins: { a: { answers: [{ status: 503 }, {}] } },
    turns: [0, 1, 2].map((i) => get(`/${i}`)),
  },
  {
    name: 'edits-of-what-ext-authz-answers',
    bootstrap: (ports) =>
      http(ports, {
        filters: [
          httpFilter('ext_authz', 'ExtAuthz', {
            http_service: { server_uri: { uri: 'b.test', cluster: 'b', timeout: '5s' } },
          }),
        ],
        routes: [
          {
            match: { prefix: '/' },
            route: toA,
            response_headers_to_add: [
              { header: { key: 'x-s', value: '%RESP(location)%' } },
              { header: { key: 'x-code', value: '%RESP(:status)%' } },
              { header: { key: 'x-two', value: 'route' }, append_action: 'OVERWRITE_IF_EXISTS' },
            ],
          },
        ],
        routeConfig: { response_headers_to_remove: ['x-r'] },
        clusters: [cluster('a', [ports['a'] ?? 1]), cluster('b', [ports['b'] ?? 1])],
      }),
    origins: {
      a: {},
      b: {
        answers: [
          {
            status: 303,
            headers: [
              ['location', 'http://a.test'],
              ['x-r', 'kept'],
              ['x-two', 'auth'],
            ],
          },
        ],
      },
    },
    turns: [get('/')],
  },
  {
    name: 'types-of-formatted-answers',
    bootstrap: (ports) =>
      http(ports, {
        routes: (
          [
            {
              match: { prefix: '/json' },
              direct_response: { status: 418, body_format: { json_format: { code: '%RESPONSE_CODE%' } } },
            },
            { match: { prefix: '/plain' }, direct_response: { status: 418, body: { inline_string: 'x' } } },
            {
              match: { prefix: '/text' },
              direct_response: { status: 418, body_format: { text_format_source: { inline_string: 'x' } } },
            },
            {
              match: { prefix: '/typed' },
              direct_response: {
                status: 418,
                body_format: { text_format_source: { inline_string: 'x' }, content_type: 'text/plain' },
              },
            },
          ] as Message[]
        ).map((route) => ({
          ...route,
          response_headers_to_add: [
            { header: { key: 'content-type', value: 'own/type' }, append_action: 'APPEND_IF_EXISTS_OR_ADD' },
          ],
        })),
      }),
    turns: [
      ...['/json', '/plain', '/text', '/typed'].map((path) => get(path)),
      ...['/json', '/text'].flatMap((path) => [request('HEAD', path), get(path, 'content-type: application/grpc')]),
    ],
  },
  {
    name: 'copies-of-a-host-that-is-rewritten',
    bootstrap: (ports) =>
      http(ports, {
        routes: [
          {
            match: { prefix: '/' },
            route: { ...toA, host_rewrite: '%REQ(:authority)%.x', request_mirror_policies: [{ cluster: 'b' }] },
          },
        ],
        clusters: [cluster('a', [ports['a'] ?? 1]), cluster('b', [ports['b'] ?? 1])],
      }),
    origins: { a: {}, b: {} },
    turns: ['b.test:80', 'b.test', '[::1]:80'].map((host) => get('/', `host: ${host}`)),
  },
  {
    name: 'fragments-and-what-connection-names',
    bootstrap: (ports) =>
      http(ports, {
        routeConfig: { internal_only_headers: ['x-b'] },
        virtualHosts: [
          {
            name: 'v',
            domains: ['*'],
            require_tls: 'EXTERNAL_ONLY',
            routes: [{ name: 'r', match: { prefix: '/' }, route: toA }],
          },
        ],
        log: '%REQUEST_HEADERS_BYTES% %REQ(X-A)% %REQ(X-B)% %REQ(CONNECTION)% %ROUTE_NAME%\n',
      }),
    turns: [[], ['connection: x-a'], ['connection: keep-alive, x-a'], ['connection: Keep-Alive , x-a, x-c']].flatMap(
      (connection) =>
        [[], ['x-forwarded-proto: http', 'x-envoy-internal: true'], ['x-forwarded-proto: http']].map((more) => ({
          send: [get('/a#f', 'x-a: a', 'x-b: b', ...connection, ...more)],
          untilClosed: true,
          patienceMs: 1400,
        })),
    ),
  },
  {
    name: 'versions-of-refusals',
    bootstrap: (ports) => http(ports, { manager: { use_remote_address: true, http_protocol_options: { accept_http_10: true } } }),
    turns: [
      ...['https://a.test/a', 'ftp://a.test/', 'http://a.test:x/', '/a#f', 'what'].map(
        (url) => `GET ${url} HTTP/1.0\r\nhost: a.test\r\n\r\n`,
      ),
      ...[
        'host: a b',
        'no-colon',
        'content-length: x',
        'content-length: 1\r\ncontent-length: 2',
        'content-length: 1\r\ntransfer-encoding: chunked',
        'transfer-encoding: gzip',
        'connection: x-forwarded-for',
        'x: a\0b',
      ].map((line) => `POST / HTTP/1.0\r\n${line}\r\n\r\n`),
    ].map((text) => ({ send: [text], untilClosed: true, patienceMs: 1400 })),
  },
  {
    name: 'checks-of-head-requests',
    bootstrap: (ports) =>
      http(ports, {
        filters: [
          httpFilter('ext_authz', 'ExtAuthz', { http_service: { server_uri: { uri: 'b.test', cluster: 'b', timeout: '2s' } } }),
        ],
        clusters: [cluster('a', [ports['a'] ?? 1]), cluster('b', [ports['b'] ?? 1])],
      }),
    origins: {
      a: {},
      b: {
        answers: [
          { raw: 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n' },
          { raw: 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nafter' },
          { raw: 'HTTP/1.1 403 Forbidden\r\ntransfer-encoding: chunked\r\nx-envoy-upstream-service-time: 9\r\n\r\n' },
        ],
      },
    },
    turns: [request('HEAD', '/'), request('HEAD', '/'), request('HEAD', '/')],
    ignoreStats: /cx_|cluster\.b\./,
  },
  {
    name: 'ports-of-schemes-that-requests-came-by',
    bootstrap: (ports) =>
      http(ports, {
        routes: [
          { match: { prefix: '/s' }, redirect: { https_redirect: true } },
          { match: { prefix: '/p' }, redirect: { path_redirect: '/new' } },
          { match: { prefix: '/h' }, redirect: { scheme_redirect: 'http' } },
        ],
      }),
    turns: ['/s', '/p', '/h'].flatMap((path) =>
      ['80', '443', '8080'].flatMap((port) =>
        ['http', 'https', 'ftp'].map((proto) => get(path, `host: b.test:${port}`, `x-forwarded-proto: ${proto}`)),
      ),
    ),
  },
  {
    name: 'checks-of-methods-in-small-letters',
    bootstrap: (ports) =>
      http(ports, {
        manager: { http_protocol_options: { allow_custom_methods: true } },
        filters: [
          httpFilter('ext_authz', 'ExtAuthz', { http_service: { server_uri: { uri: 'b.test', cluster: 'b', timeout: '2s' } } }),
        ],
        clusters: [cluster('a', [ports['a'] ?? 1]), cluster('b', [ports['b'] ?? 1])],
      }),
    origins: { a: {}, b: {} },
    turns: [request('get', '/'), request('Foo', '/', [], 'x')],
  },
  {
    name: 'a-call-whose-type-a-filter-takes-away',
    bootstrap: (ports) =>
      http(ports, {
        filters: [
          httpFilter('header_mutation', 'HeaderMutation', { mutations: { request_mutations: [{ remove: 'content-type' }] } }),
        ],
        routes: [{ match: { prefix: '/' }, redirect: { https_redirect: true } }],
      }),
    turns: [get('/', 'content-type: application/grpc'), get('/')],
  },
  {
    name: 'origins-that-an-asterisk-stands-for',
    bootstrap: (ports) =>
      http(ports, {
        filters: [httpFilter('cors', 'Cors')],
        routes: ([{ safe_regex: { regex: '[^/]*' } }, { prefix: '*' }, { contains: 'x' }, { exact: '*' }] as Message[]).map(
          (matcher, i) => ({
            match: { prefix: `/${i}` },
            route: toA,
            typed_per_filter_config: {
              'envoy.filters.http.cors': typed('envoy.extensions.filters.http.cors.v3.CorsPolicy', {
                allow_origin_string_match: [matcher],
              }),
            },
          }),
        ),
      }),
    turns: [0, 1, 2, 3].map((i) => get(`/${i}`, 'origin: http://a.test')),
  },
]

export const chanceFindCases = group('chance', cases)
