import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { WeftError } from '@weft/service/errors'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseConfigDocument } from '../../bootstrap/document.ts'
import { readSettings } from '../../bootstrap/settings.ts'
import { parseFlags } from '../../flags.ts'
import { decodeDocuments } from './decode.ts'

const bootstrapType = 'envoy.config.bootstrap.v3.Bootstrap'
const type = 'type.googleapis.com/'

const router = `{name: envoy.filters.http.router, typed_config: {"@type": ${type}envoy.extensions.filters.http.router.v3.Router}}`
const manager = (routes: string, extra = '', filters = router): string => `
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}
static_resources:
  clusters:
  - {name: a, type: STATIC, connect_timeout: 1s, load_assignment: {cluster_name: a}}
  listeners:
  - name: http
    address: {socket_address: {address: 127.0.0.1, port_value: 0}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": ${type}envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: ingress
          ${extra}
          http_filters: [${filters}]
          route_config: {name: r, virtual_hosts: [{name: v, domains: ["*"], routes: ${routes}}]}
`
const service = '{envoy_grpc: {cluster_name: a}}'
const cluster = (fields: string): string => `static_resources: {clusters: [${fields}]}`
const oneRoute = '[{match: {prefix: /}, route: {cluster: a}}]'

const check = (kind: string): string =>
  `health_checks: [{timeout: 1s, interval: 1s, unhealthy_threshold: 1, healthy_threshold: 1, ${kind}}]`
const endpoint = (fields: string): string =>
  `load_assignment: {cluster_name: b, endpoints: [{lb_endpoints: [${fields}]}], policy: {}}`

/** What a cluster says besides its name and connect timeout. */
const clusters: [name: string, fields: string, refusal: RegExp | undefined][] = [
  [
    'an enum that has no such number',
    'lb_subset_config: {fallback_policy: 9}',
    /fallback_policy: 9 is no LbSubsetFallbackPolicy/,
  ],
  [
    'a status that a check expects',
    check('http_health_check: {path: /, expected_statuses: [{start: 200, end: 201}]}'),
    undefined,
  ],
  [
    'statuses of nothing',
    check('http_health_check: {path: /, expected_statuses: [{start: 200, end: 200}]}'),
    /expected_statuses\[0\]: .*start < end/,
  ],
  [
    'statuses that are none',
    check('http_health_check: {path: /, retriable_statuses: [{start: 500, end: 601}]}'),
    /outside 100 to 600/,
  ],
  [
    'a check that sends by GET',
    check('http_health_check: {path: /, send: {text: "00"}}'),
    /send: a check can send a payload by POST/,
  ],
  ['a check that sends by POST', check('http_health_check: {path: /, method: POST, send: {text: "00"}}'), undefined],
  [
    'a check without its path',
    check('http_health_check: {path: /, request_headers_to_remove: [":path"]}'),
    /headers may not be removed/,
  ],
  ['a gRPC check by HTTP/1.1', check('grpc_health_check: {}'), /must support HTTP\/2 for gRPC/],
  ['a gRPC check by HTTP/2', `http2_protocol_options: {}, ${check('grpc_health_check: {}')}`, undefined],
  [
    'a limit of requests to each endpoint',
    'circuit_breakers: {per_host_thresholds: [{max_requests: 1}]}',
    /Unsupported field in per_host_thresholds/,
  ],
  [
    'keys to fall back to, and another way to fall back',
    'lb_subset_config: {subset_selectors: [{keys: [a, b], fallback_keys_subset: [a]}]}',
    /only for KEYS_SUBSET/,
  ],
  ['options of both protocols', 'http_protocol_options: {}, http2_protocol_options: {}', /may not both be set/],
  ['a transport socket in name', 'transport_socket: {name: envoy.transport_sockets.raw_buffer}', /transport_socket/],
  ['a match without transport socket', 'transport_socket_matches: [{name: a}]', /transport_socket: must be set/],
  ['an endpoint without address', endpoint('{}'), /Address must be set/],
  ['a long socket path', endpoint(`{endpoint: {address: {pipe: {path: /${'x'.repeat(107)}}}}}`), /exceeds maximum/],
  [
    'overload drops of two kinds',
    endpoint('').replace(
      'policy: {}',
      'policy: {drop_overloads: [{category: x, drop_percentage: {}}, {category: z, drop_percentage: {}}]}',
    ),
    /2 categories/,
  ],
  [
    'overload drops of more than all',
    endpoint('').replace('policy: {}', 'policy: {drop_overloads: [{category: x, drop_percentage: {numerator: 101}}]}'),
    /more than all/,
  ],
]

