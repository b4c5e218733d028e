import { accessLog, http, httpFilter, type Message, typed } from '../bootstrap.ts'
import { get, group, type ParityCase, request } from '../case.ts'

/** Expressions whose values do not hang on time and ports. */
const attributes = [
  'request.path',
  'request.url_path',
  'request.query',
  'request.host',
  'request.method',
  'request.scheme',
  'request.protocol',
  'request.useragent',
  'request.referer',
  'request.size',
  "request.headers['x-a']",
  "request.headers['X-A'].size()",
  "request.headers['none']",
  "'x-a' in request.headers",
  'has(request.referer)',
  'request.time.getFullYear() > 2000',
  "request.duration < duration('1h')",
  'response.code',
  'response.size',
  'response.flags',
  'response.grpc_status',
  'response.code_details',
  "response.headers['x-up']",
  'connection.mtls',
  'connection.requested_server_name',
  'connection.tls_version',
  'upstream.request_attempt_count',
  'upstream.port > 0',
  "source.address.startsWith('127.0.0.1:')",
  'destination.port > 0',
  'metadata.filter_metadata.m.n',
  "metadata.filter_metadata['m'].list[1]",
  'has(metadata.filter_metadata.m.none)',
  "filter_state['k'] == b'kept'",
  "filter_state['none']",
  'xds.cluster_name',
  'xds.route_name',
  'xds.route_metadata.filter_metadata.r.k',
  'xds.virtual_host_name',
  'nothing',
  'request.nothing',
  "request.nothing == 'x' || response.code == 200",
  "request.nothing == 'x' && response.code == 200",
]

const language = [
  '1 + 2 * 3',
  '-5 / 2',
  '1.0 / 0.0',
  '1e30',
  '0.1 + 0.2',
  '5u % 3u',
  "'a' + 'b'",
  '1 == 1.0 && 1u == 1',
  "1 < 'a'",
  "{'a': [1, 2]}.a[1]",
  'type(1) == int',
  'null',
  "duration('1h1m1s1ms')",
  "timestamp('2020-01-01T00:00:00.5+01:00')",
  "timestamp('2020-02-03T04:05:06Z').getDayOfYear()",
  "timestamp('2020-07-03T04:05:06Z').getHours('Europe/Berlin')",
  "'abc'.matches('^a.c$')",
  "int('12x')",
  "bool('yes')",
  "size('h\\u00e9llo')",
  'true ? 1 : nothing',
]

function logOf(expressions: readonly string[]): Message {
  const fields = expressions.map((text, i) => [`e${String(i).padStart(2, '0')}`, `%CEL(${text})%`])
  return accessLog({ json_format: Object.fromEntries(fields) })
}

function loggedIf(expression: string, label: string): Message {
  const config = typed('envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter', { expression })
  return accessLog(`${label}\n`, { extension_filter: { name: 'cel', typed_config: config } })
}

const setMetadata = httpFilter('set_metadata', 'Config', {
  metadata: [{ metadata_namespace: 'm', value: { n: 3, list: [1, 'z'] } }],
})
const setState = httpFilter('set_filter_state', 'Config', {
  on_request_headers: [
    { object_key: 'k', factory_key: 'envoy.string', format_string: { text_format_source: { inline_string: 'kept' } } },
  ],
})
const route: Message = {
  name: 'r1',
  metadata: { filter_metadata: { r: { k: 'v' } } },
  match: { prefix: '/' },
  route: { cluster: 'a' },
}

const name = (text: string): Message => ({ ident_expr: { name: text } })
const text = (value: string): Message => ({ const_expr: { string_value: value } })
const field = (operand: Message, member: string): Message => ({ select_expr: { operand, field: member } })
const call = (operator: string, ...args: Message[]): Message => ({ call_expr: { function: operator, args } })
const path = field(name('request'), 'path')
const isAdmin = call('_==_', call('_[_]', field(name('request'), 'headers'), text('x-role')), text('admin'))
const isPublic: Message = { call_expr: { target: path, function: 'startsWith', args: [text('/pub')] } }

function policy(condition: Message): Message {
  return { p: { permissions: [{ any: true }], principals: [{ any: true }], condition } }
}

function rbac(action: string, condition: Message): Message {
  return httpFilter('rbac', 'RBAC', { rules: { action, policies: policy(condition) } })
}

const requests = [get('/pub/x'), get('/private'), get('/private', 'x-role: admin'), request('POST', '/pub', [], 'hello')]

