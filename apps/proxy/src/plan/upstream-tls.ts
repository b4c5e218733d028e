import { X509Certificate } from 'node:crypto'
import type { TransportSocket } from '@weft/contracts/envoy/config/core/v3/base'
import { UpstreamTlsContext } from '@weft/contracts/envoy/extensions/transport_sockets/tls/v3/tls'
import type { UpstreamTls } from '../transport/upstream-tls.ts'
import { unsupported } from './problems.ts'
import type { SecretStore } from './secret-store.ts'
import { compileTlsContext } from './tls-context.ts'

/** Compiles a cluster's transport socket; null for a plaintext one. */
export function compileUpstreamTls(socket: TransportSocket, path: string, secrets: SecretStore): UpstreamTls | null {
  const any = socket.configType?.value
  if (
    any?.typeUrl.endsWith('.raw_buffer.v3.RawBuffer') ||
    (any === undefined && socket.name === 'envoy.transport_sockets.raw_buffer')
  )
    return null
  if (any === undefined || !any.typeUrl.endsWith('.tls.v3.UpstreamTlsContext')) {
    throw unsupported(`${path}.typed_config`, `transport socket '${any?.typeUrl ?? socket.name}'`)
  }
  const source = UpstreamTlsContext.decode(any.value)
  const context = compileTlsContext(source.commonTlsContext, `${path}.typed_config`, secrets, true)
  return {
    alpn: context.alpn,
    connectOptions() {
      const material = context.current()
      if (material === null) return 'not-ready'
      const { validation } = material
      const servername = source.sni
      const verify = validation !== null && validation.ca !== null && !validation.acceptUntrusted
      return {
        secureContext: material.context,
        ...(servername === '' ? {} : { servername }),
        rejectUnauthorized: verify,
        // Names are matched as configured, not by the host that was asked for.
        checkServerIdentity: (_host, peer) => {
          if (validation === null || peer.raw === undefined) return undefined
          const problem = validation.checkNames(new X509Certificate(peer.raw))
          return problem === null ? undefined : new Error(problem)
        },
      }
    },
    close() {},
  }
}
