import { type Message, typed } from '../parity/bootstrap.ts'
import type { Json } from '../parity/json.ts'
import { type Choice, fields } from './choice.ts'
import { headerValue } from './formats.ts'
import { headerEdits, mutations } from './header-edits.ts'
import { names, patterns } from './words.ts'

/** Clusters of a listener by the origin's name: each has its own, so that its statistics are its own. */
export type ClusterName = (origin: string) => string

const retryWords =
  '5xx,gateway-error,reset,reset-before-request,connect-failure,envoy-ratelimited,retriable-4xx,refused-stream,retriable-status-codes,retriable-headers,http3-post-connect-failure,cancelled,deadline-exceeded,internal,resource-exhausted,unavailable'.split(
    ',',
  )

export function retryPolicy(choice: Choice): Message {
  return fields({
    retry_on: choice.many(1, 3, () => choice.pick(retryWords)).join(','),
    num_retries: choice.maybe(70, () => choice.below(4)),
    per_try_timeout: choice.maybe(25, () => '0.15s'),
    retriable_status_codes: choice.maybe(40, () => [choice.pick([404, 409, 503]), 418]),
    retriable_headers: choice.maybe(20, () => [{ name: 'x-r', string_match: { prefix: choice.pick(['o', 'r']) } }]),
    retriable_request_headers: choice.maybe(15, () => [{ name: choice.pick(names), present_match: true }]),
    retry_back_off: { base_interval: '0.001s', max_interval: '0.002s' },
    rate_limited_retry_back_off: choice.maybe(15, () => ({
      reset_headers: [{ name: choice.pick(['retry-after', 'x-r']), format: choice.pick(['SECONDS', 'UNIX_TIMESTAMP']) }],
      max_interval: '1s',
    })),
  })
}

function pathRewrite(choice: Choice, match: Message): Record<string, Json | undefined> {
  const template = choice.maybe(50, () => ({
    path_rewrite_policy: {
      name: 'template',
      typed_config: typed('envoy.extensions.path.rewrite.uri_template.v3.UriTemplateRewriteConfig', {
        path_template_rewrite: choice.pick(['/new', '/new/{x}', '/{x}/{x}/y']),
      }),
    },
  }))
  if ('path_match_policy' in match) return JSON.stringify(match).includes('{x') ? (template ?? {}) : {}
  if (!choice.chance(40)) return {}
  return choice.pick<() => Record<string, Json>>([
    () => ({ prefix_rewrite: choice.pick(['/new', '/', '/new/', '/a?z=1', '/%41']) }),
    () => ({
      regex_rewrite: {
        pattern: { regex: choice.pick([...patterns, '/a', '/([^/]*)/(.*)', '^/']) },
        substitution: choice.pick(['/n', '', 'x\\0y']),
      },
    }),
    () => ({ path_rewrite: choice.pick(['/p/%REQ(x-a)%', '%REQ(:path)%z', '/%PROTOCOL%', headerValue(choice)]) }),
  ])()
}

function hostRewrite(choice: Choice): Record<string, Json | undefined> {
  if (!choice.chance(35)) return {}
  const kind = choice.pick<() => Record<string, Json>>([
    () => ({ host_rewrite_literal: choice.pick(['new.test', 'new.test:81']) }),
    () => ({ host_rewrite_header: choice.pick(['x-a', 'x-b', 'x-none']) }),
    () => ({ host_rewrite_path_regex: { pattern: { regex: '^/(.+)/.+$' }, substitution: '\\1.test' } }),
    () => ({ auto_host_rewrite: true }),
    () => ({ host_rewrite: choice.pick(['h-%REQ(x-a)%', '%REQ(:authority)%.x', 'h%PROTOCOL%']) }),
  ])()
  return { ...kind, append_x_forwarded_host: choice.maybe(50, () => true) }
}

function hashPolicy(choice: Choice): Message {
  return choice.pick<() => Message>([
    () => ({ header: { header_name: choice.pick(names) }, terminal: choice.chance(30) }),
    () => ({
      cookie: fields({
        name: choice.pick(['c', 'made']),
        ttl: choice.maybe(60, () => choice.pick(['0s', '10s'])),
        path: choice.maybe(50, () => '/p'),
        attributes: choice.maybe(30, () => [{ name: 'SameSite', value: 'Lax' }]),
      }),
    }),
    () => ({ query_parameter: { name: 'q' } }),
    () => ({ connection_properties: { source_ip: true } }),
  ])()
}

function weighted(choice: Choice, cluster: ClusterName, perFilter: () => Message | undefined): Message {
  return fields({
    clusters: choice.many(2, 3, (index) =>
      fields({
        name: cluster(choice.pick(['a', 'b', 'down'])),
        weight: choice.pick([0, 50, 100, 100]) + (index === 0 ? 1 : 0),
        ...headerEdits(choice, 30),
        host_rewrite_literal: choice.maybe(15, () => 'weighted.test'),
        typed_per_filter_config: perFilter(),
        metadata_match: undefined,
      }),
    ),
    // Without a header chance decides.
    header_name: 'x-random',
  })
}

