import { X509Certificate } from 'node:crypto'
import { describe, expect, onTestFinished, test } from 'vitest'
import { readSettings } from '../bootstrap/settings.ts'
import { Control } from '../control/control.ts'
import { RecordingWorker } from '../control/testing/recording-worker.ts'
import { assignment, bootstrap } from '../control/testing/resources.ts'
import { parseFlags } from '../flags.ts'
import { ProxyLog } from '../log.ts'
import { TestAuthority } from '../testing/certificates.ts'
import { startAdmin } from './server.ts'

const listener = `
  - name: http
    address: {socket_address: {address: 127.0.0.1, port_value: 10000}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: ingress
          route_config: {name: local, virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: a}}]}]}
          http_filters: [{name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]
`

interface Started {
  control: Control
  get(
    path: string,
    method?: string,
  ): Promise<{ status: number; headers: string[]; type: string | null; text: string; json(): unknown }>
  post(path: string): Promise<{ status: number; text: string }>
  quits: number
}

async function admin(extra = '', more = '', clusters = '', allowPaths = ''): Promise<Started> {
  const yaml = `
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}${allowPaths}}
node: {id: "n1", cluster: "c1"}
layered_runtime: {layers: [{name: base, static_layer: {x: 1, deep: {y: two}}}, {name: admin, admin_layer: {}}]}
static_resources:
  clusters:
  - {name: a, type: STATIC, connect_timeout: 2s, load_assignment: ${assignment('a', 8080)}}
${clusters}  listeners: ${listener}${extra}
${more}`
  const flags = parseFlags(['--concurrency', '1', '-l', 'off'], 'test')
  if ('print' in flags) throw new Error('flags that print')
  const control = new Control({
    settings: readSettings(bootstrap(yaml), flags),
    flags,
    log: new ProxyLog({ level: 'off' }),
    workerFactory: () => new RecordingWorker(),
  })
  onTestFinished(() => control.stop(0))
  const address = control.settings.adminAddress
  if (address === undefined) throw new Error('no admin address')
  const started: Started = {
    control,
    quits: 0,
    get: async (path, method = 'GET') => {
      const response = await fetch(`http://${server.url}${path}`, { method })
      const text = await response.text()
      return {
        status: response.status,
        type: response.headers.get('content-type'),
        headers: [...response.headers.keys()],
        text,
        json: () => JSON.parse(text) as unknown,
      }
    },
    post: async (path) => {
      const response = await fetch(`http://${server.url}${path}`, { method: 'POST' })
      return { status: response.status, text: await response.text() }
    },
  }
  const server = await startAdmin(address, control, () => started.quits++)
  onTestFinished(() => server.close())
  await control.start()
  return started
}

