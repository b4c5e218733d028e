import { TlsInspector } from '@weft/contracts/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector'
import { fingerprintsOf } from '../../../transport/client-fingerprint.ts'
import { inspectClientHello } from '../../../transport/client-hello.ts'
import type { ListenerFilterKind } from '../filter.ts'

/** More than any real client's hello has. */
const longestHello = 16 * 1024

/** `envoy.filters.listener.tls_inspector`: whether a client speaks TLS, and the server name and protocols it asks for. */
export const tlsInspector: ListenerFilterKind = {
  types: ['envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector'],
  compile(config, _path, { stats }) {
    const source = TlsInspector.decode(config)
    const takesJa3 = source.enableJa3Fingerprinting === true
    const takesJa4 = source.enableJa4Fingerprinting === true
    const maxBytes = source.maxClientHelloSize ?? longestHello
    const counter = (name: string) => stats.counter(`tls_inspector.${name}`)
    const tooLarge = counter('client_hello_too_large')
    const found = counter('tls_found')
    const notFound = counter('tls_not_found')
    const alpnFound = counter('alpn_found')
    const alpnNotFound = counter('alpn_not_found')
    const sniFound = counter('sni_found')
    const sniNotFound = counter('sni_not_found')
    const processed = stats.histogram('tls_inspector.bytes_processed')
    return {
      maxBytes,
      inspect(bytes, facts) {
        const inspection = inspectClientHello(bytes.subarray(0, maxBytes))
        switch (inspection.type) {
          case 'more':
            if (bytes.length < maxBytes) return 'more'
            tooLarge.inc()
            return 'refuse'
          case 'plain':
            notFound.inc()
            if (source.closeConnectionOnClientHelloParsingErrors) return 'refuse'
            break
          case 'tls': {
            const { serverName, alpn } = inspection.hello
            found.inc()
            if (alpn.length > 0) alpnFound.inc()
            else alpnNotFound.inc()
            if (serverName !== '') sniFound.inc()
            else sniNotFound.inc()
            facts.transportProtocol = 'tls'
            facts.serverName = serverName
            facts.applicationProtocols = alpn
            if (takesJa3 || takesJa4) {
              const { ja3, ja4 } = fingerprintsOf(inspection.body)
              facts.fingerprints = { ...(takesJa3 ? { ja3 } : {}), ...(takesJa4 ? { ja4 } : {}) }
            }
          }
        }
        processed.record(bytes.length)
        return 0
      },
    }
  },
}
