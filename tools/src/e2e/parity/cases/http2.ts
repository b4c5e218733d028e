import { cluster, http } from '../bootstrap.ts'
import { get, group, type OriginScript, type ParityCase, request } from '../case.ts'
import { asks, protocol, throughInner } from '../two-hops.ts'

const grpc = { ':method': 'POST', ':path': '/pkg.Service/Method', 'content-type': 'application/grpc', te: 'trailers' }

/** Envoy counts by the library that its codec is. */
const inner = { ports: ['inner'], ignoreStats: /nghttp2/ }

const answering = (...answers: NonNullable<OriginScript['answers']>[number][]) => ({ origins: { a: { answers } } })

const cases: ParityCase[] = [
  {
    name: 'to-http1',
    bootstrap: (ports) => http(ports),
    turns: [
      asks(
        { headers: { ':path': '/a?b=c', 'x-one': '1', cookie: 'a=b; c=d' } },
        { headers: { ':method': 'POST' }, body: 'hello' },
        { headers: { ':method': 'POST', 'content-length': '5' }, body: ['he', 20, 'llo'] },
        { headers: { ':method': 'HEAD' } },
        { headers: { ':method': 'DELETE' } },
      ),
    ],
  },
  {
    name: 'http1-to-http2',
    bootstrap: (ports) => throughInner(ports),
    ...inner,
    turns: [get('/x', 'cookie: a=b', 'cookie: c=d'), request('POST', '/y', [], 'body'), request('HEAD', '/z')],
  },
  {
    name: 'http2-to-http2',
    bootstrap: (ports) => throughInner(ports),
    ...inner,
    turns: [asks({ headers: { ':path': '/1' } }, { headers: { ':method': 'POST', ':path': '/2' }, body: 'x'.repeat(100_000) })],
  },
  {
    name: 'answers-without-body',
    bootstrap: (ports) => throughInner(ports),
    ...inner,
    ...answering({ status: 204 }, { status: 304, headers: [['etag', '"1"']] }, { status: 200, body: '' }),
    turns: [asks({}, {}, {})],
  },
  {
    name: 'trailers-of-answers',
    bootstrap: (ports) =>
      http(ports, {
        clusters: [
          cluster(
            'a',
            [ports['a'] ?? 0],
            protocol({ explicit_http_config: { http_protocol_options: { enable_trailers: true } } }),
          ),
        ],
      }),
    ...answering({ chunks: ['one', 'two'], trailers: [['x-end', 'yes']] }),
    turns: [asks({}, { headers: { ':path': '/again' } })],
  },
  {
    name: 'trailers-of-requests',
    bootstrap: (ports) => throughInner(ports),
    ...inner,
    turns: [asks({ headers: { ':method': 'POST' }, body: 'x', trailers: { 'x-sum': '1' } })],
  },
  {
    name: 'heads-too-long',
    bootstrap: (ports) => http(ports, { manager: { max_request_headers_kb: 8 } }),
    turns: [asks({ headers: { 'x-long': 'y'.repeat(9000) } }, { headers: { 'x-short': 'y' } })],
  },
  {
    name: 'too-many-fields',
    bootstrap: (ports) => http(ports, { manager: { common_http_protocol_options: { max_headers_count: 10 } } }),
    turns: [
      asks(
        { headers: Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`x-${i}`, '1'])) },
        { headers: { ':path': '/next' } },
      ),
    ],
  },
  {
    name: 'underscores',
    bootstrap: (ports) =>
      http(ports, { manager: { common_http_protocol_options: { headers_with_underscores_action: 'DROP_HEADER' } } }),
    turns: [asks({ headers: { x_one: '1', 'x-two': '2' } })],
  },
  {
    name: 'routes-and-redirects',
    bootstrap: (ports) =>
      http(ports, {
        routes: [
          { match: { prefix: '/old' }, redirect: { prefix_rewrite: '/new' } },
          { match: { path: '/direct' }, direct_response: { status: 418, body: { inline_string: 'short' } } },
          { match: { prefix: '/' }, route: { cluster: 'a', prefix_rewrite: '/base/' } },
        ],
      }),
    turns: [asks({ headers: { ':path': '/old/x' } }, { headers: { ':path': '/direct' } }, { headers: { ':path': '/y' } })],
  },
  {
    name: 'nobody-there',
    bootstrap: (ports) => http(ports),
    origins: { a: { down: true } },
    turns: [asks({}, { headers: grpc, body: 'x' })],
  },
  {
    name: 'grpc-without-route',
    bootstrap: (ports) => http(ports, { routes: [{ match: { prefix: '/other' }, route: { cluster: 'a' } }] }),
    turns: [asks({ headers: grpc, body: 'x' }, { headers: { ...grpc, 'content-type': 'application/grpc+proto' }, body: 'x' })],
  },
  {
    name: 'grpc-retries',
    bootstrap: (ports) =>
      throughInner(ports, {
        route_config: {
          virtual_hosts: [
            {
              name: 'all',
              domains: ['*'],
              routes: [
                {
                  match: { prefix: '/' },
                  route: { cluster: 'a', retry_policy: { retry_on: 'unavailable,resource-exhausted', num_retries: 1 } },
                },
              ],
            },
          ],
        },
      }),
    ...inner,
    ...answering(
      {
        headers: [
          ['content-type', 'application/grpc'],
          ['grpc-status', '14'],
        ],
        body: '',
      },
      {
        headers: [
          ['content-type', 'application/grpc'],
          ['grpc-status', '5'],
        ],
        body: '',
      },
    ),
    turns: [asks({ headers: grpc, body: 'x' })],
    ignoreUpstream: true,
  },
  {
    name: 'grpc-timeout',
    bootstrap: (ports) =>
      http(ports, {
        routes: [
          {
            match: { prefix: '/' },
            route: {
              cluster: 'a',
              max_stream_duration: { grpc_timeout_header_max: '0.2s', grpc_timeout_header_offset: '0.01s' },
            },
          },
        ],
      }),
    ...answering({ after: 'silence' }),
    turns: [
      asks(
        { headers: { ...grpc, 'grpc-timeout': '100m' }, body: 'x' },
        { headers: { ...grpc, 'grpc-timeout': '10S' }, body: 'x' },
      ),
    ],
  },
  {
    name: 'grpc-status-of-http',
    bootstrap: (ports) =>
      http(ports, {
        routes: [401, 403, 404, 429, 503].map((status) => ({
          match: { path: `/${status}` },
          direct_response: { status, body: { inline_string: `it is ${status}` } },
        })),
      }),
    turns: [asks(...[401, 403, 404, 429, 503].map((status) => ({ headers: { ...grpc, ':path': `/${status}` }, body: 'x' })))],
  },
  {
    name: 'ends-too-early',
    bootstrap: (ports) => throughInner(ports),
    ...inner,
    ...answering({ raw: 'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf', after: 'close' }),
    turns: [asks({})],
  },
  {
    name: 'cancelled',
    bootstrap: (ports) => http(ports),
    ...answering({ after: 'silence' }),
    turns: [asks({ cancelAfterMs: 200 })],
  },
  {
    name: 'answer-before-the-body',
    bootstrap: (ports) => http(ports),
    ...answering({ status: 403, early: true, headers: [['connection', 'close']], after: 'close' }),
    turns: [asks({ headers: { ':method': 'POST' }, body: ['part', 300, 'rest'] })],
    ignoreUpstream: true,
  },
  {
    name: 'continue',
    bootstrap: (ports) => http(ports),
    turns: [asks({ headers: { ':method': 'POST', expect: '100-continue' }, body: [50, 'body'] })],
  },
  {
    name: 'by-what-the-client-came-by',
    bootstrap: (ports) =>
      throughInner(
        ports,
        {},
        protocol({ use_downstream_protocol_config: { http_protocol_options: {}, http2_protocol_options: {} } }),
      ),
    ...inner,
    turns: [get('/one'), asks({ headers: { ':path': '/two' } })],
  },
  {
    name: 'stream-idle-timeout',
    bootstrap: (ports) => http(ports, { manager: { stream_idle_timeout: '0.2s' } }),
    ...answering({ after: 'silence' }),
    turns: [asks({}, { headers: { ':method': 'POST' }, body: 'x', leaveOpen: true })],
    ignoreUpstream: true,
  },
  {
    name: 'one-stream-at-a-time',
    bootstrap: (ports) => throughInner(ports, { http2_protocol_options: { max_concurrent_streams: 1 } }),
    ...inner,
    turns: [get('/1'), get('/2')],
  },
  {
    name: 'auto-config-needs-tls',
    bootstrap: (ports) => http(ports, { clusters: [cluster('a', [1], protocol({ auto_config: {} }))] }),
    validateOnly: true,
  },
]

export const http2Cases = group('http2', cases)
