import { cluster, http, listenerFilter, type Message, tcp, tcpLogFormat, typed } from '../bootstrap.ts'
import { type ClientTurn, get, group, type Http2Request, type ParityCase, type Ports, request } from '../case.ts'
import { asks, throughInner } from '../two-hops.ts'

const connectMatch: Message = { connect_matcher: {} }
const connectHead = 'CONNECT a.test:80 HTTP/1.1\r\nhost: a.test:80\r\n\r\n'
const untilClosed = (...send: (string | number)[]): ClientTurn => ({ send, untilClosed: true, patienceMs: 3000 })

/** CONNECT ends here; what the client says inside goes to origin `a`. */
const terminating =
  (config: Message = {}, upgrade: Message = {}, route: Message = {}, more: { clusters?: Message[] } = {}) =>
  (ports: Ports) =>
    http(ports, {
      manager: { http2_protocol_options: { allow_connect: true } },
      routes: [
        {
          match: connectMatch,
          route: {
            cluster: 'a',
            upgrade_configs: [{ upgrade_type: 'CONNECT', connect_config: config, ...upgrade }],
            ...route,
          },
        },
        { match: { prefix: '/plain' }, route: { cluster: 'a' } },
        {
          match: { prefix: '/' },
          route: {
            cluster: 'a',
            upgrade_configs: [{ upgrade_type: 'CONNECT', connect_config: { allow_post: true, ...config } }],
          },
        },
      ],
      ...more,
    })

const connect2 = (body: Http2Request['body']): Http2Request => ({
  headers: { ':method': 'CONNECT', ':authority': 'a.test:80' },
  ...(body === undefined ? {} : { body }),
})

const webSocket: Message = { upgrade_configs: [{ upgrade_type: 'websocket' }] }
const knock = (...headers: string[]) =>
  get(
    '/chat',
    'connection: Upgrade',
    'upgrade: websocket',
    'sec-websocket-version: 13',
    'sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
    ...headers,
  )
const extendedConnect: Record<string, string> = {
  ':method': 'CONNECT',
  ':protocol': 'websocket',
  ':path': '/chat',
  ':scheme': 'http',
  'sec-websocket-version': '13',
  // Without one ours makes one up for HTTP/1.1, and Envoy does not.
  'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
}
const accepts = {
  status: 101,
  headers: [
    ['connection', 'Upgrade'],
    ['upgrade', 'websocket'],
    ['sec-websocket-accept', 's3pPLMBiTxaQ9kYGzzhZRbK+xOo='],
  ],
} as const
const allowing: Message = { http2_protocol_options: { allow_connect: true } }
/** Between the two hops as well. */
const allowingUpstream: Message = {
  typed_extension_protocol_options: {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': typed('envoy.extensions.upstreams.http.v3.HttpProtocolOptions', {
      explicit_http_config: { http2_protocol_options: { allow_connect: true } },
    }),
  },
}
const socketOverOne =
  (manager: Message = {}) =>
  (ports: Ports) =>
    http(ports, { manager: { ...allowing, ...webSocket, ...manager } })
const socketOverTwo =
  (manager: Message = {}) =>
  (ports: Ports) =>
    throughInner(ports, { ...allowing, ...webSocket, ...manager }, allowingUpstream)
const hops = { ports: ['inner'], ignoreStats: /nghttp2|http2\.rx_reset/ }
const refused = {
  status: 403,
  headers: [['x-why', 'no']],
  body: 'go away',
} as const

/** A WebSocket or what asks for one, over the client's protocol and the one between two proxies. */
function sockets(
  name: string,
  bootstrap: ParityCase['bootstrap'],
  turns: ParityCase['turns'],
  more: Partial<ParityCase> = {},
): ParityCase[] {
  return [{ name, bootstrap, origins: { a: { answers: [accepts] } }, ...(turns === undefined ? {} : { turns }), ...more }]
}

/** CONNECT goes on as it came. */
const passing =
  (more: Message = {}) =>
  (ports: Ports) =>
    http(ports, {
      manager: allowing,
      routes: [{ match: connectMatch, route: { cluster: 'a', upgrade_configs: [{ upgrade_type: 'CONNECT' }], ...more } }],
    })

