import { once } from 'node:events'
import net from 'node:net'
import { decodeAttributes } from '@weft/attributes/decoding'
import { toPlainAttributes } from '@weft/attributes/encoding'
import type { AttributeValue } from '@weft/attributes/types'
import { wordReader } from '@weft/attributes/words'
import {
  NetworkFailPolicy_FailPolicy as Policy,
  TcpClientConfig,
} from '@weft/contracts/istio/mixer/v1/config/client/client_config'
import type { ReportRequest } from '@weft/contracts/istio/mixer/v1/report'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { cluster, echo, listener, typed } from '../../../testing/resources.ts'
import { WorkerHarness } from '../../../testing/worker-harness.ts'
import { denied, FakeMixer } from '../../http/mixer/fake-mixer.ts'

let mixer: FakeMixer
let proxy: WorkerHarness
const sockets: net.Socket[] = []
beforeEach(async () => {
  mixer = await FakeMixer.open()
  proxy = new WorkerHarness()
})
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy()
  proxy.close()
  mixer.close()
})

type Config = NonNullable<Parameters<(typeof TcpClientConfig)['fromPartial']>[0]>

const filter = (config: TcpClientConfig) =>
  typed('mixer', 'istio.mixer.v1.config.client.TcpClientConfig', TcpClientConfig.encode(config).finish())

async function proxyWith(config: Config, mixerPort = mixer.port): Promise<void> {
  const source = TcpClientConfig.fromPartial({
    mixerAttributes: toPlainAttributes([['destination.service.host', 'redis.default']]),
    ...config,
    transport: { checkCluster: 'mixer', reportCluster: 'mixer', disableReportBatch: true, ...config.transport },
  })
  expect(await proxy.apply(cluster('mixer', [mixerPort]), listener('l', [{ filters: [filter(source), echo] }]))).toEqual([])
}

function connect(): net.Socket {
  const socket = net.connect(proxy.port('l'), '127.0.0.1')
  socket.on('error', () => {})
  sockets.push(socket)
  return socket
}

/** What is echoed of `hello`; empty: the connection was closed. */
function hello(socket: net.Socket): Promise<string> {
  return new Promise((resolve) => {
    socket.once('close', () => resolve(''))
    socket.once('data', (bytes) => resolve(bytes.toString()))
    socket.write('hello')
  })
}

/** The records of reports, each as a whole. */
function records(reports: readonly ReportRequest[]): Map<string, AttributeValue>[] {
  return reports.flatMap(({ attributes, defaultWords }) =>
    attributes.map((record) => {
      const bag = decodeAttributes(record, wordReader(defaultWords))
      return new Map([...bag.names()].map((name) => [name, bag.get(name)!]))
    }),
  )
}

describe('the mixer filter of TCP', () => {
  it('asks before a connection goes on, and reports it as it opens and closes', async () => {
    await proxyWith({})
    const socket = connect()
    expect(await hello(socket)).toBe('hello')
    expect(mixer.checks).toHaveLength(1)
    const asked = decodeAttributes(mixer.checks[0]!.attributes!)
    expect(asked.get('context.protocol')).toBe('tcp')
    expect(asked.get('destination.service.host')).toBe('redis.default')
    expect(asked.get('source.ip')).toEqual(Buffer.from([127, 0, 0, 1]))
    socket.end()
    await once(socket, 'close')
    await expect.poll(() => mixer.reports.length).toBe(2)
    const told = records(mixer.reports)
    const [open, close] = ['open', 'close'].map((event) => told.find((record) => record.get('connection.event') === event))
    expect(open?.get('connection.received.bytes_total')).toBe(0n)
    expect(close?.get('connection.received.bytes')).toBe(5n)
    expect(close?.get('connection.sent.bytes_total')).toBe(5n)
    expect(close?.get('connection.duration')).toBeDefined()
    expect(close?.get('connection.id')).toBe(open?.get('connection.id'))
    expect(close?.get('destination.port')).toBe(BigInt(proxy.port('l')))
  })

  it('reports at intervals what came since the last time', async () => {
    await proxyWith({ reportInterval: { seconds: 1 } })
    const socket = connect()
    expect(await hello(socket)).toBe('hello')
    await expect.poll(() => mixer.reports.length, { timeout: 10_000 }).toBeGreaterThanOrEqual(3)
    const [, second, third] = records(mixer.reports)
    expect(second?.get('connection.event')).toBe('continue')
    expect(second?.get('connection.received.bytes')).toBe(5n)
    expect(third?.get('connection.received.bytes')).toBe(0n)
    expect(third?.get('connection.received.bytes_total')).toBe(5n)
  })

  it('closes a connection that is denied, before anything of it goes on, and says so in its one report', async () => {
    mixer.answer = denied(7, 'no-entry.default/deny.default: not today')
    await proxyWith({})
    expect(await hello(connect())).toBe('')
    await expect.poll(() => mixer.reports.length).toBe(1)
    const [close] = records(mixer.reports)
    expect(close?.get('connection.event')).toBe('close')
    expect(close?.get('check.error_code')).toBe(7n)
    expect(close?.get('connection.sent.bytes_total')).toBe(0n)
    await expect.poll(() => proxy.stats.value('tcp_mixer_filter.total_remote_check_denies')).toBe(1)
  })

  it.each([
    ['lets connections pass', Policy.FAIL_OPEN, 'hello', 'fail_open'],
    ['closes them', Policy.FAIL_CLOSE, '', 'fail_close'],
  ])('%s as its policy says while Mixer is away', async (_, policy, heard, counted) => {
    const gone = net.createServer().listen(0, '127.0.0.1')
    await once(gone, 'listening')
    const { port } = gone.address() as net.AddressInfo
    gone.close()
    await once(gone, 'close')
    await proxyWith({ transport: { networkFailPolicy: { policy } } }, port)
    expect(await hello(connect())).toBe(heard)
    await expect.poll(() => proxy.stats.value(`tcp_mixer_filter.total_${counted}`)).toBe(1)
  })

  it('makes no call where the configuration says that no rule can match', async () => {
    await proxyWith({ disableCheckCalls: true, disableReportCalls: true })
    const socket = connect()
    expect(await hello(socket)).toBe('hello')
    socket.destroy()
    expect(mixer.checks).toHaveLength(0)
    expect(proxy.stats.value('tcp_mixer_filter.total_report_calls')).toBe(0)
  })

  it('refuses a quota specification that it cannot follow, with its place', async () => {
    const source = TcpClientConfig.fromPartial({ connectionQuotaSpec: { rules: [{ quotas: [{ quota: '', charge: 1 }] }] } })
    const [error] = await proxy.apply(listener('bad', [{ filters: [filter(source), echo] }]))
    expect(JSON.stringify(error)).toContain('connection_quota_spec.rules[0].quotas[0].quota')
  })
})
