import tls from 'node:tls'
import type { TransportSocket } from '@weft/contracts/envoy/config/core/v3/base'
import { DownstreamTlsContext } from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/tls'
import { invalid, unsupported } from './problems.ts'
import type { SecretStore } from './secret-store.ts'
import { compileSessionTickets } from './session-tickets.ts'
import { compileTlsContext, type TlsMaterial } from './tls-context.ts'

/** TLS of a filter chain. */
export interface DownstreamTls {
  /** The server for handshakes now, made anew when secrets came; null until they are there. `alpn`: what the client offered. */
  server(alpn: readonly string[]): { server: tls.Server; material: TlsMaterial } | null
  /** Whether a client without certificate is turned away. */
  requireClientCertificate: boolean
}

/** Compiles a filter chain's transport socket; null for a plaintext one. `speaks`: ALPN names the chain's filter can serve. */
export function compileDownstreamTls(
  socket: TransportSocket,
  path: string,
  secrets: SecretStore,
  speaks: readonly string[] | null,
): DownstreamTls | null {
  const any = socket.configType?.value
  if (any?.typeUrl.endsWith('.raw_buffer.v3.RawBuffer')) return null
  if (any === undefined || !any.typeUrl.endsWith('.tls.v3.DownstreamTlsContext')) {
    throw unsupported(`${path}.typed_config`, `transport socket '${any?.typeUrl ?? socket.name}'`)
  }
  const source = DownstreamTlsContext.decode(any.value)
  const { tlsCertificates = [], tlsCertificateSdsSecretConfigs = [] } = source.commonTlsContext ?? {}
  if (tlsCertificates.length > 0 && tlsCertificateSdsSecretConfigs.length > 0)
    throw invalid(
      `${path}.typed_config.common_tls_context`,
      'SDS and non-SDS TLS certificates may not be mixed in server contexts',
    )
  const context = compileTlsContext(source.commonTlsContext, `${path}.typed_config`, secrets, false)
  const requireClientCertificate = source.requireClientCertificate ?? false
  const alpn = speaks === null ? context.alpn : context.alpn.filter((name) => speaks.includes(name))
  const tickets = compileSessionTickets(source, `${path}.typed_config`)
  let made: { material: TlsMaterial; withAlpn: tls.Server | null; without: tls.Server | null } | null = null
  return {
    requireClientCertificate,
    server(offered) {
      const material = context.current()
      if (material === null) return null
      if (made === null || made.material !== material) made = { material, withAlpn: null, without: null }
      const options: tls.TlsOptions = {
        ...material.options,
        ...tickets(material),
        requestCert: requireClientCertificate || material.validation !== null,
        // Judged after the handshake, with the names; OpenSSL's verdict is kept in `authorized`.
        rejectUnauthorized: false,
      }
      // A client without a protocol of ours goes on without ALPN, as with Envoy; Node would end the handshake.
      if (alpn.some((name) => offered.includes(name))) {
        made.withAlpn ??= createServer({ ...options, ALPNProtocols: [...alpn] })
        return { server: made.withAlpn, material }
      }
      made.without ??= createServer(options)
      return { server: made.without, material }
    },
  }
}

/** Node's servers overlook `allowPartialTrustChain`: what their handshakes are made with is told so. */
function createServer(options: tls.TlsOptions & tls.SecureContextOptions): tls.Server {
  const server = tls.createServer(options)
  const shared: unknown = Reflect.get(server, '_sharedCreds')
  if (options.allowPartialTrustChain === true && isSecureContext(shared)) shared.context.setAllowPartialTrustChain()
  return server
}

function isSecureContext(value: unknown): value is { context: { setAllowPartialTrustChain(): void } } {
  if (typeof value !== 'object' || value === null || !('context' in value)) return false
  const { context } = value
  return typeof context === 'object' && context !== null && 'setAllowPartialTrustChain' in context
}
