import { cluster, http } from '../bootstrap.ts'
import { get, group, type ParityCase, request } from '../case.ts'

const cases: ParityCase[] = [
  { name: 'no-healthy-upstream', bootstrap: (ports) => http(ports, { clusters: [cluster('a', [])] }), turns: [get('/')] },
  { name: 'upstream-refuses', bootstrap: (ports) => http(ports), origins: { a: { down: true } }, turns: [get('/')] },
  {
    name: 'upstream-resets',
    bootstrap: (ports) => http(ports),
    origins: { a: { answers: [{ raw: '', after: 'reset' }] } },
    turns: [get('/')],
  },
  {
    name: 'upstream-closes-in-a-body',
    bootstrap: (ports) => http(ports),
    origins: { a: { answers: [{ raw: 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc', after: 'close' }] } },
    turns: [{ send: [get('/')], untilClosed: true, patienceMs: 2000 }],
  },
  {
    name: 'client-leaves',
    bootstrap: (ports) => http(ports),
    origins: { a: { answers: [{ after: 'silence' }] } },
    turns: [{ send: [get('/')], leaveAfterMs: 200, untilClosed: true }],
  },
  {
    name: 'breaker-open',
    bootstrap: (ports) =>
      http(ports, {
        clusters: [
          cluster('a', [ports['a'] ?? 1], {
            circuit_breakers: { thresholds: [{ max_connections: 1, max_pending_requests: 0, max_requests: 1 }] },
          }),
        ],
      }),
    origins: { a: { answers: [{ delayMs: 400 }] } },
    turns: [{ send: [get('/1')] }, { send: [150, get('/2')], together: true }],
    ignoreUpstream: true,
  },
  {
    name: 'local-replies-mapped',
    bootstrap: (ports) =>
      http(ports, {
        clusters: [cluster('a', [])],
        manager: {
          local_reply_config: {
            mappers: [
              {
                filter: { status_code_filter: { comparison: { op: 'EQ', value: { default_value: 503, runtime_key: 'k' } } } },
                status_code: 500,
                body: { inline_string: 'mapped' },
                headers_to_add: [{ header: { key: 'x-mapped', value: 'yes' } }],
              },
            ],
            body_format: { json_format: { code: '%RESPONSE_CODE%', said: '%LOCAL_REPLY_BODY%' } },
          },
        },
      }),
    turns: [get('/')],
  },
  {
    name: 'log-filters',
    bootstrap: (ports) => {
      const made = http(ports, {
        routes: [
          { match: { prefix: '/500' }, direct_response: { status: 500 } },
          { match: { prefix: '/' }, direct_response: { status: 200 } },
        ],
      })
      return JSON.parse(
        JSON.stringify(made).replace(
          '"name":"envoy.access_loggers.stdout"',
          '"name":"envoy.access_loggers.stdout","filter":{"or_filter":{"filters":[{"status_code_filter":{"comparison":{"op":"GE","value":{"default_value":500,"runtime_key":"x"}}}},{"header_filter":{"header":{"name":"x-log","present_match":true}}}]}}',
        ),
      )
    },
    turns: [get('/500'), get('/200'), get('/200', 'x-log: 1')],
  },
  {
    name: 'operators',
    bootstrap: (ports) =>
      http(ports, {
        log:
          '%REQ(x-a)% %REQ(x-none)% %REQ(x-none?x-a):2% %RESP(x-r)% %TRAILER(x-t)% %PROTOCOL% %RESPONSE_CODE% %RESPONSE_FLAGS_LONG% ' +
          '%REQUEST_HEADERS_BYTES% %DYNAMIC_METADATA(a:b)% %UPSTREAM_CLUSTER% %VIRTUAL_CLUSTER_NAME% ' +
          '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_LOCAL_PORT% %REQUESTED_SERVER_NAME% %ROUTE_NAME% %FILTER_CHAIN_NAME% ' +
          '%CONNECTION_TERMINATION_DETAILS% %METADATA(ROUTE:x:y)% %UPSTREAM_REMOTE_ADDRESS% %GRPC_STATUS%\n',
        routes: [
          { name: 'r1', match: { prefix: '/' }, route: { cluster: 'a' }, metadata: { filter_metadata: { x: { y: 'z' } } } },
        ],
      }),
    origins: { a: { answers: [{ headers: [['x-r', 'resp']] }] } },
    turns: [get('/', 'x-a: abcdef'), request('POST', '/', [], 'body')],
  },
  {
    name: 'admin-says-the-same',
    bootstrap: (ports) => http(ports),
    turns: [get('/')],
    admin: ['/ready', '/listeners?format=json', '/runtime?format=json', '/stats?filter=ingress.rq_total&format=json'],
  },
]

export const flagCases = group('flags', cases)
