import { httpFilter, type Message, typed } from '../parity/bootstrap.ts'
import { type Choice, fields } from './choice.ts'
import { appendActions, mutations } from './header-edits.ts'
import { headerMatcher, stringMatcher } from './matchers.ts'
import { names, prefixes } from './words.ts'

/** A filter of a chain: what it is there, and what a route, host or weighted cluster may say of it instead. */
export interface FilterKind {
  name: string
  filter(choice: Choice, listener: string): Message
  /** The type's name, and its fields. */
  perRoute?(choice: Choice): readonly [type: string, content: Message]
}

const share = (numerator: number): Message => ({ numerator, denominator: 'HUNDRED' })
const origins = (choice: Choice): Message[] => [stringMatcher(choice, ['http://a.test', 'http://b.test', 'https://c.test'])]

function rules(choice: Choice): Message {
  const permission = choice.pick<() => Message>([
    () => ({ any: true }),
    () => ({ header: headerMatcher(choice) }),
    () => ({ url_path: { path: stringMatcher(choice, prefixes) } }),
    () => ({ not_rule: { header: headerMatcher(choice) } }),
    () => ({ or_rules: { rules: [{ header: headerMatcher(choice) }, { header: headerMatcher(choice) }] } }),
    () => ({ metadata: { filter: 'ns', path: [{ key: 'k' }], value: { string_match: stringMatcher(choice) } } }),
  ])
  const principal = choice.pick<() => Message>([
    () => ({ any: true }),
    () => ({ header: headerMatcher(choice) }),
    () => ({ direct_remote_ip: { address_prefix: '127.0.0.0', prefix_len: 8 } }),
    () => ({ remote_ip: { address_prefix: '10.0.0.0', prefix_len: 8 } }),
    () => ({ not_id: { any: true } }),
  ])
  return {
    action: choice.pick(['ALLOW', 'DENY', 'LOG']),
    policies: {
      one: { permissions: [permission()], principals: [principal()] },
      two: { permissions: [permission()], principals: [principal()] },
    },
  }
}

function fault(choice: Choice): Message {
  return fields({
    abort: choice.maybe(70, () => ({
      ...choice.pick<Message>([{ http_status: choice.pick([200, 418, 503]) }, { header_abort: {} }, { grpc_status: 14 }]),
      percentage: share(choice.pick([0, 100, 100])),
    })),
    delay: choice.maybe(15, () => ({ fixed_delay: '0.02s', percentage: share(100) })),
    headers: choice.maybe(40, () => [headerMatcher(choice)]),
    upstream_cluster: choice.maybe(10, () => 'nowhere'),
    disable_downstream_cluster_stats: choice.maybe(20, () => true),
  })
}

function corsPolicy(choice: Choice): Message {
  return fields({
    allow_origin_string_match: origins(choice),
    allow_methods: choice.maybe(60, () => 'GET,PUT'),
    allow_headers: choice.maybe(60, () => 'x-a,x-b'),
    expose_headers: choice.maybe(50, () => 'x-r'),
    max_age: choice.maybe(50, () => '100'),
    allow_credentials: choice.maybe(40, () => choice.chance(60)),
    filter_enabled: choice.maybe(20, () => ({ default_value: share(choice.pick([0, 100])) })),
    shadow_enabled: choice.maybe(15, () => ({ default_value: share(choice.pick([0, 100])) })),
    forward_not_matching_preflights: choice.maybe(30, () => choice.chance(50)),
  })
}

function csrfPolicy(choice: Choice): Message {
  return fields({
    filter_enabled: { default_value: share(choice.pick([0, 100, 100])) },
    shadow_enabled: choice.maybe(20, () => ({ default_value: share(100) })),
    additional_origins: choice.maybe(50, () => origins(choice)),
  })
}

function localRateLimit(choice: Choice): Message {
  const bucket = (): Message => ({ max_tokens: choice.pick([1, 3, 100]), tokens_per_fill: 1, fill_interval: '3600s' })
  return fields({
    stat_prefix: 'limited',
    token_bucket: bucket(),
    filter_enabled: { default_value: share(choice.pick([100, 100, 0])) },
    filter_enforced: { default_value: share(choice.pick([100, 100, 0])) },
    response_headers_to_add: choice.maybe(30, () => [{ header: { key: 'x-limited', value: 'yes' } }]),
    request_headers_to_add_when_not_enforced: choice.maybe(20, () => [{ header: { key: 'x-over', value: 'yes' } }]),
    status: choice.maybe(25, () => ({ code: choice.pick(['ServiceUnavailable', 'OK', 'Forbidden']) })),
    enable_x_ratelimit_headers: choice.maybe(30, () => 'DRAFT_VERSION_03'),
    rate_limited_as_resource_exhausted: choice.maybe(20, () => true),
    descriptors: choice.maybe(40, () => [
      { entries: [{ key: 'generic_key', value: 'v' }], token_bucket: bucket() },
      { entries: [{ key: 'v', value: '1' }], token_bucket: bucket() },
    ]),
    always_consume_default_token_bucket: choice.maybe(20, () => choice.chance(50)),
  })
}

