import { constants, createPublicKey, type JsonWebKey, type KeyObject, verify } from 'node:crypto'
import { WeftError } from '@weft/service/errors'

/** A key that verifies tokens. */
export interface JwtKey {
  kid: string | undefined
  key: KeyObject
}

export interface JwtRules {
  /** Empty: the token has to name none. */
  issuer: string
  /** One of these has to be among the token's; none: any will do. */
  audiences: readonly string[]
  /** Time by which the issuer's clock may differ. */
  skewSeconds?: number
  now?: Date
}

/** The claims that are always there, and all others as they came. */
export interface JwtClaims {
  /** Empty where the token names no issuer. */
  iss: string
  sub: string
  exp: number
  [claim: string]: unknown
}

const maxTokenBytes = 16 << 10
const maxKeys = 100

/** Signature algorithms (RFC 7518, section 3.1) with the keys they go with. Symmetric ones and `none` are not among them. */
const algorithms: Record<string, { hash: string; keyType: 'rsa' | 'ec'; curve?: string; pss?: true }> = {
  RS256: { hash: 'sha256', keyType: 'rsa' },
  RS384: { hash: 'sha384', keyType: 'rsa' },
  RS512: { hash: 'sha512', keyType: 'rsa' },
  PS256: { hash: 'sha256', keyType: 'rsa', pss: true },
  PS384: { hash: 'sha384', keyType: 'rsa', pss: true },
  PS512: { hash: 'sha512', keyType: 'rsa', pss: true },
  ES256: { hash: 'sha256', keyType: 'ec', curve: 'prime256v1' },
  ES384: { hash: 'sha384', keyType: 'ec', curve: 'secp384r1' },
}

/**
 * The keys of a JSON Web Key Set (RFC 7517). Keys of other kinds or uses, and ones that cannot be read, are passed over, so that a
 * new kind at the issuer does no harm. Throws `invalid_argument` for what is no key set.
 */
export function parseJwks(json: string): JwtKey[] {
  const bad = (reason: string, cause?: unknown): WeftError =>
    new WeftError('invalid_argument', `not a JSON Web Key Set: ${reason}`, { cause })
  let document: unknown
  try {
    document = JSON.parse(json)
  } catch (cause) {
    throw bad('it is not JSON', cause)
  }
  const keys: unknown = typeof document === 'object' && document !== null && 'keys' in document ? document.keys : undefined
  if (!Array.isArray(keys)) throw bad('it has no list `keys`')
  return keys.slice(0, maxKeys).flatMap((jwk: unknown) => {
    if (typeof jwk !== 'object' || jwk === null || ('use' in jwk && jwk.use !== 'sig')) return []
    try {
      const key = createPublicKey({ key: publicParameters(jwk), format: 'jwk' })
      return [{ kid: 'kid' in jwk && typeof jwk.kid === 'string' ? jwk.kid : undefined, key }]
    } catch {
      return []
    }
  })
}

/**
 * Verifies a token (RFC 7519) and gives its claims: signature by one of the keys, issuer, audience, expiry, not before. Throws
 * `unauthenticated` that says which does not hold.
 */
export function verifyJwt(token: string, keys: readonly JwtKey[], rules: JwtRules): JwtClaims {
  const { header, claims } = decodeJwt(token)
  const alg = String(header['alg'])
  const algorithm = Object.hasOwn(algorithms, alg) ? algorithms[alg] : undefined
  if (algorithm === undefined) throw refused(`its algorithm ${alg.slice(0, 20)} is not accepted`)
  const kid = header['kid']
  const signatureAt = token.lastIndexOf('.')
  const signed = Buffer.from(token.slice(0, signatureAt))
  const signature = Buffer.from(token.slice(signatureAt + 1), 'base64url')
  const candidates = keys.filter(({ key, kid: known }) => {
    if (typeof kid === 'string' && known !== undefined && known !== kid) return false
    if (key.asymmetricKeyType !== algorithm.keyType) return false
    return algorithm.curve === undefined || key.asymmetricKeyDetails?.namedCurve === algorithm.curve
  })
  const padding = algorithm.pss ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST } : {}
  const held = candidates.some(({ key }) =>
    verify(algorithm.hash, signed, { key, dsaEncoding: 'ieee-p1363', ...padding }, signature),
  )
  if (!held) throw refused('it is not signed by a key of its issuer')
  checkClaims(claims, rules)
  return claims
}

/** The parts of a token, unverified. Throws `unauthenticated` when it is none. */
export function decodeJwt(token: string): { header: Record<string, unknown>; claims: JwtClaims } {
  const parts = token.length > maxTokenBytes ? null : /^([\w-]+)\.([\w-]+)\.([\w-]+)$/.exec(token)
  const header = decodePart(parts?.[1])
  const claims = decodePart(parts?.[2])
  if (header === undefined || claims === undefined) throw refused('it is no JSON Web Token')
  const { iss = '', sub, exp } = claims
  if (typeof iss !== 'string' || typeof sub !== 'string' || typeof exp !== 'number') {
    throw refused('it lacks one of sub and exp, or its iss is no text')
  }
  return { header, claims: { ...claims, iss, sub, exp } }
}

/** Whether one of the token's audiences is expected; with none expected, any is. */
export function hasAudience(audiences: readonly string[], expected: readonly string[]): boolean {
  return expected.length === 0 || audiences.some((audience) => expected.includes(audience))
}

function checkClaims(claims: JwtClaims, { issuer, audiences, skewSeconds = 30, now = new Date() }: JwtRules): void {
  const seconds = now.getTime() / 1000
  if (claims.iss !== issuer) throw refused(`its issuer is ${claims.iss.slice(0, 200)} instead of ${issuer}`)
  if (claims.exp + skewSeconds <= seconds) throw refused(`it has expired at ${new Date(claims.exp * 1000).toISOString()}`)
  const notBefore = claims['nbf']
  if (notBefore !== undefined && (typeof notBefore !== 'number' || notBefore - skewSeconds > seconds))
    throw refused('it is not valid yet')
  const given = [claims['aud']].flat().filter((audience) => typeof audience === 'string')
  if (!hasAudience(given, audiences)) throw refused(`none of its audiences is ${audiences.join(' or ')}`)
}

function decodePart(part: string | undefined): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(part ?? '', 'base64url').toString('utf8'))
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined
  } catch {
    return undefined
  }
}

/** The parameters of a public key, and none of a private one. */
function publicParameters(jwk: object): JsonWebKey {
  const wanted: JsonWebKey = {}
  for (const [name, value] of Object.entries(jwk)) {
    if (/^(kty|n|e|crv|x|y)$/.test(name) && typeof value === 'string') wanted[name] = value
  }
  return wanted
}

function refused(reason: string): WeftError {
  return new WeftError('unauthenticated', `the token is refused: ${reason}`)
}
