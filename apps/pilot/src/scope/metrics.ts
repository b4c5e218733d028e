import type { Duration } from '@weft/contracts/google/protobuf/duration'
import {
  MetricSelector_IstioMetric as IstioMetric,
  type MetricSelector,
  MetricsOverrides_TagOverride_Operation as Operation,
} from '@weft/contracts/istio/telemetry/v1alpha1/telemetry'
import { providerNamed } from '../model/extension-providers.ts'
import type { Scope } from './scope.ts'
import { holdsFor, type TelemetryMode, telemetriesFor } from './telemetry.ts'

/** How a metric differs from what it is by itself. */
export interface MetricChange {
  /** As the proxy's filter calls it: `requests_total`, or a metric of one's own. */
  readonly metric: string
  readonly dropped: boolean
  readonly removed: readonly string[]
  /** Expressions by the labels that they give. */
  readonly dimensions: Readonly<Record<string, string>>
}

/** Istio's metrics, which a proxy counts for one provider. */
export interface SelectedMetrics {
  readonly interval: Duration | undefined
  readonly changes: readonly MetricChange[]
}

/** The metrics by the numbers of the API. */
const metricNames: Readonly<Record<number, string>> = {
  [IstioMetric.REQUEST_COUNT]: 'requests_total',
  [IstioMetric.REQUEST_DURATION]: 'request_duration_milliseconds',
  [IstioMetric.REQUEST_SIZE]: 'request_bytes',
  [IstioMetric.RESPONSE_SIZE]: 'response_bytes',
  [IstioMetric.TCP_OPENED_CONNECTIONS]: 'tcp_connections_opened_total',
  [IstioMetric.TCP_CLOSED_CONNECTIONS]: 'tcp_connections_closed_total',
  [IstioMetric.TCP_SENT_BYTES]: 'tcp_sent_bytes_total',
  [IstioMetric.TCP_RECEIVED_BYTES]: 'tcp_received_bytes_total',
  [IstioMetric.GRPC_REQUEST_MESSAGES]: 'request_messages_total',
  [IstioMetric.GRPC_RESPONSE_MESSAGES]: 'response_messages_total',
}

/** What Telemetries say of one provider so far. */
interface Gathered {
  interval: Duration | undefined
  off: boolean
  changes: Map<string, { dropped: boolean; tags: Map<string, string | null> }>
}

/**
 * Istio's metrics as Telemetries and MeshConfig's default providers select them; undefined: none. A Telemetry that names providers takes
 * the place of wider ones; of its overrides the later go before the earlier.
 */
export function selectedMetrics(scope: Scope, mode: TelemetryMode): SelectedMetrics | undefined {
  const { metricsProviders, extensionProviders } = scope.snapshot.mesh
  const stated = telemetriesFor(scope).flatMap(({ spec }) => spec.metrics)
  let inScope: readonly string[] = metricsProviders
  for (const { providers } of stated) if (providers.length > 0) inScope = providers.map(({ name }) => name)
  // Prometheus is the one kind of provider that there is: proxies are asked, whatever it is called.
  const name = inScope.find((one) => providerNamed(extensionProviders, one)?.type === 'prometheus')
  if (name === undefined) return undefined
  const gathered: Gathered = { interval: undefined, off: false, changes: new Map() }
  let inherited: readonly string[] = metricsProviders
  for (const { providers, overrides, reportingInterval } of stated) {
    const names: readonly string[] = providers.length > 0 ? providers.map((provider) => provider.name) : inherited
    inherited = names
    if (!names.includes(name)) continue
    gathered.interval = reportingInterval ?? gathered.interval
    for (const { match, disabled, tagOverrides } of overrides) {
      if (!holdsFor(match, mode)) continue
      const metrics = namesOf(match)
      gathered.off = metrics.length > 1 && disabled === true
      if (gathered.off) continue
      for (const metric of metrics) {
        const change = gathered.changes.get(metric) ?? { dropped: false, tags: new Map() }
        change.dropped = disabled ?? change.dropped
        for (const [tag, { operation, value }] of Object.entries(tagOverrides))
          change.tags.set(tag, operation === Operation.REMOVE ? null : value)
        gathered.changes.set(metric, change)
      }
    }
  }
  if (gathered.off) return undefined
  return { interval: gathered.interval, changes: [...gathered.changes].map(([metric, change]) => changeOf(metric, change)) }
}

/** The metrics that an override is of: one, or all. */
function namesOf(match: MetricSelector | undefined): string[] {
  const which = match?.metricMatch
  if (which?.$case === 'customMetric') return [which.value]
  const one = which === undefined ? undefined : metricNames[which.value]
  return one === undefined ? Object.values(metricNames) : [one]
}

function changeOf(metric: string, { dropped, tags }: { dropped: boolean; tags: Map<string, string | null> }): MetricChange {
  const removed: string[] = []
  const dimensions: Record<string, string> = {}
  for (const [tag, value] of [...tags].sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (value === null) removed.push(tag)
    else dimensions[tag] = value
  }
  return { metric, dropped, removed, dimensions }
}
