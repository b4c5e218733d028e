import { accessLog, cluster, http, listenerFilter, type Message, typed } from '../bootstrap.ts'
import { type ClientTurn, get, group, type ParityCase } from '../case.ts'
import { certificates } from '../certificates.ts'
import { by, required, secure, trusting } from '../tls-bootstrap.ts'

/** Fields that Envoy's newest releases brought to connection managers. */
const upgrade = (to: string): string => get('/chat', 'connection: upgrade', `upgrade: ${to}`)

const ignoring = (...matchers: Message[]): ParityCase['bootstrap'] => {
  const options = { http_protocol_options: { ignore_http_11_upgrade: matchers } }
  return (ports) => http(ports, { manager: { ...options, upgrade_configs: [{ upgrade_type: 'websocket' }] } })
}

const log = '%REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %RESP(PROXY-STATUS)% %RESP(X-LOCAL)%\n'

const routes: Message[] = [
  { match: { prefix: '/empty' }, route: { cluster: 'empty' } },
  { match: { prefix: '/down' }, route: { cluster: 'down' } },
  { match: { prefix: '/none' }, route: { cluster_header: 'x-cluster' } },
  { match: { prefix: '/slow' }, route: { cluster: 'slow', timeout: '0.2s' } },
  { match: { prefix: '/idle' }, route: { cluster: 'slow', timeout: '0s', idle_timeout: '0.2s' } },
  { match: { prefix: '/long' }, route: { cluster: 'slow', timeout: '0s', max_stream_duration: { max_stream_duration: '0.2s' } } },
  { match: { prefix: '/full' }, route: { cluster: 'full' } },
  { match: { prefix: '/cut' }, route: { cluster: 'cut' } },
  { match: { prefix: '/odd' }, route: { cluster: 'odd' } },
  { match: { prefix: '/direct' }, direct_response: { status: 503 } },
  { match: { prefix: '/a' }, route: { cluster: 'a' } },
]

const statusOf = (name: string, config: Message, more: Message = {}): ParityCase => ({
  name: `proxy-status${name}`,
  bootstrap: (ports) => {
    const to = (one: string, rest: Message = {}): Message => cluster(one, [ports[one] ?? 1], rest)
    const none = { circuit_breakers: { thresholds: [{ max_pending_requests: 0 }] } }
    return http(ports, {
      routes,
      manager: { access_log: [accessLog(log)], proxy_status_config: config, ...more },
      clusters: [
        to('a'),
        to('down'),
        to('slow'),
        to('cut'),
        to('odd'),
        cluster('full', [ports['a'] ?? 1], none),
        cluster('empty', []),
      ],
      more: { node: { id: 'the-node', cluster: 'c' } },
    })
  },
  origins: {
    a: { answers: [{ status: 503, headers: [['proxy-status', 'other; error=x']] }, {}] },
    down: { down: true },
    slow: { answers: [{ after: 'silence', raw: '' }] },
    cut: { answers: [{ raw: '', after: 'close' }] },
    odd: { answers: [{ raw: 'what\r\n\r\n' }] },
  },
  turns: [
    ...['/empty', '/down', '/nothing', '/slow', '/idle', '/long', '/full', '/cut', '/odd', '/direct', '/a', '/a'].map((path) =>
      get(path),
    ),
    get('/none', 'x-cluster: nobody'),
    'GET / HTTP/1.1\r\n\r\n',
  ],
})

const certs =
  (details: Message, more: Message = {}): ParityCase['bootstrap'] =>
  (ports) =>
    secure(trusting(), required, {
      forward_client_cert_details: 'SANITIZE_SET',
      set_current_client_cert_details: details,
      ...more,
    })(ports)
const named = (details: Message): ParityCase['bootstrap'] => {
  const options = { forward_client_cert_details: 'SANITIZE_SET', set_current_client_cert_details: details }
  return (ports) => {
    const { client: own } = certificates()
    const pair = { certificate_chain: { filename: own.cert }, private_key: { filename: own.key } }
    return secure({ ...trusting(), tls_certificates: [pair] }, required, options)(ports)
  }
}
const rules = (mode: string, details: Message = {}): Message => ({
  action: {
    name: 'rules',
    typed_config: typed(
      'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.ForwardClientCertConfig',
      { forward_client_cert_details: mode, set_current_client_cert_details: details },
    ),
  },
})
const other: Message = { name: 'other', typed_config: typed('envoy.config.rbac.v3.Action', { name: 'x' }) }
const chosen: Message = {
  matcher_tree: {
    input: { name: 'way', typed_config: typed('envoy.type.matcher.v3.HttpRequestHeaderMatchInput', { header_name: 'x-way' }) },
    exact_match_map: {
      map: { json: rules('SANITIZE_SET', { format: 'JSON' }), none: rules('SANITIZE'), keep: rules('ALWAYS_FORWARD_ONLY') },
    },
  },
}
const client: ClientTurn[] = [
  by({ certificate: 'client' }, get('/', 'x-forwarded-client-cert: By=before;Hash=1')),
  by({ certificate: 'named' }, get('/')),
]
const everything = { subject: true, cert: true, chain: true, dns: true, uri: true, issuer: true }

