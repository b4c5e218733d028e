/** Fields of Envoy's API that are newer than the copy which is shipped; names, numbers and rules as Envoy 1.40 has them. */
interface Addition {
  file: string
  imports?: readonly string[]
  /** The declaration to which `lines` are added, and those before it that it is in; absent: the end of the file. */
  into?: readonly string[]
  lines: readonly string[]
}

const routes = 'envoy/config/route/v3/route_components.proto'
const base = 'envoy/config/core/v3/base.proto'
const extAuthz = 'envoy/extensions/filters/http/ext_authz/v3/ext_authz.proto'
const headerMutation = 'envoy/extensions/filters/http/header_mutation/v3/header_mutation.proto'
const jwt = 'envoy/extensions/filters/http/jwt_authn/v3/config.proto'
const localRatelimit = 'envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.proto'
const mutations = 'envoy/config/common/mutation_rules/v3/mutation_rules.proto'
const ratelimit = 'envoy/extensions/filters/http/ratelimit/v3/rate_limit.proto'
const descriptors = 'envoy/extensions/common/ratelimit/v3/ratelimit.proto'
const rbac = 'envoy/config/rbac/v3/rbac.proto'
const tcpProxy = 'envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.proto'
const hcm = 'envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.proto'
const protocols = 'envoy/config/core/v3/protocol.proto'
const compressor = 'envoy/extensions/filters/http/compressor/v3/compressor.proto'