/** TCP that a first listener takes through HTTP to a second, where it ends. */
function tunnelling(
  name: string,
  config: Message,
  more: Partial<ParityCase> & { overHttp2?: boolean; proxy?: Message; refuses?: boolean } = {},
): ParityCase {
  const { overHttp2 = false, proxy = {}, refuses = false, ...rest } = more
  return {
    name,
    ...hops,
    origins: { a: { answers: [{ after: 'close' }] } },
    bootstrap: (ports) => {
      const outer = tcp(ports, {
        clusters: [cluster('inner', [ports['inner'] ?? 1], overHttp2 ? allowingUpstream : {})],
        proxy: { cluster: 'inner', tunneling_config: { hostname: 'a.test:80', ...config }, ...proxy },
        log: `${tcpLogFormat.trimEnd()} said=%FILTER_STATE(envoy.tcp_proxy.propagate_response_headers:TYPED)%\n`,
      })
      const inner = terminating({}, { enabled: !refuses })({ ...ports, http: ports['inner'] ?? 0 })
      const resources = (one: Message) => one['static_resources'] as { listeners: Message[]; clusters: Message[] }
      resources(outer).listeners.push(...resources(inner).listeners)
      resources(outer).clusters.push(...resources(inner).clusters)
      return outer
    },
    turns: [refuses ? untilClosed() : untilClosed(get('/inside'))],
    // Which side ends a stream of HTTP/2 that is over, and whether a connection is kept behind it.
    ...(overHttp2 ? { ignoreStats: /nghttp2|reset|protocol_error|cx_http2_active|goaway_sent|cx_drain_close/ } : {}),
    ...rest,
  }
}