function forward(choice: Choice, match: Message, cluster: ClusterName, perFilter: () => Message | undefined): Message {
  const target = choice.pick<() => Message>([
    () => ({ cluster: cluster(choice.pick(['a', 'a', 'b', 'b', 'down'])) }),
    () => ({ cluster: cluster(choice.pick(['a', 'b'])) }),
    () => ({ cluster: cluster(choice.pick(['a', 'b'])) }),
    () => ({ cluster_header: choice.pick(['x-cluster', 'x-none']) }),
    () => ({ weighted_clusters: weighted(choice, cluster, perFilter) }),
    () => ({ cluster: 'nowhere' }),
  ])()
  return fields({
    ...target,
    ...pathRewrite(choice, match),
    ...hostRewrite(choice),
    cluster_not_found_response_code: choice.maybe(15, () => choice.pick(['NOT_FOUND', 'INTERNAL_SERVER_ERROR'])),
    timeout: choice.maybe(30, () => choice.pick(['0s', '0.25s', '5s'])),
    idle_timeout: choice.maybe(8, () => choice.pick(['0s', '0.3s'])),
    max_stream_duration: choice.maybe(10, () =>
      choice.pick<Message>([
        { max_stream_duration: '0.4s' },
        { grpc_timeout_header_max: '0s' },
        { grpc_timeout_header_max: '1s', grpc_timeout_header_offset: '0.1s' },
      ]),
    ),
    retry_policy: choice.maybe(35, () => retryPolicy(choice)),
    request_mirror_policies: choice.maybe(12, () => [
      fields({
        cluster: cluster('mirror'),
        runtime_fraction: choice.maybe(50, () => ({ default_value: { numerator: choice.pick([0, 100]) } })),
        disable_shadow_host_suffix_append: choice.maybe(40, () => true),
        host_rewrite_literal: choice.maybe(20, () => 'mirrored.test'),
        request_headers_mutations: choice.maybe(30, () => mutations(choice, 'request')),
      }),
    ]),
    hash_policy: choice.maybe(15, () => choice.many(1, 2, () => hashPolicy(choice))),
    internal_redirect_policy: choice.maybe(25, () =>
      fields({
        max_internal_redirects: choice.maybe(60, () => choice.below(3) + 1),
        redirect_response_codes: choice.maybe(50, () => choice.some([301, 302, 303, 307, 308], 3)),
        allow_cross_scheme_redirect: choice.maybe(40, () => true),
        response_headers_to_copy: choice.maybe(30, () => ['x-r']),
      }),
    ),
    rate_limits: choice.maybe(15, () => [{ actions: [choice.pick(rateActions)] }]),
    include_vh_rate_limits: choice.maybe(10, () => true),
    priority: choice.maybe(10, () => 'HIGH'),
    upgrade_configs: choice.maybe(10, () => [{ upgrade_type: 'websocket', enabled: choice.chance(60) }]),
    max_grpc_timeout: undefined,
    metadata_match: choice.maybe(8, () => ({ filter_metadata: { 'envoy.lb': { set: choice.pick(['one', 'none']) } } })),
  })
}

const rateActions: readonly Message[] = [
  { generic_key: { descriptor_value: 'v' } },
  { request_headers: { header_name: 'x-a', descriptor_key: 'v' } },
  { header_value_match: { descriptor_value: 'm', headers: [{ name: 'x-b', present_match: true }] } },
]

function redirect(choice: Choice, match: Message): Message {
  const path = choice.maybe('path_match_policy' in match ? 0 : 60, () =>
    choice.pick<() => Record<string, Json>>([
      () => ({ path_redirect: choice.pick(['/new', '/new?z=1', 'new', '/n#f']) }),
      () => ({ prefix_rewrite: choice.pick(['/new', '/', '/new/']) }),
      () => ({ regex_rewrite: { pattern: { regex: choice.pick(['/a', '/([^/]*)/(.*)', '.*']) }, substitution: '/n' } }),
    ])(),
  )
  const scheme = choice.maybe(50, () =>
    choice.pick<Record<string, Json>>([
      { https_redirect: true },
      { scheme_redirect: 'https' },
      { scheme_redirect: 'http' },
      { scheme_redirect: 'ftp' },
    ]),
  )
  return fields({
    ...path,
    ...scheme,
    host_redirect: choice.maybe(40, () => choice.pick(['new.test', 'new.test:99'])),
    port_redirect: choice.maybe(30, () => choice.pick([80, 443, 8080])),
    response_code: choice.maybe(60, () => choice.pick(['FOUND', 'SEE_OTHER', 'TEMPORARY_REDIRECT', 'PERMANENT_REDIRECT'])),
    strip_query: choice.maybe(30, () => true),
  })
}

function directResponse(choice: Choice): Message {
  const format = choice.pick<() => Message>([
    () => ({ text_format_source: { inline_string: `said %LOCAL_REPLY_BODY% ${headerValue(choice)}` } }),
    () => ({ json_format: { text: '%LOCAL_REPLY_BODY%', code: '%RESPONSE_CODE%', more: headerValue(choice) } }),
    () => ({ text_format_source: { inline_string: '<p>%RESPONSE_CODE%' }, content_type: 'text/html; charset=UTF-8' }),
  ])
  return fields({
    status: choice.pick([200, 200, 201, 204, 301, 404, 418, 503, 599]),
    body: choice.maybe(70, () => ({ inline_string: choice.pick(['direct', '', '{"a":1}']) })),
    body_format: choice.maybe(40, format),
  })
}

/** What a route does with the requests that it takes. */
export function routeAction(choice: Choice, match: Message, cluster: ClusterName, perFilter: () => Message | undefined): Message {
  if (choice.chance(14)) return { redirect: redirect(choice, match) }
  if (choice.chance(14)) return { direct_response: directResponse(choice) }
  return { route: forward(choice, match, cluster, perFilter) }
}
