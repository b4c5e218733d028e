import { address, cluster, http, type Message, tcp } from '../bootstrap.ts'
import { get, group, type ParityCase, type Ports } from '../case.ts'

const at = (host: string, port: number): Message => ({ socket_address: { address: host, port_value: port } })

/** Cluster `a` with one endpoint that has several addresses. */
function several(addresses: readonly Message[], more: Message = {}): Message {
  const [first = {}, ...others] = addresses
  return {
    ...cluster('a', []),
    load_assignment: {
      cluster_name: 'a',
      endpoints: [
        {
          lb_endpoints: [{ endpoint: { address: first, additional_addresses: others.map((one) => ({ address: one })) } }],
        },
      ],
    },
    ...more,
  }
}

const cases: ParityCase[] = [
  {
    name: 'first-refuses',
    bootstrap: (ports) => http(ports, { clusters: [several([at('::1', ports['a'] ?? 1), address(ports['a'] ?? 1)])] }),
    turns: [get('/1'), get('/2')],
  },
  {
    name: 'first-takes',
    bootstrap: (ports) => http(ports, { clusters: [several([address(ports['a'] ?? 1), at('::1', ports['a'] ?? 1)])] }),
    turns: [get('/1')],
  },
  {
    name: 'all-refuse',
    bootstrap: (ports) => http(ports, { clusters: [several([at('127.0.0.1', 1), at('::1', 1), at('127.0.0.2', 1)])] }),
    turns: [get('/1')],
  },
  {
    name: 'of-sessions',
    bootstrap: (ports) => tcp(ports, { clusters: [several([at('::1', ports['a'] ?? 1), address(ports['a'] ?? 1)])] }),
    turns: [get('/1')],
  },
  ...(
    [
      [at('127.0.0.1', 1), {}],
      [at('127.0.0.1', 1), at('a.test', 1)],
      [at('127.0.0.1', 1), at('127.0.0.1', 1)],
    ] as Message[][]
  ).map((addresses, i) => ({
    name: `verdict-${i}`,
    validateOnly: true,
    bootstrap: (ports: Ports) => http(ports, { clusters: [several(addresses)] }),
  })),
  {
    name: 'verdict-of-names',
    validateOnly: true,
    bootstrap: (ports) => http(ports, { clusters: [several([at('localhost', 1), at('127.0.0.1', 1)], { type: 'STRICT_DNS' })] }),
  },
  {
    name: 'verdict-of-one-name',
    validateOnly: true,
    bootstrap: (ports) => http(ports, { clusters: [several([at('localhost', 1), at('127.0.0.1', 1)], { type: 'LOGICAL_DNS' })] }),
  },
]

export const moreAddressCases: readonly ParityCase[] = group('more-addresses', cases)