const brief = { common_http_protocol_options: { max_connection_duration: '0.5s' }, drain_timeout: '0.3s' }
const pausing: ClientTurn[] = [
  { send: [get('/a'), 1500, get('/b')], untilClosed: true, patienceMs: 4000 },
  { send: [], untilClosed: true, patienceMs: 1500 },
]

const header = (name: string, exact: string): Message => ({
  http_response_headers_match: { headers: [{ name, string_match: { exact } }] },
})
const status = (code: number): Message => header(':status', String(code))
const kind = (value: string): Message => header('x-kind', value)

const to = (rest: Message, route: Message = {}): ParityCase['bootstrap'] => {
  const routes = [{ match: { prefix: '/' }, route: { cluster: 'a', ...route } }]
  return (ports) => http(ports, { routes, clusters: [cluster('a', [ports['a'] ?? 1], rest)] })
}

/** A cluster of one endpoint that is ejected after two errors, as a matcher tells them. */
const judged = (matcher: Message | undefined): ParityCase['bootstrap'] =>
  to({
    outlier_detection: { consecutive_5xx: 2, max_ejection_percent: 100, base_ejection_time: '60s' },
    common_lb_config: { healthy_panic_threshold: { value: 0 } },
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': typed('envoy.extensions.upstreams.http.v3.HttpProtocolOptions', {
        explicit_http_config: { http_protocol_options: {} },
        outlier_detection: matcher === undefined ? {} : { error_matcher: matcher },
      }),
    },
  })

const budgeted = (budget: Message): ParityCase['bootstrap'] =>
  to({ circuit_breakers: { thresholds: [{ retry_budget: budget }] } }, { retry_policy: { retry_on: '5xx', num_retries: 1 } })

const fingerprinted =
  (config: Message): ParityCase['bootstrap'] =>
  (ports) => {
    const manager = { access_log: [accessLog('%TLS_JA3_FINGERPRINT% %TLS_JA4_FINGERPRINT%\n')] }
    const whole = secure({ alpn_protocols: ['http/1.1'] }, {}, manager)(ports)
    const inspector = typed('envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector', config)
    const [listener] = (whole['static_resources'] as { listeners: Message[] }).listeners
    if (listener !== undefined)
      listener['listener_filters'] = [{ name: 'envoy.filters.listener.tls_inspector', typed_config: inspector }]
    return whole
  }
const hellos = [{}, { serverName: 'a.test', alpn: ['http/1.1', 'h2'] }, { version: 'TLSv1.2' as const }].map((hello) => by(hello))