/** Configurations, whether they are good, and what our refusal has to tell. */
const table: [name: string, yaml: string, refusal: RegExp | undefined][] = [
  ['an empty one', 'admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}', undefined],
  ['a whole one', manager(oneRoute), undefined],
  ['camelCase fields', cluster('{name: b, type: STATIC, connectTimeout: 1s}'), undefined],
  [
    'numbers as text',
    cluster('{name: b, type: STATIC, connect_timeout: 1s, per_connection_buffer_limit_bytes: "1024"}'),
    undefined,
  ],
  ['enums by number', cluster('{name: b, type: 0, connect_timeout: 1s}'), undefined],
  ['fields left empty', cluster('{name: b, type: STATIC, connect_timeout: 1s, metadata: , health_checks: }'), undefined],
  ['an unknown field at the top', 'nonsense: 1', /x\.yaml:1: nonsense: unknown field in envoy\.config\.bootstrap\.v3\.Bootstrap/],
  [
    'an unknown field inside',
    manager('[{match: {prefix: /}, route: {cluster: a, nonsense: 1}}]'),
    /x\.yaml:17: .*routes\[0\]\.route\.nonsense: unknown field/,
  ],
  ['an unknown field in an Any', manager(oneRoute, 'nonsense: 1'), /typed_config\.nonsense: unknown field/],
  [
    'a list for a duration',
    manager('[{match: {prefix: /}, route: {cluster: a, timeout: [1]}}]'),
    /route\.timeout: a list|route\.timeout: \[1\] is not a duration/,
  ],
  ['a word for a duration', manager('[{match: {prefix: /}, route: {cluster: a, timeout: soon}}]'), /"soon" is not a duration/],
  ['a duration without its unit', cluster('{name: b, connect_timeout: 5}'), /connect_timeout: 5 is not a duration/],
  [
    'a duration below zero',
    manager('[{match: {prefix: /}, route: {cluster: a, timeout: -1s}}]'),
    /route\.timeout: a duration must not be negative/,
  ],
  ['an unknown enum word', cluster('{name: b, connect_timeout: 1s, lb_policy: NONSENSE}'), /"NONSENSE" is not a value of/],
  ['text that YAML takes for a boolean', 'node: {id: n, cluster: c}', /node\.id: must be text, not false \(quote it\)/],
  [
    'a fraction where a whole number belongs',
    cluster('{name: b, connect_timeout: 1s, per_connection_buffer_limit_bytes: 1.5}'),
    /must be a whole number/,
  ],
  [
    'a number out of range',
    cluster('{name: b, connect_timeout: 1s, per_connection_buffer_limit_bytes: 4294967296}'),
    /is outside 0 to 4294967295/,
  ],
  ['two members of one oneof', manager('[{match: {prefix: /, path: /a}, route: {cluster: a}}]'), /only one of prefix and path/],
  ['a port above 65535', manager(oneRoute).replace('port_value: 0', 'port_value: 65536'), /port_value: must be at most 65535/],
  ['a name that is empty', cluster('{name: "", connect_timeout: 1s}'), /clusters\[0\]\.name: must not be empty/],
  ['a connect timeout of nothing', cluster('{name: b, connect_timeout: 0s}'), /connect_timeout: must be greater than 0s/],
  ['a required message that is absent', manager('[{match: {prefix: /}}]'), /routes\[0\]: one of route, redirect/],
  ['a match that is absent', manager('[{route: {cluster: a}}]'), /routes\[0\]\.match: must be set/],
  ['no domains', manager(oneRoute).replace('domains: ["*"]', 'domains: []'), /domains: needs at least 1 item/],
  [
    'a stat prefix that is empty',
    manager(oneRoute).replace('stat_prefix: ingress', 'stat_prefix: ""'),
    /stat_prefix: must not be empty/,
  ],
  [
    'a header name that is none',
    manager('[{match: {prefix: /}, route: {cluster: a}, request_headers_to_add: [{header: {key: "a\\nb", value: x}}]}]'),
    /header\.key: is not a valid header name/,
  ],
  [
    'a health check without thresholds',
    cluster('{name: b, connect_timeout: 1s, health_checks: [{timeout: 1s, interval: 1s, http_health_check: {path: /}}]}'),
    /unhealthy_threshold: must be set/,
  ],
  [
    'a health check of no kind',
    cluster(
      '{name: b, connect_timeout: 1s, health_checks: [{timeout: 1s, interval: 1s, unhealthy_threshold: 1, healthy_threshold: 1}]}',
    ),
    /one of http_health_check, tcp_health_check/,
  ],
  [
    'a percentage above 100',
    cluster('{name: b, connect_timeout: 1s, common_lb_config: {healthy_panic_threshold: {value: 101}}}'),
    /must be at least 0 and at most 100/,
  ],
  [
    'an ejection percentage above 100',
    cluster('{name: b, connect_timeout: 1s, outlier_detection: {max_ejection_percent: 101}}'),
    /max_ejection_percent: must be at most 100/,
  ],
  [
    'an endpoint weight of 0',
    cluster(
      '{name: b, type: STATIC, connect_timeout: 1s, load_assignment: {cluster_name: b, endpoints: [{lb_endpoints: [{load_balancing_weight: 0, endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 1}}}}]}]}}',
    ),
    /load_balancing_weight: must be at least 1/,
  ],
  [
    'a filter nobody has',
    manager(
      oneRoute,
      '',
      `{name: x, typed_config: {"@type": ${type}envoy.extensions.filters.http.nonsense.v3.Nonsense}}, ${router}`,
    ),
    /x\.yaml:16: .*@type: unknown type "type\.googleapis\.com\/envoy\.extensions\.filters/,
  ],
  [
    'a status outside of a fault',
    manager(
      oneRoute,
      '',
      `{name: envoy.filters.http.fault, typed_config: {"@type": ${type}envoy.extensions.filters.http.fault.v3.HTTPFault, abort: {http_status: 700, percentage: {numerator: 1}}}}, ${router}`,
    ),
    /abort\.http_status: must be/,
  ],
  [
    'a secret with an unknown field',
    'static_resources: {secrets: [{name: s, nonsense: 1}]}',
    /secrets\[0\]\.nonsense: unknown field/,
  ],
  [
    'an xDS version of old',
    cluster('{name: b, type: EDS, connect_timeout: 1s, eds_cluster_config: {eds_config: {resource_api_version: V2, ads: {}}}}'),
    /resource_api_version: V2 is deprecated and no longer allowed/,
  ],
  ...(
    [
      ['REST', '', /api_type: REST is not supported by this proxy/],
      ['REST', service, /api_type: REST config source must not have a gRPC service/],
      ['AGGREGATED_GRPC', service, /api_type: Unsupported config source/],
      ['DEPRECATED_AND_UNAVAILABLE_DO_NOT_USE', service, /api_type: /],
      ['GRPC', service, undefined],
    ] as const
  ).map(([kind, services, message]): [string, string, RegExp | undefined] => [
    `endpoints by ${kind} with ${services === '' ? 'no' : 'a'} service`,
    `node: {id: x, cluster: c}\n${cluster(
      `{name: a, type: STATIC}, {name: b, type: EDS, eds_cluster_config: {eds_config: {resource_api_version: V3, api_config_source: {api_type: ${kind}, transport_api_version: V3, grpc_services: [${services}]}}}}`,
    )}`,
    message,
  ]),
  [
    'a source address beside none',
    cluster(
      '{name: b, type: STATIC, upstream_bind_config: {extra_source_addresses: [{address: {address: "::1", port_value: 0}}]}}',
    ),
    /extra or additional source addresses cannot be specified if source_address is not set/,
  ],
  [
    'two further source addresses',
    cluster(
      '{name: b, type: STATIC, upstream_bind_config: {source_address: {address: 127.0.0.1, port_value: 0}, extra_source_addresses: [{address: {address: "::1", port_value: 0}}, {address: {address: "::1", port_value: 0}}]}}',
    ),
    /more than one extra or additional source address/,
  ],
  [
    'a time of no end',
    cluster('{name: b, type: STATIC, connect_timeout: 9223372036s}'),
    /connect_timeout: a duration must not exceed 9223372035 s/,
  ],
  ['a time of almost no end', cluster('{name: b, type: STATIC, connect_timeout: 9223372035s}'), undefined],
  [
    'two runtime layers of one name',
    'layered_runtime: {layers: [{name: a, admin_layer: {}}, {name: a, static_layer: {}}]}',
    /two layers are named 'a'/,
  ],
  [
    'two clusters of one name',
    cluster('{name: b, type: STATIC, connect_timeout: 1s}, {name: b, type: STATIC, connect_timeout: 2s}'),
    /two clusters are named 'b'/,
  ],
  [
    'a control plane nobody is',
    'node: {id: "x", cluster: "c"}\ndynamic_resources: {cds_config: {api_config_source: {api_type: GRPC, transport_api_version: V3, grpc_services: [{envoy_grpc: {cluster_name: nobody}}]}}}',
    /api_config_source: no static cluster is named 'nobody'/,
  ],
  ['no YAML at all', 'static_resources: [unclosed', /x\.yaml:1: not readable as YAML/],
  [
    'a local cluster that is none',
    'cluster_manager: {local_cluster_name: nobody}',
    /local_cluster_name: local cluster 'nobody' must be defined/,
  ],
  ['an admin address by name', 'admin: {address: {socket_address: {address: x, port_value: 0}}}', /malformed IP address: x/],
  ['a tag that nothing finds', 'stats_config: {stats_tags: [{tag_name: a}]}', /No regex specified/],
  ['two kinds of watchdogs', 'watchdog: {}\nwatchdogs: {main_thread_watchdog: {}}', /Only one of watchdog or watchdogs/],
  ['a disk layer nowhere', 'layered_runtime: {layers: [{name: a, disk_layer: {}}]}', /invalid file path/],
  [
    'a list in the runtime',
    'layered_runtime: {layers: [{name: a, static_layer: {x: [1]}}]}',
    /Invalid runtime entry value for x/,
  ],
  [
    'a control plane of two services',
    'node: {id: "x", cluster: "c"}\ndynamic_resources: {ads_config: {api_type: GRPC, transport_api_version: V3, grpc_services: []}}',
    /must have either a gRPC service/,
  ],
  [
    'endpoints from a file that is not there',
    cluster(
      '{name: b, type: EDS, connect_timeout: 1s, eds_cluster_config: {eds_config: {path_config_source: {path: /nonexistent/x}}}}',
    ),
    /'\/nonexistent\/x' does not exist/,
  ],
  [
    'two upgrades of one kind',
    manager(oneRoute, 'upgrade_configs: [{upgrade_type: websocket}, {upgrade_type: WebSocket}]'),
    /multiple upgrade configs/,
  ],
  [
    'two virtual hosts of one name',
    manager(oneRoute).replace('virtual_hosts: [', 'virtual_hosts: [{name: v, domains: [b]}, '),
    undefined,
  ],
  [
    'filter chains that overlap',
    manager(oneRoute).replace(
      '    - filters:',
      '    - {filter_chain_match: {server_names: [a]}}\n    - {filter_chain_match: {server_names: [b, A]}}\n    - filters:',
    ),
    /multiple filter chains with overlapping matching rules/,
  ],
  [
    'a chain without filters',
    manager(oneRoute).replace('    - filters:', '    - {filter_chain_match: {server_names: [a]}}\n    - filters:'),
    undefined,
  ],
  ...clusters.map(([name, fields, refusal]): (typeof table)[number] => [
    name,
    cluster(`{name: b, type: STATIC, connect_timeout: 1s, ${fields}}`),
    refusal,
  ]),
]

