import type { SupportTable } from './table.ts'

/** Clusters, their endpoints, and the upstream extensions. */
export const clusterSupport: SupportTable = {
  'envoy.config.cluster.v3.Cluster':
    'name alt_stat_name type eds_cluster_config connect_timeout lb_policy load_assignment health_checks ' +
    'max_requests_per_connection circuit_breakers common_http_protocol_options http_protocol_options ' +
    'typed_extension_protocol_options dns_refresh_rate dns_failure_refresh_rate respect_dns_ttl dns_lookup_family ' +
    'outlier_detection least_request_lb_config common_lb_config transport_socket transport_socket_matches metadata ' +
    'lb_subset_config ignore_health_on_host_removal ~per_connection_buffer_limit_bytes ~wait_for_warm_on_init ' +
    '~cleanup_interval ~upstream_connection_options ~track_timeout_budgets ~track_cluster_stats',
  'envoy.config.cluster.v3.Cluster.CommonLbConfig':
    '* -consistent_hashing_lb_config -override_host_status -close_connections_on_host_set_change ' +
    '-ignore_new_hosts_until_first_hc ~update_merge_window ~zone_aware_lb_config',
  'envoy.config.cluster.v3.Cluster.LeastRequestLbConfig': '* -slow_start_config',
  'envoy.config.cluster.v3.CircuitBreakers': 'thresholds',
  'envoy.config.cluster.v3.CircuitBreakers.Thresholds': '* ~track_remaining ~max_connection_pools',
  'envoy.config.core.v3.Http2ProtocolOptions':
    '~hpack_table_size ~max_concurrent_streams ~initial_stream_window_size ~initial_connection_window_size ~allow_connect ' +
    '~max_outbound_frames ~max_outbound_control_frames ~max_consecutive_inbound_frames_with_empty_payload ' +
    '~max_inbound_priority_frames_per_stream ~max_inbound_window_update_frames_per_data_frame_sent ' +
    '~stream_error_on_invalid_http_messaging ~override_stream_error_on_invalid_http_message ~connection_keepalive ' +
    '~use_oghttp2_codec',
  'envoy.config.core.v3.HealthCheck':
    '* -grpc_health_check -custom_health_check -event_log_path -event_logger -event_service -tls_options ' +
    '-transport_socket_match_criteria -alt_port ~reuse_connection ~always_log_health_check_failures ' +
    '~always_log_health_check_success',
  'envoy.config.core.v3.HealthCheck.HttpHealthCheck': '* -send -receive -response_buffer_size -service_name_matcher',
  'envoy.config.core.v3.HealthCheck.TcpHealthCheck': 'send receive',
  'envoy.config.endpoint.v3.Endpoint.HealthCheckConfig': '* -address',
  'envoy.config.endpoint.v3.ClusterLoadAssignment': 'cluster_name endpoints policy',
  'envoy.config.endpoint.v3.ClusterLoadAssignment.Policy': 'overprovisioning_factor ~endpoint_stale_after',
  'envoy.config.endpoint.v3.LocalityLbEndpoints': '* -load_balancer_endpoints -leds_cluster_locality_config -proximity',
  'envoy.config.endpoint.v3.LbEndpoint': '* -endpoint_name',
  'envoy.config.endpoint.v3.Endpoint': '* -additional_addresses',

  'envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext':
    'common_tls_context sni ~max_session_keys ~enforce_rsa_key_usage',
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions':
    'common_http_protocol_options explicit_http_config ~use_downstream_protocol_config ~auto_config',
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions.AutoHttpConfig': 'http_protocol_options http2_protocol_options',
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions.UseDownstreamHttpConfig':
    'http_protocol_options http2_protocol_options',
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions.ExplicitHttpConfig': 'http_protocol_options http2_protocol_options',
}
