import { cluster, http, httpFilter, type Message, typed } from '../bootstrap.ts'
import { get, group, type ParityCase } from '../case.ts'

const basic = (text: string): string => `authorization: Basic ${Buffer.from(text, 'latin1').toString('base64')}`
/** `test` and `admin`, by SHA-1. */
const users = 'user1:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=\n# more\n\nuser2:{SHA}0DPiKuNIrrVmD8IUCuw1hQxNqZc=\n'
const basicAuth = (more: Message = {}): Message =>
  httpFilter('basic_auth', 'BasicAuth', { users: { inline_string: users }, ...more })

/** Requests go on with a secret of this text. */
const credential = (secret: string, generic: Message = {}, more: Message = {}): ParityCase['bootstrap'] => {
  const type = 'envoy.extensions.http.injected_credentials.generic.v3.Generic'
  const typed_config = typed(type, { credential: { name: 'token' }, ...generic })
  const filters = [httpFilter('credential_injector', 'CredentialInjector', { credential: { name: 'c', typed_config }, ...more })]
  return (ports) => {
    const plain = http(ports, { filters })
    const secrets = [{ name: 'token', generic_secret: { secret: { inline_string: secret } } }]
    return { ...plain, static_resources: { ...(plain['static_resources'] as Message), secrets } }
  }
}

/** Bytes of a header that are UTF-8, and that are not. */
const bytes = [
  'caf\xe9',
  '\xc3\xa9',
  '\xe2\x82',
  '\xed\xa0\x80',
  '\xf0\x9f\x98\x80z',
  '\xf5\x80a',
  '\xc0\x80',
  '\xe2(\xa1',
  '\xe9\xe9\xc3\xa9',
]

