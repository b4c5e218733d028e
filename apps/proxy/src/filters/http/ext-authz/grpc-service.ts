import type { Address } from '@weft/contracts/envoy/config/core/v3/address'
import type { GrpcService } from '@weft/contracts/envoy/config/core/v3/grpc_service'
import type { ExtAuthz } from '@weft/contracts/envoy/extensions/filters/http/ext_authz/v3/ext_authz'
import type { DeepPartial } from '@weft/contracts/envoy/service/auth/v3/attribute_context'
import { CheckRequest, CheckResponse } from '@weft/contracts/envoy/service/auth/v3/external_auth'
import type { ConnectionInfo } from '../../../transport/connection-info.ts'
import type { UnaryMethod } from '../../../upstream/grpc-client.ts'
import type { FilterContext } from '../filter.ts'
import { compileGrpcService } from '../grpc-service.ts'
import { type Check, type CheckInput, partialBody } from './check-input.ts'
import { compileSelection, type HeaderSelection } from './header-selection.ts'
import { validUtf8 } from './valid-utf8.ts'
import { answerChanges, hasUnknownAction, requestChanges, responseChanges, type Verdict } from './verdict.ts'

const checkMethod: UnaryMethod<CheckRequest, CheckResponse> = {
  path: '/envoy.service.auth.v3.Authorization/Check',
  encode: (request) => CheckRequest.encode(request).finish(),
  decode: (bytes) => CheckResponse.decode(bytes),
}

/** Compiles the check by Envoy's gRPC authorization service; null when only checking. */
export function compileGrpcCheck(service: GrpcService, source: ExtAuthz, context: FilterContext): Check<Verdict> | null {
  const call = compileGrpcService(service, checkMethod, 'grpc_service', context, { fallbackMs: 200 })
  const allowed = compileSelection(source.allowedHeaders, `${context.path}.allowed_headers`)
  const disallowed = compileSelection(source.disallowedHeaders, `${context.path}.disallowed_headers`)
  const isSent: HeaderSelection = (name) => (allowed === null || allowed(name)) && disallowed?.(name) !== true
  if (call === null) return null
  const labels = labelsOf(context.services?.node.metadata?.[source.bootstrapMetadataLabelsKey])
  return async (input, signal) => verdictOf(await call(checkRequest(input, source, isSent, labels), signal))
}

/** Labels of this proxy's node, as text. */
function labelsOf(value: unknown): Record<string, string> {
  if (typeof value !== 'object' || value === null) return {}
  return Object.fromEntries(Object.entries(value).filter(([, label]) => typeof label === 'string'))
}

function checkRequest(
  input: CheckInput,
  source: ExtAuthz,
  isSent: HeaderSelection,
  labels: Readonly<Record<string, string>>,
): CheckRequest {
  const { stream, body, contextExtensions } = input
  const { request, connection, info } = stream
  const headers: Record<string, string> = {}
  const raw: { key: string; rawValue: Buffer }[] = []
  const note = (name: string, value: string): void => {
    if (!isSent(name)) return
    if (source.encodeRawHeaders) raw.push({ key: name, rawValue: Buffer.from(value, 'latin1') })
    else headers[name] = headers[name] === undefined ? value : `${headers[name]},${value}`
  }
  note(':authority', request.authority)
  note(':path', request.path)
  note(':method', request.method)
  note(':scheme', request.scheme)
  request.headers.forEach(note)
  if (body !== null) {
    if (source.encodeRawHeaders) raw.push({ key: partialBody, rawValue: Buffer.from(String(body.isPartial)) })
    else headers[partialBody] = String(body.isPartial)
  }
  const packs = source.withRequestBody?.packAsBytes === true
  const peer = connection.tls?.peer ?? null
  const attributes: DeepPartial<NonNullable<CheckRequest['attributes']>> = {
    source: {
      address: address(info.downstreamRemoteAddress, addressPort(connection, info.downstreamRemoteAddress)),
      principal: peer === null ? '' : (peer.uris[0] ?? peer.dnsNames[0] ?? peer.subject),
      certificate: source.includePeerCertificate && peer !== null ? encodeURIComponent(peer.pem) : '',
    },
    destination: {
      address: address(connection.localAddress, connection.localPort),
      principal: connection.tls?.localUris[0] ?? '',
      labels,
    },
    request: {
      time: new Date(info.startTimeMs),
      http: {
        id: streamId(connection.id, info.startTimeMs),
        method: request.method,
        headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, utf8(value)])),
        ...(source.encodeRawHeaders ? { headerMap: { headers: raw } } : {}),
        path: request.path,
        host: request.authority,
        scheme: request.scheme,
        size: info.bytesReceived,
        protocol: request.version === 20 ? 'HTTP/2' : request.version === 10 ? 'HTTP/1.0' : 'HTTP/1.1',
        body: body !== null && !packs ? body.bytes.toString() : '',
        ...(body !== null && packs ? { rawBody: body.bytes } : {}),
      },
    },
    contextExtensions,
    metadataContext: { filterMetadata: chosen(stream.metadataOrNull, source.metadataContextNamespaces) },
    routeMetadataContext: { filterMetadata: chosen(stream.route?.metadata ?? null, source.routeMetadataContextNamespaces) },
    ...(source.includeTlsSession ? { tlsSession: { sni: connection.serverName } } : {}),
  }
  return CheckRequest.fromPartial({ attributes })
}

