import type { HttpStream } from '../filter.ts'
import { type FoundToken, findTokens, inOrder, placeOf, removeToken } from './extract.ts'
import type { VerificationKey } from './jwks.ts'
import { type Jwt, parseJwt } from './jwt.ts'
import type { Provider } from './provider.ts'
import { type JwtStatus, jwtStatus, jwtStatusCodes } from './status.ts'
import { checkTimes, verifyJwt } from './verify.ts'

/** A verdict, at once where all keys are at hand. */
export type Verdict = JwtStatus | Promise<JwtStatus>

/** What a token has to satisfy: one provider, with audiences of its own or the provider's. */
export interface Demand {
  readonly provider: Provider
  readonly audiences: ReadonlySet<string> | null
}

/** Tokens verified lately, so that a client's next request costs no signature check. */
const verified = new Map<string, readonly VerificationKey[]>()
const maxVerified = 1_000

/** Checks the request's tokens for one provider: all have to hold, so that a forged one beside a good one is refused. */
export function authenticate(stream: HttpStream, demand: Demand): Verdict {
  const { provider } = demand
  const tokens = findTokens(stream.request, provider.locations)
  return allTokens(
    stream,
    tokens,
    (jwt) => (issuerFits(provider, jwt) ? demand : null),
    provider,
    ({ text }) => {
      const { longest, hit, miss } = provider.cache
      const keys = verified.get(text)
      if (text.length <= longest && keys !== undefined && keys === provider.keys.current()) hit.inc()
      else miss.inc()
    },
  )
}

/**
 * Checks every token that any of the providers finds: for `allow_missing` and `allow_missing_or_failed` alone. Good ones are
 * handed on, and the first decides, as in Envoy.
 */
export function authenticateAny(stream: HttpStream, providers: readonly Provider[]): Verdict {
  const byPlace = new Map<string, { found: FoundToken; providers: Provider[] }>()
  for (const provider of providers) {
    for (const found of findTokens(stream.request, provider.locations)) {
      const key = `${placeOf(found.location)} ${found.text}`
      const entry = byPlace.get(key)
      if (entry === undefined) byPlace.set(key, { found, providers: [provider] })
      else entry.providers.push(provider)
    }
  }
  const entries = [...byPlace.values()].sort((a, b) => inOrder(a.found.location, b.found.location))
  return allTokens(
    stream,
    entries.map((entry) => entry.found),
    (jwt, index) => {
      const provider = entries[index]?.providers.find((candidate) => issuerFits(candidate, jwt))
      return provider === undefined ? null : { provider, audiences: null }
    },
    null,
  )
}

function issuerFits(provider: Provider, jwt: Jwt): boolean {
  return provider.issuer === '' || provider.issuer === jwt.issuer
}

/**
 * Checks tokens from the last to the first, whose verdict is told unless one before it ended all. Without the one provider that is
 * asked about (`only`) none does.
 */
function allTokens(
  stream: HttpStream,
  tokens: readonly FoundToken[],
  demandFor: (jwt: Jwt, index: number) => Demand | null,
  only: Provider | null,
  look: (token: FoundToken) => void = () => {},
  from = tokens.length - 1,
): Verdict {
  for (let index = from; index >= 0; index--) {
    const token = tokens[index]!
    look(token)
    const ends = (status: JwtStatus) => index === 0 || (status !== jwtStatus.ok && only !== null)
    const verdict = tokenVerdict(stream, token, index, demandFor, only)
    if (typeof verdict !== 'string') {
      return verdict.then((status) => (ends(status) ? status : allTokens(stream, tokens, demandFor, only, look, index - 1)))
    }
    if (ends(verdict)) return verdict
  }
  return jwtStatus.missing
}

function tokenVerdict(
  stream: HttpStream,
  token: FoundToken,
  index: number,
  demandFor: (jwt: Jwt, index: number) => Demand | null,
  only: Provider | null,
): Verdict {
  const jwt = parseJwt(token.text)
  if (typeof jwt === 'string') return noteFailure(stream, jwt, only)
  const demand = demandFor(jwt, index)
  if (demand === null) return noteFailure(stream, jwtStatus.unknownIssuer, only)
  const verdict = oneToken(stream, token, jwt, demand)
  if (typeof verdict === 'string') return noteFailure(stream, verdict, demand.provider)
  return verdict.then((status) => noteFailure(stream, status, demand.provider))
}

