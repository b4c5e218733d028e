import { cluster, http, httpFilter, type Message, typed } from '../bootstrap.ts'
import { get, group, type ParityCase, request } from '../case.ts'

const policies: { readers: Message; admins: Message } = {
  readers: {
    permissions: [
      {
        and_rules: {
          rules: [{ header: { name: ':method', string_match: { exact: 'GET' } } }, { url_path: { path: { prefix: '/pub' } } }],
        },
      },
    ],
    principals: [{ any: true }],
  },
  admins: {
    permissions: [{ any: true }],
    principals: [{ header: { name: 'x-role', string_match: { exact: 'admin' } } }],
  },
}

/** A key of RFC 7515, appendix A.3; nothing here is signed by it. */
const publicKeys =
  '{"keys":[{"kty":"EC","crv":"P-256","kid":"k1","alg":"ES256",' +
  '"x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}'

const cases: ParityCase[] = [
  {
    name: 'fault-abort',
    bootstrap: (ports) =>
      http(ports, {
        filters: [
          httpFilter('fault', 'HTTPFault', {
            abort: { http_status: 418, percentage: { numerator: 100 } },
            headers: [{ name: 'x-break', string_match: { exact: 'yes' } }],
          }),
        ],
      }),
    turns: [get('/'), get('/', 'x-break: yes')],
  },
  {
    name: 'fault-by-header',
    bootstrap: (ports) =>
      http(ports, {
        filters: [
          httpFilter('fault', 'HTTPFault', {
            abort: { header_abort: {}, percentage: { numerator: 100 } },
            delay: { header_delay: {}, percentage: { numerator: 100 } },
          }),
        ],
      }),
    turns: [get('/', 'x-envoy-fault-abort-request: 503'), get('/', 'x-envoy-fault-delay-request: 50'), get('/')],
  },
  {
    name: 'fault-by-route',
    bootstrap: (ports) =>
      http(ports, {
        filters: [httpFilter('fault', 'HTTPFault', {})],
        routes: [
          {
            match: { prefix: '/slow' },
            route: { cluster: 'a' },
            typed_per_filter_config: {
              'envoy.filters.http.fault': typed('envoy.extensions.filters.http.fault.v3.HTTPFault', {
                delay: { fixed_delay: '0.05s', percentage: { numerator: 100 } },
              }),
            },
          },
          { match: { prefix: '/' }, route: { cluster: 'a' } },
        ],
      }),
    turns: [get('/slow'), get('/fast')],
  },
  {
    name: 'rbac-allow',
    bootstrap: (ports) => http(ports, { filters: [httpFilter('rbac', 'RBAC', { rules: { action: 'ALLOW', policies } })] }),
    turns: [get('/pub/x'), get('/private'), request('POST', '/pub', [], 'x'), get('/private', 'x-role: admin')],
  },
  {
    name: 'rbac-families',
    bootstrap: (ports) => {
      const range = (address_prefix: string, prefix_len: number) => ({ direct_remote_ip: { address_prefix, prefix_len } })
      const principals = [range('::', 0), range('::ffff:127.0.0.0', 104)]
      const families = { six: { permissions: [{ any: true }], principals } }
      return http(ports, { filters: [httpFilter('rbac', 'RBAC', { rules: { action: 'ALLOW', policies: families } })] })
    },
    turns: [get('/')],
  },
  {
    name: 'rbac-deny-with-shadow',
    bootstrap: (ports) =>
      http(ports, {
        filters: [
          httpFilter('rbac', 'RBAC', {
            rules: { action: 'DENY', policies: { admins: policies.admins } },
            shadow_rules: { action: 'ALLOW', policies: { readers: policies.readers } },
            shadow_rules_stat_prefix: 'trial_',
          }),
        ],
      }),
    turns: [get('/pub'), get('/other'), get('/', 'x-role: admin')],
  },
  {
    name: 'cors',
    bootstrap: (ports) =>
      http(ports, {
        filters: [httpFilter('cors', 'Cors')],
        virtualHosts: [
          {
            name: 'all',
            domains: ['*'],
            typed_per_filter_config: {
              'envoy.filters.http.cors': typed('envoy.extensions.filters.http.cors.v3.CorsPolicy', {
                allow_origin_string_match: [{ suffix: '.friend.test' }],
                allow_methods: 'GET, PUT',
                allow_headers: 'x-a',
                expose_headers: 'x-b',
                max_age: '600',
                allow_credentials: true,
              }),
            },
            routes: [{ match: { prefix: '/' }, route: { cluster: 'a' } }],
          },
        ],
      }),
    turns: [
      request('OPTIONS', '/', ['origin: http://x.friend.test', 'access-control-request-method: PUT']),
      request('OPTIONS', '/', ['origin: http://foe.test', 'access-control-request-method: PUT']),
      get('/', 'origin: http://x.friend.test'),
      get('/', 'origin: http://foe.test'),
      request('OPTIONS', '/', ['origin: http://x.friend.test']),
    ],
  },
  {
    name: 'buffer',
    bootstrap: (ports) => http(ports, { filters: [httpFilter('buffer', 'Buffer', { max_request_bytes: 20 })] }),
    turns: [
      request('POST', '/', [], 'short enough'),
      { send: [request('POST', '/', [], 'much too long for twenty bytes')], patienceMs: 2000 },
      { send: ['POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n', 30, '0\r\n\r\n'] },
    ],
    ignoreStats: /cx_/,
  },
  {
    name: 'local-rate-limit',
    bootstrap: (ports) =>
      http(ports, {
        filters: [
          httpFilter('local_ratelimit', 'LocalRateLimit', {
            stat_prefix: 'few',
            token_bucket: { max_tokens: 2, tokens_per_fill: 2, fill_interval: '60s' },
            filter_enabled: { default_value: { numerator: 100 } },
            filter_enforced: { default_value: { numerator: 100 } },
            response_headers_to_add: [{ header: { key: 'x-limited', value: 'yes' } }],
          }),
        ],
      }),
    turns: ['/1', '/2', '/3', '/4'].map((path) => get(path)),
  },
  {
    name: 'header-mutation',
    bootstrap: (ports) =>
      http(ports, {
        filters: [
          httpFilter('header_mutation', 'HeaderMutation', {
            mutations: {
              request_mutations: [{ append: { header: { key: 'x-m', value: '%REQ(:path)%' } } }, { remove: 'x-old' }],
              response_mutations: [{ append: { header: { key: 'x-r', value: 'r' }, append_action: 'ADD_IF_ABSENT' } }],
            },
          }),
        ],
      }),
    turns: [get('/p', 'x-old: 1')],
  },
  {
    name: 'local-rate-limit-by-user',
    bootstrap: (ports) =>
      http(ports, {
        filters: [
          httpFilter('local_ratelimit', 'LocalRateLimit', {
            stat_prefix: 'by_user',
            token_bucket: { max_tokens: 100, tokens_per_fill: 1, fill_interval: '3600s' },
            filter_enabled: { default_value: { numerator: 100 } },
            filter_enforced: { default_value: { numerator: 100 } },
            rate_limits: [
              {
                actions: [{ request_headers: { header_name: 'x-user', descriptor_key: 'user' } }],
                hits_addend: { format: '%REQ(x-hits)%' },
              },
            ],
            descriptors: [
              {
                entries: [{ key: 'user' }],
                token_bucket: { max_tokens: 3, tokens_per_fill: 1, fill_interval: '3600s' },
              },
            ],
          }),
        ],
      }),
    turns: [
      get('/', 'x-user: bob', 'x-hits: 2'),
      get('/', 'x-user: bob', 'x-hits: 2'),
      get('/', 'x-user: eve', 'x-hits: 1'),
      get('/', 'x-user: eve', 'x-hits: none'),
      get('/'),
    ],
  },
  {
    name: 'query-mutation',
    bootstrap: (ports) =>
      http(ports, {
        filters: [
          httpFilter('header_mutation', 'HeaderMutation', {
            mutations: {
              query_parameter_mutations: [
                { append: { record: { key: 'method', value: '%REQ(:METHOD)%' } } },
                { append: { record: { key: 'b', value: 'new' }, action: 'OVERWRITE_IF_EXISTS' } },
                { append: { record: { key: 'a', value: 'none' }, action: 'ADD_IF_ABSENT' } },
                { remove: 'gone' },
              ],
              request_mutations: [{ remove_on_match: { key_matcher: { prefix: 'x-secret' } } }],
            },
          }),
        ],
      }),
    turns: [get('/p'), get('/p?gone=1'), get('/p?b=1&c&a=2&b=3', 'x-secret-a: 1', 'x-secretive: 2', 'x-open: 3')],
  },
  {
    name: 'health-check',
    bootstrap: (ports) =>
      http(ports, {
        filters: [
          httpFilter('health_check', 'HealthCheck', {
            pass_through_mode: false,
            headers: [{ name: ':path', string_match: { exact: '/healthz' } }],
          }),
        ],
      }),
    turns: [get('/healthz'), get('/other')],
  },
  {
    name: 'csrf',
    bootstrap: (ports) =>
      http(ports, {
        filters: [
          httpFilter('csrf', 'CsrfPolicy', {
            filter_enabled: { default_value: { numerator: 100 } },
            additional_origins: [{ exact: 'friend.test' }],
          }),
        ],
      }),
    turns: [
      request('POST', '/', ['origin: http://a.test'], 'x'),
      request('POST', '/', ['origin: http://friend.test'], 'x'),
      request('POST', '/', ['origin: http://foe.test'], 'x'),
      request('POST', '/', [], 'x'),
      get('/', 'origin: http://foe.test'),
    ],
  },
  {
    name: 'jwt-missing',
    bootstrap: (ports) =>
      http(ports, {
        filters: [
          httpFilter('jwt_authn', 'JwtAuthentication', {
            providers: { p: { issuer: 'https://issuer.test', local_jwks: { inline_string: publicKeys } } },
            rules: [{ match: { prefix: '/open' } }, { match: { prefix: '/' }, requires: { provider_name: 'p' } }],
          }),
        ],
        clusters: [],
        routes: [{ match: { prefix: '/' }, direct_response: { status: 200, body: { inline_string: 'in' } } }],
      }),
    turns: [get('/open'), get('/'), get('/', 'authorization: Bearer not.a.token'), get('/', 'authorization: Bearer x')],
  },
  ...['own', 'own.'].map(
    (stat_prefix): ParityCase => ({
      name: `jwt-counted-as-${stat_prefix}`,
      bootstrap: (ports) =>
        http(ports, {
          filters: [
            httpFilter('jwt_authn', 'JwtAuthentication', {
              stat_prefix,
              providers: { p: { local_jwks: { inline_string: publicKeys } } },
              rules: [{ match: { prefix: '/' }, requires: { provider_name: 'p' } }],
            }),
          ],
        }),
      turns: [get('/')],
    }),
  ),
  {
    name: 'two-filters-that-gather-a-body',
    origins: { a: {}, auth: {} },
    bootstrap: (ports) =>
      http(ports, {
        clusters: [cluster('a', [ports['a'] ?? 1]), cluster('auth', [ports['auth'] ?? 1])],
        filters: [
          httpFilter('buffer', 'Buffer', { max_request_bytes: 1000 }),
          httpFilter('ext_authz', 'ExtAuthz', {
            http_service: { server_uri: { uri: 'http://auth.test', cluster: 'auth', timeout: '1s' } },
            with_request_body: { max_request_bytes: 8 },
          }),
        ],
        manager: { http_protocol_options: { enable_trailers: true } },
      }),
    turns: [
      ...['', '4\r\nbody\r\n', '13\r\nsome more of a body\r\n'].map(
        (chunk) => `PUT / HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n${chunk}0\r\nx-t: 1\r\n\r\n`,
      ),
      request('POST', '/', [], 'body'),
      request('POST', '/', [], 'some more of a body'),
    ],
  },
]

export const filterCases = group('filters', cases)
