import { hostname } from 'node:os'
import { type HeaderName, headerName } from '@weft/http/header-name'
import type { HeaderTable } from '@weft/http/header-table'
import type { RequestHead } from '@weft/http/message'
import type { ConnectionInfo, PeerCertificate } from '../../filters/http/filter.ts'
import { invalid } from '../../plan/problems.ts'
import { wallTime } from '../stream-record.ts'
import type { FormatContext } from './context.ts'
import { grpcStatusOperator } from './grpc-status.ts'
import { longFlag } from './response-flags.ts'
import { compileTimeFormat } from './time.ts'

/** A value of an operator; null is written `-` in text. Objects and numbers stay what they are in JSON. */
export type FormatValue = string | number | boolean | null | Readonly<Record<string, unknown>> | readonly unknown[]

/** Reads one operator's value. */
export interface Operator {
  (context: FormatContext): FormatValue
  /** Where the value is a header's as it came: its table and names, for who copies bytes instead of making a string. */
  readonly header?: HeaderSource
}

export interface HeaderSource {
  table(context: FormatContext): HeaderTable | null
  readonly name: HeaderName
  /** Taken where the first is absent. */
  readonly alternative: HeaderName | null
}

function headerOperator(header: HeaderSource): Operator {
  const { name, alternative } = header
  const read = (context: FormatContext): FormatValue => {
    const table = header.table(context)
    return table === null ? null : (table.get(name) ?? (alternative === null ? null : table.get(alternative)))
  }
  return Object.assign(read, { header })
}

const local = hostname()

/**
 * Compiles one command operator of Envoy's access-log formats, e.g. `REQ(x-a?:path):12`. Throws for one that is not known.
 */
export function compileOperator(command: string, path: string): Operator {
  const match = /^([A-Z0-9_]+)(?:\((.*)\))?(?::(\d+))?$/s.exec(command)
  if (match === null) throw invalid(path, `malformed format operator '%${command}%'`)
  const [, name = '', argument = '', length] = match
  const operator = compileNamed(name, argument, command, path)
  if (length === undefined) return operator
  const limit = Number(length)
  return (context) => {
    const value = operator(context)
    return typeof value === 'string' ? value.slice(0, limit) : value
  }
}

function compileNamed(name: string, argument: string, command: string, path: string): Operator {
  const simple = operators[name]
  if (simple !== undefined) return simple
  switch (name) {
    case 'START_TIME':
    case 'START_TIME_LOCAL': {
      const format = compileTimeFormat(argument)
      return ({ info }) => format(info.startTimeMs)
    }
    case 'EMIT_TIME':
    case 'EMIT_TIME_LOCAL': {
      const format = compileTimeFormat(argument)
      return () => format(wallTime(performance.now()))
    }
    case 'DOWNSTREAM_PEER_CERT_V_START':
    case 'DOWNSTREAM_PEER_CERT_V_END': {
      const format =
        argument === '' ? (ms: number) => new Date(ms).toISOString().replace(/\.\d+Z/, '.000Z') : compileTimeFormat(argument)
      return peer((certificate) => format((name.endsWith('START') ? certificate.validFrom : certificate.validTo).getTime()))
    }
    case 'REQ':
      return requestHeader(argument)
    case 'RESP': {
      const [name, alternative] = headerNames(argument)
      const table = ({ response }: FormatContext): HeaderTable | null =>
        response === null || response.status === 0 ? null : response.headers
      return headerOperator({ table, name, alternative })
    }
    case 'TRAILER': {
      const [name, alternative] = headerNames(argument)
      return headerOperator({ table: ({ responseTrailers }) => responseTrailers, name, alternative })
    }
    case 'GRPC_STATUS':
      return grpcStatusOperator(argument, path)
    case 'GRPC_STATUS_NUMBER':
      return grpcStatusOperator('NUMBER', path)
    case 'DYNAMIC_METADATA':
      return metadataAt(argument, ({ metadataOrNull }) => metadataOrNull)
    case 'CLUSTER_METADATA':
      return metadataAt(argument, ({ clusterMetadata }) => clusterMetadata)
    case 'UPSTREAM_METADATA':
      return metadataAt(argument, ({ info }) => info.upstreamEndpoint?.metadata ?? null)
    case 'METADATA': {
      const [type = '', ...rest] = argument.split(':')
      const at = rest.join(':')
      switch (type) {
        case 'DYNAMIC':
          return metadataAt(at, ({ metadataOrNull }) => metadataOrNull)
        case 'CLUSTER':
          return metadataAt(at, ({ clusterMetadata }) => clusterMetadata)
        case 'ROUTE':
          return metadataAt(at, ({ routeMetadata }) => routeMetadata)
        case 'UPSTREAM_HOST':
          return metadataAt(at, ({ info }) => info.upstreamEndpoint?.metadata ?? null)
        default:
          throw invalid(path, `unknown metadata type '${type}' in '%${command}%'`)
      }
    }
    case 'FILTER_STATE': {
      const [key = '', as = 'TYPED'] = argument.split(':')
      return ({ filterState }) => {
        const value = filterState.get(key)
        // Typed, a string is JSON: quoted in text.
        if (typeof value === 'string') return as === 'PLAIN' ? value : { toJSON: () => value }
        return typeof value === 'number' || typeof value === 'boolean' ? value : null
      }
    }
    case 'ENVIRONMENT': {
      const value = process.env[argument] ?? '-'
      return () => value
    }
    case 'QUERY_PARAM':
      return ({ request }) => (request === null ? null : new URLSearchParams(request.path.split('?')[1] ?? '').get(argument))
    case 'PATH':
      return pathOperator(argument)
    default:
      throw invalid(path, `unknown format operator '%${command}%'`)
  }
}

