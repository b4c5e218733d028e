import { type JwtStatus, jwtStatus } from './status.ts'

/** Signature algorithms of RFC 7518 and RFC 8037 that are verified. */
const algorithms = new Set([
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'HS256', 'HS384', 'HS512', 'EdDSA'],
])

/** A JSON web token in compact form (RFC 7519), taken apart; nothing of it is verified yet. */
export interface Jwt {
  readonly text: string
  readonly alg: string
  readonly kid: string
  readonly header: Readonly<Record<string, unknown>>
  readonly payload: Readonly<Record<string, unknown>>
  /** The payload as it stands in the token, base64url. */
  readonly payloadText: string
  /** What the signature covers. */
  readonly signed: string
  readonly signature: Buffer
  readonly issuer: string
  readonly subject: string
  readonly audiences: readonly string[]
  /** Seconds since the epoch; null when absent (or 0, which Envoy takes for absent). */
  readonly issuedAt: number | null
  readonly notBefore: number | null
  readonly expires: number | null
}

const base64url = /^([A-Za-z0-9_-]+)(={0,2})$/

/** White space between the characters does not count; padding may be left out, but not in part. */
function decode(text: string): Buffer | null {
  const [, bare = '', padding = ''] = base64url.exec(text.replace(/[\t-\r ]+/g, '')) ?? []
  if (bare === '' || bare.length % 4 === 1) return null
  return padding === '' || (bare.length + padding.length) % 4 === 0 ? Buffer.from(bare, 'base64url') : null
}

/** Objects may lie in each other so deep. */
const maxDepth = 100
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
/** A text of JSON, and the colon behind it that makes it a key. */
const jsonText = /"(?:[^"\\]|\\.)*"(\s*:)?/g

/** Reads a JSON object; one that readers could understand in several ways is none (RFC 8725 section 2.4). */
function parseObject(bytes: Buffer): Record<string, unknown> | null {
  try {
    const text = utf8.decode(bytes)
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return null
    let keys = 0
    for (const [, colon] of text.matchAll(jsonText)) if (colon !== undefined) keys++
    // Fewer than were written: one stands twice.
    return keysWithin(value, 1) === keys ? (value as Record<string, unknown>) : null
  } catch {
    return null
  }
}

/** How many keys a value and what lies in it have; NaN: it holds what can't be told by others, or lies too deep. */
function keysWithin(value: unknown, depth: number): number {
  if (typeof value === 'string') return value.isWellFormed() ? 0 : Number.NaN
  if (typeof value === 'number') return Number.isFinite(value) ? 0 : Number.NaN
  if (typeof value !== 'object' || value === null) return 0
  if (depth > maxDepth) return Number.NaN
  const isList = Array.isArray(value)
  let keys = 0
  for (const [key, inner] of Object.entries(value)) {
    keys += (isList ? 0 : 1) + (key.isWellFormed() ? 0 : Number.NaN) + keysWithin(inner, depth + 1)
  }
  return keys
}

/** Takes a token apart, or says what is wrong with it. */
export function parseJwt(text: string): Jwt | JwtStatus {
  const parts = text.split('.')
  const [headerText, payloadText, signatureText] = parts
  if (parts.length !== 3 || !headerText || !payloadText || !signatureText) {
    return jwtStatus.badFormat
  }
  const headerBytes = decode(headerText)
  if (headerBytes === null) return jwtStatus.headerBadBase64
  const header = parseObject(headerBytes)
  if (header === null) return jwtStatus.headerBadJson
  const { alg, kid = '' } = header
  if (typeof alg !== 'string') return jwtStatus.headerBadAlg
  if (!algorithms.has(alg)) return jwtStatus.headerUnknownAlg
  if (typeof kid !== 'string') return jwtStatus.headerBadKid

  const payloadBytes = decode(payloadText)
  if (payloadBytes === null) return jwtStatus.payloadBadBase64
  const payload = parseObject(payloadBytes)
  if (payload === null) return jwtStatus.payloadBadJson
  const claims = registeredClaims(payload)
  if (typeof claims === 'string') return claims
  const signature = decode(signatureText)
  if (signature === null) return jwtStatus.signatureBadBase64
  const signed = text.slice(0, headerText.length + 1 + payloadText.length)
  return { text, alg, kid, header, payload, payloadText, signed, signature, ...claims }
}

type Claims = Pick<Jwt, 'issuer' | 'subject' | 'audiences' | 'issuedAt' | 'notBefore' | 'expires'>

function registeredClaims(payload: Readonly<Record<string, unknown>>): Claims | JwtStatus {
  const { iss = '', sub = '', jti = '', aud = [] } = payload
  if (typeof iss !== 'string') return jwtStatus.issNotString
  if (typeof sub !== 'string') return jwtStatus.subNotString
  const issuedAt = seconds(payload['iat'], jwtStatus.iatNotInteger, jwtStatus.iatOutOfRange)
  if (typeof issuedAt === 'string') return issuedAt
  const notBefore = seconds(payload['nbf'], jwtStatus.nbfNotInteger, jwtStatus.nbfOutOfRange)
  if (typeof notBefore === 'string') return notBefore
  const expires = seconds(payload['exp'], jwtStatus.expNotInteger, jwtStatus.expOutOfRange)
  if (typeof expires === 'string') return expires
  if (typeof jti !== 'string') return jwtStatus.jtiNotString
  const audiences = typeof aud === 'string' ? [aud] : aud
  if (!Array.isArray(audiences) || !audiences.every((item): item is string => typeof item === 'string')) {
    return jwtStatus.audNotString
  }
  return { issuer: iss, subject: sub, audiences, issuedAt, notBefore, expires }
}

/** NumericDate claims may carry a fraction (RFC 7519 section 2), which is cut. */
function seconds(value: unknown, notInteger: JwtStatus, outOfRange: JwtStatus): number | null | JwtStatus {
  if (value === undefined) return null
  if (typeof value !== 'number') return notInteger
  if (value < 0 || value >= 2 ** 64) return outOfRange
  return Math.trunc(value) || null
}
