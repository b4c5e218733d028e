import type { X509Certificate } from 'node:crypto'
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { namesOf } from '../plan/tls-material.ts'
import type { TlsSession } from '../tls/tls-session.ts'
import type { PeerCertificate, TlsInfo } from './connection-info.ts'
import { peerCertificate, sentBeside } from './peer-certificate.ts'

/** What a handshake has led to, by whoever made it. */
export interface HandshakeFacts {
  readonly version: string
  readonly cipher: string
  readonly alpn: string
  /** As BoringSSL calls it; empty: unknown. */
  readonly group: string
  /** Hex; empty: unknown. */
  readonly sessionId: string
  readonly own: X509Certificate | undefined
  readonly peer: X509Certificate | undefined
  /** Those that it sent beside it. */
  sentBeside(): readonly X509Certificate[]
}

/** Those of a connection of Node's TLS. */
export function factsOf(socket: TLSSocket): HandshakeFacts {
  const peer = peerCertificate(socket)
  return {
    version: socket.getProtocol() ?? '',
    cipher: socket.getCipher()?.name ?? '',
    alpn: typeof socket.alpnProtocol === 'string' ? socket.alpnProtocol : '',
    group: groupOf(socket),
    // Node tells it of sessions that can be resumed only, inside of what it keeps for that.
    sessionId: '',
    own: socket.getX509Certificate(),
    peer,
    sentBeside: () => (peer === undefined ? [] : sentBeside(peer)),
  }
}

/** Those of one of ours. */
export function factsOfSession(session: TlsSession): Omit<HandshakeFacts, 'own'> {
  return {
    version: session.protocol,
    cipher: session.cipher,
    alpn: session.alpn,
    group: boringName(session.group),
    // Those of TLS 1.3 have none that is told.
    sessionId: session.protocol === 'TLSv1.3' ? '' : session.id,
    peer: session.peer,
    sentBeside: () => session.sentBeside,
  }
}

/**
 * What TLS says about an established connection, `serverName` as the client sent it, `verified` whether the peer's certificate is good.
 * Of it, names are read when they are asked for: most connections never are. `localUris` null: they are those of its own certificate.
 */
export function tlsInfoOf(
  { version, cipher, alpn, group, sessionId, own, peer, sentBeside }: HandshakeFacts,
  serverName: string,
  localUris: readonly string[] | null,
  verified: boolean,
): TlsInfo {
  let ownUris = localUris
  return {
    version,
    cipher,
    alpn,
    serverName,
    peer: peer === undefined ? null : new PeerOf(peer, verified, sentBeside),
    get localUris() {
      ownUris ??= own === undefined ? [] : namesOf(own).uris
      return ownUris
    },
    local: own,
    get localSubject() {
      return rfc2253(own?.subject ?? '')
    },
    group,
    sessionId,
  }
}

/** What TLS says of a connection that was made here; null: it is none of TLS. Asked when it stands: at its end nobody knows. */
export function clientTlsInfo(socket: Socket): TlsInfo | null {
  if (!(socket instanceof TLSSocket)) return null
  const name: unknown = 'servername' in socket ? socket.servername : ''
  return tlsInfoOf(factsOf(socket), typeof name === 'string' ? name : '', null, socket.authorized)
}

class PeerOf implements PeerCertificate {
  readonly x509: X509Certificate
  readonly verified: boolean
  private readonly sentBeside: HandshakeFacts['sentBeside']
  private read: ReturnType<typeof namesOf> | null = null
  private sent: readonly X509Certificate[] | null = null

  constructor(x509: X509Certificate, verified: boolean, sentBeside: HandshakeFacts['sentBeside']) {
    this.x509 = x509
    this.verified = verified
    this.sentBeside = sentBeside
  }

  get chain(): readonly X509Certificate[] {
    this.sent ??= [this.x509, ...this.sentBeside()]
    return this.sent
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
  return boringName(name)
}

function boringName(name: string): string {
  return boringNames[name] ?? name
}

const boringNames: Readonly<Record<string, string>> = {
  x25519: 'X25519',
  prime256v1: 'P-256',
  secp256r1: 'P-256',
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
