/** What X509_verify_cert says by number (openssl/x509_vfy.h), in Node's words: those that a peer's certificate can meet. */
const words: Readonly<Record<number, string>> = {
  2: 'UNABLE_TO_GET_ISSUER_CERT',
  3: 'UNABLE_TO_GET_CRL',
  4: 'UNABLE_TO_DECRYPT_CERT_SIGNATURE',
  5: 'UNABLE_TO_DECRYPT_CRL_SIGNATURE',
  6: 'UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY',
  7: 'CERT_SIGNATURE_FAILURE',
  8: 'CRL_SIGNATURE_FAILURE',
  9: 'CERT_NOT_YET_VALID',
  10: 'CERT_HAS_EXPIRED',
  11: 'CRL_NOT_YET_VALID',
  12: 'CRL_HAS_EXPIRED',
  13: 'ERROR_IN_CERT_NOT_BEFORE_FIELD',
  14: 'ERROR_IN_CERT_NOT_AFTER_FIELD',
  15: 'ERROR_IN_CRL_LAST_UPDATE_FIELD',
  16: 'ERROR_IN_CRL_NEXT_UPDATE_FIELD',
  17: 'OUT_OF_MEM',
  18: 'DEPTH_ZERO_SELF_SIGNED_CERT',
  19: 'SELF_SIGNED_CERT_IN_CHAIN',
  20: 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  21: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  22: 'CERT_CHAIN_TOO_LONG',
  23: 'CERT_REVOKED',
  25: 'PATH_LENGTH_EXCEEDED',
  26: 'INVALID_PURPOSE',
  27: 'CERT_UNTRUSTED',
  28: 'CERT_REJECTED',
  34: 'UNHANDLED_CRITICAL_EXTENSION',
  47: 'PERMITTED_VIOLATION',
  48: 'EXCLUDED_VIOLATION',
}

/** None of OpenSSL's, to which it says `certificate_unknown`, as Envoy does to names that do not match. */
const notWanted = 1000

/** The issuer is no authority, or its key may not sign certificates: BoringSSL takes such a one for none. */
const noIssuer: ReadonlySet<number> = new Set([32, 79])

/** What is wrong, and with which of the chain (0: the peer's own). */
export function verifyProblem(error: number, depth: number): { said: string; depth: number } {
  if (noIssuer.has(error)) return { said: 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY', depth: Math.max(0, depth - 1) }
  // A verdict that can't be had is none that is good.
  return { said: verifyWord(error) || 'UNSPECIFIED', depth }
}

const expired = 10

/** Its word; empty: nothing is wrong. */
export function verifyWord(error: number): string {
  return error === 0 ? '' : (words[error] ?? 'UNSPECIFIED')
}

/** The number of a word, after which OpenSSL chooses the alert that the peer is told; for others that of a certificate that is not wanted. */
export function verifyError(word: string): number {
  // Both dates have one alert: RFC 8446 section 6.2.
  if (word === 'CERT_NOT_YET_VALID') return expired
  for (const [number, known] of Object.entries(words)) if (known === word) return Number(number)
  return notWanted
}
