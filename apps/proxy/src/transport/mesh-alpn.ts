/**
 * The application protocol by which a sidecar of ours knows another one: HTTP/2 that carries whatever HTTP their clients
 * speak, requests of many connections on one. Only where both sides' TLS contexts name it; Envoy takes no notice of it.
 */
export const meshAlpn = 'weft-h2'

/** Whether this negotiated protocol is spoken as HTTP/2. */
export function isHttp2Alpn(name: string | false | null): boolean {
  return name === 'h2' || name === meshAlpn
}
