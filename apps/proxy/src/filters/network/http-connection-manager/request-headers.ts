import { isIP, isIPv4 } from 'node:net'
import { type HeaderName, headerGroup, headerName, names } from '@weft/http/header-name'
import type { HeaderTable } from '@weft/http/header-table'
import type { RequestHead } from '@weft/http/message'
import { tellReason } from '../../../observe/tracing/sampling.ts'
import type { MatchSubject } from '../../../routing/matchers/match-input.ts'
import type { ConnectionInfo } from '../../../transport/connection-info.ts'
import { localAddress } from '../../../transport/local-address.ts'
import { applyClientCert } from './forwarded-client-cert.ts'
import type { HcmPlan } from './hcm-plan.ts'
import { putRequestId, requestIdLength } from './request-id.ts'

const internal = headerName('x-envoy-internal')
const externalAddress = headerName('x-envoy-external-address')
const trailersToken = 'trailers'

/** Headers that only a trusted peer may set: taken off requests from outside. */
const internalHeaders = [
  'x-envoy-retry-on',
  'x-envoy-retry-grpc-on',
  'x-envoy-max-retries',
  'x-envoy-retriable-status-codes',
  'x-envoy-retriable-header-names',
  'x-envoy-upstream-alt-stat-name',
  'x-envoy-upstream-rq-timeout-ms',
  'x-envoy-upstream-rq-per-try-timeout-ms',
  'x-envoy-upstream-rq-timeout-alt-response',
  'x-envoy-upstream-stream-duration-ms',
  'x-envoy-expected-rq-timeout-ms',
  'x-envoy-force-trace',
  'x-envoy-ip-tags',
  'x-envoy-original-url',
  'x-envoy-hedge-on-per-try-timeout',
].map(headerName)
/** The same, for what only the first proxy that a request meets may strip. */
const edgeHeaders = [
  'x-envoy-decorator-operation',
  'x-envoy-downstream-service-cluster',
  'x-envoy-downstream-service-node',
  'x-envoy-original-host',
  'x-envoy-original-path',
].map(headerName)
const http2Settings = headerName('http2-settings')

/** Groups of what most requests have none of. */
const words = headerGroup([internal, ...internalHeaders, ...edgeHeaders])
const hopByHop = headerGroup([
  names.connection,
  names.upgrade,
  names.keepAlive,
  names.proxyConnection,
  names.transferEncoding,
  http2Settings,
  names.te,
])
/**
 * Makes a request fit to be sent on: hop-by-hop headers go, X-Forwarded-*, request id, client certificate and trust marks are
 * set as the connection manager is configured (Envoy's ConnectionManagerUtility). Gives the address the request is taken to
 * come from, whether it is internal, and the status that it is refused with (0: none).
 */
export function prepareRequest(
  subject: MatchSubject & { readonly connection: ConnectionInfo },
  plan: HcmPlan,
  upgrade: boolean,
): { remoteAddress: string; internal: boolean; refusal: number } {
  const { request, connection } = subject
  const { headers } = request
  if (headers.mayHave(hopByHop)) removeHopByHop(headers, upgrade)
  const proto = protoOf(connection, plan.protoOfPort)
  let remoteAddress = connection.remoteAddress
  let trusted = false
  if (plan.useRemoteAddress) {
    const forwarded = headers.getAll(names.forwardedFor)
    trusted = forwarded === null
    if (plan.xffTrustedHops > 0 && forwarded !== null) {
      remoteAddress = addressAt(forwarded, plan.xffTrustedHops - 1) ?? remoteAddress
    }
    if (!plan.skipXffAppend) appendForwarded(headers, connection.remoteAddress, plan.mapsIPv4)
    if (plan.xffTrustedHops === 0 || !headers.has(names.forwardedProto))
      headers.setBytes(names.forwardedProto, proto === 'http' ? httpBytes : httpsBytes)
  } else if (plan.originalAddress !== null) {
    const found = plan.originalAddress.find(headers, connection.remoteAddress)
    if (found !== null && 'refusal' in found) return { remoteAddress, internal: false, refusal: found.refusal }
    if (found !== null) ({ address: remoteAddress, trusted } = found)
    if (plan.originalAddress.appends) appendForwarded(headers, connection.remoteAddress, plan.mapsIPv4)
    if (!headers.has(names.forwardedProto)) headers.append(names.forwardedProto, proto)
  } else {
    const at = headers.find(names.forwardedFor)
    if (at >= 0) {
      const forwarded = headers.getAll(names.forwardedFor)!
      if (headers.find(names.forwardedFor, at + 1) >= 0) headers.set(names.forwardedFor, forwarded)
      const found = addressAt(forwarded, plan.xffTrustedHops)
      remoteAddress = found ?? remoteAddress
      trusted = found !== null && plan.xffTrustedHops === 0 && !forwarded.includes(',')
    }
    if (!headers.has(names.forwardedProto)) headers.append(names.forwardedProto, proto)
  }
  if (plan.scheme !== null) headers.set(names.forwardedProto, plan.scheme)
  request.scheme = plan.scheme ?? schemeOf(request, forwardedScheme(headers), proto)
  if (plan.appendForwardedPort && ((plan.useRemoteAddress && plan.xffTrustedHops === 0) || !headers.has(names.forwardedPort)))
    headers.set(names.forwardedPort, String(connection.localPort))
  const isInternal = trusted && (isPipe(remoteAddress) ? plan.pipesAreInternal : plan.isInternalAddress(remoteAddress))
  const edge = plan.useRemoteAddress && !isInternal
  if (isInternal) headers.set(internal, 'true')
  else if (headers.mayHave(words)) {
    headers.remove(internal)
    for (let i = 0; i < internalHeaders.length; i++) headers.remove(internalHeaders[i]!)
    if (edge) for (let i = 0; i < edgeHeaders.length; i++) headers.remove(edgeHeaders[i]!)
  }
  if (edge && !isPipe(remoteAddress)) headers.set(externalAddress, remoteAddress)
  if (plan.userAgent !== null) tellUserAgent(headers, plan.userAgent)
  if (plan.generateRequestId) {
    if ((edge && !plan.preserveExternalRequestId) || lacksValue(headers, names.requestId)) {
      const at = headers.setRoom(names.requestId, requestIdLength)
      putRequestId(headers.buffer, at)
    } else if (edge && plan.requestIds.packs) tellReason(headers, 'none')
  }
  const clientCert = plan.clientCertByMatch?.(subject) ?? plan.clientCert
  if (clientCert.mode !== 0 || headers.find(names.forwardedClientCert) >= 0) applyClientCert(headers, connection.tls, clientCert)
  if (plan.via !== '') {
    const via = headers.getAll(names.via)
    headers.set(names.via, via === null ? plan.via : `${via}, ${plan.via}`)
  }
  return { remoteAddress, internal: isInternal, refusal: 0 }
}

