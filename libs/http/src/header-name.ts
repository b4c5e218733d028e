/**
 * Header names as the codecs know them: lower-case bytes, and for those that are looked at on every request a slot,
 * so that finding one is an array read instead of a search.
 */

/** A header name made once (when configuration is compiled) and used for every message after. */
export interface HeaderName {
  /** Lower case, as on the wire of HTTP/2. */
  readonly name: string
  readonly bytes: Uint8Array
  /** Its place in a table's slot array; 0 when the name has none. */
  readonly slot: number
  /** One bit of 32, by which a table knows that a name without a slot is not there. */
  readonly mark: number
}

const wellKnown = [
  'host',
  'content-length',
  'transfer-encoding',
  'connection',
  'keep-alive',
  'proxy-connection',
  'upgrade',
  'expect',
  'te',
  'trailer',
  'x-request-id',
  'x-forwarded-for',
  'x-forwarded-proto',
  'x-forwarded-host',
  'x-forwarded-port',
  'x-forwarded-client-cert',
  'x-real-ip',
  'user-agent',
  'content-type',
  'content-encoding',
  'cookie',
  'set-cookie',
  'authorization',
  'server',
  'date',
  'via',
  'location',
  'etag',
  'accept',
  'accept-encoding',
  'accept-language',
  'origin',
  'referer',
  'cache-control',
  'vary',
  'last-modified',
  'if-none-match',
  'if-modified-since',
  'range',
  'traceparent',
  'tracestate',
  'b3',
  'x-b3-traceid',
  'x-b3-spanid',
  'x-b3-sampled',
  'grpc-status',
  'grpc-message',
  'grpc-timeout',
  'x-istio-attributes',
  'retry-after',
  'x-envoy-internal',
  'x-envoy-external-address',
  'x-envoy-expected-rq-timeout-ms',
  'x-envoy-upstream-rq-timeout-ms',
  'x-envoy-upstream-rq-per-try-timeout-ms',
  'x-envoy-upstream-rq-timeout-alt-response',
  'x-envoy-upstream-service-time',
  'x-envoy-max-retries',
  'x-envoy-retry-on',
  'x-envoy-retry-grpc-on',
  'x-envoy-attempt-count',
  'x-envoy-original-path',
  'x-envoy-decorator-operation',
  'x-envoy-fault-delay-request',
  'x-envoy-fault-abort-request',
  'x-envoy-overloaded',
  'x-envoy-immediate-health-check-fail',
  'x-envoy-hedge-on-per-try-timeout',
  'x-envoy-retriable-status-codes',
  'x-envoy-retriable-header-names',
  'x-envoy-force-trace',
  'x-envoy-peer-metadata',
  'x-envoy-peer-metadata-id',
  'x-envoy-upstream-alt-stat-name',
  'x-envoy-upstream-stat-name',
  'x-envoy-upstream-canary',
  'x-envoy-ratelimited',
  'x-envoy-is-timeout-retry',
  'x-envoy-upstream-stream-duration-ms',
  'x-envoy-original-host',
  'x-client-trace-id',
  'x-envoy-downstream-service-cluster',
  'x-envoy-downstream-service-node',
  'x-envoy-ip-tags',
  'x-envoy-original-url',
  'http2-settings',
  'if-match',
  'if-range',
  'if-unmodified-since',
  'pragma',
  'expires',
  'age',
  'proxy-status',
  'grpc-accept-encoding',
  'access-control-request-method',
  'access-control-request-headers',
  'access-control-allow-origin',
  'access-control-allow-headers',
  'access-control-allow-credentials',
  'access-control-allow-methods',
  'access-control-expose-headers',
  'access-control-max-age',
  'x-envoy-degraded',
  'x-envoy-upstream-healthchecked-cluster',
] as const

/** One more than the highest slot, which is below 128; slot 0 is "no slot". */
export const slotCount = wellKnown.length + 1

/** The name of each slot; nothing at 0. */
export const slotNames: readonly string[] = ['', ...wellKnown]

const interned = new Map<string, HeaderName>()

const hashes = 1024
/** By hash: a slot, and behind each slot the next of the same hash; 0: none. */
const slotOfHash = new Uint8Array(hashes)
const nextSlot = new Uint8Array(slotCount)
/** The names of all slots, one behind the other, and where each begins. */
const nameBytes = Buffer.from(slotNames.join(''), 'latin1')
const nameStarts = new Uint16Array(slotCount + 1)

function hashOf(length: number, first: number, last: number): number {
  return ((length * 37) ^ (first * 7) ^ (last << 5)) & (hashes - 1)
}

/** `HeaderName.mark` of the name standing in `bytes` from `start` to `end`. */
export function markOf(bytes: Uint8Array, start: number, end: number): number {
  return 1 << (hashOf(end - start, bytes[start]!, bytes[end - 1]!) & 31)
}

function makeName(name: string, slot: number): HeaderName {
  const bytes = Buffer.from(name, 'latin1')
  return { name, bytes, slot, mark: markOf(bytes, 0, bytes.length) }
}

