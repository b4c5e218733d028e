import type { AccessLog as AccessLogProto } from '@weft/contracts/envoy/config/accesslog/v3/accesslog'
import type { TypedExtensionConfig } from '@weft/contracts/envoy/config/core/v3/extension'
import type { SubstitutionFormatString } from '@weft/contracts/envoy/config/core/v3/substitution_format_string'
import { FileAccessLog } from '@weft/contracts/envoy/extensions/access_loggers/file/v3/file'
import { StderrAccessLog, StdoutAccessLog } from '@weft/contracts/envoy/extensions/access_loggers/stream/v3/stream'
import { readDataSource } from '../../plan/data-source.ts'
import { invalid, unsupported } from '../../plan/problems.ts'
import type { Runtime } from '../../plan/runtime.ts'
import type { FormatContext } from '../format/context.ts'
import { compileJsonFormat } from '../format/json-format.ts'
import { compileTextFormat, type TextFormat } from '../format/text-format.ts'
import { compileLogFilter, type LogFilter } from './filter.ts'
import { compileHttpGrpcLog, compileTcpGrpcLog, type GrpcLogContext } from './grpc-log.ts'
import { type LogFiles, requireWritable } from './log-file.ts'
import { compileOtlpLog } from './otlp-log.ts'

/** Writes one line for a request or session that ended. */
export type AccessLog = (context: FormatContext) => void

/** What access logs are compiled with; `files` null: check only. */
export interface AccessLogContext extends GrpcLogContext {
  runtime: Runtime
  files: LogFiles | null
}

const defaultFormat =
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% ' +
  '%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" ' +
  '"%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"\n'

/** Compiles an access logger. */
function compileAccessLog(source: AccessLogProto, path: string, context: AccessLogContext): AccessLog {
  const any = source.configType?.value
  const type = any?.typeUrl.split('/').pop() ?? ''
  const at = `${path}.typed_config`
  const filter = source.filter === undefined ? null : compileLogFilter(source.filter, `${path}.filter`, context.runtime)
  const grpc = grpcLoggers[type]
  if (grpc !== undefined) return filtered(grpc(any!.value, at, context), filter)
  let target: string
  let format: TextFormat
  switch (type) {
    case 'envoy.extensions.access_loggers.file.v3.FileAccessLog': {
      const config = FileAccessLog.decode(any!.value)
      if (config.path === '') throw invalid(`${at}.path`, 'a path is needed')
      target = config.path
      format = compileFileFormat(config, at)
      break
    }
    case 'envoy.extensions.access_loggers.stream.v3.StdoutAccessLog':
      target = '/dev/stdout'
      format = compileLogFormat(StdoutAccessLog.decode(any!.value).accessLogFormat?.value, `${at}.log_format`)
      break
    case 'envoy.extensions.access_loggers.stream.v3.StderrAccessLog':
      target = '/dev/stderr'
      format = compileLogFormat(StderrAccessLog.decode(any!.value).accessLogFormat?.value, `${at}.log_format`)
      break
    default:
      throw unsupported(at, `access logger '${any?.typeUrl ?? source.name}'`)
  }
  try {
    if (context.files === null) {
      requireWritable(target)
      return () => {}
    }
    const file = context.files.open(target)
    return filtered((stream) => file.log(format, stream), filter)
  } catch (error) {
    throw invalid(`${at}.path`, `unable to open file '${target}': ${error instanceof Error ? error.message : String(error)}`)
  }
}

const grpcLoggers: Readonly<Record<string, typeof compileHttpGrpcLog | undefined>> = {
  'envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig': compileHttpGrpcLog,
  'envoy.extensions.access_loggers.grpc.v3.TcpGrpcAccessLogConfig': compileTcpGrpcLog,
  'envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig': compileOtlpLog,
}

function filtered(log: AccessLog, filter: LogFilter | null): AccessLog {
  if (filter === null) return log
  return (stream) => {
    if (filter(stream)) log(stream)
  }
}

function compileFileFormat(config: FileAccessLog, path: string): TextFormat {
  const format = config.accessLogFormat
  switch (format?.$case) {
    case undefined:
      return compileTextFormat(defaultFormat, path)
    case 'format':
      return compileTextFormat(format.value === '' ? defaultFormat : format.value, `${path}.format`)
    case 'jsonFormat':
      return compileJsonFormat(format.value ?? {}, `${path}.json_format`, { keepTypes: false, omitEmpty: false })
    case 'typedJsonFormat':
      return compileJsonFormat(format.value ?? {}, `${path}.typed_json_format`, { keepTypes: true, omitEmpty: false })
    case 'logFormat':
      return compileLogFormat(format.value, `${path}.log_format`)
  }
}

/** Refuses formatters other than those whose commands every format has. */
export function checkFormatters(formatters: readonly TypedExtensionConfig[], path: string): void {
  for (const [i, { name, typedConfig }] of formatters.entries()) {
    const type = typedConfig?.typeUrl.split('/').pop() ?? ''
    if (!knownFormatters.has(type)) throw unsupported(`${path}[${i}]`, `formatter '${type === '' ? name : type}'`)
  }
}

const knownFormatters = new Set([
  'envoy.extensions.formatter.req_without_query.v3.ReqWithoutQuery',
  'envoy.extensions.formatter.metadata.v3.Metadata',
  'envoy.extensions.formatter.cel.v3.Cel',
])

/** Compiles a SubstitutionFormatString; absent: the default format. */
export function compileLogFormat(source: SubstitutionFormatString | undefined, path: string): TextFormat {
  const format = source?.format
  checkFormatters(source?.formatters ?? [], `${path}.formatters`)
  const omitEmpty = source?.omitEmptyValues ?? false
  switch (format?.$case) {
    case undefined:
      return compileTextFormat(defaultFormat, path)
    case 'textFormat':
      return compileTextFormat(format.value, `${path}.text_format`, omitEmpty ? '' : '-')
    case 'textFormatSource': {
      const text = readDataSource(format.value, `${path}.text_format_source`).toString()
      return compileTextFormat(text, `${path}.text_format_source`, omitEmpty ? '' : '-')
    }
    case 'jsonFormat':
      return compileJsonFormat(format.value ?? {}, `${path}.json_format`, { keepTypes: true, omitEmpty })
  }
}

/** Whether one of these logs has to do with bytes on the wire, which are counted for that only. */
export function asksForWireBytes(sources: readonly AccessLogProto[]): boolean {
  return sources.some(({ configType }) => {
    const bytes = configType === undefined ? null : Buffer.from(configType.value.value)
    if (configType?.value.typeUrl.endsWith('HttpGrpcAccessLogConfig') === true) return true
    return bytes !== null && (bytes.includes('_WIRE_BYTES_') || bytes.includes('_HEADER_BYTES_'))
  })
}

/** All of a list, as one. */
export function compileAccessLogs(sources: readonly AccessLogProto[], path: string, context: AccessLogContext): AccessLog | null {
  const logs = sources.map((source, i) => compileAccessLog(source, `${path}[${i}]`, context))
  const [first, second] = logs
  if (first === undefined) return null
  if (second === undefined) return first
  return (stream: FormatContext) => {
    for (const log of logs) log(stream)
  }
}
