import { cluster, http, type Message } from '../bootstrap.ts'
import { get, group, type ParityCase, request } from '../case.ts'

const toA: Message = { cluster: 'a' }

function answering(match: Message, body: string): Message {
  return { match, direct_response: { status: 200, body: { inline_string: body } } }
}

const cases: ParityCase[] = [
  {
    name: 'hosts-that-require-tls',
    bootstrap: (ports) =>
      http(ports, {
        virtualHosts: ['ALL', 'EXTERNAL_ONLY'].map((required) => ({
          name: required,
          domains: [required === 'ALL' ? 'shop.test' : '*'],
          require_tls: required,
          response_headers_to_add: [{ header: { key: 'x-host', value: 'v' } }],
          routes: [
            { name: 'r', match: { prefix: '/a' }, route: toA, response_headers_to_add: [{ header: { key: 'x-r', value: 'v' } }] },
          ],
        })),
      }),
    turns: ['shop.test', 'other.test']
      .flatMap((host) => ['/a?b', '/none'].map((path) => [host, path] as const))
      .flatMap(([host, path]) => [get(path, `host: ${host}`), get(path, `host: ${host}`, 'x-forwarded-proto: https')]),
  },
  {
    name: 'hosts-from-exact-to-any',
    bootstrap: (ports) =>
      http(ports, {
        virtualHosts: ['shop.test', '*.shop.test', 'shop.*', '*'].map((domain, index) => ({
          name: `host${index}`,
          domains: [domain],
          routes: [answering({ prefix: '/' }, `for ${domain}`)],
        })),
      }),
    turns: ['shop.test', 'SHOP.test', 'eu.shop.test', 'a.eu.shop.test', 'shop.example', 'other.test', 'shop.test:8080'].map(
      (host) => get('/', `host: ${host}`),
    ),
  },
  {
    name: 'no-virtual-host',
    bootstrap: (ports) =>
      http(ports, { virtualHosts: [{ name: 'one', domains: ['one.test'], routes: [{ match: { prefix: '/' }, route: toA }] }] }),
    turns: [get('/', 'host: two.test'), get('/', 'host: one.test')],
  },
  {
    name: 'kinds-of-paths',
    bootstrap: (ports) =>
      http(ports, {
        routes: [
          answering({ path: '/exact' }, 'exact'),
          answering({ path: '/any-case', case_sensitive: false }, 'any case'),
          answering({ path_separated_prefix: '/tree' }, 'tree'),
          answering({ safe_regex: { regex: '/item/[0-9]+' } }, 'regex'),
          answering({ prefix: '/pre' }, 'prefix'),
        ],
      }),
    turns: [
      ...['/exact', '/exact?q=1', '/exact/', '/Any-CASE', '/tree', '/tree/leaf', '/trees', '/item/42', '/item/42x', '/prefixed'],
      ...['/none', '/exact#f', '/item/42?x'],
    ].map((path) => get(path)),
  },
  {
    name: 'headers-and-query',
    bootstrap: (ports) =>
      http(ports, {
        routes: [
          answering(
            { prefix: '/', headers: [{ name: 'x-user', string_match: { exact: 'jo', ignore_case: true } }] },
            'by header',
          ),
          answering({ prefix: '/', headers: [{ name: 'x-n', range_match: { start: 10, end: 20 } }] }, 'by range'),
          answering({ prefix: '/', headers: [{ name: 'x-gone', present_match: false }, { name: 'x-here' }] }, 'by presence'),
          answering({ prefix: '/', query_parameters: [{ name: 'v', string_match: { prefix: '2' } }] }, 'by query'),
          answering({ prefix: '/', headers: [{ name: ':method', string_match: { exact: 'DELETE' } }] }, 'by method'),
          answering(
            { prefix: '/', headers: [{ name: 'x-not', string_match: { exact: 'a' }, invert_match: true }] },
            'by inversion',
          ),
          answering(
            { prefix: '/', headers: [{ name: 'x-none', string_match: { exact: 'z' }, treat_missing_header_as_empty: true }] },
            'z',
          ),
        ],
      }),
    turns: [
      get('/', 'x-user: JO'),
      get('/', 'x-n: 15'),
      get('/', 'x-n: 20'),
      get('/', 'x-here: 1'),
      get('/', 'x-here: 1', 'x-gone: 1'),
      get('/?v=21'),
      get('/?w=1&v=12'),
      request('DELETE', '/'),
      get('/', 'x-not: b'),
      get('/', 'x-not: a'),
      get('/', 'x-user: a', 'x-user: jo'),
    ],
  },
  {
    name: 'headers-that-come-twice',
    bootstrap: (ports) =>
      http(ports, {
        routes: [
          answering({ path: '/one', headers: [{ name: 'x', string_match: { exact: 'jo' } }] }, 'one of them'),
          answering({ path: '/joined', headers: [{ name: 'x', string_match: { exact: 'a,jo' } }] }, 'joined'),
          answering({ path: '/comma', headers: [{ name: 'x', string_match: { contains: ',' } }] }, 'comma'),
          answering({ path: '/not', headers: [{ name: 'x', string_match: { exact: 'jo' }, invert_match: true }] }, 'not one'),
          answering({ path: '/range', headers: [{ name: 'x', range_match: { start: 1, end: 3 } }] }, 'in range'),
          answering({ path: '/regex', headers: [{ name: 'x', string_match: { safe_regex: { regex: 'j.' } } }] }, 'regex'),
        ],
      }),
    turns: [
      ...['/one', '/joined', '/comma', '/not', '/regex'].map((path) => get(path, 'x: a', 'x: jo')),
      get('/not', 'x: a', 'x: b'),
      get('/not', 'x: jo', 'x: jo'),
      get('/not', 'x: jo', 'x: a'),
      get('/range', 'x: 9', 'x: 2'),
      get('/one', 'x: a,jo'),
    ],
  },
  {
    name: 'rewrites',
    bootstrap: (ports) =>
      http(ports, {
        routes: [
          { match: { prefix: '/old/' }, route: { ...toA, prefix_rewrite: '/new/' } },
          {
            match: { prefix: '/user/' },
            route: { ...toA, regex_rewrite: { pattern: { regex: '^/user/([^/]+)/(.*)$' }, substitution: '/\\2?by=\\1' } },
          },
          { match: { prefix: '/host' }, route: { ...toA, host_rewrite_literal: 'inner.test' } },
          { match: { prefix: '/from-header' }, route: { ...toA, host_rewrite_header: 'x-to' } },
          { match: { prefix: '/' }, route: { ...toA, prefix_rewrite: '/base' } },
        ],
      }),
    turns: [
      get('/old/x?q=1'),
      get('/user/jo/list'),
      get('/host'),
      get('/from-header', 'x-to: there.test'),
      get('/from-header'),
      get('/plain'),
    ],
  },
  {
    name: 'redirects',
    bootstrap: (ports) =>
      http(ports, {
        routes: [
          { match: { prefix: '/https' }, redirect: { https_redirect: true } },
          { match: { prefix: '/host' }, redirect: { host_redirect: 'new.test', response_code: 'FOUND' } },
          { match: { prefix: '/path' }, redirect: { path_redirect: '/there', strip_query: true, response_code: 'SEE_OTHER' } },
          { match: { prefix: '/pre' }, redirect: { prefix_rewrite: '/post', response_code: 'TEMPORARY_REDIRECT' } },
          {
            match: { prefix: '/port' },
            redirect: { port_redirect: 8443, scheme_redirect: 'https', response_code: 'PERMANENT_REDIRECT' },
          },
        ],
      }),
    turns: ['/https?a=1', '/host/x', '/path?q=1', '/prefix/x?q=2', '/port/a'].map((path) => get(path, 'host: old.test:8080')),
  },
  {
    name: 'weights-by-header',
    origins: { a: {}, b: {} },
    bootstrap: (ports) =>
      http(ports, {
        clusters: [cluster('a', [ports['a'] ?? 1]), cluster('b', [ports['b'] ?? 1])],
        routes: [
          {
            match: { prefix: '/all-b' },
            route: {
              weighted_clusters: {
                clusters: [
                  { name: 'a', weight: 0 },
                  { name: 'b', weight: 7 },
                ],
              },
            },
          },
          { match: { prefix: '/' }, route: { cluster_header: 'x-cluster' } },
        ],
      }),
    turns: [get('/all-b'), get('/', 'x-cluster: b'), get('/', 'x-cluster: none'), get('/')],
  },
  {
    name: 'unknown-cluster-code',
    bootstrap: (ports) =>
      http(ports, {
        routes: [
          { match: { prefix: '/404' }, route: { cluster_header: 'x-c', cluster_not_found_response_code: 'NOT_FOUND' } },
          { match: { prefix: '/' }, route: { cluster_header: 'x-c' } },
        ],
      }),
    turns: [get('/404', 'x-c: z'), get('/', 'x-c: z')],
  },
  {
    name: 'exact-match-of-nothing',
    bootstrap: (ports) =>
      http(ports, {
        routes: [
          answering({ prefix: '/old', headers: [{ name: 'x-a', exact_match: '' }] }, 'there'),
          answering({ prefix: '/not', headers: [{ name: 'x-a', exact_match: '', invert_match: true }] }, 'not there'),
          answering({ prefix: '/new', headers: [{ name: 'x-a', string_match: { exact: '' } }] }, 'empty'),
        ],
      }),
    turns: ['/old', '/not', '/new'].flatMap((path) => [get(path), get(path, 'x-a: '), get(path, 'x-a: b')]),
  },
  {
    name: 'path-parameters-ignored',
    bootstrap: (ports) =>
      http(ports, {
        routeConfig: { ignore_path_parameters_in_path_matching: true },
        routes: [
          answering({ prefix: '/a/b' }, 'prefix'),
          answering({ path: '/a' }, 'path'),
          answering({ path_separated_prefix: '/c' }, 'separated'),
          answering({ prefix: '/' }, 'all'),
        ],
      }),
    turns: ['/a;p=1/b?q=1', '/a/b;v=2?r=x', '/a;', '/a;x?a;b', '/c;v/d', '/c;v=1;w=2', '/;'].map((path) => get(path)),
  },
  {
    name: 'paths-of-grpc-that-redirect',
    bootstrap: (ports) =>
      http(ports, {
        manager: { path_with_escaped_slashes_action: 'UNESCAPE_AND_REDIRECT' },
        log: '%REQ(:SCHEME)% %REQUEST_HEADERS_BYTES% %RESPONSE_CODE_DETAILS%\n',
      }),
    turns: ['application/grpc', 'application/grpc+proto', 'application/json'].flatMap((type) => [
      request('POST', '/a%2Fb', [`content-type: ${type}`], ''),
      request('POST', '/a%2Fb', [`content-type: ${type}`, 'x-forwarded-proto: https'], ''),
    ]),
  },
  {
    name: 'virtual-cluster-of-tries-without-a-connection',
    origins: { a: { down: true } },
    bootstrap: (ports) =>
      http(ports, {
        log: '%RESPONSE_CODE_DETAILS% %UPSTREAM_WIRE_BYTES_SENT% %UPSTREAM_HEADER_BYTES_SENT%\n',
        virtualHosts: [
          {
            name: 'all',
            domains: ['*'],
            virtual_clusters: [{ name: 'v', headers: [{ name: ':path', string_match: { prefix: '/' } }] }],
            routes: [
              {
                match: { prefix: '/' },
                route: { ...toA, retry_policy: { retry_on: 'connect-failure', retry_back_off: { base_interval: '0.001s' } } },
              },
            ],
          },
        ],
      }),
    turns: [get('/'), request('POST', '/', [], 'body')],
  },
  {
    name: 'normal-paths',
    bootstrap: (ports) =>
      http(ports, {
        manager: { normalize_path: true, merge_slashes: true, path_with_escaped_slashes_action: 'UNESCAPE_AND_REDIRECT' },
      }),
    turns: ['/a/../b', '/a//b///c', '/a/./b', '/%61/%2e%2e/c', '/a%2Fb', '/a%5cb', '/..', '/a/..%2f..', '/\\x'].map((path) =>
      get(path),
    ),
  },
]

export const routingCases = group('routing', cases)
