import { createPublicKey, createSecretKey, type JsonWebKey, type KeyObject } from 'node:crypto'
import { type JwtStatus, jwtStatus } from './status.ts'

/** A key of a JSON web key set (RFC 7517) that tokens are verified with. */
export interface VerificationKey {
  /** Empty: any token may be meant. */
  readonly kid: string
  readonly kty: string
  /** Empty: any algorithm of its type. */
  readonly alg: string
  readonly key: KeyObject
}

/** Bits that an RSA key has at least. */
const leastModulus = 512

/** Reads a key set; keys that are of no use here are passed over, as Envoy does. */
export function parseJwks(text: string): readonly VerificationKey[] | JwtStatus {
  let document: unknown
  try {
    document = JSON.parse(text)
  } catch {
    return jwtStatus.jwksParseError
  }
  if (typeof document !== 'object' || document === null) return jwtStatus.jwksParseError
  if (!('keys' in document)) return jwtStatus.jwksNoKeys
  if (!Array.isArray(document.keys)) return jwtStatus.jwksBadKeys
  const keys = document.keys.map(readKey).filter((key) => key !== null)
  return keys.length === 0 ? jwtStatus.jwksNoValidKeys : keys
}

function readKey(jwk: unknown): VerificationKey | null {
  if (typeof jwk !== 'object' || jwk === null) return null
  const fields = jwk as Record<string, unknown>
  // What a key is for (`use`) does not count, as in Envoy.
  const { kid = '', kty, alg = '' } = fields
  if (typeof kid !== 'string' || typeof kty !== 'string' || typeof alg !== 'string') return null
  try {
    if (kty === 'oct') {
      if (alg !== '' && !alg.startsWith('HS')) return null
      return typeof fields['k'] === 'string'
        ? { kid, kty, alg, key: createSecretKey(Buffer.from(fields['k'], 'base64url')) }
        : null
    }
    if (!['RSA', 'EC', 'OKP'].includes(kty)) return null
    if (kty === 'OKP' && fields['crv'] !== 'Ed25519') return null
    const key = createPublicKey({ key: fields as JsonWebKey, format: 'jwk' })
    return (key.asymmetricKeyDetails?.modulusLength ?? leastModulus) < leastModulus ? null : { kid, kty, alg, key }
  } catch {
    return null
  }
}
