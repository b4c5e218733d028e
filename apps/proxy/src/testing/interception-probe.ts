/**
 * A worker among redirected connections, in a network namespace of its own: `unshare --net node interception-probe.ts`.
 * Prints what clients and servers saw, as one line of JSON.
 */
import { execFileSync } from 'node:child_process'
import http from 'node:http'
import net from 'node:net'
import { Cluster, Cluster_DiscoveryType, Cluster_LbPolicy } from '@weft/contracts/envoy/config/cluster/v3/cluster'
import { OriginalDst } from '@weft/contracts/envoy/extensions/filters/listener/original_dst/v3/original_dst'
import { TcpProxy } from '@weft/contracts/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy'
import { connectionManager, listener, routeTo, typed } from './resources.ts'
import { WorkerHarness } from './worker-harness.ts'

const outbound = 15_001
const inbound = 15_006
const run = (file: string, ...args: string[]): void => void execFileSync(file, args, { stdio: ['ignore', 'pipe', 'inherit'] })

run('ip', 'link', 'set', 'lo', 'up')
run('ip', 'route', 'add', 'local', '198.51.100.0/24', 'dev', 'lo')
for (const address of ['::6/128', '2001:db8::1/128']) run('ip', '-6', 'addr', 'add', address, 'dev', 'lo')
run('ip', '-6', 'route', 'add', 'local', '2001:db8::/64', 'dev', 'lo')
for (const [iptables, source, range] of [
  ['iptables', '127.0.0.6', '198.51.100.0/24'],
  ['ip6tables', '::6', '2001:db8::/64'],
] as const) {
  const nat = [iptables, '-w', '-t', 'nat', '-A', 'OUTPUT', '-p', 'tcp'] as const
  const [command, ...args] = nat
  run(command, ...args, '-s', source, '-j', 'RETURN')
  run(command, ...args, '-d', range, '-j', 'REDIRECT', '--to-ports', String(outbound))
}

const socketAddress = (address: string, port: number) => ({
  address: { $case: 'socketAddress' as const, value: { address, portSpecifier: { $case: 'portValue' as const, value: port } } },
})
const passthrough = Cluster.fromPartial({
  name: 'passthrough',
  clusterDiscoveryType: { $case: 'type', value: Cluster_DiscoveryType.ORIGINAL_DST },
  lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED,
  connectTimeout: { seconds: 5, nanos: 0 },
  upstreamBindConfig: {
    sourceAddress: { address: '127.0.0.6', portSpecifier: { $case: 'portValue', value: 0 } },
    extraSourceAddresses: [{ address: { address: '::6', portSpecifier: { $case: 'portValue', value: 0 } } }],
  },
})
const tcpProxy = typed(
  'tcp',
  'envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy',
  TcpProxy.encode(
    TcpProxy.fromPartial({ statPrefix: 'caught', clusterSpecifier: { $case: 'cluster', value: 'passthrough' } }),
  ).finish(),
)
const says = (text: string) =>
  connectionManager([
    {
      match: { pathSpecifier: { $case: 'prefix', value: '/' } },
      action: {
        $case: 'directResponse',
        value: { status: 200, body: { specifier: { $case: 'inlineString', value: text } } },
      },
    },
  ])
const unbound = { bindToPort: false }

const worker = new WorkerHarness()
const refused = await worker.apply(
  { kind: 'cluster', name: 'passthrough', bytes: Cluster.encode(passthrough).finish() },
  listener('outbound', [{ filters: [tcpProxy] }], {
    address: socketAddress('0.0.0.0', outbound),
    additionalAddresses: [{ address: socketAddress('::', outbound) }],
    useOriginalDst: true,
  }),
  listener('inbound', [{ filters: [connectionManager([routeTo('passthrough')])] }], {
    address: socketAddress('127.0.0.1', inbound),
    listenerFilters: [
      typed(
        'original_dst',
        'envoy.extensions.filters.listener.original_dst.v3.OriginalDst',
        OriginalDst.encode(OriginalDst.fromPartial({})).finish(),
      ),
    ],
  }),
  listener('any', [{ filters: [says('any address')] }], { address: socketAddress('0.0.0.0', 80), ...unbound }),
  listener('one', [{ filters: [says('one address')] }], { address: socketAddress('198.51.100.7', 80), ...unbound }),
  listener('one-v6', [{ filters: [says('one IPv6 address')] }], { address: socketAddress('2001:db8::7', 80), ...unbound }),
)

/** A server that speaks first: tells the client where it thinks the client is. */
const first = net.createServer((socket) => socket.end(`you are ${socket.remoteAddress}, I am ${socket.localAddress}`))
await new Promise<void>((resolve) => first.listen({ port: 7000, host: '::' }, resolve))
const web = http.createServer((request, response) => response.end(`web at ${request.socket.localAddress}`))
await new Promise<void>((resolve) => web.listen({ port: 7001, host: '198.51.100.9' }, resolve))

const get = async (url: string): Promise<string> => (await fetch(url, { headers: { connection: 'close' } })).text()
const hear = (host: string, port = 7000): Promise<string> =>
  new Promise((resolve) => {
    let heard = ''
    net
      .connect({ host, port })
      .setEncoding('utf8')
      .on('data', (text) => (heard += text))
      .on('error', (error) => (heard += error.message))
      .on('close', () => resolve(heard))
  })

const seen: Record<string, unknown> = {
  refused,
  any: await get('http://198.51.100.1/'),
  one: await get('http://198.51.100.7/'),
  oneV6: await get('http://[2001:db8::7]/'),
  serverFirst: await hear('198.51.100.9'),
  serverFirstV6: await hear('2001:db8::9'),
  nobody: await hear('198.51.100.10', 7009),
  straight: await hear('127.0.0.1', outbound),
}
run('iptables', '-w', '-t', 'nat', '-F', 'OUTPUT')
run('iptables', '-w', '-t', 'nat', '-A', 'OUTPUT', '-s', '127.0.0.6', '-j', 'RETURN')
run(
  'iptables',
  ...['-w', '-t', 'nat', '-A', 'OUTPUT', '-p', 'tcp', '-d', '198.51.100.0/24', '-j', 'REDIRECT', '--to-ports', String(inbound)],
)
seen['http'] = await get('http://198.51.100.9:7001/')
console.log(JSON.stringify(seen))
process.exit(0)
