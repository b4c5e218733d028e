import type { X509Certificate } from 'node:crypto'
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { namesOf } from '../plan/tls-material.ts'
import type { PeerCertificate, TlsInfo } from './connection-info.ts'
import { peerCertificate } from './peer-certificate.ts'

/**
 * What TLS says about an established connection, `serverName` as the client sent it. Certificates are read when they are asked
 * for: most connections never are.
 */
export function tlsInfoOf(
  socket: TLSSocket,
  serverName: string,
  local: LocalCertificate | null = null,
  verified = socket.authorized,
): TlsInfo {
  const x509 = peerCertificate(socket)
  // After the socket's end it would tell nothing more.
  const own = local?.leaf ?? socket.getX509Certificate()
  return {
    version: socket.getProtocol() ?? '',
    cipher: socket.getCipher()?.name ?? '',
    alpn: typeof socket.alpnProtocol === 'string' ? socket.alpnProtocol : '',
    serverName,
    peer: x509 === undefined ? null : new PeerOf(x509, verified),
    localUris: local?.uris ?? [],
    local: own,
    get localSubject() {
      return rfc2253(own?.subject ?? '')
    },
    group: local === null ? groupOf(socket) : '',
  }
}

/** What TLS says of a connection that was made here; null: it is none of TLS. Asked when it stands: at its end nobody knows. */
export function clientTlsInfo(socket: Socket): TlsInfo | null {
  if (!(socket instanceof TLSSocket)) return null
  const name: unknown = 'servername' in socket ? socket.servername : ''
  return tlsInfoOf(socket, typeof name === 'string' ? name : '')
}

/** The certificate that a server shows. */
export interface LocalCertificate {
  readonly leaf: X509Certificate
  readonly uris: readonly string[]
}

class PeerOf implements PeerCertificate {
  readonly x509: X509Certificate
  readonly verified: boolean
  private read: ReturnType<typeof namesOf> | null = null

  constructor(x509: X509Certificate, verified: boolean) {
    this.x509 = x509
    this.verified = verified
  }

  private get names(): ReturnType<typeof namesOf> {
    this.read ??= namesOf(this.x509)
    return this.read
  }
  get uris(): readonly string[] {
    return this.names.uris
  }
  get dnsNames(): readonly string[] {
    return this.names.dnsNames
  }
  get subject(): string {
    return rfc2253(this.x509.subject ?? '')
  }
  get issuer(): string {
    return rfc2253(this.x509.issuer ?? '')
  }
  get serialNumber(): string {
    return this.x509.serialNumber.toLowerCase()
  }
  get fingerprint256(): string {
    return this.x509.fingerprint256.replaceAll(':', '').toLowerCase()
  }
  get pem(): string {
    return this.x509.toString()
  }
  get validFrom(): Date {
    return new Date(this.x509.validFrom)
  }
  get validTo(): Date {
    return new Date(this.x509.validTo)
  }
}

/** The group that keys were exchanged in, as BoringSSL calls it; empty: unknown. Only clients are told by Node. */
export function groupOf(socket: TLSSocket): string {
  const key = socket.getEphemeralKeyInfo()
  const name = key !== null && 'name' in key && typeof key.name === 'string' ? key.name : ''
  return boringNames[name] ?? name
}

const boringNames: Readonly<Record<string, string>> = {
  x25519: 'X25519',
  prime256v1: 'P-256',
  secp384r1: 'P-384',
  secp521r1: 'P-521',
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
