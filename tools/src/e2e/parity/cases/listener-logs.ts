import { accessLog, http, listenerFilter, type Message, networkFilter, tcp } from '../bootstrap.ts'
import { get, group, type ParityCase, type Ports } from '../case.ts'
import { by, closes, downstream, inspector, required, says, trusting } from '../tls-bootstrap.ts'

const format =
  'listener: %RESPONSE_FLAGS% %RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% %PROTOCOL% ' +
  'rx=%BYTES_RECEIVED% tx=%BYTES_SENT% cluster=%UPSTREAM_CLUSTER% host=%UPSTREAM_HOST% sni=%REQUESTED_SERVER_NAME% ' +
  'chain=%FILTER_CHAIN_NAME% type=%ACCESS_LOG_TYPE% peer=%DOWNSTREAM_PEER_SUBJECT% ' +
  'failure=%DOWNSTREAM_TRANSPORT_FAILURE_REASON% remote=%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% ' +
  'local=%DOWNSTREAM_LOCAL_ADDRESS% upstream=%UPSTREAM_TRANSPORT_FAILURE_REASON% path=%REQ(:PATH)% ' +
  'end=%DOWNSTREAM_LOCAL_CLOSE_REASON%\n'
const log: Message = { access_log: [accessLog(format)] }

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
