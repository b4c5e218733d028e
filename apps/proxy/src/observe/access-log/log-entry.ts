import { isIP } from 'node:net'
import { RequestMethod } from '@weft/contracts/envoy/config/core/v3/base'
import {
  type AccessLogCommon,
  HTTPAccessLogEntry,
  ResponseFlags_Unauthorized_Reason,
  TCPAccessLogEntry,
  TLSProperties_TLSVersion as TlsVersion,
  HTTPAccessLogEntry_HTTPVersion as Version,
} from '@weft/contracts/envoy/data/accesslog/v3/accesslog'
import { type HeaderName, headerName, names } from '@weft/http/header-name'
import type { HeaderTable } from '@weft/http/header-table'
import type { PeerCertificate, TlsInfo } from '../../transport/connection-info.ts'
import { type FormatContext, logTypeOf } from '../format/context.ts'
import type { SpanTag } from '../tracing/custom-tags.ts'
import { logTypeNumber } from './filter.ts'

/** What a configuration adds to entries. */
export interface EntryExtras {
  requestHeaders: readonly HeaderName[]
  responseHeaders: readonly HeaderName[]
  responseTrailers: readonly HeaderName[]
  tags: readonly SpanTag[]
}

const userAgent = headerName('user-agent')
const referer = headerName('referer')
const originalPath = headerName('x-envoy-original-path')

type Common = NonNullable<Parameters<typeof AccessLogCommon.fromPartial>[0]>

/** One request as `envoy.data.accesslog.v3.HTTPAccessLogEntry`. */
export function httpEntry(context: FormatContext, extras: EntryExtras): HTTPAccessLogEntry {
  const { request, response, responseTrailers, info } = context
  const headers = request?.headers
  const wire = info.wire?.counts
  return HTTPAccessLogEntry.fromPartial({
    commonProperties: common(context, extras),
    protocolVersion: versions[info.protocol] ?? Version.PROTOCOL_UNSPECIFIED,
    request: {
      requestMethod: methods[request?.method ?? ''] ?? RequestMethod.METHOD_UNSPECIFIED,
      scheme: request?.scheme ?? '',
      authority: request?.authority ?? '',
      path: request?.path ?? '',
      userAgent: headers?.get(userAgent) ?? '',
      referer: headers?.get(referer) ?? '',
      forwardedFor: headers?.get(names.forwardedFor) ?? '',
      requestId: headers?.get(names.requestId) ?? '',
      originalPath: headers?.get(originalPath) ?? '',
      requestHeadersBytes: headers === undefined ? 0 : headers.byteSize - 4 * headers.size,
      requestBodyBytes: info.bytesReceived,
      requestHeaders: pick(headers ?? null, extras.requestHeaders),
      upstreamHeaderBytesSent: wire?.upstreamHeadSent ?? 0,
      downstreamHeaderBytesReceived: wire?.downstreamHeadReceived ?? 0,
    },
    response: {
      ...(info.responseCode > 0 ? { responseCode: info.responseCode } : {}),
      responseHeadersBytes: response === null ? 0 : response.headers.byteSize - 4 * response.headers.size,
      responseBodyBytes: info.bytesSent,
      responseHeaders: pick(response?.headers ?? null, extras.responseHeaders),
      responseTrailers: pick(responseTrailers, extras.responseTrailers),
      responseCodeDetails: info.responseCodeDetails,
      upstreamHeaderBytesReceived: wire?.upstreamHeadReceived ?? 0,
      downstreamHeaderBytesSent: wire?.downstreamHeadSent ?? 0,
    },
  })
}

/** One session as `envoy.data.accesslog.v3.TCPAccessLogEntry`. */
export function tcpEntry(context: FormatContext, extras: EntryExtras): TCPAccessLogEntry {
  const { info } = context
  return TCPAccessLogEntry.fromPartial({
    commonProperties: common(context, extras),
    connectionProperties: { receivedBytes: info.bytesReceived, sentBytes: info.bytesSent },
  })
}

const methods: Readonly<Record<string, RequestMethod>> = {
  GET: RequestMethod.GET,
  HEAD: RequestMethod.HEAD,
  POST: RequestMethod.POST,
  PUT: RequestMethod.PUT,
  DELETE: RequestMethod.DELETE,
  CONNECT: RequestMethod.CONNECT,
  OPTIONS: RequestMethod.OPTIONS,
  TRACE: RequestMethod.TRACE,
  PATCH: RequestMethod.PATCH,
}

const versions: Readonly<Record<string, Version>> = {
  'HTTP/1.0': Version.HTTP10,
  'HTTP/1.1': Version.HTTP11,
  'HTTP/2': Version.HTTP2,
}

function pick(table: HeaderTable | null, wanted: readonly HeaderName[]): Record<string, string> {
  const found: Record<string, string> = {}
  for (const name of wanted) {
    const value = table?.getAll(name) ?? null
    if (value !== null) found[name.name] = value
  }
  return found
}

