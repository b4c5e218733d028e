import type { SupportTable } from './table.ts'

/** Clusters, their endpoints, and the upstream extensions. */
export const clusterSupport: SupportTable = {
  'envoy.config.cluster.v3.Cluster':
    'name alt_stat_name type eds_cluster_config connect_timeout lb_policy load_assignment health_checks ' +
    'max_requests_per_connection circuit_breakers common_http_protocol_options http_protocol_options http2_protocol_options ' +
    'typed_extension_protocol_options typed_dns_resolver_config dns_jitter dns_refresh_rate dns_failure_refresh_rate respect_dns_ttl dns_lookup_family ' +
    'outlier_detection least_request_lb_config round_robin_lb_config ring_hash_lb_config maglev_lb_config ' +
    'original_dst_lb_config upstream_bind_config load_balancing_policy cluster_type close_connections_on_host_health_failure cleanup_interval ' +
    'common_lb_config transport_socket transport_socket_matches metadata ' +
    'filters lb_subset_config ignore_health_on_host_removal ~per_connection_buffer_limit_bytes ~wait_for_warm_on_init ' +
    'stats_matcher connection_pool_per_downstream_connection ~preconnect_policy upstream_connection_options ~track_timeout_budgets ~track_cluster_stats',
  'envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig':
    'resolvers use_resolvers_as_fallback dns_resolver_options ~filter_unroutable_families ~udp_max_queries',
  'envoy.config.core.v3.DnsResolverOptions': 'use_tcp_for_dns_lookups ~no_default_search_domain',
  'envoy.extensions.network.dns_resolver.getaddrinfo.v3.GetAddrInfoDnsResolverConfig': '*',
  'envoy.config.cluster.v3.Filter': 'name typed_config',
  'envoy.config.cluster.v3.Cluster.CustomClusterType': '*',
  'envoy.config.cluster.v3.Cluster.CommonLbConfig': '* ~update_merge_window',
  'envoy.config.cluster.v3.UpstreamConnectionOptions':
    '* ~set_local_interface_name_on_upstream_connections ~happy_eyeballs_config',
  // The only selector there is does what is done without one.
  'envoy.config.upstream.local_address_selector.v3.DefaultLocalAddressSelector': '*',
  'envoy.config.cluster.v3.OutlierDetection': '* -monitors',
  'envoy.config.cluster.v3.CircuitBreakers': '*',
  'envoy.config.cluster.v3.CircuitBreakers.Thresholds': '* ~max_connection_pools',
  'envoy.extensions.clusters.aggregate.v3.ClusterConfig': '*',
  'envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig': '* -sub_clusters_config ~allow_coalesced_connections',
  'envoy.extensions.common.dynamic_forward_proxy.v3.DnsCacheConfig':
    '* -key_value_config -resolved_address_filter -use_tcp_for_dns_lookups -dns_resolution_config -disable_dns_refresh_on_failure',
  'envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin': '*',
  'envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest': '*',
  'envoy.extensions.load_balancing_policies.random.v3.Random': '*',
  'envoy.extensions.load_balancing_policies.ring_hash.v3.RingHash': '*',
  'envoy.extensions.load_balancing_policies.maglev.v3.Maglev': '*',
  'envoy.extensions.load_balancing_policies.subset.v3.Subset': '*',
  'envoy.extensions.load_balancing_policies.cluster_provided.v3.ClusterProvided': '*',
  'envoy.config.core.v3.Http2ProtocolOptions':
    '* -allow_metadata -custom_settings_parameters ~max_header_field_size_kb ~disallow_obs_text ' +
    '~max_metadata_size ~use_oghttp2_codec',
  'envoy.config.core.v3.KeepaliveSettings': '* ~interval_jitter ~connection_idle_interval',
  'envoy.config.core.v3.HealthCheck': '* -custom_health_check -event_service',
  'envoy.extensions.health_check.event_sinks.file.v3.HealthCheckEventFileSink': '*',
  'envoy.config.core.v3.HealthCheck.HttpHealthCheck': '* -use_alpn_protocol',
  'envoy.config.core.v3.HealthCheck.TcpHealthCheck': 'send receive',
  'envoy.config.endpoint.v3.ClusterLoadAssignment': 'cluster_name endpoints policy',
  'envoy.config.endpoint.v3.ClusterLoadAssignment.Policy':
    'overprovisioning_factor drop_overloads weighted_priority_health ~endpoint_stale_after',
  'envoy.config.endpoint.v3.LocalityLbEndpoints': '* -load_balancer_endpoints -leds_cluster_locality_config ~proximity',
  'envoy.config.endpoint.v3.LbEndpoint': '* -endpoint_name',
  'envoy.config.endpoint.v3.Endpoint': '*',

  'envoy.extensions.load_balancing_policies.common.v3.LocalityLbConfig.ZoneAwareLbConfig': '* -force_local_zone -locality_basis',
  'envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport': '*',
  'envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext':
    'common_tls_context sni auto_host_sni auto_sni_san_validation max_session_keys ~enforce_rsa_key_usage allow_renegotiation',
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions':
    'common_http_protocol_options explicit_http_config use_downstream_protocol_config auto_config upstream_http_protocol_options ' +
    'request_mirror_policies hash_policy retry_policy outlier_detection',
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions.AutoHttpConfig': 'http_protocol_options http2_protocol_options',
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions.UseDownstreamHttpConfig':
    'http_protocol_options http2_protocol_options',
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions.ExplicitHttpConfig': 'http_protocol_options http2_protocol_options',
  // Of connections that no session uses, of which there are none here.
  'envoy.extensions.upstreams.tcp.v3.TcpProtocolOptions': '~idle_timeout',
}
