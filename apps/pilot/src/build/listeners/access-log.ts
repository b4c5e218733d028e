import { AccessLog } from '@weft/contracts/envoy/config/accesslog/v3/accesslog'
import { FileAccessLog } from '@weft/contracts/envoy/extensions/access_loggers/file/v3/file'
import { ExpressionFilter } from '@weft/contracts/envoy/extensions/access_loggers/filters/cel/v3/cel'
import {
  CommonGrpcAccessLogConfig,
  HttpGrpcAccessLogConfig,
  TcpGrpcAccessLogConfig,
} from '@weft/contracts/envoy/extensions/access_loggers/grpc/v3/als'
import { OpenTelemetryAccessLogConfig } from '@weft/contracts/envoy/extensions/access_loggers/open_telemetry/v3/logs_service'
import type { Any } from '@weft/contracts/google/protobuf/any'
import { type AccessLogProvider, providerNamed } from '../../model/extension-providers.ts'
import type { MeshSettings } from '../../model/mesh-settings.ts'
import type { Scope } from '../../scope/scope.ts'
import { selectedLogs, type TelemetryMode } from '../../scope/telemetry.ts'
import { outboundClusterName } from '../names.ts'
import { pack } from '../wire.ts'
import { serviceAt } from './service-at.ts'

/** One line a request as Istio writes it where the mesh states no format of its own. */
const defaultTextFormat =
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% ' +
  '%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% ' +
  '%BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" ' +
  '"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER% %UPSTREAM_LOCAL_ADDRESS% ' +
  '%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n'

/** The same as a JSON object. */
const defaultJsonFormat: Record<string, string> = {
  start_time: '%START_TIME%',
  method: '%REQ(:METHOD)%',
  path: '%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%',
  protocol: '%PROTOCOL%',
  response_code: '%RESPONSE_CODE%',
  response_flags: '%RESPONSE_FLAGS%',
  response_code_details: '%RESPONSE_CODE_DETAILS%',
  bytes_received: '%BYTES_RECEIVED%',
  bytes_sent: '%BYTES_SENT%',
  duration: '%DURATION%',
  upstream_service_time: '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%',
  x_forwarded_for: '%REQ(X-FORWARDED-FOR)%',
  user_agent: '%REQ(USER-AGENT)%',
  request_id: '%REQ(X-REQUEST-ID)%',
  authority: '%REQ(:AUTHORITY)%',
  upstream_host: '%UPSTREAM_HOST%',
  upstream_cluster: '%UPSTREAM_CLUSTER%',
  downstream_local_address: '%DOWNSTREAM_LOCAL_ADDRESS%',
  downstream_remote_address: '%DOWNSTREAM_REMOTE_ADDRESS%',
  requested_server_name: '%REQUESTED_SERVER_NAME%',
  route_name: '%ROUTE_NAME%',
}

/** What an access log is of. */
export interface Logged {
  readonly scope: Scope
  readonly mode: TelemetryMode
  readonly protocol: 'http' | 'tcp'
}

/**
 * The access logs that Telemetries select, or MeshConfig's default providers, or else its `accessLogFile`. A service that logs go
 * to has to be one that the proxy sees.
 */
export function accessLogs(logged: Logged): AccessLog[] {
  const { scope, mode } = logged
  const { mesh } = scope.snapshot
  const selected = selectedLogs(scope, mode)
  if (selected === undefined) {
    return mesh.accessLogFile === '' ? [] : [AccessLog.fromPartial(fileLog(mesh.accessLogFile, noFormat, mesh))]
  }
  return selected.flatMap(({ provider: name, filter }) => {
    const provider = providerNamed(mesh.extensionProviders, name)
    const log = provider?.type === 'access-log' ? logOf(provider, logged) : undefined
    if (log === undefined) return []
    return [AccessLog.fromPartial({ ...log, ...(filter === '' ? {} : { filter: expressionFilter(filter) }) })]
  })
}

/** What of a scope its access logs depend on. */
export function accessLogKey(scope: Scope): string {
  const { extensionProviders } = scope.snapshot.mesh
  const selected = [selectedLogs(scope, 'client'), selectedLogs(scope, 'server')]
  const services = selected.flatMap((logs) =>
    (logs ?? []).map(({ provider: name }) => {
      const provider = providerNamed(extensionProviders, name)
      return provider?.type === 'access-log' && provider.to !== 'file' ? serviceAt(provider, scope)?.host : undefined
    }),
  )
  return JSON.stringify([selected, services])
}

