import { accessLog, address, cluster, http, httpFilter, type Message, typed } from '../parity/bootstrap.ts'
import type { Ports } from '../parity/case.ts'
import { type ClusterName, retryPolicy, routeAction } from './actions.ts'
import { type Choice, fields } from './choice.ts'
import { type FilterKind, filterKinds, perFilterConfig } from './filters.ts'
import { logOperatorsOf, logSeparator } from './formats.ts'
import { headerEdits } from './header-edits.ts'
import { managerOptions } from './manager.ts'
import { headerMatcher, routeMatch } from './matchers.ts'

const routeMetadata: Message = { filter_metadata: { ns: { k: 'routed', deep: { k: 'x' } } } }

function route(choice: Choice, name: string, cluster: ClusterName, kinds: readonly FilterKind[]): Message {
  const match = routeMatch(choice)
  const perFilter = (): Message | undefined => choice.maybe(40, () => perFilterConfig(choice, kinds))
  return fields({
    name,
    match,
    ...routeAction(choice, match, cluster, perFilter),
    ...headerEdits(choice, 30),
    typed_per_filter_config: perFilter(),
    metadata: choice.maybe(20, () => routeMetadata),
    decorator: choice.maybe(5, () => ({ operation: 'op' })),
    stat_prefix: choice.maybe(10, () => name),
    request_body_buffer_limit: choice.maybe(5, () => '100'),
  })
}

function virtualHost(
  choice: Choice,
  name: string,
  domains: string[],
  cluster: ClusterName,
  kinds: readonly FilterKind[],
): Message {
  return fields({
    name,
    domains,
    routes: choice.many(3, 6, (index) => route(choice, `${name}-${index}`, cluster, kinds)),
    ...headerEdits(choice, 25),
    typed_per_filter_config: choice.maybe(30, () => perFilterConfig(choice, kinds)),
    require_tls: choice.maybe(6, () => choice.pick(['ALL', 'EXTERNAL_ONLY'])),
    virtual_clusters: choice.maybe(25, () => [
      { name: 'vc', headers: [headerMatcher(choice)] },
      { name: 'all', headers: [{ name: ':path', prefix_match: '/a' }] },
    ]),
    include_request_attempt_count: choice.maybe(25, () => true),
    include_attempt_count_in_response: choice.maybe(25, () => true),
    include_is_timeout_retry_header: choice.maybe(10, () => true),
    retry_policy: choice.maybe(15, () => retryPolicy(choice)),
    rate_limits: choice.maybe(15, () => [{ actions: [{ generic_key: { descriptor_value: 'v' } }] }]),
    metadata: choice.maybe(20, () => routeMetadata),
  })
}

/** A listener with a connection manager of its own, and the clusters that are its own. */
export function listener(
  choice: Choice,
  name: string,
  ports: Ports,
  logFile: string,
): { listener: Message; clusters: Message[] } {
  const clusterName: ClusterName = (origin) => `${name}_${origin}`
  const kinds = filterKinds.filter(() => choice.chance(22))
  const hosts = [
    virtualHost(choice, `${name}-any`, ['*'], clusterName, kinds),
    virtualHost(
      choice,
      `${name}-b`,
      choice.pick([['b.test', '*.b.test'], ['b.test:*', 'x.b.test'], ['*.test'], ['b.*']]),
      clusterName,
      kinds,
    ),
    virtualHost(choice, `${name}-c`, choice.pick([['c.test'], ['c.test:8080'], ['c.*', 'c.test:8080']]), clusterName, kinds),
  ]
  const log = [`${name} id=%REQ(x-id)% route=<%ROUTE_NAME%>`, ...logOperatorsOf(choice)].join(logSeparator)
  const filters = kinds.map((kind) => {
    const filter = kind.filter(choice, name)
    return choice.chance(6) ? { ...filter, disabled: true } : filter
  })
  const made = http(ports, {
    virtualHosts: hosts,
    filters,
    log: '',
    routeConfig: fields({
      name: `${name}-routes`,
      ...headerEdits(choice, 25),
      typed_per_filter_config: choice.maybe(15, () => perFilterConfig(choice, kinds)),
      most_specific_header_mutations_wins: choice.maybe(30, () => true),
      internal_only_headers: choice.maybe(15, () => ['x-b']),
      ignore_port_in_host_matching: choice.maybe(20, () => true),
      ignore_path_parameters_in_path_matching: choice.maybe(15, () => true),
      validate_clusters: false,
    }),
    manager: {
      ...managerOptions(choice),
      stat_prefix: `ingress_${name}`,
      http_filters: [
        ...filters,
        httpFilter(
          'router',
          'Router',
          fields({
            suppress_envoy_headers: choice.maybe(15, () => true),
            respect_expected_rq_timeout: choice.maybe(15, () => true),
            strict_check_headers: choice.maybe(10, () => ['x-envoy-max-retries', 'x-envoy-upstream-rq-timeout-ms']),
          }),
        ),
      ],
      access_log: [fileLog(logFile, `${log}\n`)],
    },
    listener: { name, address: address(ports[name] ?? 0), ...(choice.chance(20) ? { metadata: routeMetadata } : {}) },
  })
  const [first = {}] = (made['static_resources'] as { listeners: Message[] }).listeners
  const more = (): Message =>
    fields({
      metadata: choice.maybe(30, () => ({ filter_metadata: { ns: { k: 'clustered' } } })),
      alt_stat_name: undefined,
    })
  const clusters = ['a', 'b', 'down', 'mirror', 'auth'].map((origin) =>
    cluster(clusterName(origin), [ports[origin] ?? 1], more()),
  )
  return { listener: first, clusters }
}

function fileLog(path: string, format: string): Message {
  return {
    ...accessLog(format),
    name: 'envoy.access_loggers.file',
    typed_config: typed('envoy.extensions.access_loggers.file.v3.FileAccessLog', {
      path,
      log_format: { text_format_source: { inline_string: format } },
    }),
  }
}
