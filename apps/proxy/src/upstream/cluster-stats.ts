import type { TLSSocket } from 'node:tls'
import { clusterPrefix } from '../observe/cluster-prefix.ts'
import { Http2Stats } from '../observe/http2-stats.ts'
import type { Counter, Gauge, Histogram, StatScope, StatSource, Stats } from '../observe/stats.ts'
import { statusNames } from '../observe/status-names.ts'
import { groupOf } from '../transport/tls-info.ts'

/** A cluster's stats under Envoy's names (`cluster.<name>.`), those of the request path as fields. */
export class ClusterStats {
  readonly requestTotal: Counter
  readonly requestActive: Gauge
  readonly requestCompleted: Counter
  readonly requestTimeout: Counter
  readonly perTryTimeout: Counter
  readonly perTryIdleTimeout: Counter
  readonly maxDurationReached: Counter
  readonly requestCancelled: Counter
  readonly maintenance: Counter
  readonly rxReset: Counter
  readonly txReset: Counter
  readonly retry: Counter
  readonly retrySuccess: Counter
  readonly retryAbandoned: Counter
  readonly retryOverflow: Counter
  readonly retryLimitExceeded: Counter
  readonly retryBackoffExponential: Counter
  readonly retryBackoffRatelimited: Counter
  readonly internalRedirectSucceeded: Counter
  readonly internalRedirectFailed: Counter
  readonly pendingTotal: Counter
  readonly pendingActive: Gauge
  readonly pendingOverflow: Counter
  readonly pendingFailureEject: Counter
  readonly connectionTotal: Counter
  readonly connectionActive: Gauge
  readonly connectionHttp1: Counter
  readonly connectionHttp2: Counter
  readonly connectFail: Counter
  readonly bindErrors: Counter
  readonly connectTimeout: Counter
  readonly connectAttemptsExceeded: Counter
  readonly connectMs: Histogram
  readonly connectionLength: Histogram
  readonly connectionOverflow: Counter
  readonly connectionPoolOverflow: Counter
  readonly connectionDestroy: Counter
  readonly destroyLocal: Counter
  readonly destroyRemote: Counter
  readonly destroyWithRequest: Counter
  readonly destroyLocalWithRequest: Counter
  readonly destroyRemoteWithRequest: Counter
  readonly closeNotify: Counter
  readonly noneHealthy: Counter
  readonly maxRequests: Counter
  readonly idleTimeout: Counter
  readonly protocolError: Counter
  readonly bytesRead: Counter
  readonly bytesWritten: Counter
  readonly bytesWrittenBuffered: Gauge
  readonly originalDestinationInvalid: Counter
  readonly membershipTotal: Gauge
  readonly membershipHealthy: Gauge
  readonly membershipChange: Counter
  private readonly stats: StatScope
  /** `cluster.<name>.` */
  readonly prefix: string
  private readonly internalCodes: Counter[][] = []
  private readonly externalCodes: Counter[][] = []
  private readonly retriedCodes: Counter[][] = []
  private codec: Http2Stats | null = null
  private ssl: UpstreamTlsStats | null = null
  private knowsHttp1 = false
  private readonly times = new Map<string, Histogram>()

  /** Of HTTP/2 connections; there when the first one is. */
  get http2(): Http2Stats {
    this.codec ??= new Http2Stats(this.stats, `${this.prefix}http2.`)
    return this.codec
  }

  /** Of connections by TLS; there where some are. */
  get tls(): UpstreamTlsStats {
    this.ssl ??= new UpstreamTlsStats(this.stats, `${this.prefix}ssl.`)
    return this.ssl
  }

