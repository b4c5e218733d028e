import { createSocket, type Socket } from 'node:dgram'
import { Cluster, Cluster_DnsLookupFamily as Family } from '@weft/contracts/envoy/config/cluster/v3/cluster'
import type { ClusterLoadAssignment } from '@weft/contracts/envoy/config/endpoint/v3/endpoint'
import { CaresDnsResolverConfig } from '@weft/contracts/envoy/extensions/network/dns_resolver/cares/v3/cares_dns_resolver'
import { describe, expect, it, onTestFinished } from 'vitest'
import { until } from '../testing/worker-harness.ts'
import { DnsEndpoints } from './dns.ts'

const rcode = { ok: 0, serverFailure: 2, noSuchName: 3 } as const

/** A name server of one zone: answers A queries with what `zone` has then. */
class NameServer {
  readonly zone = new Map<string, { addresses: string[]; ttl: number } | 'fails'>()
  asked = 0
  private readonly socket: Socket = createSocket('udp4')

  listen(): Promise<number> {
    this.socket.on('message', (query, from) => {
      const reply = this.answer(query)
      this.socket.send(reply, from.port, from.address)
    })
    return new Promise((resolve) => this.socket.bind(0, '127.0.0.1', () => resolve(this.socket.address().port)))
  }

  close(): void {
    this.socket.close()
  }

  /** RFC 1035 section 4, for one question. */
  private answer(query: Buffer): Buffer {
    const labels: string[] = []
    let at = 12
    for (let length = query[at]!; length > 0; length = query[at]!) {
      labels.push(query.toString('latin1', at + 1, at + 1 + length))
      at += 1 + length
    }
    const question = query.subarray(12, at + 5)
    const isA = query.readUInt16BE(at + 1) === 1
    if (isA) this.asked++
    const found = this.zone.get(labels.join('.'))
    const records = isA && found !== undefined && found !== 'fails' ? found.addresses : []
    const code = found === 'fails' ? rcode.serverFailure : found === undefined ? rcode.noSuchName : rcode.ok
    const head = Buffer.alloc(12)
    head.writeUInt16BE(query.readUInt16BE(0), 0)
    head.writeUInt16BE(0x8180 | code, 2)
    head.writeUInt16BE(1, 4)
    head.writeUInt16BE(records.length, 6)
    const answers = records.map((address) => {
      const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, ...address.split('.').map(Number)])
      record.writeUInt32BE(found === undefined || found === 'fails' ? 0 : found.ttl, 6)
      return record
    })
    return Buffer.concat([head, question, ...answers])
  }
}

async function nameServer(): Promise<{ server: NameServer; port: number }> {
  const server = new NameServer()
  onTestFinished(() => server.close())
  return { server, port: await server.listen() }
}

function clusterOf(port: number, names: readonly string[], more: Parameters<(typeof Cluster)['fromPartial']>[0] = {}): Cluster {
  const socket = (address: string, portValue: number) => ({
    address: {
      $case: 'socketAddress' as const,
      value: { address, portSpecifier: { $case: 'portValue' as const, value: portValue } },
    },
  })
  return Cluster.fromPartial({
    name: 'c',
    dnsLookupFamily: Family.V4_ONLY,
    dnsRefreshRate: { seconds: 0, nanos: 20_000_000 },
    typedDnsResolverConfig: {
      name: 'cares',
      typedConfig: {
        typeUrl: 'type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig',
        value: Buffer.from(
          CaresDnsResolverConfig.encode(CaresDnsResolverConfig.fromPartial({ resolvers: [socket('127.0.0.1', port)] })).finish(),
        ),
      },
    },
    loadAssignment: {
      clusterName: 'c',
      endpoints: [
        {
          lbEndpoints: names.map((name) => ({
            hostIdentifier: { $case: 'endpoint' as const, value: { address: socket(name, 80) } },
          })),
        },
      ],
    },
    ...more,
  })
}

function watch(cluster: Cluster, logical = false) {
  const seen: string[][] = []
  const counts: Record<string, number> = {}
  const dns = new DnsEndpoints({
    cluster,
    logical,
    changed: (assignment) => seen.push(addressesOf(assignment)),
    failed: () => {},
    count: (what) => {
      counts[what] = (counts[what] ?? 0) + 1
    },
  })
  onTestFinished(() => dns.close())
  return { seen, counts }
}

