import { type Message, typed } from '../parity/bootstrap.ts'
import { type Choice, fields } from './choice.ts'
import { headerValue } from './formats.ts'
import { headerOption, mutations } from './header-edits.ts'

function localReplies(choice: Choice): Message {
  const filter = (): Message =>
    choice.pick<() => Message>([
      () => ({
        status_code_filter: {
          comparison: {
            op: choice.pick(['GE', 'EQ', 'LE']),
            value: { default_value: choice.pick([400, 403, 404, 503]), runtime_key: 'none' },
          },
        },
      }),
      () => ({ response_flag_filter: { flags: choice.some(['NR', 'UF', 'UH', 'FI', 'RL', 'UAEX', 'UO', 'URX'], 4) } }),
      () => ({ header_filter: { header: { name: 'x-a', present_match: true } } }),
      () => ({
        or_filter: {
          filters: [
            { not_health_check_filter: {} } as Message,
            { duration_filter: { comparison: { op: 'GE', value: { default_value: 100000, runtime_key: 'none' } } } },
          ],
        },
      }),
    ])()
  const format = (): Message =>
    choice.chance(50)
      ? { text_format_source: { inline_string: `reply %LOCAL_REPLY_BODY% ${headerValue(choice)}\n` } }
      : {
          json_format: {
            body: '%LOCAL_REPLY_BODY%',
            code: '%RESPONSE_CODE%',
            flags: '%RESPONSE_FLAGS%',
            more: { inner: headerValue(choice) },
          },
        }
  return fields({
    mappers: choice.many(0, 2, () =>
      fields({
        filter: filter(),
        status_code: choice.maybe(50, () => choice.pick([400, 418, 503, 200])),
        body: choice.maybe(40, () => ({ inline_string: choice.pick(['mapped', '']) })),
        body_format_override: choice.maybe(40, format),
        headers_to_add: choice.maybe(40, () => [headerOption(choice, ['x-mapped', 'server', 'content-type', 'x-r'])]),
      }),
    ),
    body_format: choice.maybe(60, format),
  })
}

function addresses(choice: Choice): Message {
  return fields({
    use_remote_address: choice.maybe(60, () => choice.chance(60)),
    xff_num_trusted_hops: choice.maybe(30, () => choice.pick([1, 2])),
    skip_xff_append: choice.maybe(15, () => true),
    internal_address_config: choice.maybe(30, () =>
      fields({
        unix_sockets: true,
        cidr_ranges: choice.maybe(60, () => [{ address_prefix: choice.pick(['10.0.0.0', '127.0.0.0']), prefix_len: 8 }]),
      }),
    ),
    represent_ipv4_remote_address_as_ipv4_mapped_ipv6: choice.maybe(8, () => true),
    append_x_forwarded_port: choice.maybe(20, () => true),
  })
}

/** The options of a connection manager. */
export function managerOptions(choice: Choice): Message {
  return fields({
    ...addresses(choice),
    server_name: choice.maybe(25, () => choice.pick(['mine', ''])),
    server_header_transformation: choice.maybe(40, () => choice.pick(['OVERWRITE', 'APPEND_IF_ABSENT', 'PASS_THROUGH'])),
    scheme_header_transformation: choice.maybe(15, () => fields({ scheme_to_overwrite: choice.pick(['http', 'https']) })),
    via: choice.maybe(15, () => 'me'),
    add_user_agent: choice.maybe(15, () => true),
    generate_request_id: choice.maybe(50, () => choice.chance(40)),
    preserve_external_request_id: choice.maybe(25, () => true),
    always_set_request_id_in_response: choice.maybe(20, () => true),
    forward_client_cert_details: choice.maybe(20, () =>
      choice.pick(['SANITIZE', 'FORWARD_ONLY', 'APPEND_FORWARD', 'SANITIZE_SET', 'ALWAYS_FORWARD_ONLY']),
    ),
    proxy_100_continue: choice.maybe(20, () => true),
    normalize_path: choice.maybe(50, () => choice.chance(70)),
    merge_slashes: choice.maybe(40, () => true),
    path_with_escaped_slashes_action: choice.maybe(35, () =>
      choice.pick(['KEEP_UNCHANGED', 'REJECT_REQUEST', 'UNESCAPE_AND_REDIRECT', 'UNESCAPE_AND_FORWARD']),
    ),
    ...(choice.chance(50) ? {} : choice.chance(50) ? { strip_matching_host_port: true } : { strip_any_host_port: true }),
    strip_trailing_host_dot: choice.maybe(20, () => true),
    stream_error_on_invalid_http_message: choice.maybe(15, () => true),
    local_reply_config: choice.maybe(45, () => localReplies(choice)),
    proxy_status_config: choice.maybe(15, () =>
      fields({
        remove_details: choice.maybe(30, () => true),
        remove_connection_termination_details: choice.maybe(30, () => true),
        remove_response_flags: choice.maybe(30, () => true),
        set_recommended_response_code: choice.maybe(40, () => true),
        ...(choice.chance(50) ? { use_node_id: true } : { literal_proxy_name: 'proxy' }),
      }),
    ),
    common_http_protocol_options: fields({
      headers_with_underscores_action: choice.maybe(40, () => choice.pick(['ALLOW', 'REJECT_REQUEST', 'DROP_HEADER'])),
      max_headers_count: choice.maybe(10, () => 14),
      max_requests_per_connection: choice.maybe(10, () => 2),
    }),
    http_protocol_options: fields({
      allow_absolute_url: choice.maybe(25, () => choice.chance(50)),
      accept_http_10: choice.maybe(50, () => true),
      default_host_for_http_10: choice.maybe(50, () => 'a.test'),
      enable_trailers: choice.maybe(50, () => true),
      allow_chunked_length: choice.maybe(25, () => true),
      override_stream_error_on_invalid_http_message: choice.maybe(15, () => choice.chance(50)),
      allow_custom_methods: choice.maybe(20, () => true),
      header_key_format: choice.maybe(20, () =>
        choice.pick<Message>([
          { proper_case_words: {} },
          {
            stateful_formatter: {
              name: 'preserve_case',
              typed_config: typed(
                'envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig',
                fields({ forward_reason_phrase: choice.maybe(40, () => true) }),
              ),
            },
          },
        ]),
      ),
    }),
    early_header_mutation_extensions: choice.maybe(15, () => [
      {
        name: 'early',
        typed_config: typed('envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation', {
          mutations: mutations(choice, 'request'),
        }),
      },
    ]),
    upgrade_configs: choice.maybe(25, () => [{ upgrade_type: 'websocket', ...(choice.chance(30) ? { enabled: false } : {}) }]),
    request_timeout: choice.maybe(10, () => '0.4s'),
  })
}
