/** Fields of Envoy's API that are newer than the copy which is shipped; names and numbers as Envoy 1.40 has them. */
interface Addition {
  file: string
  imports?: readonly string[]
  /** The declaration to which `lines` are added, and those before it that it is in; absent: the end of the file. */
  into?: readonly string[]
  lines: readonly string[]
}

const routes = 'envoy/config/route/v3/route_components.proto'

export const additions: readonly Addition[] = [
  {
    file: routes,
    imports: ['envoy/config/core/v3/substitution_format_string.proto', 'envoy/type/matcher/v3/filter_state.proto'],
    lines: [
      'message CookieMatcher {',
      '  string name = 1 [(validate.rules).string = {min_len: 1}];',
      '  type.matcher.v3.StringMatcher string_match = 2 [(validate.rules).message = {required: true}];',
      '  bool invert_match = 3;',
      '}',
    ],
  },
  {
    file: routes,
    into: ['message RouteMatch'],
    lines: ['repeated CookieMatcher cookies = 17;', 'repeated type.matcher.v3.FilterStateMatcher filter_state = 16;'],
  },
  { file: routes, into: ['message RouteAction'], lines: ['string path_rewrite = 45;'] },
  { file: routes, into: ['message RouteAction', 'oneof host_rewrite_specifier'], lines: ['string host_rewrite = 44;'] },
  { file: routes, into: ['oneof path_rewrite_specifier'], lines: ['string path_rewrite = 10;'] },
  { file: routes, into: ['oneof random_value_specifier'], lines: ['google.protobuf.BoolValue use_hash_policy = 5;'] },
  { file: routes, into: ['message RequestMirrorPolicy'], lines: ['string host_rewrite_literal = 8;'] },
  { file: routes, into: ['message DirectResponseAction'], lines: ['core.v3.SubstitutionFormatString body_format = 3;'] },
  { file: routes, into: ['message RetryPolicy'], lines: ['bool refresh_cluster_on_retry = 14;'] },
  { file: routes, into: ['message VirtualHost'], lines: ['google.protobuf.UInt64Value request_body_buffer_limit = 25;'] },
  { file: routes, into: ['message Route'], lines: ['google.protobuf.UInt64Value request_body_buffer_limit = 20;'] },
  {
    file: 'envoy/type/matcher/v3/filter_state.proto',
    imports: ['envoy/type/matcher/v3/address.proto'],
    into: ['message FilterStateMatcher', 'oneof matcher'],
    lines: ['AddressMatcher address_match = 3;'],
  },
  {
    file: 'envoy/config/core/v3/protocol.proto',
    into: ['message HttpProtocolOptions'],
    lines: ['google.protobuf.UInt32Value max_response_headers_kb = 7 [(validate.rules).uint32 = {lte: 8192 gt: 0}];'],
  },
  {
    file: 'envoy/extensions/http/original_ip_detection/xff/v3/xff.proto',
    imports: ['envoy/config/core/v3/address.proto', 'google/protobuf/wrappers.proto'],
    into: ['message XffConfig'],
    lines: ['XffTrustedCidrs xff_trusted_cidrs = 2;', 'google.protobuf.BoolValue skip_xff_append = 3;'],
  },
  {
    file: 'envoy/extensions/http/original_ip_detection/xff/v3/xff.proto',
    lines: ['message XffTrustedCidrs {', '  repeated config.core.v3.CidrRange cidrs = 1;', '}'],
  },
  { file: 'envoy/config/route/v3/route.proto', into: ['message RouteConfiguration'], lines: ['string vhost_header = 18;'] },
]

/** The text of a proto file with what is added to it. Throws when the place of an addition is not there. */
export function withAdditions(file: string, text: string): string {
  let result = text
  for (const addition of additions.filter((one) => one.file === file)) {
    for (const name of addition.imports ?? []) {
      const line = `import "${name}";`
      if (!result.includes(line)) result = result.replace(/^import /m, `${line}\nimport `)
    }
    const { into, lines } = addition
    if (into === undefined) {
      result += `\n${lines.join('\n')}\n`
      continue
    }
    let at = 0
    for (const declaration of into) {
      const found = new RegExp(`^ *${declaration} \\{$`, 'm').exec(result.slice(at))
      if (found === null) throw new Error(`${file} has no "${declaration} {" to add to`)
      at += found.index + found[0].length + 1
    }
    result = `${result.slice(0, at)}${lines.join('\n')}\n${result.slice(at)}`
  }
  return result
}