  /** `tls`: its connections are made by TLS, or may be. */
  constructor(stats: Stats, name: string, tls: boolean) {
    const prefix = `${clusterPrefix({ name })}.`
    const scope = stats.scope(prefix)
    const counter = (stat: string) => scope.counter(prefix + stat)
    const gauge = (stat: string) => scope.gauge(prefix + stat)
    this.stats = scope
    this.prefix = prefix
    this.requestTotal = counter('upstream_rq_total')
    this.requestActive = gauge('upstream_rq_active')
    this.requestCompleted = counter('upstream_rq_completed')
    this.requestTimeout = counter('upstream_rq_timeout')
    this.perTryTimeout = counter('upstream_rq_per_try_timeout')
    this.perTryIdleTimeout = counter('upstream_rq_per_try_idle_timeout')
    this.maxDurationReached = counter('upstream_rq_max_duration_reached')
    this.requestCancelled = counter('upstream_rq_cancelled')
    this.maintenance = counter('upstream_rq_maintenance_mode')
    this.rxReset = counter('upstream_rq_rx_reset')
    this.txReset = counter('upstream_rq_tx_reset')
    this.retry = counter('upstream_rq_retry')
    this.retrySuccess = counter('upstream_rq_retry_success')
    this.retryAbandoned = counter('retry_or_shadow_abandoned')
    this.retryOverflow = counter('upstream_rq_retry_overflow')
    this.retryLimitExceeded = counter('upstream_rq_retry_limit_exceeded')
    this.retryBackoffExponential = counter('upstream_rq_retry_backoff_exponential')
    this.retryBackoffRatelimited = counter('upstream_rq_retry_backoff_ratelimited')
    this.internalRedirectSucceeded = counter('upstream_internal_redirect_succeeded_total')
    this.internalRedirectFailed = counter('upstream_internal_redirect_failed_total')
    this.pendingTotal = counter('upstream_rq_pending_total')
    this.pendingActive = gauge('upstream_rq_pending_active')
    this.pendingOverflow = counter('upstream_rq_pending_overflow')
    this.pendingFailureEject = counter('upstream_rq_pending_failure_eject')
    this.connectionTotal = counter('upstream_cx_total')
    this.connectionActive = gauge('upstream_cx_active')
    this.connectionHttp1 = counter('upstream_cx_http1_total')
    this.connectionHttp2 = counter('upstream_cx_http2_total')
    this.connectFail = counter('upstream_cx_connect_fail')
    this.bindErrors = counter('bind_errors')
    this.connectTimeout = counter('upstream_cx_connect_timeout')
    this.connectAttemptsExceeded = counter('upstream_cx_connect_attempts_exceeded')
    this.connectMs = scope.histogram(`${prefix}upstream_cx_connect_ms`)
    this.connectionLength = scope.histogram(`${prefix}upstream_cx_length_ms`)
    this.connectionOverflow = counter('upstream_cx_overflow')
    this.connectionPoolOverflow = counter('upstream_cx_pool_overflow')
    this.connectionDestroy = counter('upstream_cx_destroy')
    this.destroyLocal = counter('upstream_cx_destroy_local')
    this.destroyRemote = counter('upstream_cx_destroy_remote')
    this.destroyWithRequest = counter('upstream_cx_destroy_with_active_rq')
    this.destroyLocalWithRequest = counter('upstream_cx_destroy_local_with_active_rq')
    this.destroyRemoteWithRequest = counter('upstream_cx_destroy_remote_with_active_rq')
    this.closeNotify = counter('upstream_cx_close_notify')
    this.noneHealthy = counter('upstream_cx_none_healthy')
    this.maxRequests = counter('upstream_cx_max_requests')
    this.idleTimeout = counter('upstream_cx_idle_timeout')
    this.protocolError = counter('upstream_cx_protocol_error')
    this.bytesRead = counter('upstream_cx_rx_bytes_total')
    this.bytesWritten = counter('upstream_cx_tx_bytes_total')
    this.bytesWrittenBuffered = gauge('upstream_cx_tx_bytes_buffered')
    this.originalDestinationInvalid = counter('original_dst_host_invalid')
    this.membershipTotal = gauge('membership_total')
    this.membershipHealthy = gauge('membership_healthy')
    this.membershipChange = counter('membership_change')
    if (tls) this.ssl = new UpstreamTlsStats(scope, `${prefix}ssl.`)
    // What is looked for, and does not happen here or is counted by the main thread.
    for (const name of unused.split(' ')) counter(name)
    for (const name of ['max_host_weight', 'version']) gauge(name)
    gauge('warming_state').set(0)
  }

  /** Where the rest of what is counted of the cluster belongs. */
  get scope(): StatSource {
    return this.stats
  }

  /** The cluster is gone or replaced: its stats go with the last that has them. */
  close(): void {
    this.stats.leave()
  }

  /** A connection of HTTP/1.1 begins. */
  beginHttp1(): void {
    this.connectionHttp1.inc()
    if (this.knowsHttp1) return
    this.knowsHttp1 = true
    // Nothing of the kind happens here, and yet it is looked for.
    for (const name of unusedOfHttp1.split(' ')) this.stats.counter(`${this.prefix}http1.${name}`)
  }

  /** Records how long a request took, in milliseconds: for all, for the internal or the external, and for canaries. */
  took(ms: number, internal: boolean, byCanary: boolean): void {
    this.timesOf('').record(ms)
    this.timesOf(internal ? 'internal.' : 'external.').record(ms)
    if (byCanary) this.timesOf(canaryName).record(ms)
  }

