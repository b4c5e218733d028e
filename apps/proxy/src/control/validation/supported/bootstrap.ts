import type { SupportTable } from './table.ts'

/** The bootstrap, sources of configuration, and what is common to all resources. */
export const bootstrapSupport: SupportTable = {
  'envoy.config.bootstrap.v3.Bootstrap':
    'node node_context_params static_resources dynamic_resources cluster_manager stats_config stats_flush_interval ' +
    'stats_flush_on_admin layered_runtime admin watchdog watchdogs enable_dispatcher_stats default_regex_engine ' +
    'application_log_config use_tcp_for_dns_lookups default_socket_interface listener_manager overload_manager ' +
    'bootstrap_extensions deferred_stat_options header_prefix grpc_async_client_manager_config memory_allocator_manager',
  'envoy.config.bootstrap.v3.Bootstrap.DynamicResources': 'lds_config cds_config ads_config',
  'envoy.config.bootstrap.v3.ClusterManager': 'local_cluster_name outlier_detection enable_deferred_cluster_creation',
  'envoy.config.bootstrap.v3.ClusterManager.OutlierDetection': '',
  'envoy.config.bootstrap.v3.Admin': '* -profile_path -socket_options',
  'envoy.config.bootstrap.v3.RuntimeLayer': 'name static_layer disk_layer admin_layer rtds_layer',
  'envoy.config.bootstrap.v3.Bootstrap.ApplicationLogConfig.LogFormat': 'text_format json_format',
  'envoy.config.overload.v3.OverloadManager': '* -buffer_factory_config -loadshed_points',
  'envoy.config.core.v3.ConfigSource': '* -authorities -self',
  'envoy.config.core.v3.ApiConfigSource': '* -cluster_names -refresh_delay -request_timeout -config_validators',
  'envoy.config.core.v3.GrpcService': '* -google_grpc -retry_policy',
  'envoy.config.core.v3.GrpcService.EnvoyGrpc': 'cluster_name authority skip_envoy_headers max_receive_message_length',
  'envoy.config.core.v3.SocketAddress': '* -resolver_name -named_port -ipv4_compat',
  'envoy.config.core.v3.Address': 'socket_address pipe',

  'envoy.extensions.regex_engines.v3.GoogleRE2': '*',
  'envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig': '*',
  'envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig': '*',
}