for (let slot = 1; slot < slotCount; slot++) {
  const name = slotNames[slot]!
  interned.set(name, makeName(name, slot))
  nameStarts[slot + 1] = nameStarts[slot]! + name.length
  const hash = hashOf(name.length, name.charCodeAt(0), name.charCodeAt(name.length - 1))
  nextSlot[slot] = slotOfHash[hash]!
  slotOfHash[hash] = slot
}

/**
 * The name object for `name` in any case. Well-known names are always the same object; others are made anew, so keep
 * what this gives instead of asking for every request.
 */
export function headerName(name: string): HeaderName {
  const lower = name.toLowerCase()
  return interned.get(lower) ?? makeName(lower, 0)
}

/** Of each slot: the groups it belongs to, a bit each. */
export const slotGroups = new Int32Array(slotCount)
let groups = 0

/**
 * A group of well-known names, as a bit: a table knows which groups it has had names of, so that one look answers for all.
 * Made when a module loads; there can be 31.
 */
export function headerGroup(members: readonly HeaderName[]): number {
  if (groups === 31) throw new RangeError('there are 31 groups of header names already')
  const group = 1 << groups++
  for (const { slot, name } of members) {
    if (slot === 0) throw new RangeError(`'${name}' is no well-known header name and can be in no group`)
    slotGroups[slot]! |= group
  }
  return group
}

/** The slot of the lower-case name standing in `bytes` from `start` to `end`; 0 when it has none. */
export function slotOf(bytes: Uint8Array, start: number, end: number): number {
  const length = end - start
  let slot = slotOfHash[hashOf(length, bytes[start]!, bytes[end - 1]!)]!
  for (; slot !== 0; slot = nextSlot[slot]!) {
    const from = nameStarts[slot]!
    if (nameStarts[slot + 1]! - from !== length) continue
    let i = 0
    while (i < length && nameBytes[from + i] === bytes[start + i]) i++
    if (i === length) return slot
  }
  return 0
}

/** Whether `expected` stands in `bytes` at `start`, with that length. */
export function sameBytes(expected: Uint8Array, bytes: Uint8Array, start: number, length: number): boolean {
  if (expected.length !== length) return false
  for (let i = 0; i < length; i++) if (expected[i] !== bytes[start + i]) return false
  return true
}

/** Names that the codecs and the proxy use themselves. */
export const names = {
  host: headerName('host'),
  contentLength: headerName('content-length'),
  transferEncoding: headerName('transfer-encoding'),
  connection: headerName('connection'),
  keepAlive: headerName('keep-alive'),
  proxyConnection: headerName('proxy-connection'),
  upgrade: headerName('upgrade'),
  expect: headerName('expect'),
  te: headerName('te'),
  trailer: headerName('trailer'),
  requestId: headerName('x-request-id'),
  forwardedFor: headerName('x-forwarded-for'),
  forwardedProto: headerName('x-forwarded-proto'),
  forwardedHost: headerName('x-forwarded-host'),
  forwardedPort: headerName('x-forwarded-port'),
  forwardedClientCert: headerName('x-forwarded-client-cert'),
  userAgent: headerName('user-agent'),
  contentType: headerName('content-type'),
  cookie: headerName('cookie'),
  setCookie: headerName('set-cookie'),
  server: headerName('server'),
  date: headerName('date'),
  via: headerName('via'),
  location: headerName('location'),
  origin: headerName('origin'),
  grpcStatus: headerName('grpc-status'),
  grpcMessage: headerName('grpc-message'),
  grpcTimeout: headerName('grpc-timeout'),
  upgradeInsecure: headerName('upgrade-insecure-requests'),
} as const

const singleAnywhere =
  'content-type content-encoding via cache-control x-request-id x-envoy-decorator-operation x-envoy-attempt-count proxy-status'

/** Names that Envoy keeps one entry of in a request: of several one is made. */
export const singleInRequests: readonly HeaderName[] = (
  `${singleAnywhere} expect te x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-proto x-forwarded-client-cert ` +
  'user-agent authorization accept accept-encoding origin referer if-none-match if-modified-since if-match if-range ' +
  'if-unmodified-since grpc-timeout grpc-accept-encoding pragma access-control-request-method access-control-request-headers ' +
  'x-client-trace-id x-envoy-original-path x-envoy-original-host x-envoy-downstream-service-cluster x-envoy-downstream-service-node'
)
  .split(' ')
  .map(headerName)

/** The same in a response. */
export const singleInResponses: readonly HeaderName[] = (
  `${singleAnywhere} location etag vary last-modified expires age server date grpc-status grpc-message ` +
  'access-control-allow-origin access-control-allow-headers access-control-allow-credentials access-control-allow-methods access-control-expose-headers ' +
  'access-control-max-age x-envoy-degraded x-envoy-ratelimited x-envoy-upstream-canary x-envoy-immediate-health-check-fail ' +
  'x-envoy-upstream-healthchecked-cluster x-envoy-upstream-service-time'
)
  .split(' ')
  .map(headerName)
