import { constants, createHmac, timingSafeEqual, verify as verifySignature } from 'node:crypto'
import type { VerificationKey } from './jwks.ts'
import type { Jwt } from './jwt.ts'
import { type JwtStatus, jwtStatus } from './status.ts'

/** Curves by algorithm (RFC 7518 section 3.4): a key of another curve does not fit. */
const curves: Readonly<Record<string, string>> = { ES256: 'prime256v1', ES384: 'secp384r1', ES512: 'secp521r1' }

/** Verifies the signature with the keys that the token's kid and alg allow. */
export function verifyJwt(jwt: Jwt, keys: readonly VerificationKey[]): JwtStatus {
  let matched = false
  for (const key of keys) {
    if (jwt.kid !== '' && key.kid !== '' && jwt.kid !== key.kid) continue
    if (key.alg !== '' && key.alg !== jwt.alg) continue
    matched = true
    if (fits(jwt, key) && signatureHolds(jwt, key)) return jwtStatus.ok
  }
  return matched ? jwtStatus.verificationFails : jwtStatus.keyMismatch
}

function fits({ alg }: Jwt, { kty, key }: VerificationKey): boolean {
  if (alg.startsWith('HS')) return kty === 'oct'
  if (alg.startsWith('ES')) return kty === 'EC' && key.asymmetricKeyDetails?.namedCurve === curves[alg]
  if (alg === 'EdDSA') return kty === 'OKP' && key.asymmetricKeyType === 'ed25519'
  return kty === 'RSA'
}

function signatureHolds({ alg, signed, signature }: Jwt, { key }: VerificationKey): boolean {
  const hash = `sha${alg.slice(2)}`
  const data = Buffer.from(signed, 'latin1')
  try {
    if (alg.startsWith('HS')) {
      const expected = createHmac(hash, key).update(data).digest()
      return expected.length === signature.length && timingSafeEqual(expected, signature)
    }
    if (alg === 'EdDSA') return verifySignature(null, data, key, signature)
    if (alg.startsWith('ES')) return verifySignature(hash, data, { key, dsaEncoding: 'ieee-p1363' }, signature)
    if (alg.startsWith('PS')) {
      const padding = constants.RSA_PKCS1_PSS_PADDING
      return verifySignature(hash, data, { key, padding, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }, signature)
    }
    return verifySignature(hash, data, key, signature)
  } catch {
    return false
  }
}

/** Checks `nbf` and `exp` against the clock, with the skew that is allowed, all in seconds. */
export function checkTimes(jwt: Jwt, now: number, skew: number): JwtStatus {
  if (jwt.notBefore !== null && now + skew < jwt.notBefore) return jwtStatus.notYetValid
  if (jwt.expires !== null && now > jwt.expires + skew) return jwtStatus.expired
  return jwtStatus.ok
}

/** Audiences are compared without scheme and trailing slash, as Envoy does. */
export function plainAudience(audience: string): string {
  const bare = audience.replace(/^https?:\/\//, '')
  return bare.endsWith('/') ? bare.slice(0, -1) : bare
}
