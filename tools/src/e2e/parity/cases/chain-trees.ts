import { address, cluster, http, type Message, networkFilter, router, typed } from '../bootstrap.ts'
import { get, group, type ParityCase, type Ports } from '../case.ts'

const network = 'envoy.extensions.matching.common_inputs.network.v3.'
const input = (type: string, fields: Message = {}): Message => ({ name: type, typed_config: typed(network + type, fields) })
const map = (by: string, values: Message, more: Message = {}): Message => ({
  matcher_tree: { input: input(by), exact_match_map: { map: values } },
  ...more,
})
const chain = (value: string): Message => ({
  action: { name: 'chain', typed_config: typed('google.protobuf.StringValue', { value }) },
})

/** A chain whose requests are answered by its name. */
const named = (name: string): Message => ({
  name,
  filters: [
    networkFilter('http_connection_manager', 'HttpConnectionManager', {
      stat_prefix: name === '' ? 'none' : name,
      route_config: {
        virtual_hosts: [
          {
            name: 'all',
            domains: ['*'],
            routes: [{ match: { prefix: '/' }, direct_response: { status: 200, body: { inline_string: name } } }],
          },
        ],
      },
      http_filters: [router],
    }),
  ],
})
const listening = (
  ports: Ports,
  filter_chain_matcher: Message,
  filter_chains: Message[] = [named('one'), named('two')],
): Message => ({
  admin: { address: address(ports['admin'] ?? 0) },
  static_resources: {
    listeners: [
      {
        name: 'http',
        address: address(ports['http'] ?? 0),
        filter_chain_matcher,
        filter_chains,
        default_filter_chain: named('otherwise'),
      },
    ],
    clusters: [cluster('a', [ports['a'] ?? 1])],
  },
})

const trees: Readonly<Record<string, (ports: Ports) => Message>> = {
  port: (ports) => map('DestinationPortInput', { [`${ports['http']}`]: chain('two') }),
  'another-port': () => map('DestinationPortInput', { 1: chain('two') }),
  'no-such-chain': () => map('SourceIPInput', { '127.0.0.1': chain('three') }),
  'on-no-match': () => map('SourceIPInput', { '10.0.0.1': chain('one') }, { on_no_match: chain('two') }),
  'source-type': () => map('SourceTypeInput', { local: chain('one') }),
  transport: () => map('TransportProtocolInput', { tls: chain('one'), raw_buffer: chain('two') }),
  nested: () => map('SourceIPInput', { '127.0.0.1': { matcher: map('ServerNameInput', { a: chain('one') }) } }),
}

const allow = (name: string, action = 'ALLOW'): Message => ({
  action: { name, typed_config: typed('envoy.config.rbac.v3.Action', { name, action }) },
})
const ruled = (matcher: Message): ParityCase['bootstrap'] => {
  const rbac = networkFilter('rbac', 'RBAC', { stat_prefix: 'n', matcher, shadow_matcher: matcher })
  return (ports) => {
    const plain = http(ports)
    const [manager] = named('passed')['filters'] as Message[]
    const listeners = [
      { name: 'http', address: address(ports['http'] ?? 0), filter_chains: [{ filters: [rbac, manager ?? {}] }] },
    ]
    return { ...plain, static_resources: { listeners } }
  }
}

const cases: ParityCase[] = [
  ...Object.entries(trees).map(([name, tree]) => ({
    name,
    bootstrap: (ports: Ports) => listening(ports, tree(ports)),
    // Who has no chain is closed as it comes, or reset if it has said something by then: it waits.
    turns: [name === 'no-such-chain' ? { send: [], untilClosed: true } : get('/')],
  })),
  ...Object.entries({
    'same-name': [named('one'), named('one')],
    'no-name': [named('')],
  }).map(([name, chains]) => ({
    name: `refused-${name}`,
    bootstrap: (ports: Ports) => listening(ports, map('SourceIPInput', { a: chain('one') }), chains),
    validateOnly: true,
  })),
  { name: 'rules-allow', bootstrap: ruled(map('SourceIPInput', { '127.0.0.1': allow('p') })), turns: [get('/')] },
  { name: 'rules-deny', bootstrap: ruled(map('SourceIPInput', { '127.0.0.1': allow('p', 'DENY') })), turns: [get('/')] },
  { name: 'rules-match-nothing', bootstrap: ruled(map('SourceIPInput', { '10.0.0.1': allow('p') })), turns: [get('/')] },
  ...['SourceTypeInput', 'TransportProtocolInput', 'ApplicationProtocolInput'].map((by) => ({
    name: `rules-without-${by}`,
    bootstrap: ruled(map(by, { x: allow('p') })),
    validateOnly: true,
  })),
]

export const chainTreeCases: readonly ParityCase[] = group('chain-trees', cases)