const cases: ParityCase[] = [
  {
    name: 'ext-authz-bytes',
    bootstrap: (ports) =>
      http(ports, {
        filters: [
          httpFilter('ext_authz', 'ExtAuthz', {
            http_service: { server_uri: { uri: 'b.test', cluster: 'b', timeout: '5s' } },
            allowed_headers: { patterns: [{ prefix: 'x-a' }] },
          }),
        ],
        clusters: [cluster('a', [ports['a'] ?? 1]), cluster('b', [ports['b'] ?? 1])],
      }),
    origins: { a: {}, b: {} },
    turns: bytes.map((value) => get('/', `x-a: ${value}`)),
  },
  ...Object.entries({
    plain: credential('Bearer abc\n'),
    named: credential('abc', { header: 'X-Token', header_value_prefix: 'Token ' }),
    overwriting: credential('abc', {}, { overwrite: true }),
    without: credential(''),
    'without-and-allowed': credential('', {}, { allow_request_without_credential: true }),
  }).map(([name, bootstrap]) => ({
    name: `credential-${name}`,
    bootstrap,
    turns: [get('/'), get('/', 'authorization: own', 'x-token: own')],
  })),
  {
    name: 'basic-auth',
    bootstrap: (ports) => http(ports, { filters: [basicAuth({ forward_username_header: 'x-user' })] }),
    turns: [
      get('/'),
      get('/a?b=c', basic('user1:test')),
      get('/', basic('user2:admin'), 'x-user: forged'),
      get('/', basic('user1:wrong')),
      get('/', basic('user3:test')),
      get('/', basic('user1')),
      get('/', 'authorization: Bearer x'),
      get('/', 'authorization: basic dXNlcjE6dGVzdA=='),
      get('/', 'authorization: Basic dXNlcjE6dGVzdA'),
      get('/', 'authorization: Basic  dXNlcjE6dGVzdA=='),
      get('/', 'authorization: Basic %%%'),
      get('/', 'authorization:'),
      get('/', basic('user1:test'), 'authorization: Basic x'),
      get(`/${'long'.repeat(100)}`),
    ],
  },
  {
    name: 'basic-auth-options',
    bootstrap: (ports) =>
      http(ports, {
        filters: [
          basicAuth({
            authentication_header: 'x-auth',
            allow_missing: true,
            emit_dynamic_metadata: true,
            realm: 'Rooms',
          }),
        ],
        log: '%DYNAMIC_METADATA(envoy.filters.http.basic_auth)% %RESPONSE_CODE_DETAILS%\n',
        routes: [
          {
            match: { prefix: '/other' },
            route: { cluster: 'a' },
            typed_per_filter_config: {
              'envoy.filters.http.basic_auth': typed('envoy.extensions.filters.http.basic_auth.v3.BasicAuthPerRoute', {
                users: { inline_string: 'user3:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=' },
              }),
            },
          },
          {
            match: { prefix: '/room' },
            route: { cluster: 'a' },
            typed_per_filter_config: {
              'envoy.filters.http.basic_auth': typed('envoy.extensions.filters.http.basic_auth.v3.BasicAuthPerRoute', {
                users: { inline_string: 'user3:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=' },
                realm: 'a "room"',
              }),
            },
          },
          { match: { prefix: '/' }, route: { cluster: 'a' } },
        ],
      }),
    turns: [
      get('/'),
      get('/', basic('user1:wrong')),
      get('/', basic('user1:wrong').replace('authorization', 'x-auth')),
      get('/', basic('user1:test').replace('authorization', 'x-auth')),
      get('/other', basic('user1:test').replace('authorization', 'x-auth')),
      get('/other', basic('user3:test').replace('authorization', 'x-auth')),
      get('/room', 'x-auth: hm'),
      get('/room', 'x-auth: Basic %%%'),
      get('/room', basic('x:y').replace('authorization', 'x-auth')),
    ],
  },
  ...[
    'user1',
    'user1:',
    ':x',
    'user1:test',
    'user1:{SHA}short',
    'user1:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=\nuser1:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=',
    ' user1:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M= ',
    '#\n',
    'user1:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=\r\n',
  ].map((text, i) => ({
    name: `basic-auth-users-${i}`,
    validateOnly: true,
    bootstrap: (ports: Parameters<ParityCase['bootstrap']>[0]) =>
      http(ports, { filters: [basicAuth({ users: { inline_string: text } })] }),
  })),
  {
    name: 'ip-tagging',
    bootstrap: (ports) =>
      http(ports, {
        filters: [
          httpFilter('ip_tagging', 'IPTagging', {
            request_type: 'BOTH',
            ip_tags: [
              { ip_tag_name: 'local', ip_list: [{ address_prefix: '127.0.0.0', prefix_len: 8 }] },
              {
                ip_tag_name: 'one',
                ip_list: [
                  { address_prefix: '10.1.0.0', prefix_len: 16 },
                  { address_prefix: '::', prefix_len: 0 },
                ],
              },
              { ip_tag_name: 'nine', ip_list: [{ address_prefix: '9.0.0.0', prefix_len: 8 }] },
            ],
          }),
        ],
        manager: { use_remote_address: false, xff_num_trusted_hops: 0 },
      }),
    turns: [
      get('/'),
      get('/', 'x-forwarded-for: 10.1.2.3'),
      get('/', 'x-forwarded-for: 10.2.2.3', 'x-envoy-ip-tags: forged'),
      get('/', 'x-forwarded-for: 9.9.9.9', 'x-envoy-ip-tags: forged'),
      get('/', 'x-forwarded-for: ::1'),
      get('/', 'x-forwarded-for: fd00::1'),
    ],
  },
  ...['SANITIZE', 'APPEND_IF_EXISTS_OR_ADD'].map((action, i) => ({
    name: `ip-tagging-header-${i}`,
    bootstrap: (ports: Parameters<ParityCase['bootstrap']>[0]) =>
      http(ports, {
        filters: [
          httpFilter('ip_tagging', 'IPTagging', {
            request_type: i === 0 ? 'EXTERNAL' : 'BOTH',
            ip_tag_header: { header: 'x-tags', action },
            ip_tags: [
              { ip_tag_name: 'one', ip_list: [{ address_prefix: '10.1.0.0', prefix_len: 16 }] },
              { ip_tag_name: 'nine', ip_list: [{ address_prefix: '9.0.0.0', prefix_len: 8 }] },
            ],
          }),
        ],
        routes: [
          {
            match: { prefix: '/', headers: [{ name: 'x-tags', string_match: { exact: 'nine' } }] },
            route: { cluster: 'a', prefix_rewrite: '/nine' },
          },
          { match: { prefix: '/' }, route: { cluster: 'a' } },
        ],
      }),
    turns: [
      get('/', 'x-forwarded-for: 10.1.2.3', 'x-tags: forged'),
      get('/', 'x-forwarded-for: 9.9.9.9', 'x-tags: forged'),
      get('/', 'x-forwarded-for: 9.9.9.9', 'x-tags: forged', 'x-tags: more'),
      get('/', 'x-forwarded-for: 8.8.8.8', 'x-tags: forged'),
      get('/', 'x-forwarded-for: 10.9.9.9', 'x-tags: forged'),
    ],
  })),
  {
    name: 'ip-tagging-same-range-twice',
    bootstrap: (ports) =>
      http(ports, {
        filters: [
          httpFilter('ip_tagging', 'IPTagging', {
            ip_tags: ['x', 'x'].map((ip_tag_name) => ({
              ip_tag_name,
              ip_list: [{ address_prefix: '127.0.0.1', prefix_len: 32 }],
            })),
          }),
        ],
      }),
    turns: [get('/')],
  },
  ...(
    [[], [{ ip_tag_name: 'x', ip_list: [{ address_prefix: 'nonsense', prefix_len: 32 }] }], [{ ip_tag_name: '' }]] as Message[][]
  ).map((ip_tags, i) => ({
    name: `ip-tagging-verdict-${i}`,
    validateOnly: true,
    bootstrap: (ports: Parameters<ParityCase['bootstrap']>[0]) =>
      http(ports, { filters: [httpFilter('ip_tagging', 'IPTagging', { ip_tags })] }),
  })),
]

export const accessFilterCases: readonly ParityCase[] = group('access', cases)
