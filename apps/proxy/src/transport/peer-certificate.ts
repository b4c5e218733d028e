import type { X509Certificate } from 'node:crypto'
import type { TLSSocket } from 'node:tls'

const known = new WeakMap<TLSSocket, X509Certificate>()

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
