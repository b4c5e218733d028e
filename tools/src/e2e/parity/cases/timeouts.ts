import { cluster, http, typed } from '../bootstrap.ts'
import { get, group, type ParityCase, request } from '../case.ts'

const silent = { a: { answers: [{ after: 'silence' as const }] } }

const cases: ParityCase[] = [
  {
    name: 'of-a-route',
    bootstrap: (ports) => http(ports, { routes: [{ match: { prefix: '/' }, route: { cluster: 'a', timeout: '0.2s' } }] }),
    origins: silent,
    turns: [get('/')],
  },
  {
    name: 'asked-by-the-request',
    bootstrap: (ports) => http(ports),
    origins: silent,
    turns: [get('/', 'x-envoy-upstream-rq-timeout-ms: 150', 'x-forwarded-for: 10.0.0.1')],
  },
  {
    name: 'of-a-try-and-then-an-answer',
    bootstrap: (ports) =>
      http(ports, {
        routes: [
          {
            match: { prefix: '/' },
            route: { cluster: 'a', timeout: '5s', retry_policy: { retry_on: '5xx', num_retries: 1, per_try_timeout: '0.2s' } },
          },
        ],
      }),
    origins: { a: { answers: [{ after: 'silence' }, { body: 'second try' }] } },
    turns: [get('/')],
  },
  {
    name: 'of-every-try',
    bootstrap: (ports) =>
      http(ports, {
        routes: [
          {
            match: { prefix: '/' },
            route: { cluster: 'a', timeout: '5s', retry_policy: { retry_on: '5xx', num_retries: 1, per_try_timeout: '0.15s' } },
          },
        ],
      }),
    origins: silent,
    turns: [get('/')],
  },
  {
    name: 'of-an-idle-stream',
    bootstrap: (ports) => http(ports, { manager: { stream_idle_timeout: '0.3s' } }),
    origins: silent,
    turns: [get('/')],
  },
  {
    name: 'of-an-idle-stream-tells-no-tries',
    bootstrap: (ports) =>
      http(ports, {
        manager: { stream_idle_timeout: '0.3s' },
        virtualHosts: [
          {
            name: 'all',
            domains: ['*'],
            include_attempt_count_in_response: true,
            routes: [{ match: { prefix: '/' }, route: { cluster: 'a', timeout: '0s' } }],
          },
        ],
      }),
    origins: silent,
    turns: [get('/')],
  },
  {
    name: 'of-a-body-that-does-not-come',
    bootstrap: (ports) => http(ports, { manager: { request_timeout: '0.3s' } }),
    turns: [{ send: ['POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhe'], untilClosed: true, patienceMs: 3000 }],
    ignoreUpstream: true,
    ignoreStats: /cluster\.a\./,
  },
  {
    name: 'of-headers-that-do-not-come',
    bootstrap: (ports) => http(ports, { manager: { request_headers_timeout: '0.3s' } }),
    turns: [{ send: ['GET / HTTP/1.1\r\nhost: a\r\n'], untilClosed: true, patienceMs: 3000 }],
  },
  {
    name: 'of-an-idle-connection',
    bootstrap: (ports) =>
      http(ports, { manager: { common_http_protocol_options: { idle_timeout: '0.4s' }, drain_timeout: '0.2s' } }),
    turns: [{ send: [get('/')], untilClosed: true, patienceMs: 3000 }],
  },
  {
    name: 'of-a-connection-upstream',
    bootstrap: (ports) =>
      http(ports, {
        clusters: [
          cluster('a', [ports['a'] ?? 1], {
            load_assignment: {
              cluster_name: 'a',
              // TEST-NET-1: no answer to a SYN, or none at all.
              endpoints: [
                { lb_endpoints: [{ endpoint: { address: { socket_address: { address: '192.0.2.1', port_value: 9 } } } }] },
              ],
            },
            connect_timeout: '0.25s',
          }),
        ],
      }),
    turns: [get('/')],
    ignoreStats: /connect_fail|connect_timeout/,
  },
  {
    name: 'of-a-handshake-upstream',
    bootstrap: (ports) =>
      http(ports, {
        clusters: [
          cluster('a', [ports['a'] ?? 1], {
            connect_timeout: '0.25s',
            transport_socket: {
              name: 'envoy.transport_sockets.tls',
              typed_config: typed('envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext'),
            },
          }),
        ],
      }),
    origins: { a: { readNothing: true } },
    turns: [get('/')],
  },
  {
    name: 'of-a-whole-stream',
    bootstrap: (ports) =>
      http(ports, {
        routes: [
          {
            match: { prefix: '/' },
            route: { cluster: 'a', timeout: '0s', max_stream_duration: { max_stream_duration: '0.3s' } },
          },
        ],
      }),
    origins: silent,
    turns: [get('/')],
  },
  {
    name: 'lifted-by-a-route',
    bootstrap: (ports) =>
      http(ports, {
        routes: [
          {
            match: { prefix: '/' },
            route: { cluster: 'a', timeout: '0s', max_stream_duration: { max_stream_duration: '0s' } },
          },
        ],
        manager: { common_http_protocol_options: { max_stream_duration: '0.2s' }, internal_address_config: {} },
      }),
    origins: { a: { answers: [{ delayMs: 600, body: 'late' }] } },
    turns: [
      get('/'),
      get('/', 'x-envoy-upstream-stream-duration-ms: 150'),
      get('/', 'x-envoy-upstream-stream-duration-ms: 150', 'x-forwarded-for: 10.0.0.1'),
    ],
  },
  {
    name: 'in-the-middle-of-an-answer',
    bootstrap: (ports) => http(ports, { routes: [{ match: { prefix: '/' }, route: { cluster: 'a', timeout: '0.4s' } }] }),
    origins: { a: { answers: [{ chunks: ['begun', 'never'], chunkDelayMs: 350 }] } },
    turns: [{ send: [request('GET', '/')], untilClosed: true, patienceMs: 3000 }],
  },
  {
    name: 'grpc-timeout-header',
    bootstrap: (ports) =>
      http(ports, {
        routes: [
          {
            match: { prefix: '/' },
            route: { cluster: 'a', max_stream_duration: { grpc_timeout_header_max: '0.2s', max_stream_duration: '2s' } },
          },
        ],
      }),
    origins: silent,
    turns: [request('POST', '/s/m', ['content-type: application/grpc', 'grpc-timeout: 100m', 'te: trailers'], '')],
  },
]

export const timeoutCases = group('timeouts', cases)
