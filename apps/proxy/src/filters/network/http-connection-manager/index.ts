import { meshAlpn } from '../../../transport/mesh-alpn.ts'
import type { NetworkFilterKind } from '../filter.ts'
import { countMissed, DownstreamConnection } from './downstream-connection.ts'
import { ExchangePool } from './exchange-pool.ts'
import { allFilters, type CodecType, compileHcm } from './hcm-plan.ts'

/** What ALPN may agree on for each codec_type. */
const alpnNames: Readonly<Record<CodecType, readonly string[]>> = {
  auto: [meshAlpn, 'h2', 'http/1.1', 'http/1.0'],
  http1: ['http/1.1', 'http/1.0'],
  http2: [meshAlpn, 'h2'],
}

/** `envoy.filters.network.http_connection_manager`. */
export const httpConnectionManager: NetworkFilterKind = {
  types: ['envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'],
  compile(config, path, context) {
    const plan = compileHcm(config, path, context)
    const exchanges = new ExchangePool()
    return {
      alpn: alpnNames[plan.codec],
      accept: (connection, info, services, onGone) =>
        new DownstreamConnection(plan, exchanges, services, connection, info, onGone),
      missed: (durationMs, byUs) => countMissed(plan, durationMs, byUs),
      adopt(session) {
        if (session instanceof DownstreamConnection) session.continueUnder(plan, exchanges)
      },
      close() {
        for (const { filter } of allFilters(plan)) filter.close?.()
        plan.tracing?.close()
      },
    }
  },
}
