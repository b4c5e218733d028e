import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FileAccessLog } from '@weft/contracts/envoy/extensions/access_loggers/file/v3/file'
import { ConnectionLimit } from '@weft/contracts/envoy/extensions/filters/network/connection_limit/v3/connection_limit'
import { TcpProxy } from '@weft/contracts/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy'
import { expect, onTestFinished, test } from 'vitest'
import { cluster, listener, typed } from '../../../testing/resources.ts'
import { worker } from '../../../testing/test-proxy.ts'

type Settings = Parameters<(typeof TcpProxy)['fromPartial']>[0]

interface Around {
  /** Filters before it. */
  gates?: ReturnType<typeof typed>[]
  cluster?: Parameters<typeof cluster>[2]
}

/** A proxy of TCP to a server that does this, whose log tells how both connections ended. */
async function proxied(serve: (socket: net.Socket) => void, settings: Settings = {}, around: Around = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'weft-tcp-session-'))
  const path = join(folder, 'log')
  const server = net.createServer(serve)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.close()
    rmSync(folder, { recursive: true, force: true })
  })
  const close = (side: string) => `%${side}_DETECTED_CLOSE_TYPE% %${side}_LOCAL_CLOSE_REASON%`
  const format = `%RESPONSE_FLAGS% ${close('DOWNSTREAM')} ${close('UPSTREAM')}\n`
  const log = FileAccessLog.fromPartial({
    path,
    accessLogFormat: {
      $case: 'logFormat',
      value: { format: { $case: 'textFormatSource', value: { specifier: { $case: 'inlineString', value: format } } } },
    },
  })
  const logType = 'envoy.extensions.access_loggers.file.v3.FileAccessLog'
  const proxy = TcpProxy.fromPartial({
    statPrefix: 't',
    clusterSpecifier: { $case: 'cluster', value: 'c' },
    accessLog: [typed('log', logType, FileAccessLog.encode(log).finish())],
    ...settings,
  })
  const filter = typed('tcp', 'envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy', TcpProxy.encode(proxy).finish())
  const harness = worker()
  const { port } = server.address() as net.AddressInfo
  expect(
    await harness.apply(cluster('c', [port], around.cluster), listener('l', [{ filters: [...(around.gates ?? []), filter] }])),
  ).toEqual([])
  /** Lines are gathered for a second before they are written. */
  const logged = () => expect.poll(() => readFileSync(path, 'utf8').trim(), { timeout: 10_000 })
  return { port: harness.port('l'), logged, stats: harness.stats }
}

/** A client that says hello at once; how its connection ends. */
function clientOf(port: number) {
  const socket = net.connect(port, '127.0.0.1', () => socket.write('hello'))
  onTestFinished(() => void socket.destroy())
  socket.on('error', () => {}).resume()
  /** `reset`, or `end`. */
  const ended = new Promise<string>((resolve) => void socket.on('close', (hadError) => resolve(hadError ? 'reset' : 'end')))
  return { socket, ended }
}

test('a client that is turned away with what it said unread is reset', async () => {
  const limit = ConnectionLimit.fromPartial({ statPrefix: 'l', maxConnections: 1, delay: { seconds: 0, nanos: 200_000_000 } })
  const type = 'envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit'
  const gate = typed('limit', type, ConnectionLimit.encode(limit).finish())
  const { port, logged } = await proxied((socket) => socket.pipe(socket), {}, { gates: [gate] })
  const { socket } = clientOf(port)
  await once(socket, 'data')
  expect(await clientOf(port).ended).toBe('reset')
  await logged().toBe('- Normal over_connection_limit Normal -')
})

test('a session without a cluster says why it ends', async () => {
  const { port, logged } = await proxied(() => {}, { clusterSpecifier: { $case: 'cluster', value: 'nowhere' } })
  await clientOf(port).ended
  await logged().toBe('NC Normal tcp_initializion_failure:3 Normal -')
})

test('where nothing may wait for a connection, every attempt is counted', async () => {
  const thresholds = [{ maxPendingRequests: 0 }]
  const { port, logged, stats } = await proxied(
    () => {},
    { maxConnectAttempts: 3 },
    { cluster: { circuitBreakers: { thresholds } } },
  )
  await clientOf(port).ended
  await logged().toBe('URX Normal tcp_initializion_failure:0 Normal -')
  expect(stats.value('cluster.c.upstream_rq_pending_overflow')).toBe(3)
})

test('a session that says nothing for long is closed on both sides', async () => {
  const { port, logged } = await proxied((socket) => socket.resume(), { idleTimeout: { seconds: 0, nanos: 50_000_000 } })
  expect(await clientOf(port).ended).toBe('end')
  await logged().toBe('- Normal tcp_session_idle_timeout Normal tcp_session_idle_timeout')
})

test('a reset is told to the other side', async () => {
  let told: NodeJS.ErrnoException | null = null
  const byClient = await proxied((socket) => {
    socket.write('hi')
    socket.resume().on('error', (error) => {
      told = error
    })
  })
  const { socket } = clientOf(byClient.port)
  await once(socket, 'data')
  socket.resetAndDestroy()
  await expect.poll(() => told?.code, { timeout: 10_000 }).toBe('ECONNRESET')
  await byClient.logged().toBe('- RemoteReset - Normal -')
  const byServer = await proxied((socket) => socket.once('data', () => socket.resetAndDestroy()))
  expect(await clientOf(byServer.port).ended).toBe('reset')
  await byServer.logged().toBe('UR LocalReset - RemoteReset -')
})
