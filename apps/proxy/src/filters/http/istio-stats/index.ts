import { PluginConfig } from '@weft/contracts/istio/filters/stats'
import { grpcStatusNumber } from '../../../observe/format/grpc-status.ts'
import { Timeout } from '../../../transport/timer-wheel.ts'
import { isPeerKnown, type PeerValues, peerLabels, peerValues, requestLabels } from '../../istio/metric-labels.ts'
import { type ExpressionValues, IstioMetrics } from '../../istio/metrics.ts'
import type { FilterStatus, HttpFilter, HttpFilterKind, HttpStream } from '../filter.ts'
import { messageCountsKey } from '../grpc-stats/index.ts'

/** `istio.stats`: Istio's standard metrics of requests (`istio_requests_total` …), with who spoke to whom as labels. */
export const istioStats: HttpFilterKind = {
  types: ['stats.PluginConfig'],
  compile(bytes, context) {
    const metrics = new IstioMetrics(PluginConfig.decode(bytes), context)
    const { services } = context
    const plain: HttpFilter = { onComplete: (stream) => reportRequest(stream, metrics, peersOf(stream, metrics)) }
    return {
      countsWireBytes: true,
      start(stream) {
        if (services === null) return null
        return stream.isGrpc ? new GrpcRequest(metrics, services.timers) : plain
      },
    }
  },
}

function peersOf({ format }: HttpStream, metrics: IstioMetrics): PeerValues {
  return peerValues(format, metrics.reporter, metrics.own, metrics.hostFallback)
}

/** A request is over. */
function reportRequest({ format, isGrpc }: HttpStream, metrics: IstioMetrics, { values, security }: PeerValues): void {
  const { info } = format
  const grpcStatus = isGrpc ? grpcStatusNumber(format) : null
  const flags = info.flags.length === 0 ? '-' : info.flags.join(',')
  const own = [
    isGrpc ? 'grpc' : 'http',
    String(info.responseCode),
    grpcStatus === null ? '' : String(grpcStatus),
    flags,
    security,
  ]
  const expressions = metrics.evaluate(format)
  const set = metrics.labelled(requestLabels, [...values, ...own], expressions)
  set.add('requests_total', 1)
  if (info.endMs >= 0) set.record('request_duration_milliseconds', Math.floor(info.endMs - info.startMs))
  const wire = info.wire?.counts
  set.record('request_bytes', wire?.downstreamReceived ?? info.bytesReceived)
  set.record('response_bytes', wire?.downstreamSent ?? info.bytesSent)
  metrics.countCustom(expressions)
}

/** A call of gRPC: its messages are counted while it lasts too. */
class GrpcRequest implements HttpFilter {
  private readonly metrics: IstioMetrics
  private readonly timers: { arm(timeout: Timeout, ms: number): void; cancel(timeout: Timeout): void }
  private timer: Timeout | null = null
  private peers: PeerValues | null = null
  private expressions: ExpressionValues = []
  private sent = { requests: 0, responses: 0 }

  constructor(metrics: IstioMetrics, timers: GrpcRequest['timers']) {
    this.metrics = metrics
    this.timers = timers
  }

  onRequestHeaders(stream: HttpStream): FilterStatus {
    const { intervalMs } = this.metrics
    const timer = new Timeout(() => {
      this.reportMessages(stream, false)
      this.timers.arm(timer, intervalMs)
    })
    this.timer = timer
    if (intervalMs > 0) this.timers.arm(timer, intervalMs)
    return 'continue'
  }

  onComplete(stream: HttpStream): void {
    if (this.timer !== null) this.timers.cancel(this.timer)
    this.reportMessages(stream, true)
    reportRequest(stream, this.metrics, this.peers ?? peersOf(stream, this.metrics))
  }

  private reportMessages(stream: HttpStream, isOver: boolean): void {
    const { metrics, sent } = this
    if (this.peers === null) {
      if (!isOver && !isPeerKnown(metrics.reporter, stream.filterState)) return
      this.peers = peersOf(stream, metrics)
      this.expressions = metrics.evaluate(stream.format)
    }
    const counts = stream.filterState.get(messageCountsKey)
    if (!isMessageCounts(counts)) return
    const set = metrics.labelled(peerLabels, this.peers.values, this.expressions)
    set.add('request_messages_total', counts.requests - sent.requests)
    set.add('response_messages_total', counts.responses - sent.responses)
    this.sent = { requests: counts.requests, responses: counts.responses }
  }
}

function isMessageCounts(value: unknown): value is { readonly requests: number; readonly responses: number } {
  return typeof value === 'object' && value !== null && 'requests' in value && 'responses' in value
}
