import type { MutableBag } from '@weft/attributes/bag'
import { Duration } from '@weft/attributes/duration'
import type { Node } from '@weft/contracts/envoy/config/core/v3/base'
import { RequestMethod } from '@weft/contracts/envoy/config/core/v3/base'
import type {
  AccessLogCommon,
  HTTPAccessLogEntry,
  TCPAccessLogEntry,
  TLSProperties_CertificateProperties,
} from '@weft/contracts/envoy/data/accesslog/v3/accesslog'
import { StreamAccessLogsMessage } from '@weft/contracts/envoy/service/accesslog/v3/als'
import type { Mixer } from '../mixer.ts'
import { FoundAttributes, parseClusterName } from './attributes.ts'

const DEADLINE_MS = 5_000

/**
 * envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs: takes the messages of one stream, one after the other, each
 * entry as one report record. The first message says whose they are.
 */
export function accessLogStream(mixer: Mixer): (message: Buffer) => Promise<void> {
  let node: Node | undefined
  return async (bytes) => {
    const { identifier, logEntries } = StreamAccessLogsMessage.decode(bytes)
    node = identifier?.node ?? node
    if (logEntries === undefined) return
    const bags =
      logEntries.$case === 'httpLogs'
        ? logEntries.value.logEntry.map((entry) => httpAttributes(entry, node))
        : logEntries.value.logEntry.map((entry) => tcpAttributes(entry, node))
    for (const bag of bags) await mixer.record(bag, DEADLINE_MS)
  }
}

function httpAttributes({ commonProperties, request, response }: HTTPAccessLogEntry, node: Node | undefined): MutableBag {
  const found = commonAttributes(commonProperties, node)
  const grpc = (request?.requestHeaders['content-type'] ?? '').startsWith('application/grpc')
  found.set('context.protocol', grpc ? 'grpc' : 'http')
  if (request !== undefined) {
    found.set('request.method', methodNames.get(request.requestMethod))
    found.set('request.scheme', request.scheme)
    found.set('request.host', request.authority)
    found.set('request.path', request.originalPath || request.path)
    found.set('request.useragent', request.userAgent)
    found.set('request.referer', request.referer)
    found.set('request.id', request.requestId)
    found.map('request.headers', request.requestHeaders)
    found.set('request.size', BigInt(request.requestBodyBytes))
    found.set('request.total_size', BigInt(request.requestBodyBytes + request.requestHeadersBytes))
  }
  if (response !== undefined) {
    found.set('response.code', BigInt(response.responseCode ?? 0))
    found.set('response.size', BigInt(response.responseBodyBytes))
    found.set('response.total_size', BigInt(response.responseBodyBytes + response.responseHeadersBytes))
    found.map('response.headers', response.responseHeaders)
    found.set('response.grpc_status', response.responseTrailers['grpc-status'])
  }
  const { duration, timeToLastDownstreamTxByte } = commonProperties ?? {}
  const took = duration ?? timeToLastDownstreamTxByte
  if (took !== undefined) found.set('response.duration', new Duration(took.seconds, took.nanos))
  return found.bag
}

const methodNames = new Map<number, string>(Object.entries(RequestMethod).map(([name, number]) => [number, name]))

function tcpAttributes({ commonProperties, connectionProperties }: TCPAccessLogEntry, node: Node | undefined): MutableBag {
  const found = commonAttributes(commonProperties, node)
  found.set('context.protocol', 'tcp')
  found.set('connection.event', 'close')
  found.set('connection.received.bytes', BigInt(connectionProperties?.receivedBytes ?? 0))
  found.set('connection.sent.bytes', BigInt(connectionProperties?.sentBytes ?? 0))
  const took = commonProperties?.duration
  if (took !== undefined) found.set('connection.duration', new Duration(took.seconds, took.nanos))
  return found.bag
}

/** Both ends: the node that reports is the destination of what comes in and the source of what goes out. */
function commonAttributes(common: AccessLogCommon | undefined, node: Node | undefined): FoundAttributes {
  const found = new FoundAttributes()
  const cluster = parseClusterName(common?.upstreamCluster ?? '')
  const outbound = cluster?.direction === 'outbound'
  found.set('context.reporter.kind', outbound ? 'outbound' : 'inbound')
  found.set('context.reporter.uid', node?.id)
  found.set('request.time', common?.startTime)
  found.set('context.time', common?.startTime)
  found.address('source', common?.downstreamRemoteAddress)
  found.address('destination', outbound ? common?.upstreamRemoteAddress : common?.downstreamLocalAddress)
  const tls = common?.tlsProperties
  found.set('connection.requested_server_name', tls?.tlsSniHostname)
  found.set('connection.mtls', spiffeOf(tls?.peerCertificateProperties) !== '')
  found.principal('source', spiffeOf(outbound ? tls?.localCertificateProperties : tls?.peerCertificateProperties))
  if (!outbound) found.principal('destination', spiffeOf(tls?.localCertificateProperties))
  workload(found, outbound ? 'source' : 'destination', node)
  if (cluster !== undefined && cluster.host !== '') found.destinationService(cluster.host)
  for (const [name, value] of Object.entries(common?.customTags ?? {})) {
    if (/^(source|destination)\.[\w.]+$/.test(name)) found.set(name, value)
  }
  return found
}

function spiffeOf(certificate: TLSProperties_CertificateProperties | undefined): string {
  for (const { san } of certificate?.subjectAltName ?? []) if (san?.$case === 'uri') return san.value
  return ''
}

/** The workload that the node's metadata names, as Pilot's sidecars have it. */
function workload(found: FoundAttributes, side: 'source' | 'destination', node: Node | undefined): void {
  const metadata: Record<string, unknown> = node?.metadata ?? {}
  const text = (name: string): string => (typeof metadata[name] === 'string' ? metadata[name] : '')
  found.set(`${side}.workload.name`, text('WORKLOAD_NAME'))
  found.set(`${side}.workload.namespace`, text('NAMESPACE'))
  found.set(`${side}.namespace`, text('NAMESPACE'))
  const labels = metadata['LABELS']
  if (typeof labels === 'object' && labels !== null) {
    found.map(`${side}.labels`, Object.fromEntries(Object.entries(labels).filter(([, value]) => typeof value === 'string')))
  }
}
