import type { CelScope } from '@weft/expressions/cel/compile'
import { CelDuration, CelMap, CelTimestamp, type CelValue, fromJson } from '@weft/expressions/cel/values'
import { headerName, names } from '@weft/http/header-name'
import type { HeaderTable } from '@weft/http/header-table'
import { WorkloadMetadata } from '../filters/istio/workload-metadata.ts'
import { addressOperators } from '../observe/format/address-operators.ts'
import type { FormatContext } from '../observe/format/context.ts'
import { headerOperators } from '../observe/format/header-operators.ts'
import type { OperatorKind } from '../observe/format/operator.ts'
import { responseFlagNames } from '../observe/format/response-flags.ts'
import { tlsOperators } from '../observe/format/tls-operators.ts'
import { grpcStatusOf } from '../upstream/grpc-status.ts'
import { MetadataValue } from './metadata-value.ts'

/** Reads an attribute; undefined: the request has none. */
type Reader = (context: FormatContext) => CelValue | undefined

/** This proxy's node as its bootstrap has it. */
export interface ExpressionNode {
  readonly id: string
  readonly cluster: string
  readonly metadata: Readonly<Record<string, unknown>>
}

/** What Envoy's expressions know by name ("Attributes" in its documentation), as far as this proxy does. `node`: what `xds.node` is. */
export function attributesOf(context: FormatContext, node?: CelValue): CelScope {
  return (name) => {
    if (name === 'xds' && node !== undefined) return xdsWith(context, node)
    return Object.hasOwn(roots, name) ? roots[name]?.(context) : undefined
  }
}

function xdsWith(context: FormatContext, node: CelValue): CelMap {
  return new CelMap((key) => {
    if (key === 'node') return node
    return typeof key === 'string' && Object.hasOwn(xds, key) ? xds[key]?.(context) : undefined
  })
}

/** The value of an operator of access log formats, where it has one. */
function operator(kinds: Readonly<Record<string, OperatorKind>>, name: string, argument = ''): Reader {
  const read = kinds[name]?.(argument, name)
  if (read === undefined) throw new Error(`there is no operator ${name}`)
  return (context) => {
    const value = read(context)
    if (typeof value === 'string') return fromWire(value)
    return typeof value === 'number' ? BigInt(Math.trunc(value)) : undefined
  }
}

const header = (name: string): Reader => operator(headerOperators, 'REQ', name)
const tls = (name: string): Reader => operator(tlsOperators, name)
const address = (name: string): Reader => operator(addressOperators, name)

/** Headers keep a character a byte; expressions have text. */
function fromWire(text: string): string {
  return /^[\0-\x7f]*$/.test(text) ? text : Buffer.from(text, 'latin1').toString()
}