function verdict(yaml: string): string | undefined {
  const flags = parseFlags([], 'test')
  if ('print' in flags) throw new Error('flags that print')
  try {
    readSettings(decodeDocuments(bootstrapType, [parseConfigDocument(yaml, 'x.yaml')]), flags)
    return undefined
  } catch (error) {
    return WeftError.from(error).describe()
  }
}

describe('a bootstrap', () => {
  test.each(table)('with %s', (_name, yaml, refusal) => {
    const found = verdict(yaml)
    if (refusal === undefined) expect(found).toBeUndefined()
    else expect(found).toMatch(refusal)
  })

  test('tells every problem at once, each with its line and path', () => {
    const found = verdict('static_resources:\n  clusters:\n  - name: ""\n  - name: b\n    connect_timeout: 0s\n')
    expect(found).toMatch(/x\.yaml:3: .*clusters\[0\]\.name/)
    expect(found).toMatch(/x\.yaml:5: .*clusters\[1\]\.connect_timeout/)
  })

  test('is refused for what Envoy has and this proxy has not, by name and path', () => {
    const lua = `{name: lua, typed_config: {"@type": ${type}envoy.extensions.filters.http.lua.v3.Lua}}, ${router}`
    expect(verdict(manager(oneRoute, '', lua))).toMatch(
      /x\.yaml:16: .*http_filters\[0\]\.typed_config\.@type: not supported by this proxy: 'envoy\.extensions\.filters\.http\.lua\.v3\.Lua'/,
    )
    expect(verdict('hds_config: {}')).toMatch(/hds_config: not supported by this proxy/)
  })

  test('merges the second document over the first: lists are appended, single values replaced', () => {
    const bytes = decodeDocuments(bootstrapType, [
      parseConfigDocument(
        'node: {id: "one", cluster: "c"}\nstatic_resources: {clusters: [{name: a, type: STATIC, connect_timeout: 1s}]}',
      ),
      parseConfigDocument('node: {id: "two"}\nstatic_resources: {clusters: [{name: b, type: STATIC, connect_timeout: 1s}]}'),
    ])
    const flags = parseFlags([], 'test')
    if ('print' in flags) throw new Error('flags that print')
    const settings = readSettings(bytes, flags)
    expect([settings.node.id, settings.node.cluster]).toEqual(['two', 'c'])
    expect(settings.clusters.map(({ name }) => name)).toEqual(['a', 'b'])
  })
})

const envoy = process.env['WEFT_ENVOY']
describe.skipIf(envoy === undefined)('real Envoy (WEFT_ENVOY)', () => {
  let folder = ''
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'weft-validate-'))
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  test.each(table)('comes to the same verdict on one with %s', (_name, yaml, refusal) => {
    const file = join(folder, 'x.yaml')
    writeFileSync(file, yaml)
    let good = true
    try {
      execFileSync(envoy ?? '', ['--mode', 'validate', '-c', file, '-l', 'off'], { stdio: 'ignore' })
    } catch {
      good = false
    }
    expect(good).toBe(refusal === undefined)
  })
})
if (envoy === undefined) console.log('real Envoy is not compared: WEFT_ENVOY is not set')
