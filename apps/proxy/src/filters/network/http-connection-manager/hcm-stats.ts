import { Http2Stats } from '../../../observe/http2-stats.ts'
import type { Counter, Gauge, Histogram, Stats } from '../../../observe/stats.ts'

/** The connection manager's stats under Envoy's names (`http.<stat_prefix>.`). */
export class HcmStats {
  readonly connectionTotal: Counter
  readonly connectionActive: Gauge
  readonly connectionHttp1Total: Counter
  readonly connectionHttp1Active: Gauge
  readonly connectionHttp2Total: Counter
  readonly connectionHttp2Active: Gauge
  readonly connectionSslTotal: Counter
  readonly connectionSslActive: Gauge
  readonly connectionDestroy: Counter
  readonly destroyLocal: Counter
  readonly destroyRemote: Counter
  readonly destroyActive: Counter
  readonly destroyLocalActive: Counter
  readonly destroyRemoteActive: Counter
  readonly connectionLength: Histogram
  readonly bytesRead: Counter
  readonly bytesWritten: Counter
  readonly bytesWrittenBuffered: Gauge
  readonly protocolError: Counter
  readonly idleTimeout: Counter
  readonly maxDuration: Counter
  readonly maxRequests: Counter
  readonly drainClose: Counter
  readonly overloadClose: Counter
  readonly overloadDisableKeepalive: Counter
  readonly delayedCloseTimeout: Counter
  readonly upgradesTotal: Counter
  readonly upgradesActive: Gauge
  readonly requestTotal: Counter
  readonly requestHttp1Total: Counter
  readonly requestHttp2Total: Counter
  readonly requestActive: Gauge
  readonly requestCompleted: Counter
  readonly requestTime: Histogram
  readonly requestTimeout: Counter
  readonly headerTimeout: Counter
  readonly requestIdleTimeout: Counter
  readonly maxDurationReached: Counter
  readonly rxReset: Counter
  readonly txReset: Counter
  readonly nonRelativePath: Counter
  readonly tooLarge: Counter
  readonly wsOnNonWsRoute: Counter
  readonly normalizedRedirect: Counter
  readonly responseBeforeRequest: Counter
  readonly pathNormalizationFailed: Counter
  readonly tracingHealthCheck: Counter
  readonly rejectedByIpDetection: Counter
  readonly tooManyResets: Counter
  private readonly classes: (Counter | undefined)[]
  /** The same by listener; null where no listener is known. */
  private readonly listenerCompleted: Counter | null
  private readonly listenerClasses: (Counter | undefined)[]

  /** Where they are kept. */
  readonly store: Stats
  private codec: Http2Stats | null = null

  /** Of HTTP/2 connections, whatever their listener; there when the first one is. */
  get http2(): Http2Stats {
    this.codec ??= new Http2Stats(this.store, 'http2.')
    return this.codec
  }

