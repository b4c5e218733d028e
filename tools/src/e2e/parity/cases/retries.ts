import { cluster, http, type Message, typed } from '../bootstrap.ts'
import { get, group, type ParityCase, request } from '../case.ts'

const quick: Message = { base_interval: '0.001s', max_interval: '0.002s' }

function retrying(policy: Message, more: Message = {}): Message[] {
  return [{ match: { prefix: '/' }, route: { cluster: 'a', retry_policy: { retry_back_off: quick, ...policy }, ...more } }]
}

const protocolOptions = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions'
const retriedByCluster: Message = {
  typed_extension_protocol_options: {
    [protocolOptions]: typed(protocolOptions, {
      explicit_http_config: { http_protocol_options: {} },
      retry_policy: { retry_on: '5xx', num_retries: 3, retry_back_off: quick },
    }),
  },
}

const cases: ParityCase[] = [
  {
    name: 'until-it-works',
    bootstrap: (ports) => http(ports, { routes: retrying({ retry_on: '5xx', num_retries: 3 }) }),
    origins: { a: { answers: [{ status: 503 }, { status: 500 }, { status: 200, body: 'at last' }] } },
    turns: [get('/')],
  },
  {
    name: 'as-the-cluster-says',
    bootstrap: (ports) =>
      http(ports, {
        routes: retrying({ retry_on: 'retriable-4xx', num_retries: 1 }),
        clusters: [cluster('a', [ports['a'] ?? 1], retriedByCluster)],
      }),
    origins: { a: { answers: [{ status: 503 }, { status: 503 }, { status: 409 }] } },
    turns: [get('/')],
  },
  {
    name: 'until-there-are-no-more',
    bootstrap: (ports) => http(ports, { routes: retrying({ retry_on: 'gateway-error', num_retries: 2 }) }),
    origins: { a: { answers: [{ status: 502, body: 'bad' }] } },
    turns: [get('/')],
  },
  {
    name: 'not-for-other-codes',
    bootstrap: (ports) => http(ports, { routes: retrying({ retry_on: 'gateway-error', num_retries: 2 }) }),
    origins: { a: { answers: [{ status: 500 }, { status: 404 }] } },
    turns: [get('/1'), get('/2')],
  },
  {
    name: 'listed-codes',
    bootstrap: (ports) =>
      http(ports, { routes: retrying({ retry_on: 'retriable-status-codes', retriable_status_codes: [418], num_retries: 1 }) }),
    origins: { a: { answers: [{ status: 418 }, { status: 200 }, { status: 503 }] } },
    turns: [get('/1'), get('/2')],
  },
  {
    name: 'retriable-4xx',
    bootstrap: (ports) => http(ports, { routes: retrying({ retry_on: 'retriable-4xx', num_retries: 1 }) }),
    origins: { a: { answers: [{ status: 409 }, { status: 200 }, { status: 404 }] } },
    turns: [get('/1'), get('/2')],
  },
  {
    name: 'a-body-again',
    bootstrap: (ports) => http(ports, { routes: retrying({ retry_on: '5xx', num_retries: 1 }) }),
    origins: { a: { answers: [{ status: 503 }, { status: 200 }] } },
    turns: [request('POST', '/', ['x-n: 1'], 'the body')],
  },
  {
    name: 'by-request-headers',
    bootstrap: (ports) => http(ports),
    origins: { a: { answers: [{ status: 503 }, { status: 200 }, { status: 503 }, { status: 503 }, { status: 200 }] } },
    turns: [
      get('/1', 'x-envoy-retry-on: 5xx', 'x-forwarded-for: 10.0.0.1'),
      get('/2', 'x-envoy-retry-on: gateway-error', 'x-envoy-max-retries: 2', 'x-forwarded-for: 10.0.0.1'),
    ],
  },
  {
    name: 'closed-before-an-answer',
    bootstrap: (ports) => http(ports, { routes: retrying({ retry_on: 'reset', num_retries: 1 }) }),
    origins: { a: { answers: [{ raw: '', after: 'close' }, { body: 'second' }] } },
    turns: [get('/')],
  },
  {
    name: 'nobody-listens',
    bootstrap: (ports) => http(ports, { routes: retrying({ retry_on: 'connect-failure', num_retries: 2 }) }),
    origins: { a: { down: true } },
    turns: [get('/')],
  },
  {
    name: 'another-host',
    bootstrap: (ports) =>
      http(ports, {
        clusters: [cluster('a', [ports['dead'] ?? 1, ports['alive'] ?? 1])],
        log: '%RESPONSE_CODE% %UPSTREAM_HOST%\n',
        routes: retrying({
          retry_on: 'connect-failure',
          num_retries: 1,
          host_selection_retry_max_attempts: 5,
          retry_host_predicate: [
            {
              name: 'envoy.retry_host_predicates.previous_hosts',
              typed_config: {
                '@type': 'type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate',
              },
            },
          ],
        }),
      }),
    origins: { dead: { down: true }, alive: {} },
    turns: [get('/1'), get('/2')],
    // Which host round robin begins with is drawn.
    ignoreStats: /connect_fail|retry|cx_|rq_error|rq_total|pending/,
  },
  {
    name: 'attempt-counts',
    bootstrap: (ports) =>
      http(ports, {
        virtualHosts: [
          {
            name: 'all',
            domains: ['*'],
            include_request_attempt_count: true,
            include_attempt_count_in_response: true,
            routes: retrying({ retry_on: '5xx', num_retries: 2 }),
          },
        ],
      }),
    origins: { a: { answers: [{ status: 500 }, { status: 500 }, { status: 200 }] } },
    turns: [get('/1'), get('/2')],
  },
  {
    name: 'a-budget-of-none',
    bootstrap: (ports) =>
      http(ports, {
        routes: retrying({ retry_on: '5xx', num_retries: 2 }),
        clusters: [cluster('a', [ports['a'] ?? 1], { circuit_breakers: { thresholds: [{ max_retries: 0 }] } })],
      }),
    origins: { a: { answers: [{ status: 503 }] } },
    turns: [get('/')],
  },
]

export const retryCases = group('retries', cases)
