import type { SupportTable } from './table.ts'

/** The bootstrap, sources of configuration, and what is common to all resources. */
export const bootstrapSupport: SupportTable = {
  'envoy.config.bootstrap.v3.Bootstrap':
    'node static_resources dynamic_resources cluster_manager stats_config stats_flush_interval layered_runtime overload_manager admin typed_dns_resolver_config stats_sinks ' +
    'default_regex_engine bootstrap_extensions application_log_config ~node_context_params ~stats_flush_on_admin ~stats_eviction_interval ~watchdog ~watchdogs ~enable_dispatcher_stats ' +
    '~inline_headers ~perf_tracing_file_path ~default_socket_interface ~deferred_stat_options ~grpc_async_client_manager_config ~memory_allocator_manager',
  'envoy.config.bootstrap.v3.Bootstrap.DynamicResources': 'lds_config cds_config ads_config',
  'envoy.config.bootstrap.v3.ClusterManager':
    'local_cluster_name outlier_detection upstream_bind_config ~enable_deferred_cluster_creation',
  'envoy.config.bootstrap.v3.Admin': 'address allow_paths ~profile_path ~access_log ~access_log_path ~ignore_global_conn_limit',
  'envoy.config.metrics.v3.StatsConfig': '* -allow_default_tag_overrides',
  'envoy.config.metrics.v3.StatsdSink': '*',
  'envoy.config.metrics.v3.DogStatsdSink': '*',
  'envoy.config.metrics.v3.HistogramBucketSettings': '* ~bins',
  'envoy.config.overload.v3.OverloadManager': '* ~buffer_factory_config',
  'envoy.config.overload.v3.OverloadAction': '*',
  'envoy.config.overload.v3.ScaleTimersOverloadActionConfig': '*',
  'envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig': '*',
  'envoy.extensions.resource_monitors.injected_resource.v3.InjectedResourceConfig': '*',
  'envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig': '*',
  'envoy.config.bootstrap.v3.RuntimeLayer': 'name static_layer disk_layer admin_layer rtds_layer',
  'envoy.config.core.v3.ConfigSource': '* -authorities -self',
  'envoy.config.core.v3.ApiConfigSource':
    '* -cluster_names -refresh_delay -config_validators ~request_timeout ~rate_limit_settings',
  'envoy.config.core.v3.GrpcService': '* -google_grpc -retry_policy ~timeout',
  'envoy.config.core.v3.GrpcService.EnvoyGrpc': 'cluster_name authority max_receive_message_length skip_envoy_headers',
  'envoy.config.core.v3.SocketAddress': '* -resolver_name -named_port',
  'envoy.config.core.v3.Address': 'socket_address pipe',

  'envoy.extensions.regex_engines.v3.GoogleRE2': '*',
  // Listeners without a socket are refused themselves.
  'envoy.extensions.bootstrap.internal_listener.v3.InternalListener': '* ~buffer_size_kb',
}
