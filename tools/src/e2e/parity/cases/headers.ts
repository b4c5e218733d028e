import { http, type Message } from '../bootstrap.ts'
import { get, group, type ParityCase, request } from '../case.ts'

function add(key: string, value: string, append_action = 'APPEND_IF_EXISTS_OR_ADD'): Message {
  return { header: { key, value }, append_action }
}

const cases: ParityCase[] = [
  {
    name: 'levels-and-order',
    bootstrap: (ports) =>
      http(ports, {
        virtualHosts: [
          {
            name: 'all',
            domains: ['*'],
            request_headers_to_add: [add('x-level', 'host')],
            response_headers_to_add: [add('x-level', 'host')],
            routes: [
              {
                match: { prefix: '/' },
                route: { cluster: 'a' },
                request_headers_to_add: [add('x-level', 'route')],
                response_headers_to_add: [add('x-level', 'route')],
              },
            ],
          },
        ],
        routeConfig: {
          request_headers_to_add: [add('x-level', 'config')],
          response_headers_to_add: [add('x-level', 'config')],
          response_headers_to_remove: ['x-secret'],
        },
      }),
    origins: {
      a: {
        answers: [
          {
            headers: [
              ['x-secret', '1'],
              ['x-kept', '2'],
            ],
          },
        ],
      },
    },
    turns: [get('/'), get('/', 'x-level: client')],
  },
  {
    name: 'append-actions',
    bootstrap: (ports) =>
      http(ports, {
        routes: [
          {
            match: { prefix: '/' },
            route: { cluster: 'a' },
            request_headers_to_add: [
              add('x-append', 'new'),
              add('x-absent', 'new', 'ADD_IF_ABSENT'),
              add('x-over', 'new', 'OVERWRITE_IF_EXISTS_OR_ADD'),
              add('x-exists', 'new', 'OVERWRITE_IF_EXISTS'),
            ],
            request_headers_to_remove: ['x-drop'],
          },
        ],
      }),
    turns: [get('/'), get('/', 'x-append: old', 'x-absent: old', 'x-over: old', 'x-exists: old', 'x-drop: 1')],
  },
  {
    name: 'operators-in-values',
    bootstrap: (ports) =>
      http(ports, {
        routes: [
          {
            name: 'the-route',
            match: { prefix: '/' },
            route: { cluster: 'a' },
            request_headers_to_add: [
              add('x-proto', '%PROTOCOL%'),
              add('x-req', '[%REQ(x-in)%]'),
              add('x-alt', '%REQ(x-none?x-in)%'),
              add('x-cut', '%REQ(x-in):3%'),
              add('x-percent', '100%%'),
              add('x-route', '%ROUTE_NAME%'),
              add('x-remote', '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%'),
              add('x-tries', '%UPSTREAM_REQUEST_ATTEMPT_COUNT%'),
            ],
            response_headers_to_add: [
              add('x-code', '%RESPONSE_CODE%'),
              add('x-up', '%RESP(x-kept)%'),
              add('x-c', '%UPSTREAM_CLUSTER%'),
              add('x-log', '%ACCESS_LOG_TYPE%'),
            ],
          },
        ],
      }),
    origins: { a: { answers: [{ headers: [['x-kept', 'k']] }] } },
    turns: [get('/', 'x-in: value'), get('/')],
  },
  {
    name: 'forwarded-for-of-a-sidecar',
    bootstrap: (ports) => http(ports),
    turns: [get('/'), get('/', 'x-forwarded-for: 10.0.0.1'), get('/', 'x-forwarded-proto: https', 'x-forwarded-for: 8.8.8.8')],
  },
  {
    name: 'forwarded-for-at-the-edge',
    bootstrap: (ports) => http(ports, { manager: { use_remote_address: true, xff_num_trusted_hops: 1 } }),
    turns: [
      get('/'),
      get('/', 'x-forwarded-for: 10.0.0.1, 8.8.8.8', 'x-envoy-internal: true', 'x-envoy-retry-on: 5xx'),
      get('/', 'x-forwarded-for: 1.1.1.1', 'x-envoy-upstream-rq-timeout-ms: 50', 'x-envoy-original-host: h'),
    ],
  },
  {
    name: 'skip-forwarded-for-and-via',
    bootstrap: (ports) => http(ports, { manager: { use_remote_address: true, skip_xff_append: true, via: 'weave' } }),
    turns: [get('/', 'via: before'), get('/', 'x-forwarded-for: 9.9.9.9')],
  },
  {
    name: 'server-header',
    bootstrap: (ports) => http(ports, { manager: { server_name: 'mine', server_header_transformation: 'APPEND_IF_ABSENT' } }),
    origins: { a: { answers: [{}, { headers: [['server', 'theirs']] }] } },
    turns: [get('/1'), get('/2')],
  },
  {
    name: 'server-header-passed',
    bootstrap: (ports) => http(ports, { manager: { server_header_transformation: 'PASS_THROUGH' } }),
    origins: { a: { answers: [{}, { headers: [['Server', 'theirs']] }] } },
    turns: [get('/1'), get('/2')],
  },
  {
    name: 'request-ids',
    bootstrap: (ports) =>
      http(ports, {
        manager: { always_set_request_id_in_response: true, preserve_external_request_id: true, use_remote_address: true },
      }),
    turns: [get('/'), get('/', 'x-request-id: my-own')],
  },
  {
    name: 'hop-by-hop',
    bootstrap: (ports) => http(ports),
    origins: {
      a: {
        answers: [
          {
            headers: [
              ['connection', 'x-hop'],
              ['x-hop', '1'],
              ['keep-alive', 'timeout=5'],
              ['proxy-connection', 'x'],
            ],
          },
        ],
      },
    },
    turns: [
      get('/', 'connection: x-hop, keep-alive', 'x-hop: 1', 'keep-alive: timeout=5', 'proxy-connection: keep-alive'),
      get('/', 'te: trailers, gzip', 'connection: te'),
      get('/', 'te: gzip'),
      get('/', 'te: Trailers'),
      get('/', 'te: trailers;q=0'),
      get('/', 'te: gzip', 'te: trailers'),
      request('POST', '/', ['trailer: x-t', 'expect: 200-ok'], 'b'),
    ],
  },
  {
    name: 'underscores-and-case',
    bootstrap: (ports) =>
      http(ports, { manager: { common_http_protocol_options: { headers_with_underscores_action: 'DROP_HEADER' } } }),
    turns: [get('/', 'X_Under: 1', 'X-Mixed-Case: 2'), get('/', 'a_b: 1', 'A-B: 2')],
  },
  {
    name: 'underscores-refused',
    bootstrap: (ports) =>
      http(ports, { manager: { common_http_protocol_options: { headers_with_underscores_action: 'REJECT_REQUEST' } } }),
    turns: [{ send: [get('/', 'x_under: 1')], untilClosed: true, patienceMs: 2500 }, get('/', 'x-fine: 1')],
  },
  {
    name: 'most-specific-wins',
    bootstrap: (ports) =>
      http(ports, {
        virtualHosts: [
          {
            name: 'all',
            domains: ['*'],
            request_headers_to_add: [add('x-l', 'host', 'OVERWRITE_IF_EXISTS_OR_ADD')],
            routes: [
              {
                match: { prefix: '/' },
                route: { cluster: 'a' },
                request_headers_to_add: [add('x-l', 'route', 'OVERWRITE_IF_EXISTS_OR_ADD')],
              },
            ],
          },
        ],
        routeConfig: {
          request_headers_to_add: [add('x-l', 'config', 'OVERWRITE_IF_EXISTS_OR_ADD')],
          most_specific_header_mutations_wins: true,
        },
      }),
    turns: [get('/', 'x-l: c')],
  },
  {
    name: 'no-content-with-a-length',
    bootstrap: (ports) => http(ports),
    origins: { a: { answers: [{ raw: 'HTTP/1.1 204 No Content\r\ncontent-length: 0\r\nx-own: 1\r\n\r\n' }] } },
    turns: [get('/')],
  },
  {
    name: 'line-end-in-a-value',
    bootstrap: (ports) =>
      http(ports, {
        log: '%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n',
        routes: [
          {
            match: { prefix: '/' },
            metadata: { filter_metadata: { own: { text: 'a\r\nx-evil: 1' } } },
            route: { cluster: 'a' },
            request_headers_to_add: [{ header: { key: 'x-own', value: '%METADATA(ROUTE:own:text)%' } }],
          },
        ],
      }),
    turns: [get('/')],
    // Envoy finds it when it has a connection.
    ignoreStats: /^cluster\.a\./,
  },
]

export const headerCases = group('headers', cases)
