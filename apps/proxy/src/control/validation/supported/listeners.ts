import type { SupportTable } from './table.ts'

/** Listeners, filter chains, TLS, and the network and listener filters. */
export const listenerSupport: SupportTable = {
  'envoy.config.listener.v3.Listener':
    'name address additional_addresses stat_prefix filter_chains filter_chain_matcher default_filter_chain metadata listener_filters ' +
    'listener_filters_timeout continue_on_listener_filters_timeout traffic_direction reuse_port access_log tcp_backlog_size ' +
    'bind_to_port use_original_dst transparent per_connection_buffer_limit_bytes ~drain_type ~enable_reuse_port ' +
    'ignore_global_conn_limit bypass_overload_manager max_connections_to_accept_per_socket_event ' +
    '~connection_balance_config socket_options tcp_keepalive freebind tcp_fast_open_queue_length',
  'envoy.config.listener.v3.FilterChain':
    'filter_chain_match filters metadata transport_socket transport_socket_connect_timeout name',
  'envoy.config.listener.v3.FilterChainMatch': '* -address_suffix -suffix_len',
  'envoy.config.listener.v3.Filter': 'name typed_config',
  // What the actions of filter_chain_matcher are.
  'google.protobuf.StringValue': '*',
  'envoy.config.listener.v3.ListenerFilter': 'name typed_config filter_disabled',

  'envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer': '*',
  'envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext':
    'common_tls_context require_client_certificate prefer_client_ciphers ~require_sni disable_stateless_session_resumption ' +
    '~disable_stateful_session_resumption session_timeout session_ticket_keys session_ticket_keys_sds_secret_config ' +
    'full_scan_certs_on_sni_mismatch ocsp_staple_policy',
  'envoy.extensions.transport_sockets.tls.v3.CommonTlsContext':
    'tls_params tls_certificates tls_certificate_sds_secret_configs validation_context validation_context_sds_secret_config ' +
    'combined_validation_context alpn_protocols key_log',
  'envoy.extensions.transport_sockets.tls.v3.CommonTlsContext.CombinedCertificateValidationContext':
    'default_validation_context validation_context_sds_secret_config',
  'envoy.extensions.transport_sockets.tls.v3.TlsCertificate':
    'certificate_chain private_key watched_directory password ocsp_staple tls_params ~signed_certificate_timestamp',
  'envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext':
    'trusted_ca watched_directory verify_certificate_spki verify_certificate_hash match_typed_subject_alt_names ' +
    'match_subject_alt_names crl only_verify_leaf_cert_crl max_verify_depth allow_expired_certificate trust_chain_verification ' +
    'system_root_certs ~suppress_client_ca_list ~require_signed_certificate_timestamp',
  'envoy.extensions.transport_sockets.tls.v3.Secret':
    'name tls_certificate validation_context generic_secret session_ticket_keys',

  'envoy.extensions.filters.listener.original_dst.v3.OriginalDst': '*',
  'envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector':
    'enable_ja3_fingerprinting enable_ja4_fingerprinting close_connection_on_client_hello_parsing_errors max_client_hello_size ' +
    '~initial_read_buffer_size',
  'envoy.extensions.filters.listener.http_inspector.v3.HttpInspector': '*',
  'envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol': '* -tlv_location',
  'envoy.extensions.filters.listener.local_ratelimit.v3.LocalRateLimit': '*',

  'envoy.extensions.filters.network.rbac.v3.RBAC':
    'rules shadow_rules matcher shadow_matcher shadow_rules_stat_prefix stat_prefix enforcement_type delay_deny',
  'envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy':
    'stat_prefix cluster weighted_clusters backoff_options max_downstream_connection_duration_jitter_percentage check_drain_close idle_timeout access_log max_connect_attempts hash_policy metadata_match ' +
    'max_downstream_connection_duration access_log_flush_interval flush_access_log_on_connected access_log_options tunneling_config proxy_protocol_tlvs proxy_protocol_tlv_merge_policy ' +
    // Envoy takes them, and does nothing by them either.
    '~downstream_idle_timeout ~upstream_idle_timeout',
  'envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.TunnelingConfig':
    '* -request_id_extension -request_id_header -request_id_metadata_key -formatters',
  'envoy.extensions.filters.network.ext_authz.v3.ExtAuthz': '* -bootstrap_metadata_labels_key ~transport_api_version',
  'envoy.extensions.filters.network.local_ratelimit.v3.LocalRateLimit': '*',
  'envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit': '*',
  'envoy.extensions.filters.network.direct_response.v3.Config': '*',
  'envoy.extensions.filters.network.set_filter_state.v3.Config': '*',
  'envoy.extensions.filters.network.sni_cluster.v3.SniCluster': '*',
  'envoy.extensions.filters.network.sni_dynamic_forward_proxy.v3.FilterConfig': '*',
  'envoy.extensions.filters.network.echo.v3.Echo': '*',
  'envoy.tcp.metadataexchange.config.MetadataExchange': '* ~enable_discovery',
  'istio.mixer.v1.config.client.TcpClientConfig': '*',
  'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager':
    'codec_type stat_prefix rds route_config access_log_options flush_access_log_on_new_request access_log_flush_interval add_user_agent append_local_overload scoped_routes http_filters common_http_protocol_options http_protocol_options server_name ' +
    'server_header_transformation max_request_headers_kb stream_idle_timeout request_timeout request_headers_timeout ' +
    'delayed_close_timeout access_log use_remote_address xff_num_trusted_hops internal_address_config skip_xff_append via ' +
    'generate_request_id preserve_external_request_id always_set_request_id_in_response forward_client_cert_details ' +
    'set_current_client_cert_details proxy_100_continue upgrade_configs normalize_path merge_slashes ' +
    'path_with_escaped_slashes_action local_reply_config strip_matching_host_port strip_any_host_port ' +
    'stream_error_on_invalid_http_message strip_trailing_host_dot append_x_forwarded_port ' +
    'scheme_header_transformation represent_ipv4_remote_address_as_ipv4_mapped_ipv6 original_ip_detection_extensions early_header_mutation_extensions http2_protocol_options drain_timeout tracing request_id_extension proxy_status_config ' +
    'forward_proto_config http1_safe_max_connection_duration drain_timeout_jitter forward_client_cert_matcher stream_flush_timeout add_proxy_protocol_connection_state',
  'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.ForwardClientCertConfig': '*',
  'envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter':
    'name typed_config config_discovery is_optional disabled',

  'envoy.config.trace.v3.ZipkinConfig': '*',
  'envoy.config.trace.v3.OpenTelemetryConfig': '* ~max_cache_size',
  'envoy.extensions.tracers.opentelemetry.resource_detectors.v3.EnvironmentResourceDetectorConfig': '*',
  'envoy.extensions.tracers.opentelemetry.resource_detectors.v3.StaticConfigResourceDetectorConfig': '*',
  'envoy.extensions.tracers.opentelemetry.samplers.v3.AlwaysOnSamplerConfig': '*',
  'envoy.config.accesslog.v3.AccessLog': '*',
  'envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter': '*',
  'envoy.extensions.formatter.cel.v3.Cel': '*',
  'envoy.extensions.formatter.metadata.v3.Metadata': '*',
  'envoy.extensions.formatter.req_without_query.v3.ReqWithoutQuery': '*',
  'envoy.extensions.access_loggers.file.v3.FileAccessLog': '*',
  'envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig': '*',
  'envoy.extensions.access_loggers.grpc.v3.TcpGrpcAccessLogConfig': '*',
  'envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig': '* -formatters',
  'envoy.extensions.access_loggers.grpc.v3.CommonGrpcAccessLogConfig': '* -filter_state_objects_to_log -grpc_stream_retry_policy',
  'envoy.extensions.access_loggers.stream.v3.StdoutAccessLog': '*',
  'envoy.extensions.access_loggers.stream.v3.StderrAccessLog': '*',
  'envoy.config.core.v3.Http1ProtocolOptions': '* ~use_balsa_parser',
  'envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig': '*',
  'envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig': '*',
  'envoy.extensions.http.original_ip_detection.xff.v3.XffConfig': '*',
  'envoy.extensions.http.original_ip_detection.custom_header.v3.CustomHeaderConfig': '*',
  'envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation': '*',
}