const fields: readonly Addition[] = [
  {
    file: 'envoy/config/bootstrap/v3/bootstrap.proto',
    imports: ['envoy/type/matcher/v3/string.proto'],
    into: ['message Admin'],
    lines: ['repeated type.matcher.v3.StringMatcher allow_paths = 7;'],
  },
  {
    file: 'envoy/config/bootstrap/v3/bootstrap.proto',
    into: ['message Bootstrap'],
    lines: ['google.protobuf.Duration stats_eviction_interval = 42 [(validate.rules).duration = {gte {nanos: 1000000}}];'],
  },
  {
    file: 'envoy/config/cluster/v3/circuit_breaker.proto',
    imports: ['google/protobuf/duration.proto'],
    into: ['message CircuitBreakers', 'message Thresholds', 'message RetryBudget'],
    lines: ['google.protobuf.Duration budget_interval = 3;'],
  },
  {
    file: 'envoy/config/cluster/v3/outlier_detection.proto',
    into: ['message OutlierDetection'],
    lines: ['google.protobuf.BoolValue detect_degraded_hosts = 26;'],
  },
  {
    file: 'envoy/extensions/upstreams/http/v3/http_protocol_options.proto',
    imports: ['envoy/config/common/matcher/v3/matcher.proto'],
    into: ['message HttpProtocolOptions'],
    lines: [
      'message OutlierDetection {',
      '  config.common.matcher.v3.MatchPredicate error_matcher = 1 [(validate.rules).message = {required: true}];',
      '}',
      'OutlierDetection outlier_detection = 8;',
    ],
  },
  {
    file: 'envoy/config/core/v3/health_check.proto',
    into: ['message HealthCheck'],
    lines: ['string name = 27;'],
  },
  {
    file: 'envoy/config/core/v3/health_check.proto',
    into: ['message HealthCheck', 'message HttpHealthCheck'],
    lines: ['bool use_alpn_protocol = 15;'],
  },
  {
    file: 'envoy/config/listener/v3/listener.proto',
    imports: ['envoy/config/metrics/v3/stats.proto', 'envoy/config/core/v3/address.proto'],
    into: ['message Listener'],
    lines: [
      'core.v3.TcpKeepalive tcp_keepalive = 37;',
      'google.protobuf.Duration per_connection_buffer_high_watermark_timeout = 38 [(validate.rules).duration = {gte {}}];',
      'metrics.v3.StatsMatcher stats_matcher = 39;',
    ],
  },
  {
    file: 'envoy/config/listener/v3/listener.proto',
    into: ['message AdditionalAddress'],
    lines: ['core.v3.TcpKeepalive tcp_keepalive = 3;'],
  },
  {
    file: 'envoy/config/cluster/v3/cluster.proto',
    imports: ['envoy/config/metrics/v3/stats.proto'],
    into: ['message Cluster'],
    lines: [
      'google.protobuf.Duration per_connection_buffer_high_watermark_timeout = 60 [(validate.rules).duration = {gte {}}];',
      'metrics.v3.StatsMatcher stats_matcher = 61;',
    ],
  },
  {
    file: 'envoy/config/trace/v3/opentelemetry.proto',
    imports: ['google/protobuf/wrappers.proto'],
    into: ['message OpenTelemetryConfig'],
    lines: [
      'google.protobuf.UInt32Value max_cache_size = 6;',
      'google.protobuf.BoolValue set_telemetry_sdk_resource_attributes = 7;',
      'google.protobuf.BoolValue set_service_name_resource_attribute = 8;',
      'google.protobuf.BoolValue set_instrumentation_scope = 9;',
    ],
  },
  {
    file: 'envoy/config/core/v3/socket_option.proto',
    into: ['message SocketOption'],
    lines: [
      'message SocketType {',
      '  message Stream {}',
      '  message Datagram {}',
      '  oneof type {',
      '    option (validate.required) = true;',
      '    Stream stream = 1;',
      '    Datagram datagram = 2;',
      '  }',
      '}',
      'SocketType type = 7;',
    ],
  },
  {
    file: 'envoy/config/metrics/v3/stats.proto',
    into: ['message StatsConfig'],
    lines: ['google.protobuf.BoolValue allow_default_tag_overrides = 5;'],
  },
  {
    file: 'envoy/extensions/load_balancing_policies/common/v3/common.proto',
    into: ['message LocalityLbConfig', 'message ZoneAwareLbConfig'],
    lines: [
      'message ForceLocalZone {',
      '  google.protobuf.UInt32Value min_size = 1;',
      '}',
      'enum LocalityBasis {',
      '  HEALTHY_HOSTS_NUM = 0;',
      '  HEALTHY_HOSTS_WEIGHT = 1;',
      '}',
      'ForceLocalZone force_local_zone = 5;',
      'LocalityBasis locality_basis = 6;',
    ],
  },
  {
    file: base,
    lines: [
      'message CelExpressionConfig {',
      '  bool enable_string_conversion = 1;',
      '  bool enable_string_concat = 2;',
      '  bool enable_string_functions = 3;',
      '}',
    ],
  },
  {
    file: hcm,
    lines: [
      'message ForwardProtoConfig {',
      '  repeated uint32 https_destination_ports = 1 [(validate.rules).repeated = {items {uint32 {lte: 65535}}}];',
      '  repeated uint32 http_destination_ports = 2 [(validate.rules).repeated = {items {uint32 {lte: 65535}}}];',
      '}',
    ],
  },
  { file: hcm, into: ['message HttpConnectionManager'], lines: ['ForwardProtoConfig forward_proto_config = 61;'] },
  {
    file: 'envoy/config/core/v3/http_service.proto',
    imports: ['envoy/config/core/v3/extension.proto'],
    into: ['message HttpService'],
    lines: ['repeated TypedExtensionConfig formatters = 3;'],
  },
  {
    file: 'envoy/config/core/v3/proxy_protocol.proto',
    imports: ['envoy/config/core/v3/substitution_format_string.proto'],
    lines: [
      'message TlvEntry {',
      '  uint32 type = 1 [(validate.rules).uint32 = {lt: 256}];',
      '  bytes value = 2;',
      '  SubstitutionFormatString format_string = 3;',
      '}',
    ],
  },
  {
    file: 'envoy/config/core/v3/proxy_protocol.proto',
    into: ['message ProxyProtocolConfig'],
    lines: ['repeated TlvEntry added_tlvs = 3;'],
  },
  {
    file: 'envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol.proto',
    into: ['message ProxyProtocol'],
    lines: ['enum TlvLocation {', '  DYNAMIC_METADATA = 0;', '  FILTER_STATE = 1;', '}', 'TlvLocation tlv_location = 6;'],
  },
  {
    file: 'envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector.proto',
    into: ['message TlsInspector'],
    lines: ['google.protobuf.BoolValue enable_ja4_fingerprinting = 3;'],
  },
  {
    file: tcpProxy,
    lines: [
      'enum UpstreamConnectMode {',
      '  IMMEDIATE = 0;',
      '  ON_DOWNSTREAM_DATA = 1;',
      '  ON_DOWNSTREAM_TLS_HANDSHAKE = 2;',
      '}',
      'enum ProxyProtocolTlvMergePolicy {',
      '  ADD_IF_ABSENT = 0;',
      '  OVERWRITE_BY_TYPE_IF_EXISTS_OR_ADD = 1;',
      '  APPEND_IF_EXISTS_OR_ADD = 2;',
      '}',
    ],
  },
  {
    file: tcpProxy,
    imports: ['envoy/config/core/v3/proxy_protocol.proto'],
    into: ['message TcpProxy'],
    lines: [
      'repeated config.core.v3.TlvEntry proxy_protocol_tlvs = 19;',
      'UpstreamConnectMode upstream_connect_mode = 21 [(validate.rules).enum = {defined_only: true}];',
      'google.protobuf.UInt32Value max_early_data_bytes = 22 [(validate.rules).uint32 = {lte: 1048576}];',
      'ProxyProtocolTlvMergePolicy proxy_protocol_tlv_merge_policy = 23 [(validate.rules).enum = {defined_only: true}];',
    ],
  },
  {
    file: tcpProxy,
    imports: [hcm, 'envoy/config/core/v3/extension.proto'],
    into: ['message TcpProxy', 'message TunnelingConfig'],
    lines: [
      'http_connection_manager.v3.RequestIDExtension request_id_extension = 7;',
      'string request_id_header = 8;',
      'string request_id_metadata_key = 9;',
      'repeated config.core.v3.TypedExtensionConfig formatters = 10;',
    ],
  },
  {
    file: rbac,
    imports: ['envoy/config/core/v3/base.proto'],
    into: ['message Policy'],
    lines: ['core.v3.CelExpressionConfig cel_config = 5;'],
  },
  {
    file: rbac,
    imports: ['envoy/config/core/v3/extension.proto'],
    into: ['message Principal', 'oneof identifier'],
    lines: ['core.v3.TypedExtensionConfig custom = 14;'],
  },
  { file: 'xds/type/matcher/v3/matcher.proto', into: ['message OnMatch'], lines: ['bool keep_matching = 3;'] },
  {
    file: headerMutation,
    imports: ['envoy/config/core/v3/extension.proto'],
    into: ['message Mutations'],
    lines: ['repeated config.core.v3.TypedExtensionConfig formatters = 6;'],
  },
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
  {
    file: 'envoy/config/core/v3/config_source.proto',
    into: ['message PathConfigSource'],
    lines: ['google.protobuf.Duration poll_interval = 3 [(validate.rules).duration = {gte {nanos: 1000000}}];'],
  },
  { file: routes, into: ['message RouteAction', 'oneof host_rewrite_specifier'], lines: ['string host_rewrite = 44;'] },
  { file: routes, into: ['oneof path_rewrite_specifier'], lines: ['string path_rewrite = 10;'] },
  { file: routes, into: ['oneof random_value_specifier'], lines: ['google.protobuf.BoolValue use_hash_policy = 5;'] },
  {
    file: routes,
    imports: ['envoy/config/common/mutation_rules/v3/mutation_rules.proto'],
    into: ['message RequestMirrorPolicy'],
    lines: [
      'repeated config.common.mutation_rules.v3.HeaderMutation request_headers_mutations = 7;',
      'string host_rewrite_literal = 8 [(validate.rules).string = {well_known_regex: HTTP_HEADER_VALUE strict: false}];',
    ],
  },
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
    file: 'envoy/config/cluster/v3/cluster.proto',
    into: ['message Cluster'],
    lines: ['google.protobuf.Duration dns_jitter = 58 [(validate.rules).duration = {gte {}}];'],
  },
  {
    file: 'envoy/extensions/transport_sockets/tls/v3/tls.proto',
    into: ['message UpstreamTlsContext'],
    lines: ['bool auto_host_sni = 6;', 'bool auto_sni_san_validation = 7;'],
  },
  {
    file: protocols,
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
  {
    file: 'envoy/config/route/v3/route.proto',
    into: ['message RouteConfiguration'],
    lines: ['string vhost_header = 18 [(validate.rules).string = {well_known_regex: HTTP_HEADER_NAME strict: false}];'],
  },
  {
    file: routes,
    imports: ['envoy/type/matcher/v3/address.proto'],
    into: ['message RateLimit'],
    lines: [
      'message HitsAddend {',
      '  google.protobuf.UInt64Value number = 1 [(validate.rules).uint64 = {lte: 1000000000}];',
      '  string format = 2 [(validate.rules).string = {prefix: "%" suffix: "%" ignore_empty: true}];',
      '  bool is_negative_hits = 3;',
      '}',
      'HitsAddend hits_addend = 5;',
      'bool apply_on_stream_done = 6;',
    ],
  },
  {
    file: routes,
    into: ['message RateLimit', 'message Action'],
    lines: [
      'message QueryParameters {',
      '  string query_parameter_name = 1 [(validate.rules).string = {min_len: 1}];',
      '  string descriptor_key = 2 [(validate.rules).string = {min_len: 1}];',
      '  bool skip_if_absent = 3;',
      '}',
      'message RemoteAddressMatch {',
      '  string descriptor_value = 1 [(validate.rules).string = {min_len: 1}];',
      '  string descriptor_key = 2;',
      '  string default_value = 3;',
      '  type.matcher.v3.AddressMatcher address_matcher = 4 [(validate.rules).message = {required: true}];',
      '}',
    ],
  },
  {
    file: routes,
    into: ['message RateLimit', 'message Action', 'oneof action_specifier'],
    lines: ['QueryParameters query_parameters = 12;', 'RemoteAddressMatch remote_address_match = 13;'],
  },
  { file: routes, into: ['message RateLimit', 'message GenericKey'], lines: ['string default_value = 3;'] },
  { file: routes, into: ['message RateLimit', 'message HeaderValueMatch'], lines: ['string default_value = 5;'] },
  { file: routes, into: ['message RateLimit', 'message QueryParameterValueMatch'], lines: ['string default_value = 5;'] },
  {
    file: routes,
    imports: ['envoy/type/v3/ratelimit_unit.proto'],
    into: ['message RateLimit', 'message Override'],
    lines: [
      'message RateLimitOverride {',
      '  uint32 requests_per_unit = 1;',
      '  type.v3.RateLimitUnit unit = 2 [(validate.rules).enum = {defined_only: true}];',
      '}',
    ],
  },
  {
    file: routes,
    into: ['message RateLimit', 'message Override', 'oneof override_specifier'],
    lines: ['RateLimitOverride rate_limit = 2;'],
  },
  {
    file: descriptors,
    imports: ['google/protobuf/wrappers.proto'],
    into: ['message RateLimitDescriptor'],
    lines: ['google.protobuf.UInt64Value hits_addend = 3;', 'bool is_negative_hits = 4;'],
  },
  {
    file: localRatelimit,
    imports: [routes],
    into: ['message LocalRateLimit'],
    lines: ['repeated config.route.v3.RateLimit rate_limits = 17;', 'google.protobuf.UInt32Value max_dynamic_descriptors = 18;'],
  },
  {
    file: ratelimit,
    into: ['message RateLimit'],
    lines: [
      'config.core.v3.RuntimeFractionalPercent filter_enabled = 14;',
      'config.core.v3.RuntimeFractionalPercent filter_enforced = 15;',
      'config.core.v3.RuntimeFractionalPercent failure_mode_deny_percent = 16;',
      'repeated config.route.v3.RateLimit rate_limits = 17;',
      'string metadata_namespace = 18;',
    ],
  },
  { file: extAuthz, into: ['message ExtAuthz'], lines: ['uint32 max_denied_response_body_bytes = 30;'] },
  { file: extAuthz, into: ['message HttpService'], lines: ['string path_override = 10;'] },
  {
    file: extAuthz,
    into: ['message CheckSettings'],
    lines: ['oneof service_override {', '  config.core.v3.GrpcService grpc_service = 4;', '  HttpService http_service = 5;', '}'],
  },
  {
    file: 'envoy/service/auth/v3/external_auth.proto',
    into: ['message CheckResponse', 'oneof http_response'],
    lines: ['DeniedHttpResponse error_response = 5;'],
  },
  {
    file: mutations,
    imports: ['envoy/type/matcher/v3/string.proto'],
    into: ['message HeaderMutation'],
    lines: [
      'message RemoveOnMatch {',
      '  type.matcher.v3.StringMatcher key_matcher = 1 [(validate.rules).message = {required: true}];',
      '}',
    ],
  },
  { file: mutations, into: ['message HeaderMutation', 'oneof action'], lines: ['RemoveOnMatch remove_on_match = 3;'] },
  {
    file: base,
    lines: [
      'message KeyValuePair {',
      '  string key = 1 [(validate.rules).string = {min_len: 1 max_bytes: 16384}];',
      '  google.protobuf.Value value = 2;',
      '}',
    ],
  },
  { file: base, into: ['message KeyValueAppend'], lines: ['KeyValuePair record = 3;'] },
  {
    file: headerMutation,
    imports: [base],
    into: ['message Mutations'],
    lines: [
      'repeated config.core.v3.KeyValueMutation query_parameter_mutations = 3;',
      'repeated config.common.mutation_rules.v3.HeaderMutation response_trailers_mutations = 4;',
      'repeated config.common.mutation_rules.v3.HeaderMutation request_trailers_mutations = 5;',
    ],
  },
  {
    file: compressor,
    into: ['message ResponseDirectionConfig'],
    lines: [
      'repeated uint32 uncompressible_response_codes = 4',
      '  [(validate.rules).repeated = {unique: true items {uint32 {lt: 600 gte: 200}}}];',
      'bool weaken_etag_on_compress = 6;',
    ],
  },
  {
    file: 'envoy/extensions/filters/http/stateful_session/v3/stateful_session.proto',
    into: ['message StatefulSession'],
    lines: ['string stat_prefix = 3;', 'uint32 status_on_strict_destination_not_found = 4;'],
  },
  {
    file: 'envoy/type/http/v3/cookie.proto',
    lines: [
      'message CookieAttribute {',
      '  string name = 1 [(validate.rules).string = {min_len: 1 max_bytes: 16384 well_known_regex: HTTP_HEADER_NAME strict: false}];',
      '  string value = 2 [(validate.rules).string = {max_bytes: 16384 well_known_regex: HTTP_HEADER_VALUE strict: false}];',
      '}',
    ],
  },
  { file: 'envoy/type/http/v3/cookie.proto', into: ['message Cookie'], lines: ['repeated CookieAttribute attributes = 4;'] },
  {
    file: 'envoy/extensions/http/injected_credentials/generic/v3/generic.proto',
    into: ['message Generic'],
    lines: ['string header_value_prefix = 3;'],
  },
  {
    file: 'envoy/extensions/filters/http/basic_auth/v3/basic_auth.proto',
    into: ['message BasicAuth'],
    lines: [
      'string authentication_header = 3 [(validate.rules).string = {well_known_regex: HTTP_HEADER_NAME strict: false}];',
      'bool allow_missing = 4;',
      'bool emit_dynamic_metadata = 5;',
      'string realm = 6 [(validate.rules).string = {pattern: "^[^\\\\x00-\\\\x1f\\\\x7f]*$"}];',
    ],
  },
  {
    file: 'envoy/extensions/filters/http/basic_auth/v3/basic_auth.proto',
    into: ['message BasicAuthPerRoute'],
    lines: ['string realm = 2 [(validate.rules).string = {pattern: "^[^\\\\x00-\\\\x1f\\\\x7f]*$"}];'],
  },
  {
    file: 'envoy/extensions/filters/http/ip_tagging/v3/ip_tagging.proto',
    into: ['message IPTagging'],
    imports: ['envoy/config/core/v3/base.proto'],
    lines: [
      'message IpTagHeader {',
      '  enum HeaderAction {',
      '    SANITIZE = 0;',
      '    APPEND_IF_EXISTS_OR_ADD = 1;',
      '  }',
      '  string header = 1 [(validate.rules).string = {min_len: 1 well_known_regex: HTTP_HEADER_NAME strict: false}];',
      '  HeaderAction action = 2 [(validate.rules).enum = {defined_only: true}];',
      '}',
      'IpTagHeader ip_tag_header = 5;',
      'config.core.v3.DataSource ip_tags_datasource = 6;',
    ],
  },
  {
    file: 'envoy/extensions/filters/http/dynamic_forward_proxy/v3/dynamic_forward_proxy.proto',
    into: ['message FilterConfig'],
    lines: ['bool allow_dynamic_host_from_filter_state = 4;'],
  },
  {
    file: 'envoy/extensions/filters/network/sni_dynamic_forward_proxy/v3/sni_dynamic_forward_proxy.proto',
    into: ['message FilterConfig'],
    lines: ['bool save_upstream_address = 3;'],
  },
  {
    file: 'envoy/extensions/common/dynamic_forward_proxy/v3/dns_cache.proto',
    imports: ['envoy/config/common/key_value/v3/config.proto', 'envoy/type/matcher/v3/address.proto'],
    into: ['message DnsCacheConfig'],
    lines: ['bool disable_dns_refresh_on_failure = 15;', 'type.matcher.v3.AddressMatcher resolved_address_filter = 16;'],
  },
  {
    file: 'envoy/extensions/filters/network/set_filter_state/v3/set_filter_state.proto',
    into: ['message Config'],
    lines: [
      'repeated filters.common.set_filter_state.v3.FilterStateValue on_downstream_tls_handshake = 2;',
      'repeated filters.common.set_filter_state.v3.FilterStateValue on_downstream_data = 3;',
    ],
  },
  {
    file: 'envoy/extensions/filters/http/adaptive_concurrency/v3/adaptive_concurrency.proto',
    into: ['message GradientControllerConfig', 'message ConcurrencyLimitCalculationParams'],
    lines: ['google.protobuf.UInt32Value min_concurrency_limit = 4 [(validate.rules).uint32 = {gt: 0}];'],
  },
  {
    file: 'envoy/extensions/filters/http/adaptive_concurrency/v3/adaptive_concurrency.proto',
    into: ['message GradientControllerConfig', 'message MinimumRTTCalculationParams'],
    lines: ['google.protobuf.Duration fixed_value = 6 [(validate.rules).duration = {gt {}}];'],
  },
  { file: jwt, into: ['message JwtAuthentication'], lines: ['string stat_prefix = 7;'] },
  { file: jwt, into: ['message JwtCacheConfig'], lines: ['uint32 jwt_max_token_size = 2;'] },
  {
    file: jwt,
    into: ['message JwtClaimToHeader'],
    lines: [
      'message PathSegment {',
      '  oneof segment {',
      '    option (validate.required) = true;',
      '    string key = 1 [(validate.rules).string = {min_len: 1}];',
      '  }',
      '}',
      'repeated PathSegment claim_path = 3;',
    ],
  },
  {
    file: rbac,
    lines: [
      'enum MetadataSource {',
      '  DYNAMIC = 0;',
      '  ROUTE = 1;',
      '}',
      'message SourcedMetadata {',
      '  type.matcher.v3.MetadataMatcher metadata_matcher = 1 [(validate.rules).message = {required: true}];',
      '  MetadataSource metadata_source = 2 [(validate.rules).enum = {defined_only: true}];',
      '}',
    ],
  },
  { file: rbac, into: ['message Permission', 'oneof rule'], lines: ['SourcedMetadata sourced_metadata = 14;'] },
  { file: rbac, into: ['message Principal', 'oneof identifier'], lines: ['SourcedMetadata sourced_metadata = 13;'] },
  {
    file: hcm,
    into: ['message HttpConnectionManager'],
    imports: ['xds/type/matcher/v3/matcher.proto'],
    lines: [
      'bool http1_safe_max_connection_duration = 58;',
      'google.protobuf.Duration stream_flush_timeout = 59;',
      'xds.type.matcher.v3.Matcher forward_client_cert_matcher = 60;',
      'type.v3.Percent drain_timeout_jitter = 62;',
      'bool record_route_resolution_stats = 63;',
      'message ForwardClientCertConfig {',
      '  ForwardClientCertDetails forward_client_cert_details = 1 [(validate.rules).enum = {defined_only: true}];',
      '  SetCurrentClientCertDetails set_current_client_cert_details = 2;',
      '}',
    ],
  },
  {
    file: hcm,
    into: ['message HttpConnectionManager', 'message Tracing'],
    lines: ['string operation = 11;', 'string upstream_operation = 12;', 'bool no_context_propagation = 13;'],
  },
  {
    file: hcm,
    into: ['message HttpConnectionManager', 'message SetCurrentClientCertDetails'],
    lines: ['bool issuer = 8;', 'ForwardClientCertFormat format = 7;'],
  },
  {
    file: hcm,
    into: ['message HttpConnectionManager'],
    lines: ['enum ForwardClientCertFormat {', '  TEXT = 0;', '  JSON = 1;', '}'],
  },
  { file: routes, into: ['message Tracing'], lines: ['string operation = 5;', 'string upstream_operation = 6;'] },
  {
    file: protocols,
    imports: ['envoy/type/matcher/v3/string.proto'],
    into: ['message Http1ProtocolOptions'],
    lines: ['repeated type.matcher.v3.StringMatcher ignore_http_11_upgrade = 11;'],
  },
  { file: protocols, into: ['message HttpProtocolOptions'], lines: ['type.v3.Percent max_connection_duration_jitter = 8;'] },
  {
    file: protocols,
    into: ['message Http2ProtocolOptions'],
    lines: [
      'google.protobuf.UInt64Value max_metadata_size = 17;',
      'google.protobuf.BoolValue enable_huffman_encoding = 18;',
      'google.protobuf.UInt32Value max_header_field_size_kb = 19 [(validate.rules).uint32 = {lte: 256 gte: 64}];',
      'google.protobuf.BoolValue disallow_obs_text = 20;',
      'google.protobuf.UInt64Value stream_reset_burst = 21;',
      'google.protobuf.UInt64Value stream_reset_rate = 22;',
    ],
  },
  { file: routes, into: ['message RouteAction'], lines: ['google.protobuf.Duration flush_timeout = 42;'] },
  {
    file: 'envoy/extensions/filters/http/router/v3/router.proto',
    into: ['message Router'],
    lines: ['google.protobuf.BoolValue reject_connect_request_early_data = 10;'],
  },
  {
    file: 'envoy/type/tracing/v3/custom_tag.proto',
    into: ['message CustomTag', 'oneof type'],
    lines: ['string value = 6;'],
  },
  {
    file: 'envoy/type/tracing/v3/custom_tag.proto',
    into: ['message CustomTag'],
    lines: [
      'enum ValueType {',
      '  UNSPECIFIED = 0;',
      '  STRING = 1;',
      '  INT = 2;',
      '  DOUBLE = 3;',
      '  BOOL = 4;',
      '}',
      'ValueType value_type = 7 [(validate.rules).enum = {defined_only: true}];',
    ],
  },
  {
    file: 'envoy/extensions/filters/http/fault/v3/fault.proto',
    into: ['message FaultAbort'],
    lines: ['string response_body = 6;'],
  },
  {
    file: tcpProxy,
    imports: ['envoy/config/core/v3/backoff.proto', 'envoy/type/v3/percent.proto'],
    into: ['message TcpProxy'],
    lines: [
      'config.core.v3.BackoffStrategy backoff_options = 18;',
      'type.v3.Percent max_downstream_connection_duration_jitter_percentage = 20;',
      'google.protobuf.BoolValue check_drain_close = 24;',
    ],
  },
  {
    file: tcpProxy,
    into: ['message TcpProxy', 'message TcpAccessLogOptions'],
    lines: ['bool flush_access_log_on_start = 3;'],
  },
  {
    file: 'envoy/extensions/filters/network/rbac/v3/rbac.proto',
    imports: ['google/protobuf/duration.proto'],
    into: ['message RBAC'],
    lines: ['google.protobuf.Duration delay_deny = 8;'],
  },
  {
    file: 'envoy/extensions/filters/network/ext_authz/v3/ext_authz.proto',
    into: ['message ExtAuthz'],
    lines: ['bool shadow_mode = 12;'],
  },
  {
    file: 'envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector.proto',
    into: ['message TlsInspector'],
    lines: [
      'bool close_connection_on_client_hello_parsing_errors = 4;',
      'google.protobuf.UInt32Value max_client_hello_size = 5 [(validate.rules).uint32 = {lte: 16384 gt: 255}];',
    ],
  },
  {
    file: 'envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol.proto',
    into: ['message ProxyProtocol', 'message KeyValuePair'],
    lines: [
      'enum ValueStringEncoding {',
      '  UNSPECIFIED = 0;',
      '  SANITIZED_UTF8 = 1;',
      '  BASE64 = 2;',
      '}',
      'ValueStringEncoding value_string_encoding = 3;',
    ],
  },
  {
    file: 'envoy/type/metadata/v3/metadata.proto',
    into: ['message MetadataKey', 'message PathSegment', 'oneof segment'],
    lines: ['uint32 index = 2;'],
  },
  {
    file: 'envoy/extensions/transport_sockets/tls/v3/tls.proto',
    into: ['message DownstreamTlsContext'],
    lines: ['bool prefer_client_ciphers = 11;'],
  },
  {
    file: 'envoy/extensions/transport_sockets/tls/v3/secret.proto',
    into: ['message GenericSecret'],
    lines: ['map<string, config.core.v3.DataSource> secrets = 2 [(udpa.annotations.sensitive) = true];'],
  },
  {
    file: 'envoy/extensions/transport_sockets/tls/v3/common.proto',
    into: ['message TlsParameters'],
    lines: [
      'enum CompliancePolicy {',
      '  FIPS_202205 = 0;',
      '}',
      'repeated CompliancePolicy compliance_policies = 6 [(validate.rules).repeated = {max_items: 1}];',
    ],
  },
  {
    file: 'envoy/extensions/transport_sockets/tls/v3/common.proto',
    into: ['message TlsCertificate'],
    lines: ['TlsParameters tls_params = 9;'],
  },
  {
    file: 'envoy/extensions/transport_sockets/tls/v3/common.proto',
    into: ['message CertificateValidationContext'],
    lines: ['bool suppress_client_ca_list = 18;'],
  },
  {
    file: routes,
    into: ['message RateLimit'],
    lines: [
      'enum XRateLimitOption {',
      '  UNSPECIFIED = 0;',
      '  OFF = 1;',
      '  DRAFT_VERSION_03 = 2;',
      '}',
      'XRateLimitOption x_ratelimit_option = 7;',
    ],
  },
  { file: descriptors, into: ['message LocalRateLimitDescriptor'], lines: ['bool shadow_mode = 3;'] },
  { file: localRatelimit, into: ['message LocalRateLimit'], lines: ['bool enable_retry_after_header = 19;'] },
  { file: ratelimit, into: ['message RateLimit'], lines: ['bool enable_retry_after_header = 19;'] },
  {
    file: compressor,
    imports: ['envoy/type/matcher/v3/string.proto'],
    into: ['message CommonDirectionConfig'],
    lines: ['repeated type.matcher.v3.StringMatcher content_type_matcher = 4;'],
  },
  { file: compressor, into: ['message ResponseDirectionConfig'], lines: ['bool status_header_enabled = 5;'] },
  {
    file: compressor,
    into: ['message CompressorOverrides'],
    lines: ['config.core.v3.TypedExtensionConfig compressor_library = 2;'],
  },
  {
    file: 'envoy/extensions/filters/http/header_to_metadata/v3/header_to_metadata.proto',
    into: ['message Config'],
    lines: ['string stat_prefix = 3;'],
  },
  {
    file: 'envoy/extensions/filters/http/set_filter_state/v3/set_filter_state.proto',
    into: ['message Config'],
    lines: ['bool clear_route_cache = 2;'],
  },
  { file: jwt, lines: ['message ExtractOnlyWithoutValidation {', '  string verification_status_header = 1;', '}'] },
  {
    file: jwt,
    into: ['message JwtRequirement', 'oneof requires_type'],
    lines: ['ExtractOnlyWithoutValidation extract_only_without_validation = 7;'],
  },
  {
    file: extAuthz,
    imports: ['google/protobuf/struct.proto'],
    into: ['message ExtAuthz'],
    lines: [
      'google.protobuf.Struct filter_metadata = 28;',
      'bool emit_filter_state_stats = 29;',
      'bool enforce_response_header_limits = 31;',
      'bool shadow_mode = 32;',
      'google.protobuf.BoolValue emit_client_span = 33;',
      'repeated string clear_route_cache_headers = 34 [(validate.rules).repeated = {items {string {min_len: 1 well_known_regex: HTTP_HEADER_NAME strict: false}}}];',
    ],
  },
  { file: extAuthz, into: ['message HttpService'], lines: ['config.core.v3.RetryPolicy retry_policy = 9;'] },
  {
    file: 'envoy/extensions/matching/common_inputs/network/v3/network_inputs.proto',
    into: ['message FilterStateInput'],
    lines: ['string field = 2;'],
  },
  {
    file: 'envoy/config/metrics/v3/stats.proto',
    into: ['message HistogramBucketSettings'],
    lines: ['google.protobuf.UInt32Value bins = 3 [(validate.rules).uint32 = {lte: 46082 gt: 0}];'],
  },
  {
    file: 'envoy/extensions/upstreams/http/v3/http_protocol_options.proto',
    imports: [routes],
    into: ['message HttpProtocolOptions'],
    lines: [
      'repeated config.route.v3.RouteAction.RequestMirrorPolicy request_mirror_policies = 9;',
      'repeated config.route.v3.RouteAction.HashPolicy hash_policy = 10;',
      'config.route.v3.RetryPolicy retry_policy = 11;',
    ],
  },
  {
    file: 'envoy/extensions/load_balancing_policies/common/v3/common.proto',
    imports: [routes],
    into: ['message ConsistentHashingLbConfig'],
    lines: ['repeated config.route.v3.RouteAction.HashPolicy hash_policy = 3;'],
  },
]

