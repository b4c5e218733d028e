import type { HeaderTable } from '@weft/http/header-table'
import type { RequestHead, ResponseHead } from '@weft/http/message'
import type { ConnectionInfo } from '../../transport/connection-info.ts'
import type { StreamRecord } from '../stream-record.ts'

/** What a format's operators read: a request with its response, or a TCP session (then without heads). */
export interface FormatContext {
  readonly request: RequestHead | null
  readonly response: ResponseHead | null
  readonly responseTrailers: HeaderTable | null
  readonly connection: ConnectionInfo
  readonly info: StreamRecord
  readonly metadataOrNull: Readonly<Record<string, Record<string, unknown>>> | null
  readonly filterState: ReadonlyMap<string, unknown>
  readonly routeMetadata: Readonly<Record<string, unknown>> | null
  readonly clusterMetadata: Readonly<Record<string, unknown>> | null
  readonly virtualHostMetadata?: Readonly<Record<string, unknown>> | null
  /** Identifiers of the request's trace and span, where it is traced. */
  readonly trace?: { readonly traceId: string; readonly spanId: string | null } | null
  /** Which kind of log this is; absent: of what has ended. */
  readonly logType?: string
}

/** The kind of log, as `AccessLogType` names it. */
export function logTypeOf({ logType, request }: FormatContext): string {
  return logType ?? (request === null ? 'TcpConnectionEnd' : 'DownstreamEnd')
}
