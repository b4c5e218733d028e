import { accessLog, http, listenerFilter, type Message, networkFilter, tcp } from '../bootstrap.ts'
import { type ClientTurn, get, group, type ParityCase, type Ports } from '../case.ts'
import { by, closes, downstream, inspector, required, says, trusting } from '../tls-bootstrap.ts'

const format =
  'listener: %RESPONSE_FLAGS% %RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% %PROTOCOL% ' +
  'rx=%BYTES_RECEIVED% tx=%BYTES_SENT% cluster=%UPSTREAM_CLUSTER% host=%UPSTREAM_HOST% sni=%REQUESTED_SERVER_NAME% ' +
  'chain=%FILTER_CHAIN_NAME% type=%ACCESS_LOG_TYPE% peer=%DOWNSTREAM_PEER_SUBJECT% ' +
  'failure=%DOWNSTREAM_TRANSPORT_FAILURE_REASON% remote=%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% ' +
  'local=%DOWNSTREAM_LOCAL_ADDRESS% upstream=%UPSTREAM_TRANSPORT_FAILURE_REASON% path=%REQ(:PATH)% ' +
  'end=%DOWNSTREAM_LOCAL_CLOSE_REASON%\n'
const log: Message = { access_log: [accessLog(format)] }

/** How connections of HTTP end, and why. */
const endings: Message = {
  access_log: [
    accessLog(
      'listener: %RESPONSE_FLAGS% %PROTOCOL% end=%DOWNSTREAM_LOCAL_CLOSE_REASON% closed=%DOWNSTREAM_DETECTED_CLOSE_TYPE%\n',
    ),
  ],
}
const ends =
  (manager: Message) =>
  (ports: Ports): Message =>
    http(ports, {
      log: '%RESPONSE_CODE% %RESPONSE_CODE_DETAILS%\n',
      routes: [{ match: { prefix: '/' }, direct_response: { status: 200 } }],
      manager,
      listener: endings,
    })

const line = 'GET / HTTP/1.1\r\n'
const host = `${line}host: a\r\n`
const chunked = `POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n`
const manyHeaders = 'x: y\r\n'.repeat(101)
/** What no codec takes, one thing wrong in each. */
const mistakes: readonly string[] = [
  ...[
    '\x16\x03\x01',
    ' GET / HTTP/1.1',
    'Zoo / HTTP/1.1',
    'FOO / HTTP/1.1',
    'G@T / HTTP/1.1',
    'GET HTTP/1.1',
    'GET foo HTTP/1.1',
  ],
  ...['GET /\xe9 HTTP/1.1', 'GET / FOO/1.1', 'GET / HTTP/1.0', 'GET /', 'GET ftp://a/ HTTP/1.1', 'GET http://a:99999/ HTTP/1.1'],
].map((start) => `${start}\r\nhost: a\r\n\r\n`)
const badHeaders: readonly string[] = [
  ...['bad header', 'abc', ': b', 'a b: c', 'a(b: c', '\xe9: b', 'a\x01: b', 'a: b\0', 'a_b: c', 'connection: :path'],
  ...['content-length: x', 'content-length: 1\r\ncontent-length: 1', 'transfer-encoding: gzip'],
  'content-length: 1\r\ntransfer-encoding: chunked',
].map((header) => `${host}${header}\r\n\r\n`)

/** HTTP/2 without an answer that is looked at: its frames may differ, and the client reads none. */
const frames = (...send: (string | number)[]): ClientTurn => ({ send, readAfterMs: 2000, leaveAfterMs: 300 })
const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0'
const dataOfNoStream = '\0\0\x01\0\0\0\0\0\0x'

const overTls = (common: Message, more: Message) => (ports: Ports) =>
  tcp(ports, {
    chains: [says('tls', undefined, downstream(common, more))],
    clusters: [],
    listener: { listener_filters: [inspector], ...log },
  })