/** Rules of the shipped copy that Envoy 1.40 has loosened or changed. */
const changes: readonly { file: string; from: string; to: string }[] = [
  {
    file: routes,
    from: 'ROUTE_ENTRY = 1;',
    to: 'ROUTE_ENTRY = 1;\n        CLUSTER_ENTRY = 2;\n        CLUSTER_LOCALITY_ENTRY = 3;',
  },
  {
    file: 'envoy/config/overload/v3/overload.proto',
    from: 'TRANSPORT_SOCKET_CONNECT = 3;',
    to: 'TRANSPORT_SOCKET_CONNECT = 3;\n    HTTP_DOWNSTREAM_CONNECTION_MAX = 4;\n    HTTP_DOWNSTREAM_STREAM_FLUSH = 5;',
  },
  { file: 'envoy/config/accesslog/v3/accesslog.proto', from: 'LE = 2;', to: 'LE = 2;\n    NE = 3;' },
  { file: 'envoy/service/ratelimit/v3/rls.proto', from: 'YEAR = 6;', to: 'YEAR = 6;\n      WEEK = 7;' },
  { file: 'envoy/type/v3/token_bucket.proto', from: 'max_tokens = 1 [(validate.rules).uint32 = {gt: 0}]', to: 'max_tokens = 1' },
  { file: descriptors, from: 'string value = 2 [(validate.rules).string = {min_len: 1}]', to: 'string value = 2' },
  {
    file: base,
    from: 'KeyValue entry = 1 [(validate.rules).message = {required: true}]',
    to: 'KeyValue entry = 1',
  },
  { file: ratelimit, from: 'repeated RateLimitConfig rate_limits = 3', to: 'repeated config.route.v3.RateLimit rate_limits = 3' },
  { file: base, from: 'string runtime_key = 2 [(validate.rules).string = {min_len: 1}]', to: 'string runtime_key = 2' },
  { file: base, from: 'string runtime_key = 3 [(validate.rules).string = {min_len: 1}]', to: 'string runtime_key = 3' },
  {
    file: 'envoy/extensions/filters/http/adaptive_concurrency/v3/adaptive_concurrency.proto',
    from: 'interval = 1 [(validate.rules).duration = {\r\n      required: true\r\n',
    to: 'interval = 1 [(validate.rules).duration = {\r\n',
  },
  { file: extAuthz, from: 'bool disabled = 1 [(validate.rules).bool = {const: true}]', to: 'bool disabled = 1' },
  {
    file: 'envoy/extensions/network/dns_resolver/cares/v3/cares_dns_resolver.proto',
    from: 'resolvers = 1 [(validate.rules).repeated = {min_items: 1}]',
    to: 'resolvers = 1',
  },
  { file: jwt, from: 'string claim_name = 2 [(validate.rules).string = {min_len: 1}]', to: 'string claim_name = 2' },
]

/** All that makes the shipped copy Envoy 1.40's, for telling whether it changed. */
export const additions = { fields, changes }
