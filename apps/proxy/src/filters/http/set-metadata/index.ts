import { Config } from '@weft/contracts/envoy/extensions/filters/http/set_metadata/v3/set_metadata'
import type { HttpFilter, HttpFilterKind } from '../filter.ts'
import { mergeMetadata } from '../metadata-merge.ts'

/** `envoy.filters.http.set_metadata`: dynamic metadata, the same for every request. Typed metadata, which nobody here reads, is left out. */
export const setMetadata: HttpFilterKind = {
  types: ['envoy.extensions.filters.http.set_metadata.v3.Config'],
  // Routes may have a configuration, which changes nothing in Envoy.
  routeTypes: ['envoy.extensions.filters.http.set_metadata.v3.Config'],
  compileRouteConfig: () => undefined,
  compile(bytes, context) {
    const source = Config.decode(bytes)
    const denied = context.stats.counter(`${context.statPrefix}set_metadata.overwrite_denied`)
    // The older form merges always.
    const entries =
      source.value === undefined ? [] : [{ namespace: source.metadataNamespace, value: source.value, overwrites: true }]
    source.metadata.forEach((one) => {
      if (one.value !== undefined)
        entries.push({ namespace: one.metadataNamespace, value: one.value, overwrites: one.allowOverwrite })
    })
    const filter: HttpFilter = {
      onRequestHeaders(stream) {
        for (const { namespace, value, overwrites } of entries) {
          const known = stream.metadataOrNull?.[namespace] !== undefined
          if (known && !overwrites) denied.inc()
          else mergeMetadata(stream.metadata(namespace), value)
        }
        return 'continue'
      },
    }
    return { start: () => filter }
  },
}
