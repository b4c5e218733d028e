import { Node } from '@weft/contracts/envoy/config/core/v3/base'
import { fullVersion } from '../version.ts'
import { type AdminEndpoint, json } from './endpoint.ts'
import { messageJson } from './message-json.ts'

/** `/server_info`: version, state, uptime, the command line and the node. */
export const serverInfo: AdminEndpoint = {
  path: '/server_info',
  help: 'print server version/status information',
  handle: ({ control }) => {
    const { flags, settings } = control
    const uptime = `${Math.floor((Date.now() - control.startedAt.getTime()) / 1000)}s`
    return json({
      version: fullVersion,
      state: control.healthCheckFailed ? 'DRAINING' : control.state,
      uptime_current_epoch: uptime,
      uptime_all_epochs: uptime,
      hot_restart_version: 'disabled',
      command_line_options: {
        base_id: String(flags.baseId),
        concurrency: flags.concurrency,
        config_path: flags.configPath,
        config_yaml: flags.configYaml === '' ? '' : '[given]',
        allow_unknown_static_fields: flags.allowUnknownStaticFields,
        admin_address_path: flags.adminAddressPath,
        local_address_ip_version: 'v4',
        log_level: flags.logLevel,
        component_log_level: [...flags.componentLogLevels].map(([name, level]) => `${name}:${level}`).join(),
        log_format: flags.logFormat ?? '[%Y-%m-%d %T.%e][%t][%l][%n] %v',
        log_path: flags.logPath ?? '',
        service_cluster: flags.serviceCluster,
        service_node: flags.serviceNode,
        service_zone: flags.serviceZone,
        file_flush_interval: '10s',
        drain_time: `${flags.drainTimeMs / 1000}s`,
        parent_shutdown_time: `${flags.parentShutdownTimeMs / 1000}s`,
        mode: 'Serve',
        disable_hot_restart: true,
        enable_mutex_tracing: false,
        restart_epoch: 0,
        cpuset_threads: false,
        reject_unknown_dynamic_fields: flags.rejectUnknownDynamicFields,
        log_format_escaped: false,
        disabled_extensions: [],
        ignore_unknown_dynamic_fields: flags.ignoreUnknownDynamicFields,
        use_dynamic_base_id: false,
        base_id_path: flags.baseIdPath,
        drain_strategy: flags.drainStrategy === 'gradual' ? 'Gradual' : 'Immediate',
        enable_fine_grain_logging: false,
        socket_path: '@envoy_domain_socket',
        socket_mode: 0,
        enable_core_dump: false,
        stats_tag: flags.statsTags.map(({ name, value }) => `${name}:${value}`),
        skip_hot_restart_on_no_parent: false,
        skip_hot_restart_parent_stats: false,
        skip_deprecated_logs: flags.skipDeprecatedLogs,
        file_flush_min_size: 0,
        log_stacktrace_single_entry: false,
      },
      node: messageJson('envoy.config.core.v3.Node', Node.encode(settings.node).finish(), true),
      hot_restart_initializing: false,
    })
  },
}
