import type { Http2Request } from '../parity/case.ts'
import type { Choice } from './choice.ts'
import { hosts, names, paths, queries, values } from './words.ts'

/** A request as it is before a protocol writes it. */
export interface PlainRequest {
  /** By which its traces are found again. */
  id: string
  method: string
  target: string
  host: string
  headers: [name: string, value: string][]
  body?: string
  chunked: boolean
  trailers: [name: string, value: string][]
  version: '1.1' | '1.0'
}

type Header = [name: string, value: string]

const oddities: readonly (readonly [percent: number, make: (choice: Choice) => Header])[] = [
  [
    12,
    (choice) => [
      'x-forwarded-for',
      choice.pick(['10.0.0.1', '1.2.3.4, 10.0.0.1', '1.2.3.4,5.6.7.8, 9.9.9.9', 'nonsense', '::1', '']),
    ],
  ],
  [10, (choice) => ['x-forwarded-proto', choice.pick(['https', 'http', 'ftp', 'HTTPS'])]],
  [4, (choice) => ['x-forwarded-host', choice.pick(['f.test', 'a.test'])]],
  [3, (choice) => ['x-forwarded-port', choice.pick(['1234', 'x'])]],
  [12, (choice) => ['cookie', choice.pick(['c=1', 'c=one; d=2', 'd="one"', 'c=', 'c=1; c=2', 'e=1;c=x1y'])]],
  [6, (choice) => ['cookie', choice.pick(['d=1', 'c=one'])]],
  [
    8,
    (choice) => [
      'content-type',
      choice.pick(['application/grpc', 'text/plain', 'application/grpc-web', 'application/json', 'application/grpc+proto']),
    ],
  ],
  [8, (choice) => ['origin', choice.pick(['http://a.test', 'http://b.test', 'https://c.test', 'null', 'http://evil.example'])]],
  [4, () => ['access-control-request-method', 'PUT']],
  [5, (choice) => ['x-request-id', choice.pick(['mine', '11111111-2222-4333-8444-555555555555', ''])]],
  [4, (choice) => ['x-under_score', choice.pick(['1', '2'])]],
  [5, (choice) => ['x-envoy-max-retries', choice.pick(['0', '2', 'x'])]],
  [5, (choice) => ['x-envoy-retry-on', choice.pick(['5xx', 'retriable-status-codes', 'gateway-error,reset'])]],
  [3, (choice) => ['x-envoy-retriable-status-codes', choice.pick(['404', '409, 404', 'x'])]],
  [4, (choice) => ['x-envoy-retry-grpc-on', choice.pick(['unavailable', 'cancelled'])]],
  [4, (choice) => ['x-envoy-upstream-rq-timeout-ms', choice.pick(['250', '0', 'x'])]],
  [3, (choice) => ['x-envoy-upstream-rq-per-try-timeout-ms', choice.pick(['150', 'x'])]],
  [3, (choice) => ['x-envoy-expected-rq-timeout-ms', choice.pick(['400', 'x'])]],
  [3, (choice) => ['x-envoy-decorator-operation', choice.pick(['mine'])]],
  [3, (choice) => ['x-envoy-original-path', choice.pick(['/orig'])]],
  [3, (choice) => ['x-envoy-internal', choice.pick(['true', 'false'])]],
  [3, (_choice) => ['x-envoy-external-address', '8.8.8.8']],
  [3, (choice) => ['x-envoy-force-trace', choice.pick(['true'])]],
  [2, (choice) => ['x-envoy-hedge-on-per-try-timeout', choice.pick(['true'])]],
  [3, (_choice) => ['x-envoy-ip-tags', 'mine']],
  [4, (choice) => ['grpc-timeout', choice.pick(['250m', '1S', 'x', '0m'])]],
  [4, (choice) => ['x-forwarded-client-cert', choice.pick(['By=a;Hash=b', 'x'])]],
  [5, (choice) => ['authorization', choice.pick(['Basic YTpi', 'Basic YTpj', 'Bearer x'])]],
  [4, (choice) => ['x-envoy-fault-abort-request', choice.pick(['429', '503', 'x', '700'])]],
  [2, (choice) => ['x-envoy-fault-abort-grpc-request', choice.pick(['3', 'x'])]],
  [4, (choice) => ['via', choice.pick(['1.1 other'])]],
  [6, (choice) => ['user-agent', choice.pick(['curl', 'kube-probe', ''])]],
  [5, (choice) => ['te', choice.pick(['trailers', 'gzip', 'trailers, gzip'])]],
  [5, (choice) => ['accept-encoding', choice.pick(['gzip', 'br, gzip;q=0', '*'])]],
  [4, (choice) => ['connection', choice.pick(['x-a', 'close', 'keep-alive, x-b', 'te', 'Close'])]],
  [2, () => ['keep-alive', 'timeout=5']],
  [2, () => ['proxy-connection', 'keep-alive']],
  [2, (choice) => ['upgrade', choice.pick(['websocket', 'h2c', 'other'])]],
  [3, (choice) => ['x-retriable', choice.pick(['1'])]],
]

