import type { Control } from '../control/control.ts'

type Add = (kind: 'counter' | 'gauge', name: string, value: number) => void

/** Counters that every Envoy has, whether anything ever counts in them. */
const counters = [
  ...named('cluster_manager', 'cluster_added cluster_modified cluster_removed cluster_updated cluster_updated_via_merge'),
  ...named('cluster_manager', 'update_merge_cancelled update_out_of_merge_window'),
  'envoy.overload_actions.reset_high_memory_stream.count',
  ...named('filesystem', 'flushed_by_timer reopen_failed write_buffered write_completed write_failed'),
  ...named('http1', 'dropped_headers_with_underscores metadata_not_supported_error'),
  ...named('http1', 'requests_rejected_with_underscores_in_headers response_flood'),
  ...named('http.async-client', 'no_cluster no_route rq_direct_response rq_overload_local_reply rq_redirect rq_total'),
  'http.async-client.rq_reset_after_downstream_response_started',
  ...named(
    'http.async-client.passthrough_internal_redirect',
    'bad_location no_route predicate too_many_redirects unsafe_scheme',
    '_',
  ),
  ...named(
    'listener.admin',
    'downstream_cx_overflow downstream_cx_overload_reject downstream_cx_transport_socket_connect_timeout',
  ),
  ...named('listener.admin', 'downstream_global_cx_overflow downstream_listener_filter_error'),
  ...named('listener.admin', 'downstream_listener_filter_remote_close downstream_pre_cx_timeout no_filter_chain_match'),
  ...named('listener_manager', 'listener_added listener_create_failure listener_create_success listener_in_place_updated'),
  ...named('listener_manager', 'listener_modified listener_removed listener_stopped'),
  ...named('main_thread', 'watchdog_mega_miss watchdog_miss'),
  ...named('runtime', 'deprecated_feature_use load_error override_dir_exists override_dir_not_exists'),
  ...named('server', 'debug_assertion_failures dropped_stat_flushes dynamic_unknown_fields envoy_bug_failures'),
  ...named('server', 'envoy_notifications static_unknown_fields wip_protos'),
  ...named('server.main_thread', 'watchdog_mega_miss watchdog_miss'),
  ...named('workers', 'watchdog_mega_miss watchdog_miss'),
]

const gauges = [
  'filesystem.write_total_buffered',
  'listener.admin.downstream_pre_cx_active',
  ...named('listener_manager', 'total_filter_chains_draining workers_pinned'),
  'runtime.deprecated_feature_seen_since_process_start',
  ...named('server', 'compilation_settings.fips_mode parent_connections seconds_until_first_ocsp_response_expiring'),
  ...named('server', 'stats_recent_lookups version'),
]

/** The counters and gauges of a process that stand at nothing here, where nobody else has them, and those of its admin server. */
export function standingStats({ clusters, reader, flags }: Control, add: Add): void {
  const lacks = (name: string): boolean => reader.value(name) === undefined
  const perWorker = Array.from({ length: flags.concurrency }, (_, worker) =>
    named(`server.worker_${worker}`, 'watchdog_mega_miss watchdog_miss'),
  )
  for (const name of [...counters, ...perWorker.flat()]) if (lacks(name)) add('counter', name, 0)
  for (const name of gauges) if (lacks(name)) add('gauge', name, 0)
  const threads = ['main_thread', ...perWorker.map((_, worker) => `worker_${worker}`)]
  for (const thread of threads) add('gauge', `thread_local_cluster_manager.${thread}.clusters_inflated`, clusters.active().length)
  // The admin server is a connection manager without a listener of its own.
  for (const [kind, name] of ofAdmin) {
    const value = reader.value(`http.admin.${name}`) ?? 0
    add(kind, `listener.admin.${name}`, value)
    if (name !== 'downstream_cx_destroy') add(kind, `listener.admin.main_thread.${name}`, value)
  }
}

const ofAdmin = [
  ['counter', 'downstream_cx_total'],
  ['counter', 'downstream_cx_destroy'],
  ['gauge', 'downstream_cx_active'],
] as const

/** Names under a common front. */
function named(front: string, names: string, joint = '.'): string[] {
  return names.split(' ').map((name) => front + joint + name)
}
