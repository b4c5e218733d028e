import { X509Certificate } from 'node:crypto'
import { spiffeIdOf } from './verify.ts'

/** The part of a grpc-js server call that tells who called. */
export interface CallWithPeer {
  getAuthContext(): { sslPeerCertificate?: { raw: Buffer } | undefined }
}

/**
 * The SPIFFE id of a call's client certificate, which TLS has verified against the trust bundle; undefined when the client
 * showed none, or one without a SPIFFE id.
 */
export function peerIdentity(call: CallWithPeer): string | undefined {
  const raw = call.getAuthContext().sslPeerCertificate?.raw
  if (raw === undefined) return undefined
  try {
    return spiffeIdOf(new X509Certificate(raw)).uri
  } catch {
    return undefined
  }
}
