import type { SupportTable } from './table.ts'

/** Fields of HTTP filters' configurations that are not supported; which filters there are, their registry says. */
export const httpFilterSupport: SupportTable = {
  'envoy.extensions.filters.http.router.v3.Router':
    'dynamic_stats start_child_span suppress_envoy_headers strict_check_headers respect_expected_rq_timeout ' +
    'suppress_grpc_request_failure_code_stats',
  'envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication': '*',
  'envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig': '*',
  'envoy.config.rbac.v3.Policy': '* -cel_config',
  'envoy.config.rbac.v3.Action': '*',
  'envoy.extensions.matching.input_matchers.ip.v3.Ip': '*',
  'xds.type.matcher.v3.IPMatcher': '*',
  'envoy.config.core.v3.RetryPolicy': '* ~retry_on ~retry_priority ~retry_host_predicate ~host_selection_retry_max_attempts',
  'envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig': '*',
  'envoy.extensions.compression.gzip.compressor.v3.Gzip': '*',
  'envoy.extensions.compression.brotli.compressor.v3.Brotli': '*',
  'envoy.extensions.compression.zstd.compressor.v3.Zstd': '*',
  'envoy.extensions.http.injected_credentials.generic.v3.Generic': '*',
  'envoy.extensions.compression.gzip.decompressor.v3.Gzip': '*',
  'envoy.extensions.compression.brotli.decompressor.v3.Brotli': '*',
  'envoy.extensions.compression.zstd.decompressor.v3.Zstd': '*',
  'envoy.extensions.filters.http.ext_authz.v3.ExtAuthz':
    '* -typed_metadata_context_namespaces -route_typed_metadata_context_namespaces -filter_metadata -emit_filter_state_stats ' +
    '-enforce_response_header_limits ~emit_client_span',
  'envoy.extensions.filters.http.ext_authz.v3.HttpService': '* -retry_policy',
  'envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute': '* ~override_option',
  'envoy.extensions.filters.http.dynamic_forward_proxy.v3.FilterConfig': '* -sub_cluster_config',
  'envoy.extensions.filters.http.bandwidth_limit.v3.BandwidthLimit': '* -enable_response_trailers ~response_trailer_prefix',
  'envoy.extensions.filters.http.grpc_http1_bridge.v3.Config': '* -upgrade_protobuf_to_grpc ~ignore_query_parameters',
  'envoy.extensions.filters.http.ip_tagging.v3.IPTagging': '* -ip_tags_datasource',
  'envoy.extensions.http.stateful_session.cookie.v3.CookieBasedSessionState': '*',
  'envoy.extensions.http.stateful_session.header.v3.HeaderBasedSessionState': '*',
  'stats.PluginConfig':
    '* ~debug ~max_peer_cache_size ~stat_prefix ~field_separator ~value_separator ~rotation_interval ~graceful_deletion_interval',
  'stats.MetricConfig': '* ~match',
  'io.istio.http.peer_metadata.Config': '* ~shared_with_upstream',
  'envoy.extensions.filters.http.set_metadata.v3.Metadata': '* ~typed_value',
  'envoy.extensions.filters.common.set_filter_state.v3.FilterStateValue': '* ~read_only ~shared_with_upstream',
}