/** Bytes of names and values, as they are when it is asked: what was added counts, what was removed doesn't. */
function fieldBytes(headers: HeaderTable): number {
  return headers.byteSize - 4 * headers.size
}

/** The same with method, path, authority and scheme, which are fields too. */
function requestBytes({ method, path, authority, scheme, headers }: RequestHead): number {
  const named = [
    [':method', method],
    [':path', path],
    [':authority', authority],
    [':scheme', scheme],
  ] as const
  return named.reduce((sum, [name, value]) => (value === '' ? sum : sum + name.length + value.length), fieldBytes(headers))
}

const statusBytes = ':status'.length + 3

const operators: Record<string, Operator | undefined> = {
  REQUEST_HEADERS_BYTES: ({ request }) => (request === null ? 0 : requestBytes(request)),
  BYTES_RECEIVED: ({ info }) => info.bytesReceived,
  DOWNSTREAM_WIRE_BYTES_RECEIVED: ({ info }) => info.bytesReceived + info.requestHeadBytes,
  DOWNSTREAM_WIRE_BYTES_SENT: ({ info }) => info.bytesSent + info.responseHeadBytes,
  DOWNSTREAM_HEADER_BYTES_RECEIVED: ({ info }) => info.requestHeadBytes,
  DOWNSTREAM_HEADER_BYTES_SENT: ({ info }) => info.responseHeadBytes,
  UPSTREAM_WIRE_BYTES_SENT: ({ info }) => (info.upstreamEndpoint === null ? 0 : info.bytesReceived + info.requestHeadBytes),
  UPSTREAM_WIRE_BYTES_RECEIVED: ({ info }) => (info.upstreamEndpoint === null ? 0 : info.bytesSent + info.responseHeadBytes),
  UPSTREAM_HEADER_BYTES_SENT: ({ info }) => (info.upstreamEndpoint === null ? 0 : info.requestHeadBytes),
  UPSTREAM_HEADER_BYTES_RECEIVED: ({ info }) => (info.upstreamEndpoint === null ? 0 : info.responseHeadBytes),
  PROTOCOL: ({ info }) => info.protocol || null,
  UPSTREAM_PROTOCOL: ({ info }) => info.upstreamProtocol || null,
  RESPONSE_CODE: ({ info }) => info.responseCode,
  RESPONSE_CODE_DETAILS: ({ info }) => info.responseCodeDetails.replaceAll(' ', '_') || null,
  CONNECTION_TERMINATION_DETAILS: ({ info }) => info.terminationDetails || null,
  RESPONSE_HEADERS_BYTES: ({ response }) => (response === null ? 0 : statusBytes + fieldBytes(response.headers)),
  RESPONSE_TRAILERS_BYTES: ({ info }) => info.responseTrailerBytes,
  BYTES_SENT: ({ info }) => info.bytesSent,
  DURATION: ({ info }) => Math.floor(info.elapsedMs()),
  REQUEST_DURATION: ({ info }) => since(info.startMs, info.requestEndMs),
  REQUEST_TX_DURATION: ({ info }) => since(info.startMs, info.upstreamSendEndMs),
  RESPONSE_DURATION: ({ info }) => since(info.startMs, info.upstreamFirstByteMs),
  RESPONSE_TX_DURATION: ({ info }) => since(info.upstreamFirstByteMs, info.endMs),
  // A value also where there is none: formats that leave out what is empty keep it.
  RESPONSE_FLAGS: ({ info }) => (info.flags.length === 0 ? '-' : info.flags.join(',')),
  RESPONSE_FLAGS_LONG: ({ info }) => (info.flags.length === 0 ? '-' : info.flags.map(longFlag).join(',')),
  ROUTE_NAME: ({ info }) => info.routeName || null,
  VIRTUAL_CLUSTER_NAME: ({ info }) => info.virtualCluster || null,
  UPSTREAM_HOST: ({ info }) => info.upstreamEndpoint?.key ?? null,
  UPSTREAM_HOST_NAME: ({ info }) => info.upstreamEndpoint?.hostname || info.upstreamEndpoint?.key || null,
  UPSTREAM_HOST_NAME_WITHOUT_PORT: ({ info }) =>
    info.upstreamEndpoint?.hostname || withoutPort(info.upstreamEndpoint?.key) || null,
  UPSTREAM_CLUSTER: ({ info }) => info.clusterStatName || info.clusterName || null,
  UPSTREAM_CLUSTER_RAW: ({ info }) => info.clusterName || null,
  UPSTREAM_LOCAL_ADDRESS: upstream((c) => join(c.localAddress, c.localPort)),
  UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT: upstream((c) => c.localAddress),
  UPSTREAM_LOCAL_PORT: upstream((c) => c.localPort),
  UPSTREAM_REMOTE_ADDRESS: ({ info }) => info.upstreamEndpoint?.key ?? null,
  UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: ({ info }) => withoutPort(info.upstreamEndpoint?.key),
  UPSTREAM_REMOTE_PORT: upstream((c) => c.remotePort),
  UPSTREAM_CONNECTION_ID: upstream((c) => c.id),
  UPSTREAM_TLS_VERSION: upstream((c) => c.tls?.version ?? null),
  UPSTREAM_TLS_CIPHER: upstream((c) => c.tls?.cipher ?? null),
  UPSTREAM_PEER_SUBJECT: upstream((c) => c.tls?.peer?.subject ?? null),
  UPSTREAM_PEER_ISSUER: upstream((c) => c.tls?.peer?.issuer ?? null),
  UPSTREAM_PEER_URI_SAN: upstream((c) => list(c.tls?.peer?.uris)),
  UPSTREAM_PEER_DNS_SAN: upstream((c) => list(c.tls?.peer?.dnsNames)),
  UPSTREAM_TRANSPORT_FAILURE_REASON: ({ info }) => info.upstreamFailure.replaceAll(' ', '_') || null,
  UPSTREAM_REQUEST_ATTEMPT_COUNT: ({ info }) => info.attemptCount,
  DOWNSTREAM_REMOTE_ADDRESS: ({ info }) => join(info.downstreamRemoteAddress, info.downstreamRemotePort),
  DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: ({ info }) => info.downstreamRemoteAddress || null,
  DOWNSTREAM_REMOTE_PORT: ({ info }) => info.downstreamRemotePort,
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS: ({ connection: { directRemote, remoteAddress, remotePort } }) =>
    directRemote === undefined ? join(remoteAddress, remotePort) : join(directRemote.address, directRemote.port),
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT: ({ connection }) => connection.directRemote?.address ?? connection.remoteAddress,
  DOWNSTREAM_DIRECT_REMOTE_PORT: ({ connection }) => connection.directRemote?.port ?? connection.remotePort,
  DOWNSTREAM_LOCAL_ADDRESS: ({ connection }) => join(connection.localAddress, connection.localPort),
  DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT: ({ connection }) => connection.localAddress,
  DOWNSTREAM_LOCAL_PORT: ({ connection }) => connection.localPort,
  DOWNSTREAM_DIRECT_LOCAL_ADDRESS: ({ connection: { directLocal, localAddress, localPort } }) =>
    directLocal === undefined ? join(localAddress, localPort) : join(directLocal.address, directLocal.port),
  DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT: ({ connection }) => connection.directLocal?.address ?? connection.localAddress,
  DOWNSTREAM_DIRECT_LOCAL_PORT: ({ connection }) => connection.directLocal?.port ?? connection.localPort,
  CONNECTION_ID: ({ connection }) => connection.id,
  STREAM_ID: ({ info }) => info.requestId || null,
  REQUESTED_SERVER_NAME: ({ connection }) => connection.serverName || null,
  DOWNSTREAM_TLS_VERSION: ({ connection }) => connection.tls?.version || null,
  DOWNSTREAM_TLS_CIPHER: ({ connection }) => connection.tls?.cipher || null,
  DOWNSTREAM_PEER_SUBJECT: peer((c) => c.subject),
  DOWNSTREAM_PEER_ISSUER: peer((c) => c.issuer),
  DOWNSTREAM_PEER_URI_SAN: peer((c) => list(c.uris)),
  DOWNSTREAM_PEER_DNS_SAN: peer((c) => list(c.dnsNames)),
  DOWNSTREAM_PEER_SERIAL: peer((c) => c.serialNumber),
  DOWNSTREAM_PEER_FINGERPRINT_256: peer((c) => c.fingerprint256),
  DOWNSTREAM_PEER_CERT: peer((c) => encodeURIComponent(c.pem)),
  DOWNSTREAM_LOCAL_URI_SAN: ({ connection }) => list(connection.tls?.localUris),
  DOWNSTREAM_TRANSPORT_FAILURE_REASON: () => null,
  // Only fingerprints that a listener filter took; none here does.
  TLS_JA3_FINGERPRINT: () => null,
  TLS_JA4_FINGERPRINT: () => null,
  HOSTNAME: () => local,
  LOCAL_REPLY_BODY: ({ info }) => info.localReplyBody,
  FILTER_CHAIN_NAME: ({ info }) => info.filterChain || null,
  TRACE_ID: ({ request }) => request?.headers.get(traceparent)?.split('-')[1] ?? null,
  UNIQUE_ID: () => crypto.randomUUID(),
  ACCESS_LOG_TYPE: ({ request }) => (request === null ? 'TcpConnectionEnd' : 'DownstreamEnd'),
}

