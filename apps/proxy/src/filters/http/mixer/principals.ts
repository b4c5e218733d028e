import type { TlsInfo } from '../../../transport/connection-info.ts'

const SPIFFE_SCHEME = 'spiffe://'

/** Whether both sides of a connection showed certificates. */
export function isMutualTls(tls: TlsInfo | null): boolean {
  return tls?.peer?.verified === true
}

/** The peer's SPIFFE id without its scheme (`cluster.local/ns/default/sa/a`); '' for none that was verified. */
export function peerPrincipal(tls: TlsInfo | null): string {
  const peer = tls?.peer
  return peer?.verified === true ? principalOf(peer.uris) : ''
}

/** Our own SPIFFE id without its scheme; '' for none. */
export function localPrincipal(tls: TlsInfo | null): string {
  return tls === null ? '' : principalOf(tls.localUris)
}

function principalOf(uris: readonly string[]): string {
  for (const uri of uris) if (uri.startsWith(SPIFFE_SCHEME)) return uri.slice(SPIFFE_SCHEME.length)
  return ''
}
