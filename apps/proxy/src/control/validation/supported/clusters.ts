import type { SupportTable } from './table.ts'

/** Clusters, their endpoints, and the upstream extensions. */
export const clusterSupport: SupportTable = {
  'envoy.config.cluster.v3.Cluster':
    'name alt_stat_name type eds_cluster_config connect_timeout per_connection_buffer_limit_bytes lb_policy load_assignment ' +
    'health_checks max_requests_per_connection circuit_breakers upstream_http_protocol_options common_http_protocol_options ' +
    'http_protocol_options http2_protocol_options typed_extension_protocol_options dns_refresh_rate dns_failure_refresh_rate ' +
    'respect_dns_ttl dns_lookup_family wait_for_warm_on_init outlier_detection cleanup_interval ring_hash_lb_config ' +
    'maglev_lb_config original_dst_lb_config least_request_lb_config round_robin_lb_config common_lb_config transport_socket ' +
    'transport_socket_matches metadata protocol_selection upstream_connection_options lb_subset_config ' +
    'close_connections_on_host_health_failure ignore_health_on_host_removal track_cluster_stats track_timeout_budgets ' +
    'connection_pool_per_downstream_connection',
  'envoy.config.cluster.v3.UpstreamConnectionOptions': 'tcp_keepalive',
  'envoy.config.core.v3.HealthCheck':
    '* -grpc_health_check -custom_health_check -event_log_path -event_logger -event_service -tls_options ' +
    '-transport_socket_match_criteria -alt_port',
  'envoy.config.core.v3.HealthCheck.HttpHealthCheck': '* -send -receive -response_buffer_size -service_name_matcher',
  'envoy.config.core.v3.HealthCheck.TcpHealthCheck': 'send receive',
  'envoy.config.endpoint.v3.Endpoint.HealthCheckConfig': '* -address',
  'envoy.config.endpoint.v3.ClusterLoadAssignment': 'cluster_name endpoints policy',
  'envoy.config.endpoint.v3.ClusterLoadAssignment.Policy': '* -endpoint_stale_after',
  'envoy.config.endpoint.v3.LocalityLbEndpoints': '* -load_balancer_endpoints -leds_cluster_locality_config -proximity',
  'envoy.config.endpoint.v3.LbEndpoint': '* -endpoint_name',
  'envoy.config.endpoint.v3.Endpoint': '* -additional_addresses',

  'envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext': '* -enforce_rsa_key_usage',
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': '* -http_filters -header_validation_config',
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions.AutoHttpConfig': 'http_protocol_options http2_protocol_options',
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions.UseDownstreamHttpConfig':
    'http_protocol_options http2_protocol_options',
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions.ExplicitHttpConfig': 'http_protocol_options http2_protocol_options',
}
