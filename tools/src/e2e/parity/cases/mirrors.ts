import { cluster, http, type Message } from '../bootstrap.ts'
import { get, group, type ParityCase, type Ports, request } from '../case.ts'
import { asks, overHttp2, protocol } from '../two-hops.ts'

const withTrailers = protocol({ explicit_http_config: { http_protocol_options: { enable_trailers: true } } })
const takesNone: Message = { circuit_breakers: { thresholds: [{ max_pending_requests: 0 }] } }

/** To cluster `a`, and copied by these policies. */
function copied(prefix: string, policies: Message[], more: Message = {}): Message {
  return { match: { prefix }, route: { cluster: 'a', request_mirror_policies: policies, ...more } }
}

/** Copies to `b` by HTTP/1.1, by HTTP/2 through a listener before it, and to clusters where they get nowhere. */
function copying(ports: Ports): Message {
  const portsOf = (name: string): number[] => [ports[name] ?? 0]
  const outer = http(ports, {
    routes: [
      copied('/plain', [{ cluster: 'b' }]),
      copied('/untimed', [{ cluster: 'b', host_rewrite_literal: 'copy.test' }], { timeout: '0s' }),
      copied('/tried', [{ cluster: 'b' }], { timeout: '9s', retry_policy: { retry_on: '5xx', per_try_timeout: '3s' } }),
      copied('/http2', [{ cluster: 'inner', disable_shadow_host_suffix_append: true }]),
      copied('/nowhere', [{ cluster: 'down' }, { cluster: 'full' }, { cluster_header: 'x-to' }]),
    ],
    clusters: [
      cluster('a', portsOf('a')),
      cluster('b', portsOf('b'), withTrailers),
      cluster('inner', portsOf('inner'), overHttp2),
      cluster('down', portsOf('down')),
      cluster('full', portsOf('b'), takesNone),
    ],
  })
  const inner = http(
    { ...ports, http: ports['inner'] ?? 0 },
    {
      clusters: [],
      routes: [{ match: { prefix: '/' }, route: { cluster: 'b' } }],
      manager: { stat_prefix: 'inner', access_log: [] },
    },
  )
  const resources = outer['static_resources'] as { listeners: Message[]; clusters: Message[] }
  const [second] = (inner['static_resources'] as { listeners: Message[] }).listeners
  return { ...outer, static_resources: { ...resources, listeners: [...resources.listeners, { ...second, name: 'inner' }] } }
}

/** What was copied before has been answered. */
const later = (message: string) => ({ send: [50, message] })

const grpc = { ':method': 'POST', ':path': '/http2/Method', 'content-type': 'application/grpc', te: 'trailers' }

const cases: ParityCase[] = [
  {
    name: 'of-all-kinds',
    origins: { a: {}, b: {}, down: { down: true } },
    ports: ['inner'],
    bootstrap: copying,
    turns: [
      get('/plain?q', 'host: shop.test:81', 'x-forwarded-for: 10.0.0.1'),
      later(request('POST', '/plain', [], 'copied')),
      later(`${request('POST', '/plain', ['transfer-encoding: chunked'])}3\r\nabc\r\n0\r\n\r\n`),
      ...['OPTIONS', 'PUT', 'DELETE', 'HEAD'].map((method) => later(request(method, '/plain'))),
      later(get('/plain', 'x-envoy-upstream-rq-timeout-ms: 7000', 'x-envoy-upstream-rq-per-try-timeout-ms: 4000')),
      later(get('/untimed')),
      later(get('/tried')),
      later(request('POST', '/http2', [], 'copied')),
      asks({ headers: grpc, body: 'message', trailers: { 'x-end': 'yes' } }),
      later(request('POST', '/nowhere', ['x-to: none'], 'copied')),
      later(get('/nowhere', 'x-to: b')),
    ],
    ignoreStats: /nghttp2/,
  },
]

export const mirrorCases = group('mirrors', cases)
