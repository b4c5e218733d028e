import { TcpProxy } from '@weft/contracts/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy'
import { compileAccessLogs } from '../../../observe/access-log/access-log.ts'
import { durationMs } from '../../../plan/duration.ts'
import { invalid, unsupported } from '../../../plan/problems.ts'
import type { NetworkFilterKind } from '../filter.ts'
import { type TcpProxyPlan, TcpSession } from './tcp-session.ts'

/** `envoy.filters.network.tcp_proxy`. */
export const tcpProxy: NetworkFilterKind = {
  types: ['envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy'],
  compile(config, path, context) {
    const source = TcpProxy.decode(config)
    if (source.tunnelingConfig !== undefined) throw unsupported(`${path}.tunneling_config`, 'tunneling_config')
    if (source.onDemand !== undefined) throw unsupported(`${path}.on_demand`, 'on_demand')
    const prefix = `tcp.${source.statPrefix}.`
    const plan: TcpProxyPlan = {
      clusters: compileClusters(source, path),
      idleMs: durationMs(source.idleTimeout, 3_600_000),
      maxDurationMs: durationMs(source.maxDownstreamConnectionDuration, 0),
      maxConnectAttempts: source.maxConnectAttempts ?? 1,
      accessLog: compileAccessLogs(source.accessLog, `${path}.access_log`, { runtime: context.runtime, files: context.logFiles }),
      stats: {
        total: context.stats.counter(`${prefix}downstream_cx_total`),
        noRoute: context.stats.counter(`${prefix}downstream_cx_no_route`),
        bytesRead: context.stats.counter(`${prefix}downstream_cx_rx_bytes_total`),
        bytesWritten: context.stats.counter(`${prefix}downstream_cx_tx_bytes_total`),
        bytesWrittenBuffered: context.stats.gauge(`${prefix}downstream_cx_tx_bytes_buffered`),
        idleTimeout: context.stats.counter(`${prefix}idle_timeout`),
        maxDuration: context.stats.counter(`${prefix}max_downstream_connection_duration`),
      },
    }
    return {
      alpn: null,
      accept: (connection, info, services, onGone) => new TcpSession(plan, connection, info, services, onGone),
    }
  },
}

function compileClusters(source: TcpProxy, path: string): TcpProxyPlan['clusters'] {
  switch (source.clusterSpecifier?.$case) {
    case undefined:
      throw invalid(path, 'one of cluster and weighted_clusters is needed')
    case 'cluster':
      return [{ name: source.clusterSpecifier.value, weight: 1 }]
    case 'weightedClusters':
      return source.clusterSpecifier.value.clusters.map(({ name, weight }) => ({ name, weight }))
  }
}