const cases: ParityCase[] = [
  { name: 'tcp', bootstrap: (ports) => tcp(ports, { chain: { name: 'one' }, listener: log }), turns: [get('/')] },
  {
    name: 'tcp-and-no-endpoint',
    bootstrap: (ports) => tcp(ports, { listener: log }),
    origins: { a: { down: true } },
    // Of one that says something the end hangs on what comes first, at Envoy too.
    turns: [{ send: [], untilClosed: true }],
  },
  {
    name: 'http',
    bootstrap: (ports) =>
      http(ports, {
        listener: log,
        routes: [{ match: { prefix: '/' }, direct_response: { status: 200, body: { inline_string: 'hello' } } }],
      }),
    turns: [{ send: [get('/a'), 100, get('/b')], answers: 2 }],
  },
  {
    name: 'no-chain',
    bootstrap: (ports) =>
      tcp(ports, {
        chains: [says('one', { server_names: ['one.test'] })],
        clusters: [],
        listener: { listener_filters: [inspector], ...log },
      }),
    turns: [by({ serverName: 'one.test' }), closes({ serverName: 'two.test' })],
  },
  {
    // What was only looked at is unread, and makes a reset of the end.
    name: 'no-chain-for-bytes',
    bootstrap: (ports) =>
      tcp(ports, {
        chains: [says('one', { server_names: ['one.test'] }, null)],
        clusters: [],
        listener: { listener_filters: [listenerFilter('http_inspector', 'HttpInspector')], ...log },
      }),
    turns: [{ send: [get('/')], untilClosed: true }],
  },
  {
    name: 'inspection-timeout',
    bootstrap: (ports) => http(ports, { listener: { listener_filters: [inspector], listener_filters_timeout: '0.2s', ...log } }),
    turns: [{ send: [], untilClosed: true, patienceMs: 3000 }],
  },
  {
    name: 'inspection-refused',
    bootstrap: (ports) =>
      http(ports, { listener: { listener_filters: [listenerFilter('proxy_protocol', 'ProxyProtocol')], ...log } }),
    turns: [{ send: [get('/')], untilClosed: true, patienceMs: 3000 }],
  },
  {
    name: 'gone-before-inspection',
    bootstrap: (ports) => http(ports, { listener: { listener_filters: [inspector], ...log } }),
    turns: [{ send: [], leaveAfterMs: 100 }],
  },
  {
    name: 'refused-by-rules',
    bootstrap: (ports) =>
      tcp(ports, {
        filters: [
          networkFilter('rbac', 'RBAC', {
            stat_prefix: 'n',
            rules: { action: 'DENY', policies: { all: { permissions: [{ any: true }], principals: [{ any: true }] } } },
          }),
        ],
        listener: log,
      }),
    turns: [{ send: ['x'], untilClosed: true }],
  },
  { name: 'plaintext-to-tls', bootstrap: overTls({}, {}), turns: [{ send: [get('/')], untilClosed: true, patienceMs: 3000 }] },
  {
    name: 'client-certificates',
    bootstrap: (ports) => overTls(trusting(), required)(ports),
    turns: [by({ certificate: 'client' }), closes({ certificate: 'stranger' }), closes({ certificate: 'expired' }), closes({})],
  },
  {
    name: 'versions',
    bootstrap: overTls({ tls_params: { tls_minimum_protocol_version: 'TLSv1_3' } }, {}),
    turns: [by({}), closes({ version: 'TLSv1.2' })],
  },
  ...Object.entries({
    'idle-unused': ['idle_timeout', []],
    'old-unused': ['max_connection_duration', []],
    // With time enough to be idle, or old, while its end is delayed.
    'protocol-error': ['idle_timeout', ['GET / HTTP/1.1\r\nbad header\r\n\r\n']],
    'protocol-error-behind-a-request': ['idle_timeout', [get('/'), 100, 'GET / HTTP/1.1\r\nbad header\r\n\r\n']],
  } satisfies Record<string, [string, (string | number)[]]>).map(
    ([name, [limit, send]]): ParityCase => ({
      name,
      bootstrap: (ports) =>
        http(ports, {
          routes: [{ match: { prefix: '/' }, direct_response: { status: 200 } }],
          manager: { common_http_protocol_options: { [limit]: '0.3s' }, drain_timeout: '0.1s', delayed_close_timeout: '0.7s' },
          listener: log,
        }),
      turns: [{ send, untilClosed: true, patienceMs: 3000 }],
    }),
  ),
  {
    // The client closes when it has its answer, before the time that it is given for it is up.
    name: 'protocol-errors',
    bootstrap: ends({ common_http_protocol_options: { headers_with_underscores_action: 'REJECT_REQUEST' } }),
    turns: [
      ...mistakes,
      ...badHeaders,
      `${line}host: a b\r\n\r\n`,
      `${host}${manyHeaders}\r\n`,
      `${host}x: ${'y'.repeat(70_000)}\r\n\r\n`,
      'CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\ncontent-length: 3\r\n\r\n',
    ],
  },
  {
    name: 'protocol-errors-behind-the-head',
    bootstrap: (ports) =>
      http(ports, {
        log: '%RESPONSE_CODE% %RESPONSE_CODE_DETAILS%\n',
        manager: { http_protocol_options: { enable_trailers: true } },
        listener: endings,
      }),
    origins: { a: { answers: [{ raw: '', after: 'silence' }] } },
    ignoreUpstream: true,
    turns: [
      ...['xyz\r\n', '1x\r\na\r\n', 'fffffffffffffffff\r\n', '1\na\r\n', '0\r\nbad trailer\r\n\r\n', '0\r\na: b\0\r\n\r\n'],
      `0\r\n${manyHeaders}\r\n`,
    ].map((body): ClientTurn => ({ send: [chunked, 200, body] })),
  },
  {
    name: 'protocol-errors-of-http2',
    bootstrap: ends({ delayed_close_timeout: '0s' }),
    turns: [frames('PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n'), frames(preface + dataOfNoStream), frames(preface, 150, dataOfNoStream)],
  },
  {
    name: 'clients-that-end-in-time',
    bootstrap: ends({}),
    turns: [
      get('/', 'connection: close'),
      { send: [get('/')], reset: true },
      { send: ['GET / HT', 100], leaveAfterMs: 100, reset: true },
    ],
  },
  {
    name: 'direct-response',
    bootstrap: (ports) =>
      tcp(ports, {
        chains: [{ filters: [networkFilter('direct_response', 'Config', { response: { inline_string: 'hello' } })] }],
        clusters: [],
        listener: log,
      }),
    turns: [{ send: [], untilClosed: true }],
  },
  { name: 'gone-before-the-handshake', bootstrap: overTls({}, {}), turns: [{ send: [], leaveAfterMs: 100 }] },
]

export const listenerLogCases = group('listener-logs', cases)
