import type { MutableBag } from '@weft/attributes/bag'
import { HeaderValueOption_HeaderAppendAction as AppendAction } from '@weft/contracts/envoy/config/core/v3/base'
import type { AttributeContext_HttpRequest, AttributeContext_Peer } from '@weft/contracts/envoy/service/auth/v3/attribute_context'
import { CheckRequest, CheckResponse } from '@weft/contracts/envoy/service/auth/v3/external_auth'
import { StatusCode } from '@weft/contracts/envoy/type/v3/http_status'
import { statusCodes } from '../../adapter.ts'
import type { CheckOutcome, HeaderEdit } from '../../dispatch/check.ts'
import type { Mixer } from '../mixer.ts'
import { FoundAttributes } from './attributes.ts'

/** envoy.service.auth.v3.Authorization/Check: the request's bytes in, the response's out. */
export async function answerExtAuthz(mixer: Mixer, request: Buffer, deadlineMs: number): Promise<Buffer> {
  const outcome = await mixer.decide(attributesOf(CheckRequest.decode(request)), deadlineMs)
  return Buffer.from(CheckResponse.encode(outcome.code === 0 ? passing(outcome) : denying(outcome)).finish())
}

/**
 * The attributes of a request. `context_extensions` of the filter or the route may name attributes of the destination that
 * Envoy does not know, such as `destination.service.host`.
 */
function attributesOf({ attributes }: CheckRequest): MutableBag {
  const found = new FoundAttributes()
  for (const [name, value] of Object.entries(attributes?.contextExtensions ?? {})) {
    if (name === 'destination.service.host') found.destinationService(value)
    else if (/^(source|destination|context|api)\.[\w.]+$/.test(name)) found.set(name, value)
  }
  found.set('context.protocol', 'tcp')
  found.set('context.reporter.kind', 'inbound')
  peer(found, 'source', attributes?.source)
  peer(found, 'destination', attributes?.destination)
  found.set('connection.mtls', (attributes?.source?.principal ?? '') !== '')
  found.set('connection.requested_server_name', attributes?.tlsSession?.sni)
  found.set('request.time', attributes?.request?.time)
  const http = attributes?.request?.http
  if (http !== undefined) httpRequest(found, http)
  return found.bag
}

function peer(found: FoundAttributes, side: 'source' | 'destination', from: AttributeContext_Peer | undefined): void {
  if (from === undefined) return
  found.address(side, from.address)
  found.principal(side, from.principal)
  found.map(`${side}.labels`, from.labels)
}

function httpRequest(found: FoundAttributes, http: AttributeContext_HttpRequest): void {
  const [urlPath = '', query] = http.path.split('?', 2)
  found.set('context.protocol', (http.headers['content-type'] ?? '').startsWith('application/grpc') ? 'grpc' : 'http')
  found.map('request.headers', http.headers)
  found.set('request.id', http.headers['x-request-id'] ?? http.id)
  found.set('request.method', http.method)
  found.set('request.path', http.path)
  found.set('request.url_path', urlPath)
  if (query !== undefined) found.map('request.query_params', Object.fromEntries(new URLSearchParams(query)))
  found.set('request.host', http.host)
  found.set('request.scheme', http.scheme)
  found.set('request.useragent', http.headers['user-agent'])
  found.set('request.referer', http.headers['referer'])
  if (http.size >= 0) found.set('request.size', BigInt(http.size))
}

function passing({ requestHeaders, responseHeaders }: CheckOutcome): CheckResponse {
  const removed = requestHeaders.filter(({ operation }) => operation === 'REMOVE').map(({ name }) => name)
  return CheckResponse.create({
    status: { code: 0, message: '', details: [] },
    httpResponse: {
      $case: 'okResponse',
      value: {
        headers: requestHeaders.filter(isWritten).map(headerOption),
        headersToRemove: removed,
        // Envoy's filter takes no removals from responses.
        responseHeadersToAdd: responseHeaders.filter(isWritten).map(headerOption),
      },
    },
  })
}

function isWritten({ operation }: HeaderEdit): boolean {
  return operation !== 'REMOVE'
}

function headerOption({ name, value, operation }: HeaderEdit) {
  const appendAction = operation === 'APPEND' ? AppendAction.APPEND_IF_EXISTS_OR_ADD : AppendAction.OVERWRITE_IF_EXISTS_OR_ADD
  return { header: { key: name, value }, appendAction }
}

/** The HTTP status for each status code, as Istio's sidecars choose it. */
const httpStatuses: Readonly<Record<number, number>> = {
  [statusCodes.CANCELLED]: 499,
  [statusCodes.INVALID_ARGUMENT]: 400,
  [statusCodes.DEADLINE_EXCEEDED]: 504,
  [statusCodes.NOT_FOUND]: 404,
  [statusCodes.ALREADY_EXISTS]: 409,
  [statusCodes.PERMISSION_DENIED]: 403,
  [statusCodes.RESOURCE_EXHAUSTED]: 429,
  [statusCodes.FAILED_PRECONDITION]: 400,
  [statusCodes.ABORTED]: 409,
  [statusCodes.OUT_OF_RANGE]: 400,
  [statusCodes.UNIMPLEMENTED]: 501,
  [statusCodes.UNAVAILABLE]: 503,
  [statusCodes.UNAUTHENTICATED]: 401,
}

function denying({ code, message, directResponse }: CheckOutcome): CheckResponse {
  const name = Object.entries(statusCodes).find(([, number]) => number === code)?.[0] ?? String(code)
  return CheckResponse.create({
    status: { code, message, details: [] },
    httpResponse: {
      $case: 'deniedResponse',
      value: {
        status: { code: httpStatus(directResponse?.code ?? httpStatuses[code] ?? 500) },
        body: directResponse?.body ?? `${name}:${message}`,
        headers: [],
      },
    },
  })
}

/** The status as Envoy's list has it; what the list lacks is 500. */
function httpStatus(code: number): StatusCode {
  return Object.values(StatusCode).find((known) => known === code) ?? StatusCode.InternalServerError
}
