import type { X509Certificate } from 'node:crypto'
import type { TLSSocket } from 'node:tls'

const known = new WeakMap<TLSSocket, X509Certificate>()

/** Of those that a session began with: Node tells no client of them where it is resumed. */
const ofSessions = new WeakMap<Buffer, X509Certificate>()

/** Keeps the certificate of a connection's other end with a session of it. */
export function keepPeer(session: Buffer, socket: TLSSocket): void {
  const certificate = peerCertificate(socket)
  if (certificate !== undefined) ofSessions.set(session, certificate)
}

/** A connection has resumed a session: its other end is who it was. */
export function recallPeer(session: Buffer, socket: TLSSocket): void {
  const certificate = ofSessions.get(session)
  if (certificate !== undefined) known.set(socket, certificate)
}

/** The certificates that came beside this one, which is another's; a server is told of none by Node. */
export function sentBeside(certificate: X509Certificate): readonly X509Certificate[] {
  const sent: X509Certificate[] = []
  for (let next = certificate.issuerCertificate; next !== undefined && sent.length < maxSent; next = next.issuerCertificate)
    sent.push(next)
  return sent
}

/** Those of a peer that are looked at. */
const maxSent = 100

/**
 * The certificate of a connection's other end; undefined: it showed none. A client can ask Node for it just once. A server is not
 * told of the certificates that came beside it: `issuerCertificate` is there for clients alone.
 */
export function peerCertificate(socket: TLSSocket): X509Certificate | undefined {
  const before = known.get(socket)
  if (before !== undefined) return before
  const certificate = socket.getPeerX509Certificate()
  if (certificate !== undefined) known.set(socket, certificate)
  return certificate
}