interface Packed {
  name: string
  configType: { $case: 'typedConfig'; value: Any }
}

function packed(name: string, value: Any): Packed {
  return { name, configType: { $case: 'typedConfig', value } }
}

function expressionFilter(expression: string) {
  const value = pack('envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter', ExpressionFilter, { expression })
  const extension = packed('envoy.access_loggers.extension_filters.cel', value)
  return { filterSpecifier: { $case: 'extensionFilter' as const, value: extension } }
}

const noFormat: AccessLogProvider['format'] = { text: undefined, labels: undefined }

function fileLog(path: string, { text, labels }: AccessLogProvider['format'], mesh: MeshSettings): Packed {
  const isJson = labels !== undefined || (text === undefined && mesh.accessLogEncoding === 'JSON')
  const log = FileAccessLog.fromPartial({
    path,
    accessLogFormat: {
      $case: 'logFormat',
      value: {
        format: isJson
          ? { $case: 'jsonFormat', value: labels === undefined ? jsonFormat(mesh.accessLogFormat) : { ...labels } }
          : {
              $case: 'textFormatSource',
              value: { specifier: { $case: 'inlineString', value: line(text || mesh.accessLogFormat || defaultTextFormat) } },
            },
      },
    },
  })
  return packed('envoy.access_loggers.file', pack('envoy.extensions.access_loggers.file.v3.FileAccessLog', FileAccessLog, log))
}

/** Istio ends each access's text with a line's end. */
function line(text: string): string {
  return text.endsWith('\n') ? text : `${text}\n`
}

function logOf(provider: AccessLogProvider, { scope, protocol }: Logged): Packed | undefined {
  const { mesh } = scope.snapshot
  if (provider.to === 'file') return fileLog(provider.path, provider.format, mesh)
  if ((provider.to === 'http-als' && protocol === 'tcp') || (provider.to === 'tcp-als' && protocol === 'http')) return undefined
  const service = serviceAt(provider, scope)
  if (service === undefined) return undefined
  const { filterState, requestHeaders, responseHeaders, responseTrailers } = provider.more
  const commonConfig = (logName: string) =>
    CommonGrpcAccessLogConfig.fromPartial({
      logName: provider.logName || logName,
      transportApiVersion: 2,
      grpcService: {
        targetSpecifier: {
          $case: 'envoyGrpc',
          value: { clusterName: outboundClusterName(provider.port, '', service.host), authority: service.host },
        },
      },
      filterStateObjectsToLog: [...filterState],
    })
  const grpc = 'envoy.extensions.access_loggers.grpc.v3'
  if (provider.to === 'http-als') {
    const config = HttpGrpcAccessLogConfig.fromPartial({
      commonConfig: commonConfig('http_envoy_accesslog'),
      additionalRequestHeadersToLog: [...requestHeaders],
      additionalResponseHeadersToLog: [...responseHeaders],
      additionalResponseTrailersToLog: [...responseTrailers],
    })
    return packed('envoy.access_loggers.http_grpc', pack(`${grpc}.HttpGrpcAccessLogConfig`, HttpGrpcAccessLogConfig, config))
  }
  if (provider.to === 'tcp-als') {
    const config = TcpGrpcAccessLogConfig.fromPartial({ commonConfig: commonConfig('tcp_envoy_accesslog') })
    return packed('envoy.access_loggers.tcp_grpc', pack(`${grpc}.TcpGrpcAccessLogConfig`, TcpGrpcAccessLogConfig, config))
  }
  const { text, labels = {} } = provider.format
  const config = OpenTelemetryAccessLogConfig.fromPartial({
    commonConfig: commonConfig('otel_envoy_accesslog'),
    disableBuiltinLabels: false,
    body: { value: { $case: 'stringValue', value: text ?? defaultTextFormat } },
    attributes: {
      values: Object.entries(labels).map(([key, value]) => ({
        key,
        value: { value: { $case: 'stringValue', value: typeof value === 'string' ? value : JSON.stringify(value) } },
      })),
    },
  })
  const type = 'envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig'
  return packed('envoy.access_loggers.open_telemetry', pack(type, OpenTelemetryAccessLogConfig, config))
}

/** A stated JSON format is a JSON object; one that is not is the default, as Istio does. */
function jsonFormat(text: string): Record<string, unknown> {
  if (text === '') return defaultJsonFormat
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value }
  } catch {
    // MeshConfig was validated when it was read; what it says about its format is there already.
  }
  return defaultJsonFormat
}
