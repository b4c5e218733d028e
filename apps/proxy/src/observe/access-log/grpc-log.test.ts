import { once } from 'node:events'
import { createServer } from 'node:http2'
import { HttpGrpcAccessLogConfig } from '@weft/contracts/envoy/extensions/access_loggers/grpc/v3/als'
import { StreamAccessLogsMessage } from '@weft/contracts/envoy/service/accesslog/v3/als'
import { afterEach, expect, test, vi } from 'vitest'
import { any, cluster, connectionManager, listener, routeTo } from '../../testing/resources.ts'
import { ask, Upstream, WorkerHarness } from '../../testing/worker-harness.ts'

const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

/** A service that keeps what it is told. */
async function logService(): Promise<{ port: number; messages: StreamAccessLogsMessage[]; paths: string[] }> {
  const messages: StreamAccessLogsMessage[] = []
  const paths: string[] = []
  const server = createServer()
  server.on('stream', async (stream, headers) => {
    paths.push(String(headers[':path']))
    const chunks: Buffer[] = []
    for await (const chunk of stream) chunks.push(chunk)
    messages.push(StreamAccessLogsMessage.decode(Buffer.concat(chunks).subarray(5)))
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
    stream.end(Buffer.alloc(5))
  })
  const sessions = new Set<{ destroy(): void }>()
  server.on('session', (session) => sessions.add(session))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  closers.push(() => {
    for (const session of sessions) session.destroy()
    server.close()
  })
  const address = server.address()
  return { port: typeof address === 'object' && address !== null ? address.port : 0, messages, paths }
}

test('requests are told to a gRPC service, in batches', async () => {
  const service = await logService()
  const up = new Upstream()
  await up.listen()
  closers.push(() => up.close())
  const proxy = new WorkerHarness()
  closers.push(() => proxy.close())
  const config = HttpGrpcAccessLogConfig.encode(
    HttpGrpcAccessLogConfig.fromPartial({
      commonConfig: {
        logName: 'requests',
        transportApiVersion: 2,
        bufferFlushInterval: { seconds: 0, nanos: 20_000_000 },
        grpcService: { targetSpecifier: { $case: 'envoyGrpc', value: { clusterName: 'logs' } } },
        customTags: [{ tag: 'of', type: { $case: 'literal', value: { value: 'test' } } }],
      },
      additionalRequestHeadersToLog: ['x-in'],
    }),
  ).finish()
  const accessLog = [
    {
      name: 'als',
      configType: {
        $case: 'typedConfig' as const,
        value: any('envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig', config),
      },
    },
  ]
  const manager = connectionManager([routeTo('main')], { accessLog })
  expect(
    await proxy.apply(cluster('main', [up.port]), cluster('logs', [service.port]), listener('in', [{ filters: [manager] }])),
  ).toEqual([])
  await ask(proxy.port('in'), '/a?b', { method: 'POST', body: 'data', headers: { 'x-in': 'yes', 'user-agent': 'test' } })
  await vi.waitFor(() => expect(service.messages).toHaveLength(1), { timeout: 20_000 })
  expect(service.paths).toEqual(['/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs'])
  const [message] = service.messages
  expect(message?.identifier).toMatchObject({ logName: 'requests', node: { id: 'test' } })
  const entry = message?.logEntries?.$case === 'httpLogs' ? message.logEntries.value.logEntry[0] : undefined
  expect(entry).toMatchObject({
    protocolVersion: 2,
    request: { requestMethod: 3, path: '/a?b', userAgent: 'test', requestBodyBytes: 4, requestHeaders: { 'x-in': 'yes' } },
    response: { responseCode: 200, responseCodeDetails: 'via_upstream' },
    commonProperties: { upstreamCluster: 'main', customTags: { of: 'test' }, upstreamRequestAttemptCount: 1, accessLogType: 6 },
  })
  expect(entry?.request?.downstreamHeaderBytesReceived).toBeGreaterThan(0)
  expect(proxy.stats.value('access_logs.grpc_access_log.logs_written')).toBe(1)
})