function metadata(choice: Choice): Message {
  return {
    metadata: choice.many(1, 2, () =>
      fields({
        metadata_namespace: choice.pick(['ns', 'other']),
        value: choice.pick<Message>([{ k: 'one' }, { m: 2, deep: { k: 'x1y' } }, { k: '1', deep: { k: [1, 'two'] } }]),
        allow_overwrite: choice.maybe(50, () => true),
      }),
    ),
  }
}

function headerToMetadata(choice: Choice): Message {
  const pair = (present: boolean): Message =>
    fields({
      metadata_namespace: choice.maybe(80, () => 'ns'),
      key: choice.pick(['k', 'm']),
      value: present ? choice.maybe(30, () => 'fixed') : 'missing',
      type: choice.maybe(30, () => choice.pick(['NUMBER', 'STRING', 'PROTOBUF_VALUE'])),
      encode: undefined,
    })
  const rule = (header: string): Message =>
    fields({
      ...(choice.chance(80) ? { header } : { cookie: 'c' }),
      on_header_present: choice.chance(50)
        ? pair(true)
        : fields({
            metadata_namespace: 'ns',
            key: 'k',
            regex_value_rewrite: { pattern: { regex: '(o)(.*)' }, substitution: '\\2-\\1' },
          }),
      on_header_missing: choice.maybe(50, () => pair(false)),
    })
  return fields({
    request_rules: choice.many(1, 2, () => {
      const one = rule(choice.pick(names))
      return choice.chance(25) && 'header' in one ? { ...one, remove: true } : one
    }),
    response_rules: choice.chance(30) ? [{ header: 'x-r', on_header_present: { metadata_namespace: 'ns', key: 'k' } }] : [],
  })
}

const type = (folder: string, message: string): string => `envoy.extensions.filters.http.${folder}.v3.${message}`

