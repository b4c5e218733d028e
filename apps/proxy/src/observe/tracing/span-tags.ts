import { headerName, names } from '@weft/http/header-name'
import { isGrpcType } from '../../filters/http/grpc-type.ts'
import type { FormatContext } from '../format/context.ts'
import type { StreamRecord } from '../stream-record.ts'
import { wallTime } from '../stream-record.ts'
import type { SpanTag } from './custom-tags.ts'
import type { Span } from './span.ts'

const userAgent = headerName('user-agent')
const downstreamCluster = headerName('x-envoy-downstream-service-cluster')
const clientTraceId = headerName('x-client-trace-id')
const originalPath = headerName('x-envoy-original-path')

/** What all spans of a connection manager have in common. */
export interface SpanDetails {
  nodeId: string
  zone: string
  maxPathLength: number
  verbose: boolean
}

/** Fills the span of a request that is over, with the names that Envoy gives. */
export function describeRequest(span: Span, context: FormatContext, details: SpanDetails, tags: readonly SpanTag[]): void {
  const { request, info, connection } = context
  if (request === null) return
  const { headers } = request
  span.tag('node_id', details.nodeId)
  span.tag('zone', details.zone)
  const id = headers.get(names.requestId)
  if (id !== null) span.tag('guid:x-request-id', id)
  const path = (headers.get(originalPath) ?? request.path).slice(0, details.maxPathLength)
  span.tag('http.url', `${request.scheme}://${request.authority}${path}`)
  span.tag('http.method', request.method)
  span.tag('downstream_cluster', headers.get(downstreamCluster) || '-')
  span.tag('user_agent', headers.get(userAgent) || '-')
  span.tag('http.protocol', info.protocol)
  span.tag('peer.address', connection.directRemote?.address ?? connection.remoteAddress)
  const client = headers.get(clientTraceId)
  if (client !== null) span.tag('guid:x-client-trace-id', client)
  if (isGrpcType(headers)) describeCall(span, context)
  span.tag('request_size', String(info.bytesReceived))
  span.tag('response_size', String(info.bytesSent))
  describeOutcome(span, info, info.responseCode, tags, context)
  if (!details.verbose) return
  addEvents(span, [
    ['last_downstream_rx_byte_received', info.requestEndMs],
    ...upstreamPoints(info),
    ['first_downstream_tx_byte_sent', info.downstreamFirstByteMs],
    ['last_downstream_tx_byte_sent', info.endMs],
  ])
}

/** Fills the span of a try. `reason`: why there was no answer; empty: there was one. */
export function describeAttempt(
  span: Span,
  context: FormatContext,
  status: number,
  reason: string,
  details: SpanDetails,
  tags: readonly SpanTag[],
): void {
  const { info } = context
  span.tag('http.protocol', info.upstreamProtocol || '-')
  const address = info.upstreamEndpoint?.key ?? ''
  if (address !== '') {
    span.tag('upstream_address', address)
    span.tag('peer.address', address)
  }
  if (info.attemptCount > 1) span.tag('retry.count', String(info.attemptCount - 1))
  if (reason !== '') {
    span.tag('error', 'true')
    span.tag('error.reason', reason)
  }
  describeOutcome(span, info, status, tags, context)
  if (details.verbose) addEvents(span, upstreamPoints(info))
}

function describeOutcome(span: Span, info: StreamRecord, status: number, tags: readonly SpanTag[], context: FormatContext): void {
  span.tag('component', 'proxy')
  if (info.clusterName !== '') {
    span.tag('upstream_cluster', info.clusterName)
    span.tag('upstream_cluster.name', info.clusterStatName || info.clusterName)
  }
  span.tag('http.status_code', String(status))
  span.tag('response_flags', info.flags.length === 0 ? '-' : info.flags.join(','))
  if (status === 0 || status >= 500) {
    span.error ||= status >= 500
    if (!span.tags.some(([key]) => key === 'error')) span.tag('error', 'true')
  }
  for (const { key, kind, read } of tags) {
    const value = read(context)
    if (value !== null) span.tag(key, value, kind)
  }
}

function describeCall(span: Span, { request, response, responseTrailers }: FormatContext): void {
  if (request === null) return
  span.tag('grpc.path', request.path)
  span.tag('grpc.authority', request.authority)
  span.tag('grpc.content_type', request.headers.get(names.contentType) ?? '')
  const timeout = request.headers.get(names.grpcTimeout)
  if (timeout !== null) span.tag('grpc.timeout', timeout)
  const status = responseTrailers?.get(names.grpcStatus) ?? response?.headers.get(names.grpcStatus) ?? null
  if (status !== null) {
    span.tag('grpc.status_code', status)
    const message = responseTrailers?.get(names.grpcMessage) ?? response?.headers.get(names.grpcMessage) ?? null
    if (message !== null) span.tag('grpc.message', message)
  }
}

type Point = readonly [name: string, atMs: number]

function upstreamPoints(info: StreamRecord): Point[] {
  return [
    ['first_upstream_tx_byte_sent', info.upstreamSendStartMs],
    ['last_upstream_tx_byte_sent', info.upstreamSendEndMs],
    ['first_upstream_rx_byte_received', info.upstreamFirstByteMs],
    ['last_upstream_rx_byte_received', info.upstreamLastByteMs],
  ]
}

function addEvents(span: Span, points: readonly Point[]): void {
  for (const [name, at] of points) if (at >= 0) span.events.push({ name, timeMs: wallTime(at) })
}