const cases: ParityCase[] = [
  tunnelling('tcp-by-connect-1', {}),
  tunnelling('tcp-by-connect-2', {}, { overHttp2: true }),
  // By POST over HTTP/1.1 this Envoy crashes.
  tunnelling('tcp-by-post', { use_post: true, post_path: '/there' }, { overHttp2: true }),
  tunnelling('tcp-by-connect-with-headers', {
    hostname: '%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%:80',
    headers_to_add: [{ header: { key: 'x-from', value: '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%' } }],
  }),
  tunnelling('tcp-by-connect-keeps-the-answer', { propagate_response_headers: true }),
  tunnelling('tcp-by-connect-refused', {}, { refuses: true, proxy: { max_connect_attempts: 2 } }),
  tunnelling('tcp-by-connect-refused-2', {}, { refuses: true, overHttp2: true }),
  tunnelling('tcp-by-connect-and-nobody-listens', {}, { origins: { a: { down: true } }, turns: [untilClosed()] }),
  tunnelling(
    'tcp-by-connect-2-and-the-client-says-no-more',
    {},
    {
      overHttp2: true,
      turns: [{ ...untilClosed(get('/inside')), halfClose: true }],
    },
  ),
  tunnelling('tcp-by-connect-idle', {}, { origins: { a: {} }, proxy: { idle_timeout: '0.4s' } }),
  { ...tunnelling('tcp-post-path-without-post', { post_path: '/x' }), validateOnly: true },

  {
    name: 'connect-ends-here',
    bootstrap: terminating(),
    turns: [
      { send: [connectHead, 100, get('/inside')], untilClosed: true, patienceMs: 1000 },
      { send: [connectHead + get('/at-once')], untilClosed: true, patienceMs: 1000 },
    ],
  },
  {
    name: 'connect-ends-here-and-the-server-closes',
    bootstrap: terminating(),
    origins: { a: { answers: [{ after: 'close' }] } },
    turns: [untilClosed(connectHead, 100, get('/inside'))],
  },
  {
    name: 'connect-ends-here-and-the-client-says-no-more',
    bootstrap: terminating(),
    turns: [{ ...untilClosed(connectHead, 100, get('/inside')), halfClose: true }],
    // Envoy may throw away what came before the end.
    ignoreUpstream: true,
  },
  {
    name: 'connect-ends-here-and-nobody-listens',
    bootstrap: terminating(),
    origins: { a: { down: true } },
    turns: [connectHead, asks(connect2(undefined))],
  },
  {
    name: 'connect-ends-here-tried-again',
    bootstrap: terminating({}, {}, { retry_policy: { retry_on: 'connect-failure', num_retries: 2 } }),
    origins: { a: { down: true } },
    turns: [connectHead],
  },
  {
    name: 'connect-ends-here-over-http2',
    bootstrap: terminating(),
    origins: { a: { answers: [{ after: 'close' }] } },
    turns: [asks(connect2([50, get('/inside')]))],
  },
  {
    name: 'connect-ends-here-over-http2-and-the-server-resets',
    bootstrap: terminating(),
    origins: { a: { answers: [{ raw: 'half', after: 'reset' }] } },
    turns: [asks({ ...connect2([50, get('/inside')]), leaveOpen: true })],
  },
  {
    name: 'connect-switched-off',
    bootstrap: terminating({}, { enabled: false }),
    turns: [untilClosed(connectHead)],
  },
  {
    name: 'post-ends-here',
    bootstrap: terminating(),
    origins: { a: { answers: [{ after: 'close' }] } },
    turns: [
      request('POST', '/x', [], get('/inside')),
      asks({ headers: { ':method': 'POST' }, body: get('/inside') }),
      get('/passed-on'),
      request('POST', '/plain', [], 'body'),
    ],
  },
  ...['V1', 'V2'].map(
    (version): ParityCase => ({
      name: `connect-ends-here-with-proxy-header-${version.toLowerCase()}`,
      ports: ['inner'],
      // A second listener reads the header.
      bootstrap: (ports) => {
        const outer = terminating({ proxy_protocol_config: { version } }, {}, {}, { clusters: [] })(ports)
        const inner = tcp(
          { ...ports, http: ports['inner'] ?? 0 },
          {
            proxy: { cluster: 'b' },
            log: 'from=%DOWNSTREAM_REMOTE_ADDRESS% to=%DOWNSTREAM_LOCAL_ADDRESS%\n',
            listener: { listener_filters: [listenerFilter('proxy_protocol', 'ProxyProtocol')] },
          },
        )
        const resources = (one: Message) => one['static_resources'] as { listeners: Message[]; clusters: Message[] }
        resources(outer).listeners.push(...resources(inner).listeners)
        resources(outer).clusters.push(cluster('a', [ports['inner'] ?? 1]), cluster('b', [ports['a'] ?? 1]))
        return outer
      },
      origins: { a: { answers: [{ after: 'close' }] } },
      turns: [untilClosed(connectHead, 100, get('/inside'))],
    }),
  ),
  {
    name: 'connect-of-too-many',
    bootstrap: (ports) =>
      terminating(
        {},
        {},
        {},
        {
          clusters: [
            cluster('a', [ports['a'] ?? 1], {
              circuit_breakers: { thresholds: [{ max_connections: 1, max_pending_requests: 1 }] },
            }),
          ],
        },
      )(ports),
    turns: [
      { send: [connectHead, 600], untilClosed: true, patienceMs: 700 },
      { send: [200, connectHead], untilClosed: true, patienceMs: 700, together: true },
    ],
  },
  ...sockets('socket-1-1', socketOverOne(), [{ send: [knock(), 100, 'ping'], untilClosed: true, patienceMs: 2000 }]),
  ...sockets('socket-2-1', socketOverOne(), [
    asks({ headers: extendedConnect, body: [100, 'ping', 200], leaveOpen: true, leaveAfterMs: 1200 }),
  ]),
  ...sockets('socket-1-2-1', socketOverTwo(), [{ send: [knock(), 100, 'ping'], untilClosed: true, patienceMs: 2000 }], hops),
  ...sockets(
    'socket-2-2-1',
    socketOverTwo(),
    [asks({ headers: extendedConnect, body: [100, 'ping', 200], leaveOpen: true, leaveAfterMs: 1200 })],
    hops,
  ),
  ...sockets('socket-refused-1-1', socketOverOne(), [knock()], { origins: { a: { answers: [refused] } } }),
  ...sockets('socket-refused-2-1', socketOverOne(), [asks({ headers: extendedConnect, leaveOpen: true, body: [50, 'x'] })], {
    origins: { a: { answers: [refused] } },
  }),
  ...sockets('socket-refused-1-2-1', socketOverTwo(), [knock()], { ...hops, origins: { a: { answers: [refused] } } }),
  ...sockets('socket-answered-as-a-request', socketOverOne(), [knock()], { origins: { a: {} } }),
  ...sockets(
    'socket-not-allowed',
    (ports) => http(ports, { manager: allowing }),
    [untilClosed(knock()), asks({ headers: extendedConnect, leaveOpen: true, body: [50, 'x'] })],
    { ignoreStats: /cx_drain_close/ },
  ),
  ...sockets(
    'socket-by-route',
    (ports) =>
      http(ports, {
        manager: allowing,
        routes: [
          { match: { prefix: '/chat' }, route: { cluster: 'a', upgrade_configs: [{ upgrade_type: 'websocket' }] } },
          { match: { prefix: '/' }, route: { cluster: 'a' } },
        ],
      }),
    [{ send: [knock(), 100, 'ping'], untilClosed: true, patienceMs: 2000 }, untilClosed(knock().replace('/chat', '/other'))],
  ),
  ...sockets(
    'socket-off-by-route',
    (ports) =>
      http(ports, {
        manager: webSocket,
        routes: [
          {
            match: { prefix: '/' },
            route: { cluster: 'a', upgrade_configs: [{ upgrade_type: 'websocket', enabled: false }] },
          },
        ],
      }),
    [untilClosed(knock())],
  ),
  ...sockets('socket-and-silence', socketOverOne({ stream_idle_timeout: '0.4s' }), [
    { send: [knock()], untilClosed: true, patienceMs: 1500 },
  ]),
  ...sockets(
    'socket-and-silence-by-route',
    (ports) =>
      http(ports, {
        manager: webSocket,
        routes: [{ match: { prefix: '/' }, route: { cluster: 'a', idle_timeout: '0.4s', timeout: '0.2s' } }],
      }),
    [{ send: [knock()], untilClosed: true, patienceMs: 1500 }],
  ),
  ...sockets('socket-that-lasts-too-long', socketOverOne({ common_http_protocol_options: { max_stream_duration: '0.5s' } }), [
    { send: [knock(), 100, 'ping'], untilClosed: true, patienceMs: 4000 },
  ]),
  ...sockets('socket-and-the-server-closes', socketOverOne(), [{ send: [knock()], untilClosed: true, patienceMs: 1500 }], {
    origins: { a: { answers: [{ ...accepts, after: 'close' }] } },
  }),
  ...sockets(
    'socket-over-two-and-the-server-closes',
    socketOverTwo(),
    [{ send: [knock()], untilClosed: true, patienceMs: 1500 }],
    {
      ...hops,
      origins: { a: { answers: [{ ...accepts, after: 'close' }] } },
    },
  ),
  ...sockets('socket-and-nobody-listens', socketOverOne(), [knock()], {
    origins: { a: { down: true } },
  }),
  ...sockets(
    'another-upgrade',
    (ports) => http(ports, { manager: { upgrade_configs: [{ upgrade_type: 'Foo' }] } }),
    [{ send: [get('/', 'connection: upgrade', 'upgrade: foo'), 100, 'ping'], untilClosed: true, patienceMs: 2000 }],
    {
      origins: {
        a: {
          answers: [
            {
              status: 101,
              headers: [
                ['connection', 'upgrade'],
                ['upgrade', 'foo'],
              ],
            },
          ],
        },
      },
    },
  ),
  {
    name: 'connect-passed-on-1-1',
    bootstrap: passing(),
    origins: { a: { answers: [{ raw: 'HTTP/1.1 200 OK\r\n\r\nhello' }] } },
    turns: [{ send: [connectHead, 100, 'ping'], untilClosed: true, patienceMs: 2000 }],
  },
  {
    name: 'connect-passed-on-2-1',
    bootstrap: passing(),
    origins: { a: { answers: [{ raw: 'HTTP/1.1 200 OK\r\n\r\nhello' }] } },
    turns: [asks({ ...connect2([100, 'ping', 200]), leaveOpen: true, leaveAfterMs: 1200 })],
  },
  {
    name: 'connect-passed-on-and-refused',
    bootstrap: passing(),
    origins: { a: { answers: [{ status: 405, body: 'no' }] } },
    turns: [untilClosed(connectHead), asks({ ...connect2([100, 'ping']), leaveOpen: true })],
  },
  {
    name: 'connect-of-no-route',
    bootstrap: (ports) => http(ports, { manager: { ...allowing, upgrade_configs: [{ upgrade_type: 'CONNECT' }] } }),
    turns: [untilClosed(connectHead), asks(connect2([50, 'x']))],
  },
  {
    name: 'connect-over-http2-not-allowed',
    bootstrap: (ports) =>
      http(ports, { routes: [{ match: connectMatch, route: { cluster: 'a', upgrade_configs: [{ upgrade_type: 'CONNECT' }] } }] }),
    turns: [asks({ ...connect2([50, 'x']), leaveOpen: true, leaveAfterMs: 1200 })],
  },
  {
    name: 'interim-answers',
    bootstrap: (ports) => http(ports),
    origins: {
      a: { answers: [{ raw: 'HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok' }] },
    },
    turns: [get('/'), asks({})],
  },
  {
    name: 'continue-passed-on',
    bootstrap: (ports) => http(ports, { manager: { proxy_100_continue: true } }),
    origins: {
      a: { answers: [{ early: true, raw: 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok' }] },
    },
    turns: [
      { send: ['POST / HTTP/1.1\r\nhost: a.test\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n', 300, 'body'] },
      asks({ headers: { ':method': 'POST', expect: '100-continue' }, body: [300, 'body'] }),
    ],
    ignoreUpstream: true,
  },
  {
    name: 'connect-config-of-another-upgrade',
    bootstrap: (ports) =>
      http(ports, {
        routes: [
          {
            match: { prefix: '/' },
            route: { cluster: 'a', upgrade_configs: [{ upgrade_type: 'websocket', connect_config: {} }] },
          },
        ],
      }),
    validateOnly: true,
  },
  {
    name: 'an-upgrade-named-twice',
    bootstrap: (ports) =>
      http(ports, {
        routes: [
          {
            match: { prefix: '/' },
            route: { cluster: 'a', upgrade_configs: [{ upgrade_type: 'websocket' }, { upgrade_type: 'WebSocket' }] },
          },
        ],
      }),
    validateOnly: true,
  },
]

export const tunnelCases = group('tunnels', cases)
