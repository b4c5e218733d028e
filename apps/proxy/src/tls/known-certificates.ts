import { X509Certificate } from 'node:crypto'

/** Certificates that are kept, and the size (bytes) up to which one is. */
const maxKept = 1024
const maxSize = 8 * 1024

const kept = new Map<string, X509Certificate>()

/**
 * The certificate of these bytes (DER), read once as long as it is in use: peers come again, and to read one takes a tenth of a handshake with
 * all that is found out about it later. Throws where they are none.
 */
export function certificateOf(der: Buffer): X509Certificate {
  if (der.length > maxSize) return new X509Certificate(der)
  const key = der.latin1Slice()
  let certificate = kept.get(key)
  // What was asked for last stands last.
  if (certificate !== undefined) kept.delete(key)
  else {
    certificate = new X509Certificate(der)
    if (kept.size >= maxKept) kept.delete(kept.keys().next().value!)
  }
  kept.set(key, certificate)
  return certificate
}