const query: Reader = ({ request }) => {
  if (request === null) return undefined
  const at = request.path.indexOf('?')
  return at < 0 ? '' : fromWire(request.path.slice(at + 1).replace(/#.*/, ''))
}

/** What is sent as the request's content-length says, or else what came. */
const requestSize: Reader = ({ request, info }) => {
  const length = request?.headers.get(headerName('content-length')) ?? ''
  return /^\d{1,18}$/.test(length) ? BigInt(length) : BigInt(info.bytesReceived)
}

const headBytes = (name: string): ((context: FormatContext) => bigint) => {
  const read = operator(headerOperators, name)
  return (context) => {
    const value = read(context)
    return typeof value === 'bigint' ? value : 0n
  }
}
const requestHead = headBytes('REQUEST_HEADERS_BYTES')
const responseHead = headBytes('RESPONSE_HEADERS_BYTES')
const trailers = headBytes('RESPONSE_TRAILERS_BYTES')

function span(from: number, to: number): CelDuration | undefined {
  return from < 0 || to < 0 ? undefined : new CelDuration(BigInt(Math.round(Math.max(0, to - from) * 1e6)))
}

const grpcStatus: Reader = ({ response: head, responseTrailers, info }) => {
  const said = responseTrailers?.get(names.grpcStatus) ?? head?.headers.get(names.grpcStatus) ?? ''
  if (/^\d{1,9}$/.test(said)) return BigInt(said)
  return info.responseCode === 0 ? undefined : BigInt(grpcStatusOf(info.responseCode))
}

/**
 * Headers by their names in small letters, several of one name with commas between them; pseudo headers stand among them, and Host
 * is another word for `:authority`.
 */
function headerMap(table: HeaderTable | null, pseudo: readonly (readonly [string, string])[] = []): CelMap {
  const get = (key: CelValue): CelValue | undefined => {
    if (typeof key !== 'string') return undefined
    const low = key.toLowerCase()
    const asked = low === 'host' ? ':authority' : low
    const named = pseudo.find(([name]) => name === asked)
    const value = named?.[1] || (/^[!-9;-~]+$/.test(key) ? table?.getAll(headerName(key)) : null)
    return value === null || value === undefined ? undefined : fromWire(value)
  }
  return new CelMap(get, () => {
    const found = new Set(pseudo.filter(([, value]) => value !== '').map(([name]) => name))
    table?.forEach((name) => {
      found.add(name.toLowerCase())
    })
    return [...found]
  })
}

const requestHeaders: Reader = ({ request }) => {
  if (request === null) return undefined
  const { method, path, authority, scheme, headers } = request
  const pseudo = { ':method': method, ':path': path, ':authority': authority, ':scheme': scheme }
  return headerMap(headers, Object.entries(pseudo))
}

/** Envoy's bits of response flags, one for each in its order. */
const flagBits: Reader = ({ info }) =>
  info.flags.reduce((bits, flag) => {
    const at = flagOrder.indexOf(flag)
    return at < 0 ? bits : bits | (1n << BigInt(at))
  }, 0n)
// The last two are known in the other order.
const flagOrder = [...responseFlagNames.filter((name) => name !== 'DR' && name !== 'UDO'), 'DR', 'UDO']

/** Metadata of one kind: `metadata.filter_metadata['a.filter'].key`. */
function metadata(read: (context: FormatContext) => Readonly<Record<string, unknown>> | null | undefined): Reader {
  return (context) => {
    const found = read(context)
    return found === undefined ? undefined : new MetadataValue(found ?? {})
  }
}

/** The name of a route and the like, once there is one. */
function text(read: (context: FormatContext) => string): Reader {
  return (context) => read(context) || undefined
}

const filterState: Reader = ({ filterState: state }) =>
  new CelMap(
    (key) => {
      const value: unknown = typeof key === 'string' ? state.get(key) : undefined
      if (typeof value === 'string') return Buffer.from(value)
      // What is kept as a message has fields.
      if (value instanceof WorkloadMetadata) return fromJson(value.toJSON())
      return typeof value === 'number' || typeof value === 'boolean' ? Buffer.from(String(value)) : undefined
    },
    () => [...state.keys()],
  )

/** What is known of one side's TLS. */
function certificates(
  prefix: 'DOWNSTREAM' | 'UPSTREAM',
  side: (context: FormatContext) => FormatContext['connection'] | null,
): Record<string, Reader> {
  return {
    tls_version: tls(`${prefix}_TLS_VERSION`),
    subject_peer_certificate: tls(`${prefix}_PEER_SUBJECT`),
    subject_local_certificate: (context) => side(context)?.tls?.localSubject,
    uri_san_peer_certificate: (context) => side(context)?.tls?.peer?.uris[0],
    uri_san_local_certificate: tls(`${prefix}_LOCAL_URI_SAN`),
    dns_san_peer_certificate: (context) => side(context)?.tls?.peer?.dnsNames[0],
    dns_san_local_certificate: tls(`${prefix}_LOCAL_DNS_SAN`),
    sha256_peer_certificate_digest: (context) => side(context)?.tls?.peer?.fingerprint256.replaceAll(':', '').toLowerCase(),
  }
}

const request: Readonly<Record<string, Reader>> = {
  path: header(':path'),
  url_path: operator(headerOperators, 'PATH', 'NQ:PATH'),
  host: header(':authority'),
  scheme: header(':scheme'),
  method: header(':method'),
  referer: header('referer'),
  id: header('x-request-id'),
  useragent: header('user-agent'),
  headers: requestHeaders,
  time: ({ info }) => new CelTimestamp(BigInt(Math.round(info.startTimeMs * 1e3)) * 1_000n),
  size: requestSize,
  total_size: (context) => BigInt(context.info.bytesReceived) + requestHead(context),
  duration: ({ info }) => span(info.startMs, info.endMs),
  protocol: text(({ info }) => info.protocol),
  query,
}

const response: Readonly<Record<string, Reader>> = {
  code: ({ info }) => (info.responseCode === 0 ? undefined : BigInt(info.responseCode)),
  size: ({ info }) => BigInt(info.bytesSent),
  total_size: (context) => BigInt(context.info.bytesSent) + responseHead(context) + trailers(context),
  headers: ({ response: head }) => headerMap(head?.headers ?? null, [[':status', head?.status ? String(head.status) : '']]),
  trailers: ({ responseTrailers }) => headerMap(responseTrailers),
  flags: flagBits,
  grpc_status: grpcStatus,
  code_details: text(({ info }) => info.responseCodeDetails),
  backend_latency: ({ info }) => span(info.upstreamSendStartMs, info.upstreamLastByteMs),
}

const connection: Readonly<Record<string, Reader>> = {
  mtls: ({ connection: { tls: info } }) => info?.peer != null,
  requested_server_name: ({ connection: { serverName } }) => serverName,
  id: ({ connection: { id } }) => BigInt(id),
  termination_details: text(({ info }) => info.terminationDetails),
  ...certificates('DOWNSTREAM', (context) => context.connection),
}

const upstream: Readonly<Record<string, Reader>> = {
  address: address('UPSTREAM_REMOTE_ADDRESS'),
  port: address('UPSTREAM_REMOTE_PORT'),
  local_address: address('UPSTREAM_LOCAL_ADDRESS'),
  request_attempt_count: ({ info }) => BigInt(info.attemptCount),
  transport_failure_reason: ({ info }) => (info.upstreamEndpoint === null ? undefined : info.upstreamFailure),
  cx_pool_ready_duration: ({ info }) =>
    info.upstreamConnection === null
      ? undefined
      : span(info.attemptStartMs, Math.max(info.attemptStartMs, info.upstreamConnection.connectEndMs ?? -1)),
  ...certificates('UPSTREAM', ({ info }) => info.upstreamConnection),
}

const xds: Readonly<Record<string, Reader>> = {
  cluster_name: text(({ info }) => info.clusterName),
  cluster_metadata: metadata(({ clusterMetadata, info }) => (info.clusterName === '' ? undefined : clusterMetadata)),
  route_name: ({ routeMetadata, info }) => (routeMetadata == null ? undefined : info.routeName),
  route_metadata: metadata(({ routeMetadata }) => routeMetadata ?? undefined),
  virtual_host_name: text(({ info }) => info.virtualHost),
  virtual_host_metadata: metadata(({ virtualHostMetadata, info }) => (info.virtualHost === '' ? undefined : virtualHostMetadata)),
  upstream_host_metadata: ({ info: { upstreamEndpoint: endpoint } }) => {
    if (endpoint === null) return undefined
    return Object.keys(endpoint.metadata).length === 0 ? null : new MetadataValue(endpoint.metadata)
  },
  filter_chain_name: ({ info }) => info.filterChain,
  listener_metadata: metadata(({ connection: { listenerMetadata } }) => listenerMetadata ?? {}),
  listener_direction: ({ connection: { listenerDirection } }) =>
    listenerDirection === undefined ? undefined : BigInt(['unspecified', 'inbound', 'outbound'].indexOf(listenerDirection)),
}

function fields(readers: Readonly<Record<string, Reader>>): Reader {
  return (context) =>
    new CelMap((key) => (typeof key === 'string' && Object.hasOwn(readers, key) ? readers[key]?.(context) : undefined))
}

const roots: Readonly<Record<string, Reader>> = {
  request: fields(request),
  response: fields(response),
  connection: fields(connection),
  upstream: fields(upstream),
  source: fields({ address: address('DOWNSTREAM_REMOTE_ADDRESS'), port: address('DOWNSTREAM_REMOTE_PORT') }),
  destination: fields({ address: address('DOWNSTREAM_LOCAL_ADDRESS'), port: address('DOWNSTREAM_LOCAL_PORT') }),
  metadata: metadata(({ metadataOrNull }) => metadataOrNull ?? {}),
  filter_state: filterState,
  upstream_filter_state: ({ info }) => (info.upstreamEndpoint === null ? undefined : new CelMap(() => undefined)),
  xds: fields(xds),
}
