import { X509Certificate } from 'node:crypto'
import { WeftError } from '@weft/service/errors'

/** A SPIFFE bundle: the roots of a trust domain as JSON Web Keys (SPIFFE Trust Domain and Bundle, section 4). */
export interface SpiffeBundle {
  keys: SpiffeBundleKey[]
  /** Grows with each change. */
  spiffe_sequence?: number
  /** Seconds until it is worth asking again. */
  spiffe_refresh_hint?: number
}

interface SpiffeBundleKey {
  use: string
  kty: string
  /** The root certificate, base64 DER; exactly one. */
  x5c?: string[]
  [parameter: string]: unknown
}

const refreshSeconds = 300

/** The bundle of these roots. */
export function spiffeBundle(roots: readonly X509Certificate[]): SpiffeBundle {
  return {
    keys: roots.map((root) => {
      const { kty = '', ...parameters } = root.publicKey.export({ format: 'jwk' })
      return { use: 'x509-svid', kty, ...parameters, x5c: [root.raw.toString('base64')] }
    }),
    spiffe_refresh_hint: refreshSeconds,
  }
}

/**
 * The roots of a bundle that another trust domain serves. Keys for other uses are passed over. Throws `invalid_argument` for
 * what is no bundle, or an `x509-svid` entry without exactly one certificate.
 */
export function parseSpiffeBundle(json: string): X509Certificate[] {
  const bad = (reason: string, cause?: unknown): WeftError => new WeftError('invalid_argument', reason, { cause })
  let bundle: unknown
  try {
    bundle = JSON.parse(json)
  } catch (cause) {
    throw bad('failed to decode bundle: it is not JSON', cause)
  }
  const keys: unknown = typeof bundle === 'object' && bundle !== null && 'keys' in bundle ? bundle.keys : undefined
  if (!Array.isArray(keys)) throw bad('failed to decode bundle: it has no list `keys`')
  const roots: X509Certificate[] = []
  for (const [index, key] of keys.entries()) {
    if (typeof key !== 'object' || key === null || key.use !== 'x509-svid') continue
    const certificates: unknown[] = Array.isArray(key.x5c) ? key.x5c : []
    const [certificate] = certificates
    if (certificates.length !== 1 || typeof certificate !== 'string') {
      throw bad(`expected 1 certificate in x509-svid entry ${index}; got ${certificates.length}`)
    }
    try {
      roots.push(new X509Certificate(Buffer.from(certificate, 'base64')))
    } catch (cause) {
      throw bad(`the certificate in x509-svid entry ${index} cannot be read`, cause)
    }
  }
  return roots
}