function refused(label: string, bootstrap: ParityCase['bootstrap']): ParityCase {
  return { name: label, bootstrap, validateOnly: true }
}

const badTexts = {
  syntax: '1 +',
  'no-function': 'lower(request.path)',
  'bad-pattern': "request.path.matches('[')",
  'large-pattern': "request.path.matches('[a-z]{100}')",
  'through-a-list': "request.headers.exists(h, h == 'x')",
  'text-of': 'string(1)',
  'a-field-alone': 'has(request)',
}

function descriptor(more: Message): Message {
  const config = typed('envoy.extensions.rate_limit_descriptors.expr.v3.Descriptor', { descriptor_key: 'k', ...more })
  return { actions: [{ extension: { name: 'expr', typed_config: config } }] }
}

function limited(more: Message): Message {
  const bucket = (tokens: number): Message => ({ max_tokens: tokens, tokens_per_fill: tokens, fill_interval: '3600s' })
  const always = { default_value: { numerator: 100 } }
  return httpFilter('local_ratelimit', 'LocalRateLimit', {
    stat_prefix: 'limit',
    filter_enabled: always,
    filter_enforced: always,
    token_bucket: bucket(100),
    rate_limits: [descriptor(more)],
    descriptors: [{ entries: [{ key: 'k', value: '/pub/x' }], token_bucket: bucket(1) }],
  })
}

const cases: ParityCase[] = [
  {
    name: 'attributes',
    bootstrap: (ports) =>
      http(ports, { routes: [route], filters: [setMetadata, setState], manager: { access_log: [logOf(attributes)] } }),
    origins: { a: { answers: [{ headers: [['x-up', '1']], body: 'ok' }] } },
    turns: [request('POST', '/a/b?q=1', ['x-a: 1', 'x-a: 2', 'user-agent: u'], 'hello'), get('/', 'referer: there')],
  },
  {
    name: 'attributes-without-upstream',
    bootstrap: (ports) =>
      http(ports, {
        routes: [{ match: { prefix: '/' }, direct_response: { status: 418 } }],
        manager: { access_log: [logOf(attributes)] },
      }),
    turns: [get('/x')],
  },
  { name: 'language', bootstrap: (ports) => http(ports, { manager: { access_log: [logOf(language)] } }), turns: [get('/')] },
  {
    name: 'log-filters',
    bootstrap: (ports) =>
      http(ports, {
        manager: {
          access_log: [
            loggedIf('response.code >= 400', 'bad'),
            loggedIf("request.headers['x-role'] == 'admin'", 'admin'),
            loggedIf("!(request.headers['x-role'] == 'admin')", 'no admin'),
            loggedIf("request.path.startsWith('/pub')", 'public'),
            loggedIf('1', 'one'),
          ],
        },
      }),
    turns: requests,
  },
  { name: 'rbac-allow', bootstrap: (ports) => http(ports, { filters: [rbac('ALLOW', isAdmin)] }), turns: requests },
  { name: 'rbac-deny', bootstrap: (ports) => http(ports, { filters: [rbac('DENY', isAdmin)] }), turns: requests },
  {
    name: 'rbac-either',
    bootstrap: (ports) => http(ports, { filters: [rbac('ALLOW', call('_||_', isAdmin, isPublic))] }),
    turns: requests,
  },
  {
    name: 'rbac-no-boolean',
    bootstrap: (ports) => http(ports, { filters: [rbac('ALLOW', path)] }),
    turns: requests,
  },
  {
    name: 'rate-limit',
    bootstrap: (ports) => http(ports, { filters: [limited({ text: 'request.path' })] }),
    turns: [get('/pub/x'), get('/other'), get('/pub/x')],
  },
  {
    name: 'rate-limit-parsed',
    bootstrap: (ports) => http(ports, { filters: [limited({ parsed: path })] }),
    turns: [get('/pub/x'), get('/pub/x')],
  },
  ...Object.entries(badTexts).map(([label, bad]) =>
    refused(`refused-${label}`, (ports) => http(ports, { manager: { access_log: [loggedIf(bad, 'x')] } })),
  ),
  refused('refused-condition-without-kind', (ports) => http(ports, { filters: [rbac('ALLOW', {})] })),
  refused('refused-condition-without-function', (ports) => http(ports, { filters: [rbac('ALLOW', call('nothing', path))] })),
  refused('refused-descriptor', (ports) => http(ports, { filters: [limited({ text: 'request.path +' })] })),
  refused('refused-descriptor-without-expression', (ports) => http(ports, { filters: [limited({})] })),
]

export const expressionCases = group('expressions', cases)