/** Tells requests apart for the service's logs; it means nothing else. */
function streamId(connection: number, timeMs: number): string {
  return String(BigInt(connection) * 0x100000000n + BigInt(Math.floor(timeMs) % 0x100000000))
}

function addressPort({ remoteAddress, remotePort }: ConnectionInfo, shown: string): number {
  return remoteAddress === shown ? remotePort : 0
}

function address(host: string, port: number): DeepPartial<Address> {
  return { address: { $case: 'socketAddress', value: { address: host, portSpecifier: { $case: 'portValue', value: port } } } }
}

/** Header values are bytes; protobuf's strings are UTF-8. */
function utf8(latin1: string): string {
  return Buffer.from(validUtf8(latin1), 'latin1').toString()
}

function chosen(
  metadata: Readonly<Record<string, unknown>> | null,
  namespaces: readonly string[],
): Record<string, Record<string, unknown>> {
  const found: Record<string, Record<string, unknown>> = {}
  for (const namespace of namespaces) {
    const value = metadata?.[namespace]
    if (typeof value === 'object' && value !== null) found[namespace] = Object.fromEntries(Object.entries(value))
  }
  return found
}

function verdictOf({ status, httpResponse, dynamicMetadata }: CheckResponse): Verdict {
  const ok = httpResponse?.$case === 'okResponse' ? httpResponse.value : null
  const metadata = ok?.dynamicMetadata ?? dynamicMetadata ?? null
  if ((status?.code ?? 0) === 0) {
    return {
      type: 'ok',
      request: requestChanges(ok?.headers ?? []),
      remove: ok?.headersToRemove ?? [],
      response: responseChanges(ok?.responseHeadersToAdd ?? []),
      unknownAction: hasUnknownAction(ok?.responseHeadersToAdd ?? []),
      setParameters: ok?.queryParametersToSet ?? [],
      removeParameters: ok?.queryParametersToRemove ?? [],
      metadata,
    }
  }
  if (httpResponse?.$case === 'errorResponse') {
    const { status: shown, headers, body } = httpResponse.value
    return {
      type: 'error',
      reason: `it answered an error: ${status?.message ?? ''}`,
      metadata,
      answer: { status: shown?.code ?? 0, headers: answerChanges(headers), body: Buffer.from(body) },
    }
  }
  const denied = httpResponse?.$case === 'deniedResponse' ? httpResponse.value : null
  return {
    type: 'denied',
    status: denialStatus(denied?.status?.code ?? 0),
    headers: answerChanges(denied?.headers ?? []),
    body: Buffer.from(denied?.body ?? ''),
    metadata,
  }
}

/** Without a status, or with an interim one, which would end nothing, 403. */
function denialStatus(code: number): number {
  return code < 200 ? 403 : code
}