export const answerChoices = 24

/** A random request. */
export function plainRequest(choice: Choice, id: string): PlainRequest {
  const method = choice.pick([
    'GET',
    'GET',
    'GET',
    'GET',
    'POST',
    'POST',
    'PUT',
    'HEAD',
    'OPTIONS',
    'DELETE',
    'PATCH',
    'TRACE',
    'PROPFIND',
    'get',
    'FOO',
  ])
  const path = choice.pick(paths)
  const query = choice.pick(queries)
  const host = choice.pick(hosts)
  const target = choice.chance(4)
    ? choice.pick([
        '*',
        `http://${host}${path}${query}`,
        'https://a.test/a',
        'http://b.test',
        '//a/b',
        'a/b',
        'http://u:p@a.test/a',
        '/a b'.replace(' ', '\t'),
        '?q=1',
      ])
    : path + query
  const headers: Header[] = [['x-id', id]]
  for (const name of names)
    if (choice.chance(45)) headers.push([choice.chance(10) ? name.toUpperCase() : name, choice.pick(values)])
  if (choice.chance(8)) headers.push([choice.pick(names), choice.pick(values)])
  headers.push(['x-random', String(choice.below(250))])
  if (choice.chance(25)) headers.push(['x-cluster', choice.pick(['a', 'b', 'nowhere', 'down'])])
  if (choice.chance(85)) headers.push(['x-answer', choice.many(1, 3, () => choice.below(answerChoices)).join('.')])
  for (const [percent, make] of oddities) if (choice.chance(percent)) headers.push(make(choice))
  const withBody = choice.chance(method === 'POST' || method === 'PUT' || method === 'PATCH' ? 75 : 5)
  const chunked = withBody && choice.chance(35)
  return {
    id,
    method,
    target,
    host,
    headers,
    ...(withBody ? { body: choice.pick(['body', '', 'some more of a body', 'x'.repeat(200)]) } : {}),
    chunked,
    trailers: chunked && choice.chance(40) ? [['x-t', choice.pick(['1', 'end'])]] : [],
    version: choice.chance(4) ? '1.0' : '1.1',
  }
}

/** A request's bytes in HTTP/1. */
export function http1Bytes(one: PlainRequest): string {
  const lines = [
    `${one.method} ${one.target} HTTP/${one.version}`,
    `host: ${one.host}`,
    ...one.headers.map(([name, value]) => `${name}: ${value}`),
  ]
  if (one.body === undefined) return `${lines.join('\r\n')}\r\n\r\n`
  if (!one.chunked) return `${lines.join('\r\n')}\r\ncontent-length: ${one.body.length}\r\n\r\n${one.body}`
  const chunk = one.body === '' ? '' : `${one.body.length.toString(16)}\r\n${one.body}\r\n`
  const trailers = one.trailers.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  return `${lines.join('\r\n')}\r\ntransfer-encoding: chunked\r\n\r\n${chunk}0\r\n${trailers}\r\n`
}

/** What HTTP/2 has no headers for. */
const ofConnections = new Set(['connection', 'keep-alive', 'proxy-connection', 'upgrade'])

/** The same in HTTP/2. */
export function http2Request(one: PlainRequest): Http2Request {
  const headers: Record<string, string> = { ':method': one.method, ':path': one.target, ':authority': one.host }
  for (const [name, value] of one.headers) {
    const key = name.toLowerCase()
    if (ofConnections.has(key) || (key === 'te' && value !== 'trailers')) continue
    headers[key] = key in headers ? `${headers[key]}, ${value}` : value
  }
  if (one.body === undefined) return { headers }
  return {
    headers: one.chunked ? headers : { ...headers, 'content-length': String(one.body.length) },
    body: one.body,
    ...(one.trailers.length > 0 ? { trailers: Object.fromEntries(one.trailers) } : {}),
  }
}
