import { PluginConfig } from '@weft/contracts/istio/filters/stats'
import { ConnectionRecord } from '../../../observe/connection-record.ts'
import type { FormatContext } from '../../../observe/format/context.ts'
import { StreamRecord } from '../../../observe/stream-record.ts'
import { Timeout } from '../../../transport/timer-wheel.ts'
import { connectionLabels, isPeerKnown, peerValues } from '../../istio/metric-labels.ts'
import { IstioMetrics, type LabelSet } from '../../istio/metrics.ts'
import type { GateConnection, GateVerdict, NetworkGate, NetworkGateKind } from '../filter.ts'

/** `istio.stats` for TCP: Istio's standard metrics of connections (`istio_tcp_connections_opened_total` …). */
export const networkIstioStats: NetworkGateKind = {
  types: ['stats.PluginConfig'],
  compile(config, path, { stats, direction, services }) {
    const metrics = new IstioMetrics(PluginConfig.decode(config), { stats, direction, services, path })
    return { start: (connection) => new ConnectionMetrics(metrics, connection) }
  },
}

/** What is counted of one connection: when it is known who it is between, at intervals, and when it is over. */
class ConnectionMetrics implements NetworkGate {
  private readonly metrics: IstioMetrics
  private readonly connection: GateConnection
  private readonly timer: Timeout
  /** null: it has not been told that the connection is there. */
  private set: LabelSet | null = null
  private expressions: ReturnType<IstioMetrics['evaluate']> = []
  private told = { sent: 0, received: 0 }

  constructor(metrics: IstioMetrics, connection: GateConnection) {
    this.metrics = metrics
    this.connection = connection
    this.timer = new Timeout(() => {
      this.report(false)
      this.connection.services.timers.arm(this.timer, this.metrics.intervalMs)
    })
  }

  onConnect(): GateVerdict {
    const { intervalMs } = this.metrics
    if (intervalMs > 0) this.connection.services.timers.arm(this.timer, intervalMs)
    return 'continue'
  }

  onClose(): void {
    this.connection.services.timers.cancel(this.timer)
    this.report(true)
  }

  private report(isOver: boolean): void {
    const context = this.connection.context ?? unopened(this.connection)
    if (this.set === null) {
      if (!isOver && !isPeerKnown(this.metrics.reporter, context.filterState)) return
      this.set = this.open(context)
      this.set.add('tcp_connections_opened_total', 1)
    }
    const { bytesSent: sent, bytesReceived: received } = context.info
    this.set.add('tcp_sent_bytes_total', sent - this.told.sent)
    this.set.add('tcp_received_bytes_total', received - this.told.received)
    this.told = { sent, received }
    if (!isOver) return
    this.set.add('tcp_connections_closed_total', 1)
    this.metrics.countCustom(this.expressions)
  }

  private open(context: FormatContext): LabelSet {
    const { metrics } = this
    const { values, security } = peerValues(context, metrics.reporter, metrics.own, false)
    const { flags } = context.info
    this.expressions = metrics.evaluate(context)
    const own = ['tcp', flags.length === 0 ? '-' : flags.join(','), security]
    return metrics.labelled(connectionLabels, [...values, ...own], this.expressions)
  }
}

/** A connection that never came to the last filter. */
function unopened({ info }: GateConnection): FormatContext {
  return new ConnectionRecord({ ...info, id: 0 }, new StreamRecord(), info.metadata, info.filterState)
}
