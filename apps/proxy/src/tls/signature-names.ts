/** Numbers of OpenSSL (openssl/obj_mac.h) for kinds of signatures, and what their names in TLS (RFC 8446 section 4.2.3) begin with. */
const kinds: Readonly<Record<number, string>> = { 6: 'rsa_pkcs1', 408: 'ecdsa', 912: 'rsa_pss_rsae', 1087: 'ed25519' }
const digests: Readonly<Record<number, string>> = { 64: 'sha1', 672: 'sha256', 673: 'sha384', 674: 'sha512' }
const curves: Readonly<Record<string, string>> = { sha256: '_secp256r1', sha384: '_secp384r1', sha512: '_secp521r1' }

/** The name of a signature's algorithm; empty: unknown. */
export function signatureName(kind: number, digest: number): string {
  const name = kinds[kind]
  const hash = digests[digest]
  if (name === 'ed25519') return name
  if (name === undefined || hash === undefined) return ''
  return `${name}${name === 'ecdsa' ? (curves[hash] ?? '') : ''}_${hash}`
}