  private timesOf(kind: '' | 'internal.' | 'external.' | typeof canaryName): Histogram {
    let times = this.times.get(kind)
    if (times === undefined) {
      times = this.stats.histogram(`${this.prefix}${kind}upstream_rq_time`)
      this.times.set(kind, times)
    }
    return times
  }

  /** Counts a response's status: `upstream_rq_2xx`, `upstream_rq_200`, and the same under `internal.` or `external.`. */
  response(status: number, internal: boolean): void {
    const codes = internal ? this.internalCodes : this.externalCodes
    let counters = codes[status]
    if (counters === undefined) {
      counters = this.codeCounters(status, internal ? 'internal.' : 'external.')
      codes[status] = counters
    }
    for (let i = 0; i < counters.length; i++) counters[i]!.inc()
  }

  /** The same without the first two: of a gRPC request, whose HTTP status says little. */
  responseWithoutCodes(status: number, internal: boolean): void {
    const origin = internal ? 'internal.' : 'external.'
    this.requestCompleted.inc()
    for (const stat of requestStats(status)) this.stats.counter(this.prefix + origin + stat).inc()
  }

  /** The same besides, under a name of its own: `canary.`, or what a request asks for. */
  responseApart(name: string, status: number, internal: boolean): void {
    const origin = name.endsWith(canaryName) ? '' : internal ? 'internal.' : 'external.'
    for (const stat of requestStats(status)) {
      this.stats.counter(this.prefix + name + stat).inc()
      if (origin !== '') this.stats.counter(this.prefix + name + origin + stat).inc()
    }
  }

  /** Counts a response that is not passed on but tried again: `retry.upstream_rq_503` and its like. */
  retriedResponse(status: number): void {
    let counters = this.retriedCodes[status]
    if (counters === undefined) {
      counters = requestStats(status).map((name) => this.stats.counter(`${this.prefix}retry.${name}`))
      this.retriedCodes[status] = counters
    }
    for (let i = 0; i < counters.length; i++) counters[i]!.inc()
  }

  private codeCounters(status: number, origin: string): Counter[] {
    const names = requestStats(status)
    return [...names, ...names.map((name) => origin + name)].map((name) => this.stats.counter(this.prefix + name))
  }
}

/** The prefix of what canaries answered. */
export const canaryName = 'canary.'

function requestStats(status: number): string[] {
  return statusNames(status).map((name) => `upstream_rq_${name}`)
}

const unused =
  'assignment_stale assignment_timeout_received assignment_use_cached update_attempt ' +
  'update_empty update_failure update_no_rebuild update_success upstream_flow_control_backed_up_total ' +
  'upstream_flow_control_drained_total upstream_flow_control_paused_reading_total upstream_flow_control_resumed_reading_total ' +
  'upstream_http3_broken'

const unusedOfHttp1 =
  'dropped_headers_with_underscores metadata_not_supported_error requests_rejected_with_underscores_in_headers response_flood'

/** A cluster's TLS stats (`cluster.<name>.ssl.`). */
export class UpstreamTlsStats {
  private readonly handshake: Counter
  private readonly sessionReused: Counter
  private readonly counter: (name: string) => Counter
  readonly connectionError: Counter
  readonly failSan: Counter
  readonly failVerify: Counter
  readonly failHash: Counter

  constructor(stats: StatSource, prefix: string) {
    const counter = (name: string) => stats.counter(prefix + name)
    this.counter = counter
    this.handshake = counter('handshake')
    this.sessionReused = counter('session_reused')
    this.connectionError = counter('connection_error')
    this.failSan = counter('fail_verify_san')
    this.failVerify = counter('fail_verify_error')
    this.failHash = counter('fail_verify_cert_hash')
    // What is listed of every TLS, whoever counts in it.
    for (const name of [
      'fail_verify_no_cert',
      'no_certificate',
      'ocsp_staple_failed',
      'ocsp_staple_omitted',
      'ocsp_staple_requests',
      'ocsp_staple_responses',
    ])
      counter(name)
  }

  /** A handshake was made. */
  made(socket: TLSSocket): void {
    this.handshake.inc()
    if (socket.isSessionReused()) this.sessionReused.inc()
    const group = groupOf(socket)
    if (group !== '') this.counter(`curves.${group}`).inc()
    this.counter(`ciphers.${socket.getCipher().name}`).inc()
    this.counter(`versions.${socket.getProtocol()}`).inc()
  }
}
