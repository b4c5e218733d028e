import { Node } from '@weft/contracts/envoy/config/core/v3/base'
import { HTTPAccessLogEntry, TCPAccessLogEntry } from '@weft/contracts/envoy/data/accesslog/v3/accesslog'
import {
  type CommonGrpcAccessLogConfig,
  HttpGrpcAccessLogConfig,
  TcpGrpcAccessLogConfig,
} from '@weft/contracts/envoy/extensions/access_loggers/grpc/v3/als'
import { StreamAccessLogsMessage, StreamAccessLogsResponse } from '@weft/contracts/envoy/service/accesslog/v3/als'
import { headerName } from '@weft/http/header-name'
import { durationMs } from '../../plan/duration.ts'
import { invalid } from '../../plan/problems.ts'
import { grpcClient, type UnaryMethod } from '../../upstream/grpc-client.ts'
import { grpcTarget } from '../../upstream/grpc-target.ts'
import type { WorkerServices } from '../../worker-services.ts'
import { BatchQueue } from '../batch-queue.ts'
import type { FormatContext } from '../format/context.ts'
import type { Stats } from '../stats.ts'
import { compileCustomTags } from '../tracing/custom-tags.ts'
import { type EntryExtras, httpEntry, tcpEntry } from './log-entry.ts'

/** Logs what has ended. */
type Log = (context: FormatContext) => void

type Entries = NonNullable<StreamAccessLogsMessage['logEntries']>

const deadlineMs = 10_000
/** Batches that a service which does not answer may hold up. */
const maxBatches = 64

/** A call sends one batch and ends: the service's stream is read to its end, as it would be at the end of a longer one. */
const streamAccessLogs: UnaryMethod<StreamAccessLogsMessage, StreamAccessLogsResponse> = {
  path: '/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs',
  encode: (message) => StreamAccessLogsMessage.encode(message).finish(),
  decode: (bytes) => StreamAccessLogsResponse.decode(bytes),
}

/** What gRPC logs live in; services null: only checking. */
export interface GrpcLogContext {
  services: WorkerServices | null
  stats: Stats
}

/** `envoy.access_loggers.http_grpc`. */
export function compileHttpGrpcLog(bytes: Uint8Array, path: string, context: GrpcLogContext): Log {
  const source = HttpGrpcAccessLogConfig.decode(bytes)
  const extras: EntryExtras = {
    requestHeaders: source.additionalRequestHeadersToLog.map(headerName),
    responseHeaders: source.additionalResponseHeadersToLog.map(headerName),
    responseTrailers: source.additionalResponseTrailersToLog.map(headerName),
    tags: compileCustomTags(source.commonConfig?.customTags ?? [], `${path}.common_config.custom_tags`),
  }
  const queue = queueOf(
    source.commonConfig,
    path,
    context,
    HTTPAccessLogEntry,
    (logEntry): Entries => ({ $case: 'httpLogs', value: { logEntry } }),
  )
  return (stream) => queue?.add(httpEntry(stream, extras))
}

/** `envoy.access_loggers.tcp_grpc`. */
export function compileTcpGrpcLog(bytes: Uint8Array, path: string, context: GrpcLogContext): Log {
  const source = TcpGrpcAccessLogConfig.decode(bytes)
  const extras: EntryExtras = {
    requestHeaders: [],
    responseHeaders: [],
    responseTrailers: [],
    tags: compileCustomTags(source.commonConfig?.customTags ?? [], `${path}.common_config.custom_tags`),
  }
  const queue = queueOf(
    source.commonConfig,
    path,
    context,
    TCPAccessLogEntry,
    (logEntry): Entries => ({ $case: 'tcpLogs', value: { logEntry } }),
  )
  return (stream) => queue?.add(tcpEntry(stream, extras))
}

function queueOf<T>(
  common: CommonGrpcAccessLogConfig | undefined,
  path: string,
  context: GrpcLogContext,
  type: { encode(entry: T): { finish(): Uint8Array } },
  wrap: (entries: T[]) => Entries,
): BatchQueue<T> | null {
  const logName = common?.logName ?? ''
  return logQueue({
    common,
    path,
    context,
    counters: 'access_logs.grpc_access_log.',
    method: streamAccessLogs,
    sizeOf: (entry: T) => type.encode(entry).finish().length,
    message: (entries, { node }) => ({
      identifier: {
        logName,
        node: Node.fromPartial({ id: node.id, cluster: node.cluster, metadata: node.metadata, locality: node.locality }),
      },
      logEntries: wrap([...entries]),
    }),
  })
}

/** Entries on their way to a service that takes them by calls of one method; null: only checking. */
export function logQueue<T, Message>(options: {
  common: CommonGrpcAccessLogConfig | undefined
  path: string
  context: GrpcLogContext
  /** Prefix of `logs_written` and `logs_dropped`. */
  counters: string
  method: UnaryMethod<Message, unknown>
  sizeOf(entry: T): number
  message(entries: readonly T[], services: WorkerServices): Message
}): BatchQueue<T> | null {
  const { common, context, method } = options
  const { services, stats } = context
  const at = `${options.path}.common_config`
  if (common === undefined || common.logName === '') throw invalid(`${at}.log_name`, 'a name is needed')
  const { cluster, metadata } = grpcTarget(common.grpcService, `${at}.grpc_service`, deadlineMs)
  if (services === null) return null
  const fullSize = common.bufferSizeBytes ?? 16_384
  const flushMs = durationMs(common.bufferFlushInterval, 1000)
  const counter = (name: string) => stats.counter(options.counters + name)
  return new BatchQueue<T>({
    flushMs: () => flushMs,
    // At zero each entry goes by itself.
    fullSize: () => Math.max(1, fullSize),
    sizeOf: options.sizeOf,
    maxWaiting: maxBatches * Math.max(fullSize, 1024),
    counters: { sent: counter('logs_written'), dropped: counter('logs_dropped'), timer: null },
    async send(entries) {
      try {
        await grpcClient(services, cluster).unary(method, options.message(entries, services), { deadlineMs, metadata })
      } catch (error) {
        services.log('debug', `access logs can't be sent: ${error instanceof Error ? error.message : String(error)}`)
      }
    },
  })
}
