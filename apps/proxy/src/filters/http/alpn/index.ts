import { FilterConfig, FilterConfig_Protocol as Protocol } from '@weft/contracts/istio/filters/alpn'
import { applicationProtocolsKey } from '../../../upstream/requested-names.ts'
import type { HttpFilterKind } from '../filter.ts'

const versions: Readonly<Record<number, 10 | 11 | 20>> = {
  [Protocol.HTTP10]: 10,
  [Protocol.HTTP11]: 11,
  [Protocol.HTTP2]: 20,
}

/** `istio.alpn`: the application protocols that a request's connection offers, by the HTTP that its cluster is spoken to by. */
export const alpn: HttpFilterKind = {
  types: ['istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig'],
  compile(bytes, { services }) {
    const overrides = new Map<number, readonly string[]>()
    for (const { upstreamProtocol, alpnOverride } of FilterConfig.decode(bytes).alpnOverride) {
      const version = versions[upstreamProtocol]
      if (version !== undefined && alpnOverride.length > 0 && !overrides.has(version)) overrides.set(version, alpnOverride)
    }
    return {
      start: () => ({
        onRequestHeaders(stream) {
          const cluster = services?.cluster(stream.clusterName)
          const istio = stream.format.clusterMetadata?.['istio']
          const isOff = typeof istio === 'object' && istio !== null && 'alpn_override' in istio && istio.alpn_override === 'false'
          const override = cluster === undefined || isOff ? undefined : overrides.get(cluster.httpVersion(stream.request.version))
          if (override !== undefined) stream.filterState.set(applicationProtocolsKey, override)
          return 'continue'
        },
      }),
    }
  },
}
