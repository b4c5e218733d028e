import type { TLSSocket } from 'node:tls'
import type { PeerCertificate, TlsInfo } from '../filters/http/filter.ts'
import { namesOf } from '../plan/tls-material.ts'

/** What TLS says about an established connection. `serverName`: SNI as sent. Reading certificates costs; keep the result. */
export function tlsInfoOf(
  socket: TLSSocket,
  serverName: string,
  localUris: readonly string[] = [],
  verified = socket.authorized,
): TlsInfo {
  const certificate = socket.getPeerX509Certificate()
  let peer: PeerCertificate | null = null
  if (certificate !== undefined) {
    const names = namesOf(certificate)
    peer = {
      subject: rfc2253(certificate.subject ?? ''),
      issuer: rfc2253(certificate.issuer ?? ''),
      uris: names.uris,
      dnsNames: names.dnsNames,
      serialNumber: certificate.serialNumber.toLowerCase(),
      fingerprint256: certificate.fingerprint256.replaceAll(':', '').toLowerCase(),
      pem: certificate.toString(),
      verified,
      validFrom: new Date(certificate.validFrom),
      validTo: new Date(certificate.validTo),
      x509: certificate,
    }
  }
  const local = socket.getX509Certificate()
  return {
    version: socket.getProtocol() ?? '',
    cipher: socket.getCipher()?.standardName ?? '',
    alpn: typeof socket.alpnProtocol === 'string' ? socket.alpnProtocol : '',
    serverName,
    peer,
    localUris,
    local,
    localSubject: rfc2253(local?.subject ?? ''),
    group: groupOf(socket),
  }
}

/** Only clients are told by Node. */
function groupOf(socket: TLSSocket): string {
  const key = socket.getEphemeralKeyInfo()
  return key !== null && 'name' in key && typeof key.name === 'string' ? key.name : ''
}

/** Node's one-attribute-a-line name as RFC 2253 has it: last first, by commas, with what is special escaped. */
function rfc2253(name: string): string {
  return name
    .split('\n')
    .filter((line) => line !== '')
    .reverse()
    .map((line) => {
      const at = line.indexOf('=')
      return `${line.slice(0, at)}=${line.slice(at + 1).replaceAll(/[,+"\\<>;]/g, '\\$&')}`
    })
    .join(',')
}
