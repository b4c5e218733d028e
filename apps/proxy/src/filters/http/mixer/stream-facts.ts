import { type HeaderName, headerName } from '@weft/http/header-table'
import type { HttpStream } from '../filter.ts'
import { isMutualTls, localPrincipal, peerPrincipal } from './principals.ts'
import type { RequestFacts } from './request-attributes.ts'
import type { ResponseFacts } from './response-attributes.ts'

const JWT_METADATA = 'envoy.filters.http.jwt_authn'
/** Header names that Mixer's verdicts depend on; made once each. */
const MAX_NAMES = 1024
const names = new Map<string, HeaderName>()

/** A request as attributes see it, read from the stream when asked. */
export class StreamFacts implements RequestFacts {
  readonly #stream: HttpStream

  constructor(stream: HttpStream) {
    this.#stream = stream
  }

  get method(): string {
    return this.#stream.request.method
  }

  get path(): string {
    return this.#stream.request.path
  }

  get authority(): string {
    return this.#stream.request.authority
  }

  get scheme(): string {
    return this.#stream.request.scheme
  }

  header(name: string): string | null {
    return this.#stream.request.headers.getAll(nameOf(name))
  }

  forEachHeader(visit: (name: string, value: string) => void): void {
    this.#stream.request.headers.forEach(visit)
  }

  get startTimeMs(): number {
    return this.#stream.info.startTimeMs
  }

  get isGrpc(): boolean {
    return this.#stream.isGrpc
  }

  get remoteAddress(): string {
    return this.#stream.connection.remoteAddress
  }

  get isMutualTls(): boolean {
    return isMutualTls(this.#stream.connection.tls)
  }

  get requestedServerName(): string {
    return this.#stream.connection.serverName
  }

  get peerPrincipal(): string {
    return peerPrincipal(this.#stream.connection.tls)
  }

  get localPrincipal(): string {
    return localPrincipal(this.#stream.connection.tls)
  }

  get jwtClaims(): Readonly<Record<string, unknown>> | null {
    const payloads = this.#stream.metadataOrNull?.[JWT_METADATA]
    if (payloads === undefined) return null
    for (const payload of Object.values(payloads)) if (isClaims(payload)) return payload
    return null
  }
}

/** Size of a request's headers as Envoy counts it: names and values, those of pseudo headers too. */
export function requestHeaderBytes({ request }: HttpStream): number {
  const { headers } = request
  const pseudo = PSEUDO_NAMES + request.method.length + request.path.length + request.authority.length
  // byteSize counts four bytes a line for its punctuation.
  return pseudo + headers.byteSize - 4 * headers.size
}

const PSEUDO_NAMES = ':method:path:authority'.length

/** A finished request as Report attributes see it. `trailers`: gRPC's status where it came in trailers. */
export function responseFacts(
  stream: HttpStream,
  headerBytes: number,
  trailers: { status: string | null; message: string | null } | null,
  endTimeMs: number,
): ResponseFacts {
  const { info, response } = stream
  const uid = info.upstreamHost?.metadata['istio']
  return {
    status: response.status,
    forEachHeader: (visit) => response.headers.forEach(visit),
    requestBodyBytes: info.bytesReceived,
    requestHeaderBytes: headerBytes,
    responseBodyBytes: info.bytesSent,
    durationMs: info.elapsedMs(),
    endTimeMs,
    upstreamAddress: info.upstreamHost?.address ?? null,
    upstreamUid: typeof uid === 'object' && uid !== null && 'uid' in uid && typeof uid.uid === 'string' ? uid.uid : null,
    grpcStatus: stream.isGrpc ? (trailers?.status ?? response.headers.get(GRPC_STATUS)) : null,
    grpcMessage: stream.isGrpc ? (trailers?.message ?? response.headers.get(GRPC_MESSAGE)) : null,
  }
}

export const GRPC_STATUS = headerName('grpc-status')
export const GRPC_MESSAGE = headerName('grpc-message')

function nameOf(name: string): HeaderName {
  const known = names.get(name)
  if (known !== undefined) return known
  const made = headerName(name)
  if (names.size < MAX_NAMES) names.set(name, made)
  return made
}

function isClaims(payload: unknown): payload is Readonly<Record<string, unknown>> {
  return typeof payload === 'object' && payload !== null && 'iss' in payload
}