/** Where a request comes from, by the names of this proxy's node. */
function tellUserAgent(headers: HeaderTable, { cluster, node }: { cluster: string; node: string }): void {
  headers.set(serviceCluster, cluster)
  if (lacksValue(headers, names.userAgent)) headers.set(names.userAgent, cluster)
  if (node !== '') headers.set(serviceNode, node)
}

const serviceCluster = headerName('x-envoy-downstream-service-cluster')
const serviceNode = headerName('x-envoy-downstream-service-node')

function lacksValue(headers: HeaderTable, name: HeaderName): boolean {
  const at = headers.find(name)
  return at < 0 || headers.valueIs(at, nothing)
}

const nothing = Buffer.alloc(0)

/** What X-Forwarded-Proto says; null: it is not there. Nearly always it is one of two words, of which no string has to be made. */
function forwardedScheme(headers: HeaderTable): string | null {
  const at = headers.find(names.forwardedProto)
  if (at < 0) return null
  return headers.valueIs(at, httpBytes) ? 'http' : headers.valueIs(at, httpsBytes) ? 'https' : headers.valueAt(at)
}

const httpBytes = Buffer.from('http')
const httpsBytes = Buffer.from('https')

/** What a client is taken to have come by: where its destination was found out, what that port says before what it spoke here. */
function protoOf({ tls, directLocal, localPort }: ConnectionInfo, ofPort: HcmPlan['protoOfPort']): 'http' | 'https' {
  const told = directLocal === undefined ? undefined : ofPort?.get(localPort)
  return told ?? (tls === null ? 'http' : 'https')
}

/** What the client says, in its target or as it reached the proxy before this one; else that of the connection. Empty: no route fits. */
function schemeOf(request: RequestHead, forwardedProto: string | null, proto: 'http' | 'https'): string {
  if (forwardedProto === '') return ''
  if (request.scheme !== '') {
    const own = knownScheme(request.scheme)
    if (own !== null) return own
  }
  return knownScheme(forwardedProto) ?? proto
}

function knownScheme(text: string | null): 'http' | 'https' | null {
  if (text === 'http' || text === 'https') return text
  const lower = text?.toLowerCase()
  return lower === 'http' || lower === 'https' ? lower : null
}

/** Connection and its kin end here; an upgrade keeps what asks for it. */
function removeHopByHop(headers: HeaderTable, upgrade: boolean): void {
  // It stands for an upgrade to h2c, which is never taken (RFC 7540 section 3.2.1); else it is a header as any.
  if (headers.find(http2Settings) >= 0 && /h2c/i.test(headers.getAll(names.upgrade) ?? '')) headers.remove(http2Settings)
  if (!upgrade) {
    headers.remove(names.connection)
    headers.remove(names.upgrade)
  }
  headers.remove(names.keepAlive)
  headers.remove(names.proxyConnection)
  headers.remove(names.transferEncoding)
  const te = headers.getAll(names.te)
  if (te === null || te === trailersToken) return
  // This word alone, written so, goes on (as with Envoy).
  if (te.split(',').some((one) => one.trim() === trailersToken)) headers.set(names.te, trailersToken)
  else headers.remove(names.te)
}

/** A loopback peer says nothing to who reads this elsewhere: Envoy names the machine's own address then. */
function appendForwarded(headers: HeaderTable, peer: string, mapped: boolean): void {
  if (isPipe(peer)) return
  const forwarded = headers.getAll(names.forwardedFor)
  const own = isLoopback(peer) ? localAddress : mapped && isIPv4(peer) ? `::ffff:${peer}` : peer
  headers.set(names.forwardedFor, forwarded === null || forwarded === '' ? own : `${forwarded},${own}`)
}

const slash = 47
const atSign = 64

/** A peer by a Unix socket has its path for an address (`@name` where it is abstract). */
function isPipe(address: string): boolean {
  const first = address.charCodeAt(0)
  return first === slash || first === atSign
}

function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1'
}

/** The address `hops` from the end of an X-Forwarded-For list; null when that is none. */
function addressAt(forwarded: string, hops: number): string | null {
  const addresses = forwarded.split(',')
  const text = addresses[addresses.length - 1 - hops]?.trim()
  return text !== undefined && isIP(text) !== 0 ? text : null
}