const traceparent = headerName('traceparent')

function since(from: number, to: number): number | null {
  return to < 0 || from < 0 ? null : Math.floor(to - from)
}

function join(address: string, port: number): string | null {
  if (address === '') return null
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}

function withoutPort(key: string | undefined): string | null {
  return key === undefined ? null : key.replace(/:\d+$/, '')
}

function list(values: readonly string[] | undefined): string | null {
  return values === undefined || values.length === 0 ? null : values.join(',')
}

function peer(give: (certificate: PeerCertificate) => FormatValue): Operator {
  return ({ connection }) => {
    const certificate = connection.tls?.peer
    return certificate == null ? null : give(certificate) || null
  }
}

function upstream(give: (connection: ConnectionInfo) => FormatValue): Operator {
  return ({ info }) => (info.upstreamConnection === null ? null : give(info.upstreamConnection))
}

/** `X?Y`: X, or Y where X is absent. */
function headerNames(argument: string): [HeaderName, HeaderName | null] {
  const [main = '', alternative] = argument.split('?')
  return [headerName(main), alternative === undefined ? null : headerName(alternative)]
}

function requestHeader(argument: string): Operator {
  if (argument.split('?').every((name) => !name.startsWith(':') && name.toLowerCase() !== 'host')) {
    const [name, alternative] = headerNames(argument)
    return headerOperator({ table: ({ request }) => request?.headers ?? null, name, alternative })
  }
  const readers = argument.split('?').map((name) => requestReader(name))
  const [main, alternative] = readers
  if (alternative === undefined) return ({ request }) => (request === null ? null : main!(request))
  return ({ request }) => (request === null ? null : (main!(request) ?? alternative(request)))
}

