import type { RequestNames } from '../transport/upstream-tls.ts'

/** Filter state by which filters say what the handshake of a request's connection asks for, as Envoy calls it. */
export const applicationProtocolsKey = 'envoy.network.application_protocols'
const serverNameKey = 'envoy.network.upstream_server_name'

/** What a handshake asks for, with what filter state says of it. Lists are arrays, or text with commas. */
export function withStatedNames(names: RequestNames | null, state: ReadonlyMap<string, unknown> | null): RequestNames | null {
  if (state === null || state.size === 0) return names
  const protocols = state.get(applicationProtocolsKey)
  const serverName = state.get(serverNameKey)
  if (protocols === undefined && serverName === undefined) return names
  const alpn = typeof protocols === 'string' ? protocols.split(',') : protocols
  return {
    sni: typeof serverName === 'string' && serverName !== '' ? serverName : (names?.sni ?? ''),
    san: names?.san ?? '',
    ...(Array.isArray(alpn) && alpn.length > 0 ? { alpn: alpn.map(String) } : {}),
  }
}