export const filterKinds: readonly FilterKind[] = [
  {
    name: 'set_metadata',
    filter: (choice) => httpFilter('set_metadata', 'Config', metadata(choice)),
  },
  {
    name: 'header_to_metadata',
    filter: (choice) => httpFilter('header_to_metadata', 'Config', headerToMetadata(choice)),
    perRoute: (choice) => [type('header_to_metadata', 'Config'), headerToMetadata(choice)],
  },
  {
    name: 'fault',
    filter: (choice) => httpFilter('fault', 'HTTPFault', choice.chance(50) ? {} : fault(choice)),
    perRoute: (choice) => [type('fault', 'HTTPFault'), fault(choice)],
  },
  {
    name: 'rbac',
    filter: (choice) =>
      httpFilter(
        'rbac',
        'RBAC',
        fields({
          rules: choice.maybe(50, () => rules(choice)),
          shadow_rules: choice.maybe(30, () => rules(choice)),
          shadow_rules_stat_prefix: choice.maybe(30, () => 'shadowed_'),
        }),
      ),
    perRoute: (choice) => [
      type('rbac', 'RBACPerRoute'),
      choice.pick<Message>([{}, { rbac: { rules: rules(choice) } }, { rbac: { rules: rules(choice) } }]),
    ],
  },
  {
    name: 'cors',
    filter: () => httpFilter('cors', 'Cors'),
    perRoute: (choice) => [type('cors', 'CorsPolicy'), corsPolicy(choice)],
  },
  {
    name: 'csrf',
    filter: (choice) => httpFilter('csrf', 'CsrfPolicy', csrfPolicy(choice)),
    perRoute: (choice) => [type('csrf', 'CsrfPolicy'), csrfPolicy(choice)],
  },
  {
    name: 'buffer',
    filter: (choice) => httpFilter('buffer', 'Buffer', { max_request_bytes: choice.pick([5, 1000]) }),
    perRoute: (choice) => [
      type('buffer', 'BufferPerRoute'),
      choice.pick<Message>([{ disabled: true }, { buffer: { max_request_bytes: choice.pick([3, 30, 1000]) } }]),
    ],
  },
  {
    name: 'local_ratelimit',
    filter: (choice) =>
      httpFilter('local_ratelimit', 'LocalRateLimit', choice.chance(50) ? { stat_prefix: 'limited' } : localRateLimit(choice)),
    perRoute: (choice) => [type('local_ratelimit', 'LocalRateLimit'), localRateLimit(choice)],
  },
  {
    name: 'header_mutation',
    filter: (choice) =>
      httpFilter('header_mutation', 'HeaderMutation', {
        mutations: { request_mutations: mutations(choice, 'request'), response_mutations: mutations(choice, 'response') },
        ...(choice.chance(30) ? { most_specific_header_mutations_wins: true } : {}),
      }),
    perRoute: (choice) => [
      type('header_mutation', 'HeaderMutationPerRoute'),
      {
        mutations: fields({
          request_mutations: mutations(choice, 'request'),
          response_mutations: mutations(choice, 'response'),
          query_parameter_mutations: choice.maybe(40, () => [
            choice.pick<Message>([
              {
                append: {
                  record: { key: choice.pick(['q', 'n']), value: choice.pick(['9', '%REQ(x-a)%', 'a b']) },
                  action: choice.pick(appendActions),
                },
              },
              { remove: 'q' },
            ]),
          ]),
        }),
      },
    ],
  },
  {
    name: 'ext_authz',
    filter: (choice, listener) =>
      httpFilter(
        'ext_authz',
        'ExtAuthz',
        fields({
          http_service: fields({
            server_uri: { uri: 'http://auth.test', cluster: `${listener}_auth`, timeout: '1s' },
            path_prefix: choice.maybe(40, () => '/check'),
            authorization_request: choice.maybe(60, () =>
              fields({
                allowed_headers: { patterns: [{ prefix: 'x-a' }, { prefix: 'x-i' }] },
                headers_to_add: choice.maybe(40, () => [{ key: 'x-added', value: 'yes' }]),
              }),
            ),
            authorization_response: choice.maybe(70, () =>
              fields({
                allowed_upstream_headers: choice.maybe(60, () => ({ patterns: [{ prefix: 'x-' }] })),
                allowed_upstream_headers_to_append: choice.maybe(30, () => ({ patterns: [{ exact: 'x-r' }] })),
                allowed_client_headers: choice.maybe(60, () => ({ patterns: [{ prefix: 'x-' }] })),
                allowed_client_headers_on_success: choice.maybe(60, () => ({ patterns: [{ prefix: 'x-' }] })),
              }),
            ),
          }),
          failure_mode_allow: choice.maybe(30, () => true),
          failure_mode_allow_header_add: choice.maybe(30, () => true),
          status_on_error: choice.maybe(30, () => ({ code: 'ServiceUnavailable' })),
          with_request_body: choice.maybe(30, () => ({ max_request_bytes: 8, allow_partial_message: choice.chance(70) })),
          clear_route_cache: choice.maybe(30, () => true),
        }),
      ),
    perRoute: (choice) => [
      type('ext_authz', 'ExtAuthzPerRoute'),
      choice.pick<Message>([{ disabled: true }, { check_settings: { disable_request_body_buffering: true } }]),
    ],
  },
  {
    name: 'basic_auth',
    // user: a, password: b
    filter: () => httpFilter('basic_auth', 'BasicAuth', { users: { inline_string: 'a:{SHA}6dcfXufJLW3J6S/9rRe4vUlBj5g=\n' } }),
  },
  {
    name: 'grpc_stats',
    filter: (choice) =>
      httpFilter('grpc_stats', 'FilterConfig', choice.chance(50) ? { stats_for_all_methods: true } : { emit_filter_state: true }),
  },
  { name: 'grpc_web', filter: () => httpFilter('grpc_web', 'GrpcWeb') },
  { name: 'grpc_http1_bridge', filter: () => httpFilter('grpc_http1_bridge', 'Config') },
  {
    name: 'health_check',
    filter: (choice) =>
      httpFilter('health_check', 'HealthCheck', {
        pass_through_mode: choice.chance(40),
        headers: [headerMatcher(choice), headerMatcher(choice)],
      }),
  },
  {
    name: 'ip_tagging',
    filter: () =>
      httpFilter('ip_tagging', 'IPTagging', {
        request_type: 'BOTH',
        ip_tags: [
          { ip_tag_name: 'ten', ip_list: [{ address_prefix: '10.0.0.0', prefix_len: 8 }] },
          { ip_tag_name: 'loop', ip_list: [{ address_prefix: '127.0.0.0', prefix_len: 8 }] },
        ],
      }),
  },
  {
    name: 'set_filter_state',
    filter: (choice) =>
      httpFilter('set_filter_state', 'Config', {
        on_request_headers: [
          {
            object_key: 'state',
            factory_key: 'envoy.string',
            format_string: { text_format_source: { inline_string: choice.pick(['%REQ(x-a)%', 'fixed', '%REQ(:path)%']) } },
            skip_if_empty: choice.chance(50),
          },
        ],
      }),
  },
]

/** What a route, host or weighted cluster says of the filters that there are; undefined where it says nothing. */
export function perFilterConfig(choice: Choice, kinds: readonly FilterKind[]): Message | undefined {
  const chosen = kinds.filter(() => choice.chance(30))
  const entries = chosen.flatMap(({ name, perRoute }) => {
    if (choice.chance(12))
      return [[`envoy.filters.http.${name}`, typed('envoy.config.route.v3.FilterConfig', { disabled: true })] as const]
    const content = perRoute?.(choice)
    return content === undefined ? [] : [[`envoy.filters.http.${name}`, typed(...content)] as const]
  })
  return entries.length === 0 ? undefined : Object.fromEntries(entries)
}
