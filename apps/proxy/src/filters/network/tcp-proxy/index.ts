import type { BackoffStrategy } from '@weft/contracts/envoy/config/core/v3/backoff'
import {
  ProxyProtocolTlvMergePolicy as MergePolicy,
  TcpProxy,
} from '@weft/contracts/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy'
import { compileAccessLogs } from '../../../observe/access-log/access-log.ts'
import { durationMs } from '../../../plan/duration.ts'
import { invalid, unsupported } from '../../../plan/problems.ts'
import { compileTlvs } from '../../../plan/tlv-entries.ts'
import { isRecord, MetadataCriteria } from '../../../upstream/load-balancers/metadata-criteria.ts'
import { ExchangeCounters } from '../../istio/peer-exchange.ts'
import type { NetworkFilterKind } from '../filter.ts'
import { compileConnectionHash } from './connection-pick.ts'
import { type ClusterShare, type TcpProxyPlan, TcpSession } from './tcp-session.ts'
import { compileTunnel } from './tunnel.ts'

/** `envoy.filters.network.tcp_proxy`. */
export const tcpProxy: NetworkFilterKind = {
  types: ['envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy'],
  compile(config, path, context) {
    const source = TcpProxy.decode(config)
    if (source.onDemand !== undefined) throw unsupported(`${path}.on_demand`, 'on_demand')
    const prefix = `tcp.${source.statPrefix}.`
    const counter = (name: string) => context.stats.counter(prefix + name)
    // What never happens here, and yet is looked for.
    for (const name of unused) counter(name)
    context.stats.gauge(`${prefix}downstream_cx_rx_bytes_buffered`)
    const metadataMatch = criteriaOf(source.metadataMatch?.filterMetadata, null)
    const clusters = compileClusters(source, metadataMatch, path)
    const logs = source.accessLogOptions
    if (logs !== undefined) refuseDoubled(source, path)
    const plan: TcpProxyPlan = {
      clusters,
      totalWeight: clusters.reduce((sum, { weight }) => sum + weight, 0),
      hash: compileConnectionHash(source.hashPolicy, `${path}.hash_policy`),
      metadataMatch,
      idleMs: durationMs(source.idleTimeout, 3_600_000),
      maxDurationMs: durationMs(source.maxDownstreamConnectionDuration, 0),
      durationJitter: (source.maxDownstreamConnectionDurationJitterPercentage?.value ?? 0) / 100,
      maxConnectAttempts: source.maxConnectAttempts ?? 1,
      backOff: compileBackOff(source.backoffOptions, `${path}.backoff_options`),
      closesOnDrain: source.checkDrainClose ?? false,
      tunnel: source.tunnelingConfig === undefined ? null : compileTunnel(source.tunnelingConfig, `${path}.tunneling_config`),
      tlvs: compileSessionTlvs(source, path),
      accessLog: compileAccessLogs(source.accessLog, `${path}.access_log`, {
        runtime: context.runtime,
        files: context.logFiles,
        services: context.services,
        stats: context.stats,
      }),
      logIntervalMs: durationMs(logs?.accessLogFlushInterval ?? source.accessLogFlushInterval, 0),
      logOnStart: logs?.flushAccessLogOnStart ?? false,
      logOnConnected: logs?.flushAccessLogOnConnected ?? source.flushAccessLogOnConnected,
      exchangeCounters: () => new ExchangeCounters(context.stats),
      stats: {
        total: counter('downstream_cx_total'),
        noRoute: counter('downstream_cx_no_route'),
        bytesRead: counter('downstream_cx_rx_bytes_total'),
        bytesWritten: counter('downstream_cx_tx_bytes_total'),
        bytesWrittenBuffered: context.stats.gauge(`${prefix}downstream_cx_tx_bytes_buffered`),
        idleTimeout: counter('idle_timeout'),
        maxDuration: counter('max_downstream_connection_duration'),
        drainClose: counter('downstream_cx_drain_close'),
        flushTotal: counter('upstream_flush_total'),
        flushActive: context.stats.gauge(`${prefix}upstream_flush_active`),
      },
    }
    return {
      alpn: null,
      accept(connection, info, services, onGone) {
        connection.countIn(plan.stats)
        return new TcpSession(plan, connection, info, services, onGone)
      },
      missed: () => plan.stats.total.inc(),
    }
  },
}

const unused = [
  'downstream_cx_overload_close',
  'downstream_flow_control_paused_reading_total',
  'downstream_flow_control_resumed_reading_total',
  'early_data_received_count_total',
  'route_delayed_total',
]

/** What stands both in `access_log_options` and where it stood before. */
/** The session's own TLVs beside those that its client's PROXY header brought (undefined: it brought no header). */
function compileSessionTlvs(source: TcpProxy, path: string): TcpProxyPlan['tlvs'] {
  if (source.proxyProtocolTlvs.length === 0) return (_session, own) => own
  const make = compileTlvs(source.proxyProtocolTlvs, `${path}.proxy_protocol_tlvs`)
  switch (source.proxyProtocolTlvMergePolicy) {
    case MergePolicy.OVERWRITE_BY_TYPE_IF_EXISTS_OR_ADD:
      return (session, own = []) => {
        const added = make(session)
        return [...added, ...own.filter(({ type }) => !added.some((one) => one.type === type))]
      }
    case MergePolicy.APPEND_IF_EXISTS_OR_ADD:
      return (session, own = []) => [...own, ...make(session)]
    default:
      return (session, own) => own ?? make(session)
  }
}

function refuseDoubled(source: TcpProxy, path: string): void {
  const doubled = source.flushAccessLogOnConnected
    ? 'flush_access_log_on_connected'
    : source.accessLogFlushInterval === undefined
      ? null
      : 'access_log_flush_interval'
  if (doubled !== null) throw invalid(`${path}.${doubled}`, `Only one of ${doubled} or access_log_options can be specified.`)
}

function compileBackOff(source: BackoffStrategy | undefined, path: string): TcpProxyPlan['backOff'] {
  if (source === undefined) return null
  const baseMs = durationMs(source.baseInterval, 0)
  const maxMs = durationMs(source.maxInterval, baseMs * 10)
  if (maxMs < baseMs) throw invalid(path, 'max_backoff_interval must be greater or equal to base_backoff_interval')
  return { baseMs, maxMs }
}

function compileClusters(source: TcpProxy, metadataMatch: MetadataCriteria | null, path: string): ClusterShare[] {
  switch (source.clusterSpecifier?.$case) {
    case undefined:
      throw invalid(path, 'one of cluster and weighted_clusters is needed')
    case 'cluster':
      return [{ name: source.clusterSpecifier.value, weight: 1, metadataMatch }]
    case 'weightedClusters':
      return source.clusterSpecifier.value.clusters.map((one) => ({
        name: one.name,
        weight: one.weight,
        metadataMatch: criteriaOf(one.metadataMatch?.filterMetadata, metadataMatch),
      }))
  }
}

/** Endpoint metadata that is asked for, added to what an outer level asks; null: any. */
function criteriaOf(
  metadata: Readonly<Record<string, unknown>> | undefined,
  outer: MetadataCriteria | null,
): MetadataCriteria | null {
  const wanted = metadata?.['envoy.lb']
  if (!isRecord(wanted)) return outer
  return outer === null ? new MetadataCriteria(wanted) : outer.merge(wanted)
}
