import { BinaryWriter } from '@bufbuild/protobuf/wire'
import { OpenTelemetryAccessLogConfig } from '@weft/contracts/envoy/extensions/access_loggers/open_telemetry/v3/logs_service'
import { AnyValue, KeyValue, type KeyValueList } from '@weft/contracts/opentelemetry/proto/common/v1/common'
import { invalid } from '../../plan/problems.ts'
import type { UnaryMethod } from '../../upstream/grpc-client.ts'
import type { FormatContext } from '../format/context.ts'
import { compileTextFormat } from '../format/text-format.ts'
import { type GrpcLogContext, logQueue } from './grpc-log.ts'

type Read = (context: FormatContext) => AnyValue
type ReadList = (context: FormatContext) => KeyValue[]

const exportLogs: UnaryMethod<Uint8Array, null> = {
  path: '/opentelemetry.proto.collector.logs.v1.LogsService/Export',
  encode: (message) => message,
  decode: () => null,
}

/** `envoy.access_loggers.open_telemetry`: a log record a request (or session), by OTLP over gRPC. */
export function compileOtlpLog(bytes: Uint8Array, path: string, context: GrpcLogContext): (stream: FormatContext) => void {
  const source = OpenTelemetryAccessLogConfig.decode(bytes)
  const body = source.body === undefined ? null : compileValue(source.body, `${path}.body`)
  const attributes = compileList(source.attributes, `${path}.attributes`)
  const ownLabels = source.resourceAttributes?.values ?? []
  const logName = source.commonConfig?.logName ?? ''
  const queue = logQueue({
    common: source.commonConfig,
    path,
    context,
    counters: `access_logs.open_telemetry_access_log.${source.statPrefix}`,
    method: exportLogs,
    sizeOf: (record: Uint8Array) => record.length,
    message(records, { node }) {
      const labels = [
        label('log_name', logName),
        label('zone_name', node.locality.zone),
        label('cluster_name', node.cluster),
        label('node_name', node.id),
      ]
      return encodeRecords(records, [...(source.disableBuiltinLabels ? [] : labels), ...ownLabels])
    },
  })
  return (stream) => queue?.add(encodeRecord(stream, body?.(stream) ?? null, attributes(stream)))
}

function label(key: string, value: string): KeyValue {
  return { key, value: { value: { $case: 'stringValue', value } } }
}

/** Strings are formats. */
function compileValue(source: AnyValue, path: string): Read {
  const { value } = source
  switch (value?.$case) {
    case 'stringValue': {
      const format = compileTextFormat(value.value, path)
      return (context) => ({ value: { $case: 'stringValue', value: format(context) } })
    }
    case 'arrayValue': {
      const values = value.value.values.map((one, i) => compileValue(one, `${path}.array_value.values[${i}]`))
      return (context) => ({ value: { $case: 'arrayValue', value: { values: values.map((read) => read(context)) } } })
    }
    case 'kvlistValue': {
      const list = compileList(value.value, `${path}.kvlist_value`)
      return (context) => ({ value: { $case: 'kvlistValue', value: { values: list(context) } } })
    }
    case undefined:
      return () => source
    default:
      throw invalid(
        path,
        'Only string values, nested key value lists and array values are supported in OpenTelemetry access log format.',
      )
  }
}

function compileList(source: KeyValueList | undefined, path: string): ReadList {
  const values = (source?.values ?? []).map(({ key, value }, i) => ({
    key,
    read: value === undefined ? null : compileValue(value, `${path}.values[${i}].value`),
  }))
  return (context) => values.map(({ key, read }) => ({ key, value: read?.(context) }))
}

const text = 2
const fixed64 = 1

function field(writer: BinaryWriter, number: number, type: number): BinaryWriter {
  return writer.uint32((number << 3) | type)
}

/** A LogRecord (opentelemetry/proto/logs/v1). */
function encodeRecord(context: FormatContext, body: AnyValue | null, attributes: readonly KeyValue[]): Uint8Array {
  const { info, trace } = context
  const writer = new BinaryWriter()
  field(writer, 1, fixed64).fixed64(String(BigInt(Math.round(info.startTimeMs * 1000)) * 1000n))
  if (body !== null) field(writer, 5, text).bytes(AnyValue.encode(body).finish())
  for (const attribute of attributes) field(writer, 6, text).bytes(KeyValue.encode(attribute).finish())
  if (trace?.spanId != null) {
    field(writer, 9, text).bytes(Buffer.from(trace.traceId.padStart(32, '0'), 'hex'))
    field(writer, 10, text).bytes(Buffer.from(trace.spanId, 'hex'))
  }
  return writer.finish()
}

/** An ExportLogsServiceRequest: all of one resource. */
function encodeRecords(records: readonly Uint8Array[], labels: readonly KeyValue[]): Uint8Array {
  const writer = new BinaryWriter()
  field(writer, 1, text).fork()
  field(writer, 1, text).fork()
  for (const one of labels) field(writer, 1, text).bytes(KeyValue.encode(one).finish())
  writer.join()
  field(writer, 2, text).fork()
  for (const record of records) field(writer, 2, text).bytes(record)
  return writer.join().join().finish()
}
