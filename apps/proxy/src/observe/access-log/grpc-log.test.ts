import { HttpGrpcAccessLogConfig } from '@weft/contracts/envoy/extensions/access_loggers/grpc/v3/als'
import { OpenTelemetryAccessLogConfig } from '@weft/contracts/envoy/extensions/access_loggers/open_telemetry/v3/logs_service'
import { StreamAccessLogsMessage } from '@weft/contracts/envoy/service/accesslog/v3/als'
import { expect, test, vi } from 'vitest'
import { grpcCollector } from '../../testing/grpc-collector.ts'
import { cluster, connectionManager, routeTo, typed } from '../../testing/resources.ts'
import { proxyTo, upstream } from '../../testing/test-proxy.ts'
import { ask } from '../../testing/worker-harness.ts'

test('requests are told to a gRPC service, in batches', async () => {
  const { calls, port: service } = await grpcCollector()
  const up = await upstream()
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
  const accessLog = [typed('als', 'envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig', config)]
  const manager = connectionManager([routeTo('c')], { accessLog })
  const proxy = await proxyTo(up.port, manager, cluster('logs', [service]))
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
    commonProperties: { upstreamCluster: 'c', customTags: { of: 'test' }, upstreamRequestAttemptCount: 1, accessLogType: 6 },
  })
  expect(entry?.request?.downstreamHeaderBytesReceived).toBeGreaterThan(0)
  expect(proxy.stats.value('access_logs.grpc_access_log.logs_written')).toBe(1)
})

test('requests are told to an OpenTelemetry collector', async () => {
  const { calls: bodies, port: service } = await grpcCollector()
  const up = await upstream()
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
  const accessLog = [typed('otel', 'envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig', config)]
  const manager = connectionManager([routeTo('c')], { accessLog })
  const proxy = await proxyTo(up.port, manager, cluster('logs', [service]))
  await ask(proxy.port('in'), '/o')
  await vi.waitFor(() => expect(bodies).toHaveLength(1), { timeout: 20_000 })
  expect(bodies[0]?.path).toBe('/opentelemetry.proto.collector.logs.v1.LogsService/Export')
  for (const part of ['GET /o is 200', 'details', 'via_upstream', 'log_name', 'otel-requests', 'node_name'])
    expect(bodies[0]?.body).toContain(part)
})