function requestReader(name: string): (request: RequestHead) => string | null {
  switch (name.toLowerCase()) {
    case ':method':
      return (request) => request.method || null
    case ':path':
      return (request) => request.path || null
    case ':authority':
    case 'host':
      return (request) => request.authority || null
    case ':scheme':
      return (request) => request.scheme || null
    default: {
      const header = headerName(name)
      return (request) => request.headers.get(header)
    }
  }
}

/** `NAMESPACE:KEY:KEY…`: the value there. */
function metadataAt(argument: string, from: (context: FormatContext) => Readonly<Record<string, unknown>> | null): Operator {
  const keys = argument.split(':')
  return (context) => {
    let value: unknown = from(context)
    for (const key of keys) {
      if (typeof value !== 'object' || value === null) return null
      value = (value as Readonly<Record<string, unknown>>)[key]
    }
    if (value === undefined || value === null) return null
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value
    return typeof value === 'object' ? (value as Readonly<Record<string, unknown>>) : null
  }
}

/** `PATH(WQ|NQ:ORIG|PATH|ORIG_OR_PATH)`. */
function pathOperator(argument: string): Operator {
  const [query = 'WQ', which = 'ORIG_OR_PATH'] = argument.split(':')
  const original = headerName('x-envoy-original-path')
  return ({ request }) => {
    if (request === null) return null
    const first = request.headers.get(original)
    const path = which === 'ORIG' ? first : which === 'PATH' ? request.path : (first ?? request.path)
    if (path === null || path === '') return null
    return query === 'NQ' ? path.split('?')[0]! : path
  }
}
