/** Of the TLS library that Envoy uses, BoringSSL: errors are of its part 16, those of the system of its part 2. */
const part = 16 << 24
const systemPart = 2 << 24
/** Alerts of the peer count from here on, in both libraries: RFC 8446 section 6. */
const alerts = 1000
const connectionReset = 104

/** BoringSSL's numbers of what may happen in a handshake. */
const reasons: Readonly<Record<string, number>> = {
  BAD_ALERT: 102,
  BAD_CHANGE_CIPHER_SPEC: 103,
  BAD_ECPOINT: 108,
  BAD_HELLO_REQUEST: 110,
  BAD_LENGTH: 111,
  BAD_PACKET_LENGTH: 112,
  BAD_SIGNATURE: 114,
  CERTIFICATE_VERIFY_FAILED: 125,
  CERT_LENGTH_MISMATCH: 127,
  CLIENTHELLO_TLSEXT: 132,
  DECRYPTION_FAILED_OR_BAD_RECORD_MAC: 139,
  DIGEST_CHECK_FAILED: 142,
  ENCRYPTED_LENGTH_TOO_LONG: 146,
  ERROR_PARSING_EXTENSION: 149,
  EXCESSIVE_MESSAGE_SIZE: 150,
  HANDSHAKE_FAILURE_ON_CLIENT_HELLO: 154,
  HTTPS_PROXY_REQUEST: 155,
  HTTP_REQUEST: 156,
  INAPPROPRIATE_FALLBACK: 157,
  LENGTH_MISMATCH: 162,
  MISSING_EXTENSION: 164,
  NO_CERTIFICATE_SET: 174,
  NO_CIPHERS_AVAILABLE: 175,
  NO_RENEGOTIATION: 182,
  NO_SHARED_CIPHER: 184,
  PEER_DID_NOT_RETURN_A_CERTIFICATE: 192,
  RENEGOTIATION_MISMATCH: 202,
  UNEXPECTED_EXTENSION: 222,
  UNEXPECTED_MESSAGE: 223,
  UNEXPECTED_RECORD: 225,
  UNKNOWN_CIPHER_RETURNED: 229,
  UNKNOWN_PROTOCOL: 233,
  UNSAFE_LEGACY_RENEGOTIATION_DISABLED: 236,
  UNSUPPORTED_PROTOCOL: 240,
  WRONG_CIPHER_RETURNED: 242,
  WRONG_CURVE: 243,
  WRONG_SIGNATURE_TYPE: 245,
  WRONG_SSL_VERSION: 246,
  WRONG_VERSION_NUMBER: 247,
  NO_COMMON_SIGNATURE_ALGORITHMS: 253,
  MISSING_KEY_SHARE: 258,
  TOO_MANY_KEY_UPDATES: 260,
  NO_SHARED_GROUP: 266,
  APPLICATION_DATA_ON_SHUTDOWN: 291,
  KEY_USAGE_BIT_INCORRECT: 302,
  NO_APPLICATION_PROTOCOL: 307,
}

/** In messages of OpenSSL 3: the number of its part and that of the reason, and what they say. */
const ofTls = /error:0A([0-9A-F]{6}):[^:]*:[^:]*:([^:]*):/

/** What OpenSSL calls otherwise. */
const renamed: Readonly<Record<string, string>> = {
  BAD_EXTENSION: 'ERROR_PARSING_EXTENSION',
  DATA_LENGTH_TOO_LONG: 'ENCRYPTED_LENGTH_TOO_LONG',
  NO_PROTOCOLS_AVAILABLE: 'UNSUPPORTED_PROTOCOL',
  NO_SHARED_SIGNATURE_ALGORITHMS: 'NO_COMMON_SIGNATURE_ALGORITHMS',
  NO_SUITABLE_GROUPS: 'NO_SHARED_GROUP',
  NO_SUITABLE_KEY_SHARE: 'NO_SHARED_GROUP',
  NO_SUITABLE_SIGNATURE_ALGORITHM: 'NO_COMMON_SIGNATURE_ALGORITHMS',
  UNSUPPORTED_SSL_VERSION: 'UNSUPPORTED_PROTOCOL',
}

/**
 * Why a handshake ended, as Envoy tells it: `TLS_error:|268435581:SSL routines:OPENSSL_internal:…:TLS_error_end`; empty where
 * the other end left without a word. `answered`: whether the other end had said anything before.
 */
export function tlsFailure(error: Error, answered = true): string {
  if (error.message.startsWith('TLS_error')) return error.message
  const [, digits, text] = ofTls.exec(error.message) ?? []
  if (digits === undefined || text === undefined) {
    if (!('code' in error) || error.code !== 'ECONNRESET') return framed(error.message)
    const known = 'syscall' in error
    return known ? framed(`${systemPart + connectionReset}:system library:OPENSSL_internal:Connection reset by peer`) : ''
  }
  const own = Number.parseInt(digits, 16)
  if (own >= alerts) {
    const alert = numbered(own, alertName(text))
    return own === alerts + handshakeFailure && !answered ? framed(`${alert}|${onClientHello}`) : framed(alert)
  }
  const word = text.toUpperCase().replaceAll(/\W+/g, '_')
  // What ends without a goodbye is no error there.
  if (word === 'UNEXPECTED_EOF_WHILE_READING') return ''
  const name = renamed[word] ?? word
  if (name === 'PEER_DID_NOT_RETURN_A_CERTIFICATE') return noCertificate
  const reason = reasons[name]
  return framed(reason === undefined ? `SSL routines:OPENSSL_internal:${name}` : numbered(reason, name))
}

/** Whether TLS itself has failed, not what is below it. */
export function isOfTls(error: Error): boolean {
  return ofTls.test(error.message) && !error.message.includes('unexpected eof while reading')
}

const handshakeFailure = 40
const onClientHello = numbered(reasons['HANDSHAKE_FAILURE_ON_CLIENT_HELLO']!, 'HANDSHAKE_FAILURE_ON_CLIENT_HELLO')

/** OpenSSL says `ssl/tls alert bad certificate`, `tlsv1 alert unknown ca`, `tlsv1 unrecognized name` or `tlsv13 alert certificate required`. */
function alertName(text: string): string {
  const [, family, rest] = /^(ssl|tls)\S* (?:alert )?(.*)$/i.exec(text) ?? []
  const name = (rest ?? text).toUpperCase().replaceAll(/\W+/g, '_')
  return `${family?.toLowerCase() === 'ssl' ? 'SSLV3' : 'TLSV1'}_ALERT_${name}`
}

/** The same for a certificate that is not wanted; `text`: what is wrong with it, in Envoy's words. */
export function verificationFailed(text: string): string {
  return framed(numbered(reasons['CERTIFICATE_VERIFY_FAILED']!, `CERTIFICATE_VERIFY_FAILED:verify cert failed: ${text}`))
}

/** The same for a certificate whose key may not be used as this handshake does. */
export const wrongKeyUsage = framed(numbered(reasons['KEY_USAGE_BIT_INCORRECT']!, 'KEY_USAGE_BIT_INCORRECT'))

/** The same for a client that shows none. */
export const noCertificate = framed(
  numbered(
    reasons['PEER_DID_NOT_RETURN_A_CERTIFICATE']!,
    'PEER_DID_NOT_RETURN_A_CERTIFICATE:peer did not provide required client certificate',
  ),
)

function numbered(reason: number, text: string): string {
  return `${part + reason}:SSL routines:OPENSSL_internal:${text}`
}

function framed(text: string): string {
  return `TLS_error:|${text}:TLS_error_end`
}