/** Tells filters behind this one why a token was not taken, where its provider says so, whatever becomes of the request. */
function noteFailure(stream: HttpStream, status: JwtStatus, provider: Provider | null): JwtStatus {
  const key = provider?.failedStatusInMetadata ?? ''
  if (status !== jwtStatus.ok && key !== '')
    stream.metadata(metadataNamespace)[key] = { code: jwtStatusCodes[status] ?? 0, message: status }
  return status
}

function oneToken(stream: HttpStream, token: FoundToken, jwt: Jwt, { provider, audiences }: Demand): Verdict {
  const now = Math.floor(Date.now() / 1000)
  const times = checkTimes(jwt, now, provider.clockSkew)
  if (times !== jwtStatus.ok) return times
  const audience = provider.checkAudience(jwt, audiences)
  if (audience !== jwtStatus.ok) return audience
  const subject = provider.checkSubject(jwt, now)
  if (subject !== jwtStatus.ok) return subject
  const finish = (keys: readonly VerificationKey[] | JwtStatus): JwtStatus => {
    if (typeof keys === 'string') return keys
    if (verified.get(jwt.text) !== keys) {
      const status = verifyJwt(jwt, keys)
      if (status !== jwtStatus.ok) return status
      remember(jwt.text, keys)
    }
    handOn(stream, token, jwt, provider)
    return jwtStatus.ok
  }
  const keys = provider.keys.current()
  return keys !== null ? finish(keys) : provider.keys.load().then(finish)
}

function remember(text: string, keys: readonly VerificationKey[]): void {
  if (verified.size >= maxVerified) {
    const oldest = verified.keys().next()
    if (!oldest.done) verified.delete(oldest.value)
  }
  verified.set(text, keys)
}

/** What a good token gives the request: headers, metadata, and its own removal. */
function handOn(stream: HttpStream, token: FoundToken, jwt: Jwt, provider: Provider): void {
  const { headers } = stream.request
  for (const { name, claim } of provider.claimHeaders) {
    const text = claimText(claim.reduce<unknown>((value, key) => member(value, key), jwt.payload))
    if (text !== null && text !== '') headers.append(name, Buffer.from(text).latin1Slice())
  }
  if (provider.payloadHeader !== null) {
    const { name, pad } = provider.payloadHeader
    headers.append(name, pad ? jwt.payloadText.padEnd(Math.ceil(jwt.payloadText.length / 4) * 4, '=') : jwt.payloadText)
  }
  if (!provider.forward) removeToken(stream.request, token.location)
  if (provider.payloadInMetadata !== '') {
    stream.metadata(metadataNamespace)[provider.payloadInMetadata] = normalized(jwt.payload, provider.spaceDelimitedClaims)
  }
  if (provider.headerInMetadata !== '') stream.metadata(metadataNamespace)[provider.headerInMetadata] = jwt.header
  if (provider.clearRouteCache) stream.clearRoute()
}

export const metadataNamespace = 'envoy.filters.http.jwt_authn'

function member(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, key)
    ? (value as Record<string, unknown>)[key]
    : undefined
}

/** Scalars as text (numbers as C++ writes them: whole ones plainly, others with six digits); lists and objects as base64 JSON. */
function claimText(claim: unknown): string | null {
  if (typeof claim === 'string') return claim
  if (typeof claim === 'boolean') return String(claim)
  if (typeof claim === 'number') {
    if (!Number.isInteger(claim)) return claim.toFixed(6)
    return claim >= 0 && claim < 2 ** 64 ? String(BigInt(claim)) : `${BigInt(claim)}.000000`
  }
  if (typeof claim === 'object' && claim !== null) return Buffer.from(jsonText(claim)).toString('base64')
  return null
}

/** JSON as protobuf writes it: what could end a script or a line of one is escaped. */
function jsonText(value: object): string {
  return JSON.stringify(value).replace(
    /[<>\x7f\u2028\u2029]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

function normalized(payload: Readonly<Record<string, unknown>>, spaceDelimited: readonly string[]): Record<string, unknown> {
  const copy = { ...payload }
  for (const claim of spaceDelimited) {
    const value = copy[claim]
    if (typeof value === 'string') copy[claim] = value.split(' ').filter(Boolean)
  }
  return copy
}
