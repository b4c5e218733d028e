import { HttpGrpcAccessLogConfig } from '@weft/contracts/envoy/extensions/access_loggers/grpc/v3/als'
import { OpenTelemetryAccessLogConfig } from '@weft/contracts/envoy/extensions/access_loggers/open_telemetry/v3/logs_service'
import { StreamAccessLogsMessage } from '@weft/contracts/envoy/service/accesslog/v3/als'
import { afterEach, expect, test, vi } from 'vitest'
import { startGrpcCollector } from '../../testing/grpc-collector.ts'
import { any, cluster, connectionManager, listener, routeTo } from '../../testing/resources.ts'
import { ask, Upstream, WorkerHarness } from '../../testing/worker-harness.ts'

const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

async function collector() {
  const service = await startGrpcCollector()
  closers.push(() => service.close())
  return service
}

test('requests are told to a gRPC service, in batches', async () => {
  const { calls, port: service } = await collector()
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
    await proxy.apply(cluster('main', [up.port]), cluster('logs', [service]), listener('in', [{ filters: [manager] }])),
  ).toEqual([])
  await ask(proxy.port('in'), '/a?b', { method: 'POST', body: 'data', headers: { 'x-in': 'yes', 'user-agent': 'test' } })
  await vi.waitFor(() => expect(calls).toHaveLength(1), { timeout: 20_000 })
  const [call] = calls
  expect(call?.path).toBe('/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs')
  const message = StreamAccessLogsMessage.decode(Buffer.from(call?.body ?? '', 'latin1'))
  expect(message.identifier).toMatchObject({ logName: 'requests', node: { id: 'test' } })
  const entry = message.logEntries?.$case === 'httpLogs' ? message.logEntries.value.logEntry[0] : undefined
  expect(entry).toMatchObject({
    protocolVersion: 2,
    request: { requestMethod: 3, path: '/a?b', userAgent: 'test', requestBodyBytes: 4, requestHeaders: { 'x-in': 'yes' } },
    response: { responseCode: 200, responseCodeDetails: 'via_upstream' },
    commonProperties: { upstreamCluster: 'main', customTags: { of: 'test' }, upstreamRequestAttemptCount: 1, accessLogType: 6 },
  })
  expect(entry?.request?.downstreamHeaderBytesReceived).toBeGreaterThan(0)
  expect(proxy.stats.value('access_logs.grpc_access_log.logs_written')).toBe(1)
})

test('requests are told to an OpenTelemetry collector', async () => {
  const { calls: bodies, port: service } = await collector()
  const up = new Upstream()
  await up.listen()
  closers.push(() => up.close())
  const proxy = new WorkerHarness()
  closers.push(() => proxy.close())
  const text = (value: string) => ({ value: { $case: 'stringValue' as const, value } })
  const config = OpenTelemetryAccessLogConfig.encode(
    OpenTelemetryAccessLogConfig.fromPartial({
      commonConfig: {
        logName: 'otel-requests',
        transportApiVersion: 2,
        bufferSizeBytes: 0,
        grpcService: { targetSpecifier: { $case: 'envoyGrpc', value: { clusterName: 'logs' } } },
      },
      body: text('%REQ(:METHOD)% %REQ(:PATH)% is %RESPONSE_CODE%'),
      attributes: { values: [{ key: 'details', value: text('%RESPONSE_CODE_DETAILS%') }] },
    }),
  ).finish()
  const accessLog = [
    {
      name: 'otel',
      configType: {
        $case: 'typedConfig' as const,
        value: any('envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig', config),
      },
    },
  ]
  const manager = connectionManager([routeTo('main')], { accessLog })
  expect(
    await proxy.apply(cluster('main', [up.port]), cluster('logs', [service]), listener('in', [{ filters: [manager] }])),
  ).toEqual([])
  await ask(proxy.port('in'), '/o')
  await vi.waitFor(() => expect(bodies).toHaveLength(1), { timeout: 20_000 })
  expect(bodies[0]?.path).toBe('/opentelemetry.proto.collector.logs.v1.LogsService/Export')
  for (const part of ['GET /o is 200', 'details', 'via_upstream', 'log_name', 'otel-requests', 'node_name'])
    expect(bodies[0]?.body).toContain(part)
})