function common(context: FormatContext, extras: EntryExtras): Common {
  const { info, connection, request } = context
  const since = (at: number) => (at < 0 ? undefined : duration(at - info.startMs))
  const upstream = info.upstreamConnection
  const endpoint = info.upstreamEndpoint?.address
  const wire = info.wire?.counts
  const customTags: Record<string, string> = {}
  for (const { key, read } of extras.tags) {
    const value = read(context)
    if (value !== null) customTags[key] = value
  }
  return {
    downstreamRemoteAddress: address(info.downstreamRemoteAddress, info.downstreamRemotePort),
    downstreamDirectRemoteAddress: address(
      connection.directRemote?.address ?? connection.remoteAddress,
      connection.directRemote?.port ?? connection.remotePort,
    ),
    downstreamLocalAddress: address(connection.localAddress, connection.localPort),
    tlsProperties: connection.tls === null ? undefined : tlsProperties(connection.tls, connection.serverName),
    startTime: new Date(info.startTimeMs),
    timeToLastRxByte: since(info.requestEndMs),
    timeToFirstUpstreamTxByte: since(info.upstreamSendStartMs),
    timeToLastUpstreamTxByte: since(info.upstreamSendEndMs),
    timeToFirstUpstreamRxByte: since(info.upstreamFirstByteMs),
    timeToLastUpstreamRxByte: since(info.upstreamLastByteMs),
    timeToFirstDownstreamTxByte: since(info.downstreamFirstByteMs),
    timeToLastDownstreamTxByte: since(info.endMs),
    duration: since(info.endMs),
    upstreamRemoteAddress: endpoint?.type === 'ip' ? address(endpoint.host, endpoint.port) : undefined,
    upstreamLocalAddress: upstream === null ? undefined : address(upstream.localAddress, upstream.localPort),
    upstreamCluster: info.clusterName,
    responseFlags: flags(info.flags),
    metadata: context.metadataOrNull === null ? undefined : { filterMetadata: { ...context.metadataOrNull } },
    upstreamTransportFailureReason: info.upstreamFailure,
    routeName: info.routeName,
    customTags,
    upstreamRequestAttemptCount: info.attemptCount,
    connectionTerminationDetails: info.terminationDetails,
    streamId: request?.headers.get(names.requestId) ?? info.streamId,
    downstreamWireBytesSent: wire?.downstreamSent ?? info.bytesSent,
    downstreamWireBytesReceived: wire?.downstreamReceived ?? info.bytesReceived,
    upstreamWireBytesSent: wire?.upstreamSent ?? (upstream === null ? 0 : info.bytesReceived),
    upstreamWireBytesReceived: wire?.upstreamReceived ?? (upstream === null ? 0 : info.bytesSent),
    accessLogType: logTypeNumber(context),
    intermediateLogEntry: !['DownstreamEnd', 'TcpConnectionEnd'].includes(logTypeOf(context)),
  }
}

function duration(ms: number): { seconds: number; nanos: number } {
  const whole = Math.max(0, ms)
  return { seconds: Math.floor(whole / 1000), nanos: Math.round((whole % 1000) * 1e6) }
}

function address(host: string, port: number) {
  if (host === '') return undefined
  if (isIP(host) === 0) return { address: { $case: 'pipe' as const, value: { path: host } } }
  const value = { address: host, portSpecifier: { $case: 'portValue' as const, value: port } }
  return { address: { $case: 'socketAddress' as const, value } }
}

const tlsVersions: Readonly<Record<string, TlsVersion>> = {
  TLSv1: TlsVersion.TLSv1,
  'TLSv1.1': TlsVersion.TLSv1_1,
  'TLSv1.2': TlsVersion.TLSv1_2,
  'TLSv1.3': TlsVersion.TLSv1_3,
}

function tlsProperties(tls: TlsInfo, serverName: string) {
  return {
    tlsVersion: tlsVersions[tls.version] ?? TlsVersion.VERSION_UNSPECIFIED,
    tlsSniHostname: serverName,
    localCertificateProperties: { subject: tls.localSubject ?? '', subjectAltName: sans(tls.localUris, []) },
    ...(tls.peer === null ? {} : { peerCertificateProperties: certificate(tls.peer) }),
  }
}

function certificate({ subject, issuer, uris, dnsNames }: PeerCertificate) {
  return { subject, issuer, subjectAltName: sans(uris, dnsNames) }
}

function sans(uris: readonly string[], dnsNames: readonly string[]) {
  return [
    ...uris.map((value) => ({ san: { $case: 'uri' as const, value } })),
    ...dnsNames.map((value) => ({ san: { $case: 'dns' as const, value } })),
  ]
}

/** Field of `ResponseFlags` for each short name. */
const flagFields = {
  LH: 'failedLocalHealthcheck',
  UH: 'noHealthyUpstream',
  UT: 'upstreamRequestTimeout',
  LR: 'localReset',
  UR: 'upstreamRemoteReset',
  UF: 'upstreamConnectionFailure',
  UC: 'upstreamConnectionTermination',
  UO: 'upstreamOverflow',
  NR: 'noRouteFound',
  DI: 'delayInjected',
  FI: 'faultInjected',
  RL: 'rateLimited',
  RLSE: 'rateLimitServiceError',
  DC: 'downstreamConnectionTermination',
  URX: 'upstreamRetryLimitExceeded',
  SI: 'streamIdleTimeout',
  IH: 'invalidEnvoyRequestHeaders',
  DPE: 'downstreamProtocolError',
  UMSDR: 'upstreamMaxStreamDurationReached',
  RFCF: 'responseFromCacheFilter',
  NFCF: 'noFilterConfigFound',
  DT: 'durationTimeout',
  UPE: 'upstreamProtocolError',
  NC: 'noClusterFound',
  OM: 'overloadManager',
  DF: 'dnsResolutionFailure',
} as const

function flags(short: readonly string[]): Common['responseFlags'] {
  if (short.length === 0) return undefined
  const set: Record<string, unknown> = {}
  for (const flag of short) {
    if (flag === 'UAEX') set['unauthorizedDetails'] = { reason: ResponseFlags_Unauthorized_Reason.EXTERNAL_SERVICE }
    else if (Object.hasOwn(flagFields, flag)) set[flagFields[flag as keyof typeof flagFields]] = true
  }
  return set
}
