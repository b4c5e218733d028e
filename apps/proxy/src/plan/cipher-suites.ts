/** What Envoy offers and takes up to TLS 1.2 where nothing is said. */
export const defaultSuites: readonly string[] = [
  '[ECDHE-ECDSA-AES128-GCM-SHA256|ECDHE-ECDSA-CHACHA20-POLY1305]',
  '[ECDHE-RSA-AES128-GCM-SHA256|ECDHE-RSA-CHACHA20-POLY1305]',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
]

/**
 * Cipher suites as OpenSSL takes them. Those in brackets are alike to a server, and the client's order counts: OpenSSL knows no such, so that
 * there is a list for clients that would have ChaCha20 first.
 */
export function cipherList(suites: readonly string[], chaChaFirst = false): string {
  return suites
    .flatMap((suite) => {
      const alike = /^\[(.*)\]$/.exec(suite)?.[1]?.split('|')
      if (alike === undefined || !chaChaFirst) return alike ?? suite.split('|')
      return [...alike.filter(isChaCha), ...alike.filter((one) => !isChaCha(one))]
    })
    .join(':')
}

function isChaCha(suite: string): boolean {
  return suite.includes('CHACHA20')
}