const cases: ParityCase[] = [
  {
    name: 'upgrades-that-are-ignored',
    bootstrap: ignoring({ prefix: 'TLS/' }, { exact: 'Old' }),
    turns: ['TLS/1.2', 'tls/1.2', 'Old', 'old', 'TLS/1.2, other', 'other, Old', 'TLS/1.2 , Old', 'TLS/1.2,websocket'].map(
      upgrade,
    ),
  },
  {
    name: 'upgrades-ignored-beside-h2c',
    bootstrap: ignoring({ prefix: 'TLS/' }),
    turns: ['h2c, TLS/1.3', 'TLS/1.3, h2c', 'h2c'].map(upgrade),
  },
  {
    name: 'upgrades-ignored-by-any-case',
    bootstrap: ignoring({ exact: 'old', ignore_case: true }),
    turns: ['Old', 'OLD'].map(upgrade),
  },
  { name: 'upgrades-none-ignored', bootstrap: ignoring(), turns: [upgrade('TLS/1.2')] },
  statusOf('', {}),
  statusOf('-recommended', { set_recommended_response_code: true, use_node_id: true }),
  statusOf('-no-node-id', { use_node_id: false, remove_response_flags: true }),
  statusOf('-named', { literal_proxy_name: 'my-proxy', remove_connection_termination_details: true }, { server_name: 'srv' }),
  statusOf('-brief', { remove_details: true }, { server_name: 'srv' }),
  {
    name: 'proxy-status-of-rewritten-answers',
    bootstrap: (ports) =>
      http(ports, {
        routes: [{ match: { prefix: '/' }, route: { cluster: 'empty' } }],
        clusters: [cluster('empty', [])],
        manager: {
          access_log: [accessLog(log)],
          proxy_status_config: { set_recommended_response_code: true },
          local_reply_config: {
            mappers: [
              {
                filter: { status_code_filter: { comparison: { op: 'EQ', value: { default_value: 503, runtime_key: 'x' } } } },
                status_code: 418,
                headers_to_add: [{ header: { key: 'x-local', value: '%RESPONSE_CODE%' } }],
              },
            ],
          },
        },
      }),
    turns: [get('/')],
  },
  { name: 'certificate-issuer', bootstrap: certs({ issuer: true }), turns: client },
  { name: 'certificate-all', bootstrap: certs(everything), turns: client },
  { name: 'certificate-json', bootstrap: certs({ ...everything, format: 'JSON' }), turns: client },
  {
    name: 'certificate-text-appended',
    bootstrap: certs({ uri: true }, { forward_client_cert_details: 'APPEND_FORWARD' }),
    turns: [by({ certificate: 'client' }, get('/', 'x-forwarded-client-cert: [{"Hash":"1"}]'))],
  },
  {
    name: 'certificate-rules-by-match',
    bootstrap: certs({ uri: true }, { forward_client_cert_matcher: chosen }),
    turns: ['plain', 'json', 'none', 'keep'].map((way) =>
      by({ certificate: 'client' }, get(`/${way}`, `x-way: ${way}`, 'x-forwarded-client-cert: Hash=1')),
    ),
  },
  {
    name: 'certificate-rules-of-another-type',
    bootstrap: certs({}, { forward_client_cert_matcher: { on_no_match: { action: other } } }),
    validateOnly: true,
  },
  { name: 'certificate-by-whom', bootstrap: named({ issuer: true }), turns: client },
  { name: 'certificate-json-by-whom', bootstrap: named({ format: 'JSON' }), turns: client },
  { name: 'certificate-json-little', bootstrap: certs({ format: 'JSON' }), turns: client },
  {
    name: 'certificate-json-appended',
    bootstrap: certs({ format: 'JSON', uri: true }, { forward_client_cert_details: 'APPEND_FORWARD' }),
    turns: [...client, by({ certificate: 'client' }, get('/', 'x-forwarded-client-cert: [{"Hash":"1"}]'))],
  },
  {
    name: 'old-connections-safely',
    bootstrap: (ports) => http(ports, { manager: { ...brief, http1_safe_max_connection_duration: true } }),
    turns: pausing,
  },
  {
    name: 'forwarded-proto-by-port',
    bootstrap: (ports) =>
      http(ports, {
        listener: {
          listener_filters: [listenerFilter('proxy_protocol', 'ProxyProtocol', { allow_requests_without_proxy_protocol: true })],
        },
        manager: { forward_proto_config: { https_destination_ports: [443, 8443], http_destination_ports: [80, 8443] } },
      }),
    turns: [...['443', '80', '81', '8443'].map((port) => `PROXY TCP4 10.1.2.3 10.9.9.9 4567 ${port}\r\n${get('/')}`), get('/')],
  },
  {
    name: 'fingerprints',
    bootstrap: fingerprinted({ enable_ja3_fingerprinting: true, enable_ja4_fingerprinting: true }),
    turns: hellos,
  },
  { name: 'fingerprints-of-one-kind', bootstrap: fingerprinted({ enable_ja4_fingerprinting: true }), turns: hellos },
  { name: 'fingerprints-not-asked-for', bootstrap: fingerprinted({}), turns: hellos },
  {
    name: 'errors-of-outliers-by-match',
    bootstrap: judged({
      or_match: { rules: [status(404), { and_match: { rules: [status(200), { not_match: kind('good') }] } }] },
    }),
    origins: {
      a: {
        answers: [
          { status: 500 },
          { status: 500 },
          { status: 500 },
          { headers: [['x-kind', 'bad']] },
          { headers: [['x-kind', 'good']] },
          { status: 404 },
          { status: 404 },
          { status: 404 },
        ],
      },
    },
    turns: Array.from({ length: 9 }, () => get('/')),
  },
  { name: 'errors-of-outliers-by-nothing', bootstrap: judged(undefined), validateOnly: true },
  {
    name: 'retries-by-what-there-was',
    bootstrap: budgeted({ budget_percent: { value: 20 }, min_retry_concurrency: 0, budget_interval: '60s' }),
    origins: { a: { answers: [{ status: 503 }] } },
    turns: Array.from({ length: 8 }, () => get('/')),
  },
  {
    name: 'retries-by-what-there-is',
    bootstrap: budgeted({ budget_percent: { value: 20 }, min_retry_concurrency: 0 }),
    origins: { a: { answers: [{ status: 503 }] } },
    turns: Array.from({ length: 8 }, () => get('/')),
  },
]

export const newerFieldCases = group('newer', cases)