describe('the admin API', () => {
  test('says LIVE when it is, and DRAINING after /healthcheck/fail', async () => {
    const { get, post } = await admin()
    const live = await get('/ready')
    expect(live).toMatchObject({ status: 200, text: 'LIVE\n', type: 'text/plain; charset=UTF-8' })
    const { headers } = live
    expect(headers).toEqual(['cache-control', 'content-length', 'content-type', 'date', 'server', 'x-content-type-options'])
    expect((await post('/healthcheck/fail')).text).toBe('OK\n')
    expect(await get('/ready')).toMatchObject({ status: 503, text: 'DRAINING\n' })
    await post('/healthcheck/ok')
    expect((await get('/ready')).status).toBe(200)
  })

  test('answers only the paths that are allowed, where some are', async () => {
    const { get } = await admin('', '', '', ', allow_paths: [{exact: /ready}]')
    expect((await get('/ready')).status).toBe(200)
    const refused = 'request to path /ready?x not allowed'
    expect(await get('/ready?x')).toMatchObject({ status: 403, text: refused })
  })

  test('demands POST for what changes something, and tells the commands on a path that is none', async () => {
    const started = await admin()
    for (const path of [
      '/quitquitquit',
      '/reset_counters',
      '/logging',
      '/runtime_modify',
      '/healthcheck/fail',
      '/drain_listeners',
    ])
      expect(await started.get(path)).toMatchObject({ status: 405, text: 'Method GET not allowed, POST required.' })
    expect(started.quits).toBe(0)
    expect(await started.get('/ready', 'PUT')).toMatchObject({ status: 200, text: 'LIVE\n' })
    expect(await started.get('//ready')).toMatchObject({ status: 200, text: 'LIVE\n' })
    expect(await started.post('/drain_listeners?skip_exit')).toMatchObject({ status: 200, text: 'OK\n' })
    expect(await started.get('/nonsense')).toMatchObject({
      status: 404,
      text: expect.stringMatching(/^invalid path\. admin commands are:/),
    })
  })

  test('shows clusters with their endpoints as text and JSON', async () => {
    const { get } = await admin()
    const { text } = await get('/clusters')
    expect(text).toContain('a::default_priority::max_retries::3\n')
    expect(text).toContain('a::127.0.0.1:8080::health_flags::healthy\n')
    expect((await get('/clusters?format=json')).json()).toMatchObject({
      cluster_statuses: [
        { name: 'a', host_statuses: [{ address: { socket_address: { address: '127.0.0.1', port_value: 8080 } }, weight: 1 }] },
      ],
    })
    expect((await get('/clusters?filter=nobody')).text).toBe('')
  })

  test('dumps the configuration in the messages of the API, one resource or masked fields of it', async () => {
    const { get } = await admin()
    const { configs } = (await get('/config_dump?include_eds')).json() as { configs: { '@type': string }[] }
    expect(configs.map((each) => each['@type'].replace('type.googleapis.com/envoy.admin.v3.', ''))).toEqual([
      'BootstrapConfigDump',
      'ClustersConfigDump',
      'EndpointsConfigDump',
      'ListenersConfigDump',
      'ScopedRoutesConfigDump',
      'RoutesConfigDump',
      'SecretsConfigDump',
    ])
    expect((await get('/config_dump?resource=static_listeners&mask=listener.name')).json()).toEqual({
      configs: [
        {
          '@type': 'type.googleapis.com/envoy.admin.v3.ListenersConfigDump.StaticListener',
          listener: { '@type': 'type.googleapis.com/envoy.config.listener.v3.Listener', name: 'http' },
        },
      ],
    })
    for (const mask of ['nonsense', 'listener.nonsense', 'listener.name.x', 'listener.filter_chains.name'])
      expect(await get(`/config_dump?resource=static_listeners&mask=${mask}`)).toMatchObject({
        status: 400,
        text: `FieldMask paths: "${mask}"\n could not be successfully used.`,
      })
    expect((await get('/config_dump?mask=static_listeners.listener')).status).toBe(400)
    expect((await get('/config_dump?name_regex=(')).text).toBe(
      'INVALID_ARGUMENT: Error while parsing name_regex from (: missing ): (',
    )
    expect((await get('/config_dump?resource=static_route_configs')).text).toContain('"name": "local"')
    expect(await get('/config_dump?resource=nonsense')).toMatchObject({
      status: 404,
      text: 'nonsense not found in config dump',
    })
    expect((await get('/config_dump?resource=bootstrap')).status).toBe(400)
    expect((await get('/config_dump?name_regex=nobody&resource=static_clusters')).json()).toEqual({})
    expect((await get('/config_dump?mask=nonsense')).status).toBe(400)
    expect((await get('/config_dump?mask=static_clusters')).json()).toMatchObject({
      configs: [{ '@type': 'type.googleapis.com/envoy.admin.v3.ClustersConfigDump' }],
    })
    expect((await get('/config_dump?resource=static_endpoint_configs')).status).toBe(404)
    expect((await get('/config_dump?include_eds&resource=static_endpoint_configs')).json()).toMatchObject({
      configs: [
        {
          endpoint_config: {
            endpoints: [{ locality: {}, lb_endpoints: [{ health_status: 'HEALTHY', load_balancing_weight: 1 }] }],
          },
        },
      ],
    })
  })

  test('never shows a key, a password or a token', async () => {
    const authority = await TestAuthority.create()
    const own = await authority.issue('spiffe://cluster.local/ns/default/sa/web')
    const secrets = JSON.stringify([
      {
        name: 'own',
        tls_certificate: { certificate_chain: { inline_string: own.cert }, private_key: { inline_string: own.key } },
      },
      { name: 'other', generic_secret: { secret: { inline_string: 'hunter2' } } },
    ])
    const sds = `{api_config_source: {api_type: GRPC, transport_api_version: V3, grpc_services: [{envoy_grpc: {cluster_name: a}, initial_metadata: [{key: authorization, value: Bearer hunter3}]}]}, resource_api_version: V3, initial_fetch_timeout: 0.01s}`
    const tls = `  - name: b
    type: STATIC
    connect_timeout: 1s
    transport_socket:
      name: tls
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        common_tls_context: {tls_certificate_sds_secret_configs: [{name: fetched, sds_config: ${sds}}]}
`
    const { get } = await admin(`\n  secrets: ${secrets}`, '', tls)
    const { text } = await get('/config_dump')
    expect(text).toContain('"name": "own"')
    expect(text).toContain('[redacted]')
    for (const secret of [
      own.key.split('\n')[1] ?? '',
      Buffer.from(own.key).toString('base64'),
      'hunter2',
      Buffer.from('hunter2').toString('base64'),
      'hunter3',
    ])
      expect(text).not.toContain(secret)
  })

  test('shows words first, and versions as the hash of theirs', async () => {
    const { control, get } = await admin()
    control.stats.gauge('x.version').set(1)
    control.stats.text('x.version_text').set('<1>')
    control.stats.text('x.words')
    expect((await get('/stats?filter=^x')).text).toBe(
      'x.version_text: "&lt;1&gt;"\nx.words: ""\nx.version: 7458536705788763297\n',
    )
    expect((await get('/stats?filter=^x&usedonly&type=TextReadouts')).text).toBe('x.version_text: "&lt;1&gt;"\n')
    expect((await get('/stats?filter=^x&format=json')).text).toContain('"value":"<1>"},{"name":"x.words","value":""},')
    expect((await get('/stats/prometheus?filter=^x')).text).not.toContain('text')
    expect((await get('/stats/prometheus?filter=^x.v&text_readouts')).text).toContain('envoy_x_version_text{text_value="<1>"} 0')
  })

  test('filters stats by regex, kind and use, and resets counters', async () => {
    const { control, get, post } = await admin()
    control.stats.counter('http.ingress.downstream_rq_2xx').add(3)
    control.stats.gauge('http.ingress.downstream_rq_active').set(2)
    control.stats.histogram('cluster.a.upstream_rq_time').record(16)
    expect((await get('/stats?filter=ingress.*2xx$')).text).toBe('http.ingress.downstream_rq_2xx: 3\n')
    expect((await get('/stats?filter=ingress&type=Gauges')).text).toBe('http.ingress.downstream_rq_active: 2\n')
    expect((await get('/stats?filter=upstream_rq_time')).text).toMatch(/^cluster\.a\.upstream_rq_time: P0\(16,16\) P25\(/)
    expect((await get('/stats?format=json&filter=ingress.downstream_rq_2xx')).json()).toEqual({
      stats: [{ name: 'http.ingress.downstream_rq_2xx', value: 3 }],
    })
    expect((await get('/stats?filter=ingress.*2xx$&format=&type=')).text).toBe('http.ingress.downstream_rq_2xx: 3\n')
    expect((await get('/stats?filter=(')).text).toBe('Invalid re2 regex: missing ): (')
    expect((await get('/stats?filter=^http.admin.downstream_rq_4xx$')).text).toBe('http.admin.downstream_rq_4xx: 1\n')
    for (const bad of ['?filter=(', '?format=nonsense', '?type=Wrong', '?hidden=x'])
      expect((await get(`/stats${bad}`)).status).toBe(400)
    expect((await get('/stats?hidden=only')).text).toBe('')
    expect((await get('/stats?format=html&filter=ingress.*2xx$')).text).toContain('http.ingress.downstream_rq_2xx: 3\n')
    await post('/reset_counters')
    expect((await get('/stats?filter=ingress.downstream_rq_(2xx|active)')).text).toBe(
      'http.ingress.downstream_rq_2xx: 0\nhttp.ingress.downstream_rq_active: 2\n',
    )
    control.stats.counter('http.ingress.downstream_rq_2xx').inc()
    expect((await get('/stats?usedonly&filter=ingress.*2xx')).text).toBe('http.ingress.downstream_rq_2xx: 1\n')
  })

  test('lists what stands at nothing too, as Envoy does', async () => {
    const { control, get } = await admin()
    control.stats.gauge('http.ingress.downstream_rq_active').set(1)
    const { text } = await get('/stats')
    for (const line of [
      'cluster.a.upstream_rq_per_cx: No recorded values',
      'cluster_manager.cluster_updated: 0',
      'http.ingress.downstream_rq_time: No recorded values',
      'listener_manager.listener_create_failure: 0',
      'server.worker_0.watchdog_miss: 0',
    ])
      expect(text.split('\n')).toContain(line)
    expect((await get('/stats?usedonly')).text).not.toContain('No recorded values')
    // A breaker nobody asked has not been used.
    expect((await get('/stats?usedonly&filter=cluster.a.(circuit|upstream_queue)')).text).toBe('')
    control.stats.counter('cluster.a.upstream_rq_total').inc()
    expect((await get('/stats?usedonly&filter=cluster.a.circuit')).text).toBe('cluster.a.circuit_breakers.default.rq_open: 0\n')
  })

  test('shows the buckets of histograms, below each bound, between bounds, or as they were filled', async () => {
    const { control, get } = await admin()
    const histogram = control.stats.histogram('cluster.a.upstream_rq_time')
    for (const value of [0, 16, 16]) histogram.record(value)
    const of = async (mode: string) => (await get(`/stats?filter=upstream_rq_time$&${mode}`)).text
    expect(await of('histogram_buckets=cumulative')).toContain(' B10(1,1) B25(3,3) B50(3,3)')
    expect(await of('histogram_buckets=disjoint')).toContain(' B10(0,0) B25(2,2) B50(0,0)')
    expect(await of('histogram_buckets=detailed')).toMatch(
      /upstream_rq_time:\n {2}totals=0,0:1, 16,1:2\n {2}intervals=0,0:1, 16,1:2\n {2}summary=P0\(0,0\)/,
    )
    const json = async (mode: string): Promise<unknown> => JSON.parse(await of(`format=json&histogram_buckets=${mode}`))
    expect(await json('disjoint')).toMatchObject({
      stats: [
        { histograms: [{ name: 'cluster.a.upstream_rq_time', buckets: { 4: { upper_bound: 25, interval: 2, cumulative: 2 } } }] },
      ],
    })
    expect(await json('detailed')).toMatchObject({
      stats: [
        {
          histograms: {
            details: [
              {
                totals: [
                  { lower_bound: 0, width: 0, count: 1 },
                  { lower_bound: 16, count: 2 },
                ],
              },
            ],
          },
        },
      ],
    })
    expect((await get('/stats?histogram_buckets=odd')).status).toBe(400)
  })

  test("gives Prometheus Envoy's names, tags and buckets", async () => {
    const { control, get } = await admin()
    control.stats.counter('cluster.a.upstream_rq_200').inc()
    control.stats.counter('http.ingress.downstream_rq_2xx').add(2)
    control.stats.histogram('cluster.a.upstream_rq_time').record(16)
    const { text } = await get('/stats/prometheus')
    expect(text).toContain(
      '# TYPE envoy_cluster_upstream_rq counter\nenvoy_cluster_upstream_rq{envoy_response_code="200",envoy_cluster_name="a"} 1\n',
    )
    expect(text).toContain(
      'envoy_http_downstream_rq_xx{envoy_response_code_class="2",envoy_http_conn_manager_prefix="ingress"} 2\n',
    )
    expect(text).toContain('envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="a",le="10"} 0\n')
    expect(text).toContain('envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="a",le="25"} 1\n')
    expect(text).toContain('envoy_cluster_upstream_rq_time_count{envoy_cluster_name="a"} 1\n')
    expect(text).toContain('envoy_cluster_membership_total{envoy_cluster_name="a"} 1\n')
  })

  test('shows the runtime by layer, changes the admin layer, and tells the workers', async () => {
    const { control, get, post } = await admin()
    expect((await get('/runtime')).json()).toEqual({
      entries: { 'deep.y': { final_value: 'two', layer_values: ['two', ''] }, x: { final_value: '1', layer_values: ['1', ''] } },
      layers: ['base', 'admin'],
    })
    await post('/runtime_modify?x=5&z=9')
    expect(control.runtime.values()).toMatchObject({ x: 5, z: 9, 'deep.y': 'two' })
    await post('/runtime_modify?x=')
    expect(control.runtime.values()).toMatchObject({ x: 1 })
    expect((await post('/runtime_modify')).status).toBe(400)
  })

  test('lists and sets log levels', async () => {
    const { post } = await admin()
    expect((await post('/logging?level=debug')).text).toContain('  upstream: debug\n')
    expect((await post('/logging?http=info')).text).toMatch(/ {2}http: info\n {2}http2: debug\n/)
    expect((await post('/logging?paths=http:error,upstream:off')).text).toContain('  upstream: off\n')
    expect(await post('/logging?level=loud')).toMatchObject({
      status: 400,
      text: expect.stringContaining('unknown logger level'),
    })
    expect((await post('/logging?level=')).status).toBe(200)
    expect((await post('/logging?lua=debug')).text).toContain('  lua: debug\n')
    expect((await post('/logging?http=info&upstream=info')).text).toContain('invalid number of parameters')
    expect((await post('/logging?paths=http')).text).toContain('empty logger name or empty logger level')
    expect(await post('/logging?nobody=info')).toMatchObject({
      status: 400,
      text: expect.stringContaining('unknown logger name'),
    })
  })

  test('shows certificates in use with their names and days', async () => {
    const authority = await TestAuthority.create()
    const own = await authority.issue('spiffe://cluster.local/ns/default/sa/web')
    const secrets = JSON.stringify([
      {
        name: 'own',
        tls_certificate: { certificate_chain: { inline_string: own.cert }, private_key: { inline_string: own.key } },
      },
    ])
    const tls = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext'
    const socket = `{name: tls, typed_config: {"@type": ${tls}, common_tls_context: {tls_certificate_sds_secret_configs: [{name: own}]}}}`
    const user = `  - {name: b, type: STATIC, load_assignment: ${assignment('b', 8081)}, transport_socket: ${socket}}\n`
    const unused = await admin(`\n  secrets: ${secrets}`)
    expect((await unused.get('/certs')).json()).toEqual({ certificates: [] })
    const { get } = await admin(`\n  secrets: ${secrets}`, '', user)
    expect((await get('/certs')).json()).toMatchObject({
      certificates: [
        {
          ca_cert: [],
          cert_chain: [{ subject_alt_names: [{ uri: 'spiffe://cluster.local/ns/default/sa/web' }], days_until_expiration: '0' }],
        },
      ],
    })
    const until = Date.parse(new X509Certificate(own.cert).validTo) / 1000
    expect((await get('/stats?filter=expiration_unix')).text).toBe(
      `cluster.b.ssl.certificate.own.expiration_unix_time_seconds: ${until}\n`,
    )
    expect((await get('/stats/prometheus?filter=expiration_unix')).text).toContain(
      `envoy_cluster_ssl_certificate_expiration_unix_time_seconds{envoy_tls_certificate="own",envoy_cluster_name="b"} ${until}\n`,
    )
  })

  test('answers every path it lists', async () => {
    const { get } = await admin()
    const { text } = await get('/help')
    for (const [, path, post] of text.matchAll(/^ {2}(\/\S*?)( \(POST\))?: /gm)) {
      if (post !== undefined) continue
      expect([path, (await get(path ?? '')).status]).toEqual([path, 200])
    }
    expect((await get('/server_info')).json()).toMatchObject({
      state: 'LIVE',
      command_line_options: { socket_mode: 0 },
      node: { id: 'n1', cluster: 'c1', listening_addresses: [], dynamic_parameters: {} },
    })
    expect((await get('/listeners')).text).toBe('http::127.0.0.1:10000\n')
  })
})
