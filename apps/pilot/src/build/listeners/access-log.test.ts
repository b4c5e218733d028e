import { readMeshConfig } from '@weft/config/mesh-config'
import type { AccessLog } from '@weft/contracts/envoy/config/accesslog/v3/accesslog'
import { FileAccessLog } from '@weft/contracts/envoy/extensions/access_loggers/file/v3/file'
import { ExpressionFilter } from '@weft/contracts/envoy/extensions/access_loggers/filters/cel/v3/cel'
import { HttpGrpcAccessLogConfig } from '@weft/contracts/envoy/extensions/access_loggers/grpc/v3/als'
import { OpenTelemetryAccessLogConfig } from '@weft/contracts/envoy/extensions/access_loggers/open_telemetry/v3/logs_service'
import { expect, test } from 'vitest'
import { defaultMeshSettings, meshSettings } from '../../model/mesh-settings.ts'
import { type Built, builtFor, httpOf, nodeOf, tcpOf, webService } from '../../testing/built-for.ts'
import { envoyBinary, validateWithEnvoy } from '../../testing/real-envoy.ts'
import { staticBootstrap } from '../../testing/static-bootstrap.ts'

const services = `${webService}apiVersion: v1
kind: Service
metadata: { name: logs, namespace: istio-system }
spec: { selector: { app: logs }, ports: [{ name: grpc, port: 4317 }] }
---
`
const meshConfig = `
extensionProviders:
  - { name: plain, envoyFileAccessLog: { path: /tmp/log, logFormat: { text: '%PROTOCOL%' } } }
  - { name: json, envoyFileAccessLog: { path: /tmp/log, logFormat: { labels: { status: '%RESPONSE_CODE%' } } } }
  - { name: als, envoyHttpAls: { service: logs.istio-system.svc.cluster.local, port: 4317, additionalRequestHeadersToLog: [x-user] } }
  - { name: tcp, envoyTcpAls: { service: istio-system/logs.istio-system.svc.cluster.local, port: 4317 } }
  - { name: otel, envoyOtelAls: { service: logs.istio-system.svc.cluster.local, port: 4317, logFormat: { labels: { user: '%REQ(x-user)%' } } } }
  - { name: away, envoyHttpAls: { service: nowhere.example, port: 4317 } }
`

const entries = (...providers: string[]): object[] => [{ providers: providers.map((name) => ({ name })) }]

function built(accessLogging: object[], config = meshConfig): Built {
  const telemetry = {
    apiVersion: 'telemetry.istio.io/v1',
    kind: 'Telemetry',
    metadata: { name: 'logs' },
    spec: { accessLogging },
  }
  const mesh = meshSettings(readMeshConfig(config, 'mesh.yaml'), defaultMeshSettings)
  return builtFor(`${services}${JSON.stringify(telemetry)}`, nodeOf('sidecar', { LABELS: { app: 'web' } }, '1.1.1.1'), mesh)
}

/** The logs of HTTP and of TCP, of calls to the workload. */
function inbound({ listeners }: Built): { http: AccessLog[]; tcp: AccessLog[] } {
  const chains = listeners.get('virtualInbound')?.filterChains ?? []
  const chain = (port: number) => chains.find(({ name }) => name === `0.0.0.0_${port}`)
  return { http: httpOf(chain(80)).accessLog, tcp: tcpOf(chain(90)).accessLog }
}

const bytesOf = ({ configType }: AccessLog): Uint8Array => configType?.value.value ?? Buffer.of()

test('each kind of provider is a log of its own, of the traffic that it is for', () => {
  const { http, tcp } = inbound(built(entries('plain', 'JSON', 'als', 'tcp', 'otel', 'away', 'envoy', 'unknown')))
  const names = (logs: AccessLog[]): string[] => logs.map(({ name }) => name.replace('envoy.access_loggers.', '')).sort()
  expect(names(http)).toEqual(['file', 'file', 'file', 'http_grpc', 'open_telemetry'])
  expect(names(tcp)).toEqual(['file', 'file', 'file', 'open_telemetry', 'tcp_grpc'])
  const files = http.filter(({ name }) => name.endsWith('file')).map((log) => FileAccessLog.decode(bytesOf(log)))
  expect(files.map(({ path }) => path).sort()).toEqual(['/dev/stdout', '/tmp/log', '/tmp/log'])
  const formats = files.map(({ accessLogFormat }) => accessLogFormat?.$case === 'logFormat' && accessLogFormat.value.format)
  expect(formats).toContainEqual({ $case: 'jsonFormat', value: { status: '%RESPONSE_CODE%' } })
  expect(formats).toContainEqual(
    expect.objectContaining({ value: { specifier: { $case: 'inlineString', value: '%PROTOCOL%\n' } } }),
  )
  const grpc = HttpGrpcAccessLogConfig.decode(bytesOf(http.find(({ name }) => name.endsWith('http_grpc'))!))
  expect(grpc.additionalRequestHeadersToLog).toEqual(['x-user'])
  expect(grpc.commonConfig).toMatchObject({
    logName: 'http_envoy_accesslog',
    grpcService: { targetSpecifier: { value: { clusterName: 'outbound|4317||logs.istio-system.svc.cluster.local' } } },
  })
  const otel = OpenTelemetryAccessLogConfig.decode(bytesOf(http.find(({ name }) => name.endsWith('open_telemetry'))!))
  expect(otel.attributes?.values).toMatchObject([{ key: 'user', value: { value: { value: '%REQ(x-user)%' } } }])
})

test('an expression filters what is logged, and what is for clients is not logged of servers', () => {
  const one = built([
    { providers: [{ name: 'plain' }], filter: { expression: 'response.code >= 400' } },
    { providers: [{ name: 'json' }], match: { mode: 'CLIENT' } },
  ])
  const { http } = inbound(one)
  expect(http).toHaveLength(1)
  const filter = http[0]?.filter?.filterSpecifier
  const config = filter?.$case === 'extensionFilter' ? filter.value.configType?.value.value : undefined
  expect(ExpressionFilter.decode(config ?? Buffer.of()).expression).toBe('response.code >= 400')
  expect(httpOf(one.listeners.get('0.0.0.0_80')?.filterChains[0]).accessLog).toHaveLength(2)
})

test('accessLogFile holds only where neither a Telemetry nor a default provider says anything', () => {
  const path = (accessLogging: object[], config: string): string[] =>
    inbound(built(accessLogging, config)).http.map((log) => FileAccessLog.decode(bytesOf(log)).path)
  expect(path([], 'accessLogFile: /tmp/old')).toEqual(['/tmp/old'])
  expect(path([{ disabled: true }], 'accessLogFile: /tmp/old')).toEqual([])
  const both = `accessLogFile: /tmp/old\ndefaultProviders: { accessLogging: [plain] }${meshConfig}`
  expect(path([], both)).toEqual(['/tmp/log'])
})

test.skipIf(envoyBinary === undefined)('real Envoy takes all of it (needs WEFT_ENVOY)', async () => {
  const logged = entries('plain', 'json', 'als', 'tcp', 'otel')
  const filtered = [...logged, { providers: [{ name: 'plain' }], filter: { expression: 'response.code >= 400' } }]
  expect(await validateWithEnvoy(staticBootstrap(built(filtered)))).toBe('')
})
