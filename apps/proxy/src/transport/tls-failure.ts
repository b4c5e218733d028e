/** Of the TLS library that Envoy uses: errors are of its part 16, alerts of the peer count from 1000 on. */
const part = 16 << 24
const alerts = 1000

/** Reasons whose number is another one there than in OpenSSL. */
const reasons: Readonly<Record<string, number>> = {
  CERTIFICATE_VERIFY_FAILED: 125,
  NO_SHARED_CIPHER: 182,
  PEER_DID_NOT_RETURN_A_CERTIFICATE: 192,
  UNSUPPORTED_PROTOCOL: 240,
  WRONG_VERSION_NUMBER: 247,
  HTTP_REQUEST: 156,
}

/** Why a handshake ended, as Envoy tells it: `TLS_error:|268435581:SSL routines:OPENSSL_internal:…:TLS_error_end`. */
export function tlsFailure(error: Error): string {
  if (error.message.startsWith('TLS_error')) return error.message
  const word = 'code' in error && typeof error.code === 'string' ? /^ERR_SSL_(.+)$/.exec(error.code)?.[1] : undefined
  if (word === undefined) return framed(error.message)
  // OpenSSL 3: the number of its part, and that of the reason in the last nine digits of two.
  const number = /error:0A([0-9A-F]{6}):/.exec(error.message)?.[1]
  const own = number === undefined ? 0 : Number.parseInt(number, 16)
  const reason = reasons[word] ?? (own >= alerts ? own : 0)
  return reason === 0 ? framed(error.message) : numbered(reason, word)
}

/** The same for a certificate that is not wanted; `text`: what is wrong with it, in Envoy's words. */
export function verificationFailed(text: string): string {
  return numbered(125, `CERTIFICATE_VERIFY_FAILED:verify cert failed: ${text}`)
}

/** The same for a client that shows none. */
export const noCertificate = numbered(192, 'PEER_DID_NOT_RETURN_A_CERTIFICATE:peer did not provide required client certificate')

function numbered(reason: number, text: string): string {
  return framed(`${part + reason}:SSL routines:OPENSSL_internal:${text}`)
}

function framed(text: string): string {
  return `TLS_error:|${text}:TLS_error_end`
}