function addressesOf({ endpoints }: ClusterLoadAssignment): string[] {
  return endpoints.flatMap(({ lbEndpoints }) =>
    lbEndpoints.map(({ hostIdentifier }) => {
      const address = hostIdentifier?.$case === 'endpoint' ? hostIdentifier.value.address?.address : undefined
      return address?.$case === 'socketAddress' ? address.value.address : ''
    }),
  )
}

describe('a cluster whose endpoints have names', () => {
  it('has every address of them, and follows what the name server says', async () => {
    const { server, port } = await nameServer()
    server.zone.set('a.test', { addresses: ['10.0.0.1', '10.0.0.2'], ttl: 60 })
    server.zone.set('b.test', { addresses: ['10.0.1.1'], ttl: 60 })
    const { seen, counts } = watch(clusterOf(port, ['a.test', 'b.test']))
    await until(() => seen.length === 1, 'the first endpoints')
    expect(seen[0]?.toSorted()).toEqual(['10.0.0.1', '10.0.0.2', '10.0.1.1'])
    server.zone.set('a.test', { addresses: ['10.0.0.3'], ttl: 60 })
    await until(() => seen.length === 2, 'the next ones')
    expect(seen[1]).toEqual(['10.0.0.3', '10.0.1.1'])
    await until(() => (counts['no_rebuild'] ?? 0) > 0, 'an answer that is no other')
  })

  it('keeps what it has while the name server fails, and loses what is no more', async () => {
    const { server, port } = await nameServer()
    server.zone.set('a.test', { addresses: ['10.0.0.1'], ttl: 60 })
    const { seen, counts } = watch(clusterOf(port, ['a.test']))
    await until(() => seen.length === 1, 'the first endpoints')
    server.zone.set('a.test', 'fails')
    await until(() => (counts['failure'] ?? 0) > 0, 'a failure')
    expect(seen).toEqual([['10.0.0.1']])
    server.zone.delete('a.test')
    await until(() => seen.length === 2, 'the end of the name')
    expect(seen[1]).toEqual([])
    expect(counts['empty']).toBeGreaterThan(0)
  })

  it('of LOGICAL_DNS has one address, and keeps the last there was', async () => {
    const { server, port } = await nameServer()
    server.zone.set('a.test', { addresses: ['10.0.0.1', '10.0.0.2'], ttl: 60 })
    const { seen, counts } = watch(clusterOf(port, ['a.test']), true)
    await until(() => seen.length === 1, 'the first endpoint')
    expect(seen[0]).toHaveLength(1)
    server.zone.delete('a.test')
    await until(() => (counts['failure'] ?? 0) > 0, 'an answer without addresses')
    expect(seen).toHaveLength(1)
  })

  it('asks again when an answer no longer holds, where that counts', async () => {
    const { server, port } = await nameServer()
    server.zone.set('a.test', { addresses: ['10.0.0.1'], ttl: 3600 })
    const { seen } = watch(clusterOf(port, ['a.test'], { respectDnsTtl: true }))
    await until(() => seen.length === 1, 'the first endpoint')
    const { server: hasty, port: other } = await nameServer()
    hasty.zone.set('a.test', { addresses: ['10.0.0.1'], ttl: 3600 })
    const { counts } = watch(clusterOf(other, ['a.test']))
    await until(() => (counts['attempt'] ?? 0) > 5, 'one that asks at its own rate has asked often')
    expect(server.asked).toBe(1)
  })

  it('starts with nothing where a name has never had an address, and tries it at the rate of failures', async () => {
    const { server, port } = await nameServer()
    server.zone.set('a.test', 'fails')
    const rate = { baseInterval: { seconds: 0, nanos: 10_000_000 }, maxInterval: { seconds: 0, nanos: 20_000_000 } }
    const slow = { dnsRefreshRate: { seconds: 3600, nanos: 0 }, dnsFailureRefreshRate: rate }
    const { seen, counts } = watch(clusterOf(port, ['a.test'], slow))
    await until(() => (counts['failure'] ?? 0) > 1, 'another try')
    expect(seen).toEqual([[]])
    server.zone.set('a.test', { addresses: ['10.0.0.1'], ttl: 60 })
    await until(() => seen.length === 2, 'the endpoint')
    expect(seen[1]).toEqual(['10.0.0.1'])
  })
})
