import { type Bag, MutableBag } from '@weft/attributes/bag'
import { parseIp } from '@weft/attributes/ip'
import type { AttributeValue } from '@weft/attributes/types'

/** What the attributes of a request are made from; an HttpStream in the proxy, plain values in tests. */
export interface RequestFacts {
  readonly method: string
  readonly path: string
  readonly authority: string
  readonly scheme: string
  /** All values of a header joined by commas; null when it is absent. `name` is lower case. */
  header(name: string): string | null
  forEachHeader(visit: (name: string, value: string) => void): void
  readonly startTimeMs: number
  readonly isGrpc: boolean
  /** The client as the socket says; '' when there is none. */
  readonly remoteAddress: string
  readonly isMutualTls: boolean
  /** SNI; '' for none. */
  readonly requestedServerName: string
  /** SPIFFE ids without their scheme (`cluster.local/ns/default/sa/a`); '' for none. */
  readonly peerPrincipal: string
  readonly localPrincipal: string
  /** Claims of the end user's verified token. */
  readonly jwtClaims: Readonly<Record<string, unknown>> | null
}

/** Headers that are this mesh's own and no business of a policy. */
const HIDDEN_HEADERS: ReadonlySet<string> = new Set([
  'x-istio-attributes',
  'sec-istio-auth-jwt-output',
  'sec-istio-authn-payload',
])

/** Attributes that the connection tells; absent where the filter was never asked about the request (a fault answered it). */
const CONNECTION_ATTRIBUTES: ReadonlySet<string> = new Set(['origin.ip'])

type Derive = (facts: RequestFacts) => AttributeValue | undefined

/** How each attribute follows from the request (Istio 1.0's vocabulary). */
const DERIVED: ReadonlyMap<string, Derive> = new Map<string, Derive>([
  ['request.headers', headerMap],
  ['request.host', ({ authority }) => orAbsent(authority)],
  ['request.method', ({ method }) => orAbsent(method)],
  ['request.path', ({ path }) => orAbsent(path)],
  ['request.scheme', ({ scheme }) => orAbsent(scheme)],
  ['request.referer', (facts) => facts.header('referer') ?? undefined],
  ['request.useragent', (facts) => facts.header('user-agent') ?? undefined],
  ['request.time', ({ startTimeMs }) => new Date(startTimeMs)],
  ['context.protocol', ({ isGrpc }) => (isGrpc ? 'grpc' : 'http')],
  ['origin.ip', ({ remoteAddress }) => parseIp(remoteAddress)],
  ['connection.mtls', ({ isMutualTls }) => isMutualTls],
  ['connection.requested_server_name', ({ requestedServerName }) => orAbsent(requestedServerName)],
  ['source.principal', ({ peerPrincipal }) => orAbsent(peerPrincipal)],
  ['source.user', ({ peerPrincipal }) => orAbsent(peerPrincipal)],
  ['destination.principal', ({ localPrincipal }) => orAbsent(localPrincipal)],
  ['request.auth.principal', ({ jwtClaims }) => jwtPrincipal(jwtClaims)],
  ['request.auth.audiences', ({ jwtClaims }) => claimText(jwtClaims?.['aud'])],
  ['request.auth.presenter', ({ jwtClaims }) => claimText(jwtClaims?.['azp'])],
  ['request.auth.claims', ({ jwtClaims }) => stringClaims(jwtClaims)],
  ['request.auth.raw_claims', ({ jwtClaims }) => (jwtClaims === null ? undefined : JSON.stringify(jwtClaims))],
])

/**
 * The attributes of one request. They are worked out when asked for: a cached verdict needs two or three of them, and
 * making all thirty for it would cost ten times the look-up.
 */
export class RequestAttributes implements Bag {
  readonly #facts: RequestFacts
  readonly #base: MutableBag
  #all: MutableBag | null = null

  /** `base`: what configuration and the caller's sidecar say; shared by many requests and never changed. */
  constructor(facts: RequestFacts, base: MutableBag) {
    this.#facts = facts
    this.#base = base
  }

  get(name: string): AttributeValue | undefined {
    if (this.#all !== null) return this.#all.get(name)
    return DERIVED.get(name)?.(this.#facts) ?? this.#base.get(name)
  }

  getEntry(name: string, key: string): string | undefined {
    if (name === 'request.headers' && this.#all === null) return headerEntry(this.#facts, key)
    const map = this.get(name)
    return map instanceof Map ? map.get(key) : undefined
  }

  names(): Iterable<string> {
    return this.snapshot().names()
  }

  /**
   * All attributes as they are now, independent of the request that later filters change. `unasked`: the filter was
   * passed over, so nothing of the connection was taken down.
   */
  snapshot(unasked = false): MutableBag {
    if (this.#all !== null) return this.#all
    const bag = new MutableBag(this.#base)
    for (const [name, derive] of DERIVED) {
      if (unasked && CONNECTION_ATTRIBUTES.has(name)) continue
      const value = derive(this.#facts)
      if (value !== undefined) bag.set(name, value)
    }
    this.#all = bag
    return bag
  }
}

function orAbsent(text: string): string | undefined {
  return text === '' ? undefined : text
}

/** All headers, the pseudo ones among them. */
function headerMap(facts: RequestFacts): ReadonlyMap<string, string> {
  const map = new Map<string, string>()
  if (facts.authority !== '') map.set(':authority', facts.authority)
  map.set(':method', facts.method)
  map.set(':path', facts.path)
  facts.forEachHeader((name, value) => {
    if (HIDDEN_HEADERS.has(name)) return
    const before = map.get(name)
    map.set(name, before === undefined ? value : `${before},${value}`)
  })
  return map
}

/** One entry of `headerMap`, without making the map. */
function headerEntry(facts: RequestFacts, key: string): string | undefined {
  switch (key) {
    case ':authority':
      return orAbsent(facts.authority)
    case ':method':
      return facts.method
    case ':path':
      return facts.path
  }
  return HIDDEN_HEADERS.has(key) ? undefined : (facts.header(key) ?? undefined)
}

function jwtPrincipal(claims: Readonly<Record<string, unknown>> | null): string | undefined {
  const issuer = claims?.['iss']
  const subject = claims?.['sub']
  return typeof issuer === 'string' && typeof subject === 'string' ? `${issuer}/${subject}` : undefined
}

/** A claim that is a string, or several of them. */
function claimText(claim: unknown): string | undefined {
  if (typeof claim === 'string') return claim
  if (!Array.isArray(claim)) return undefined
  const texts = claim.filter((one) => typeof one === 'string')
  return texts.length === 0 ? undefined : texts.join(',')
}

/** Claims that are strings; others have no place in a string map. */
function stringClaims(claims: Readonly<Record<string, unknown>> | null): ReadonlyMap<string, string> | undefined {
  if (claims === null) return undefined
  const map = new Map<string, string>()
  for (const [name, value] of Object.entries(claims)) if (typeof value === 'string') map.set(name, value)
  return map
}
