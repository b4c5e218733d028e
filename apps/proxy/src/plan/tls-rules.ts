import type { TlsParameters } from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/common'
import type { CommonTlsContext } from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/tls'
import { invalid } from './problems.ts'

/** Suites that may be chosen: those of BoringSSL, up to TLS 1.2. */
const suites = new Set([
  ...['ECDHE-ECDSA', 'ECDHE-RSA'].flatMap((key) => [
    ...['AES128-GCM-SHA256', 'AES256-GCM-SHA384', 'CHACHA20-POLY1305', 'AES128-SHA', 'AES256-SHA'].map(
      (rest) => `${key}-${rest}`,
    ),
  ]),
  ...[
    'ECDHE-ECDSA-AES128-SHA256',
    'ECDHE-RSA-AES128-SHA256',
    'AES128-GCM-SHA256',
    'AES256-GCM-SHA384',
    'AES128-SHA',
    'AES256-SHA',
    'DES-CBC3-SHA',
  ],
  ...['ECDHE-PSK-AES128-CBC-SHA', 'ECDHE-PSK-AES256-CBC-SHA', 'ECDHE-PSK-CHACHA20-POLY1305'],
  ...['PSK-AES128-CBC-SHA', 'PSK-AES256-CBC-SHA'],
])

/** Names of several suites at once, which may be joined by `+`. */
const groups = new Set(
  (
    'ALL DEFAULT kRSA kECDHE kEECDH kPSK aRSA aECDSA aPSK ECDHE EECDH ECDSA RSA PSK 3DES AES128 AES256 AES AESGCM CHACHA20 ' +
    'SHA SHA1 SSLv3 TLSv1 TLSv1.2 HIGH FIPS'
  ).split(' '),
)

const curves = new Set([
  'X25519',
  'P-256',
  'P-384',
  'P-521',
  'x25519',
  'prime256v1',
  'secp384r1',
  'secp521r1',
  'X25519MLKEM768',
  'MLKEM1024',
])

/** What Envoy refuses of a TLS context, and Node would take. Throws WeftError. */
export function checkTlsContext({ alpnProtocols, tlsParams }: CommonTlsContext, path: string): void {
  for (const [i, protocols] of alpnProtocols.entries())
    if (protocols.split(',').some((protocol) => Buffer.byteLength(protocol) > 255))
      throw invalid(`${path}.alpn_protocols[${i}]`, 'Invalid ALPN protocol string')
  if (tlsParams !== undefined) checkParameters(tlsParams, `${path}.tls_params`)
}

function checkParameters({ cipherSuites, ecdhCurves }: TlsParameters, path: string): void {
  const unknown = cipherSuites
    .flatMap((suite) => suite.split(':'))
    .flatMap((suite) => (/^\[.*\]$/.test(suite) ? suite.slice(1, -1).split('|') : [suite]))
    .filter((suite) => !isSuite(suite.replace(/^[-+!]/, '')))
  if (unknown.length > 0)
    throw invalid(
      `${path}.cipher_suites`,
      `Failed to initialize cipher suites ${cipherSuites.join(':')}. These were rejected: ${unknown.join(', ')}`,
    )
  for (const curve of ecdhCurves.flatMap((curve) => curve.split(':')))
    if (curve !== '' && !curves.has(curve))
      throw invalid(`${path}.ecdh_curves`, `Failed to initialize ECDH curves ${ecdhCurves.join(':')}`, `'${curve}' is not known`)
}

function isSuite(text: string): boolean {
  return text === '' || text === '@STRENGTH' || suites.has(text) || text.split('+').every((part) => groups.has(part))
}

/** Checks the forms of the hashes that certificates are pinned by; throws WeftError. */
export function checkPins(hashes: readonly string[], keys: readonly string[], path: string): void {
  for (const hash of hashes)
    if (!/^[0-9a-f]{64}$/i.test(hash) && !/^(?:[0-9a-f]{2}:){31}[0-9a-f]{2}$/i.test(hash))
      throw invalid(`${path}.verify_certificate_hash`, `Invalid hex-encoded SHA-256 ${hash}`)
  for (const key of keys)
    if (!/^[0-9a-z+/]{43}=$/i.test(key)) throw invalid(`${path}.verify_certificate_spki`, `Invalid base64-encoded SHA-256 ${key}`)
}