  constructor(stats: Stats, prefix: string, listenerPrefix?: string) {
    this.store = stats
    const counter = (name: string) => stats.counter(prefix + name)
    const gauge = (name: string) => stats.gauge(prefix + name)
    this.connectionTotal = counter('downstream_cx_total')
    this.connectionActive = gauge('downstream_cx_active')
    this.connectionHttp1Total = counter('downstream_cx_http1_total')
    this.connectionHttp1Active = gauge('downstream_cx_http1_active')
    this.connectionHttp2Total = counter('downstream_cx_http2_total')
    this.connectionHttp2Active = gauge('downstream_cx_http2_active')
    this.connectionSslTotal = counter('downstream_cx_ssl_total')
    this.connectionSslActive = gauge('downstream_cx_ssl_active')
    this.connectionDestroy = counter('downstream_cx_destroy')
    this.destroyLocal = counter('downstream_cx_destroy_local')
    this.destroyRemote = counter('downstream_cx_destroy_remote')
    this.destroyActive = counter('downstream_cx_destroy_active_rq')
    this.destroyLocalActive = counter('downstream_cx_destroy_local_active_rq')
    this.destroyRemoteActive = counter('downstream_cx_destroy_remote_active_rq')
    this.connectionLength = stats.histogram(`${prefix}downstream_cx_length_ms`)
    this.bytesRead = counter('downstream_cx_rx_bytes_total')
    this.bytesWritten = counter('downstream_cx_tx_bytes_total')
    this.bytesWrittenBuffered = gauge('downstream_cx_tx_bytes_buffered')
    this.protocolError = counter('downstream_cx_protocol_error')
    this.idleTimeout = counter('downstream_cx_idle_timeout')
    this.maxDuration = counter('downstream_cx_max_duration_reached')
    this.maxRequests = counter('downstream_cx_max_requests_reached')
    this.drainClose = counter('downstream_cx_drain_close')
    this.overloadClose = counter('downstream_rq_overload_close')
    this.overloadDisableKeepalive = counter('downstream_cx_overload_disable_keepalive')
    this.delayedCloseTimeout = counter('downstream_cx_delayed_close_timeout')
    this.upgradesTotal = counter('downstream_cx_upgrades_total')
    this.upgradesActive = gauge('downstream_cx_upgrades_active')
    this.requestTotal = counter('downstream_rq_total')
    this.requestHttp1Total = counter('downstream_rq_http1_total')
    this.requestHttp2Total = counter('downstream_rq_http2_total')
    this.requestActive = gauge('downstream_rq_active')
    this.requestCompleted = counter('downstream_rq_completed')
    this.requestTime = stats.histogram(`${prefix}downstream_rq_time`)
    this.requestTimeout = counter('downstream_rq_timeout')
    this.headerTimeout = counter('downstream_rq_header_timeout')
    this.requestIdleTimeout = counter('downstream_rq_idle_timeout')
    this.maxDurationReached = counter('downstream_rq_max_duration_reached')
    this.rxReset = counter('downstream_rq_rx_reset')
    this.txReset = counter('downstream_rq_tx_reset')
    this.nonRelativePath = counter('downstream_rq_non_relative_path')
    this.tooLarge = counter('downstream_rq_too_large')
    this.wsOnNonWsRoute = counter('downstream_rq_ws_on_non_ws_route')
    this.normalizedRedirect = counter('downstream_rq_redirected_with_normalized_path')
    this.responseBeforeRequest = counter('downstream_rq_response_before_rq_complete')
    this.pathNormalizationFailed = counter('downstream_rq_failed_path_normalization')
    this.tooManyResets = counter('downstream_rq_too_many_premature_resets')
    this.rejectedByIpDetection = counter('downstream_rq_rejected_via_ip_detection')
    // What never happens here, and yet is looked for.
    for (const name of [
      'cx_http3_total',
      'rq_http3_total',
      'flow_control_paused_reading_total',
      'flow_control_resumed_reading_total',
    ]) {
      counter(`downstream_${name}`)
    }
    this.tracingHealthCheck = counter('tracing.health_check')
    for (const name of ['client_enabled', 'not_traceable', 'random_sampling', 'service_forced']) counter(`tracing.${name}`)
    counter('rs_too_large')
    for (const name of ['http1_soft_drain', 'http3_active', 'rx_bytes_buffered']) gauge(`downstream_cx_${name}`)
    const classesOf = (of: string) => [1, 2, 3, 4, 5].map((group) => stats.counter(`${of}downstream_rq_${group}xx`))
    this.classes = [undefined, ...classesOf(prefix)]
    this.listenerCompleted =
      listenerPrefix === undefined ? null : stats.counter(`${listenerPrefix}${prefix}downstream_rq_completed`)
    this.listenerClasses = listenerPrefix === undefined ? [] : [undefined, ...classesOf(listenerPrefix + prefix)]
  }

  /** Counts a response's class: `downstream_rq_2xx`. */
  response(status: number): void {
    const group = Math.floor(status / 100)
    this.requestCompleted.inc()
    this.classes[group]?.inc()
    if (this.listenerCompleted === null) return
    this.listenerCompleted.inc()
    this.listenerClasses[group]?.inc()
  }
}
