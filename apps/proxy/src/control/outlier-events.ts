import { LogFile } from '../observe/access-log/log-file.ts'

/** One endpoint was taken out of rotation, or would have been, or came back. */
export interface OutlierEvent {
  readonly cluster: string
  /** Its address. */
  readonly endpoint: string
  /** Why, by Envoy's word in small letters: `consecutive_5xx`; of one that came back nothing is said. */
  readonly cause: string | null
  readonly enforced: boolean
  /** How often it was taken out so far. */
  readonly ejections: number
  /** Since it was last taken out or came back, ms; null: neither has been. */
  readonly sinceLastMs: number | null
  /** Success rates in percent: its own, and what they were judged by; a cluster's average and threshold only where they counted. */
  readonly rates?: { readonly own: number; readonly average?: number; readonly threshold?: number }
}

/** `cluster_manager.outlier_detection.event_log_path`: a line of JSON for each event, as Envoy writes them. */
export class OutlierEventLog {
  private readonly file: LogFile

  /** Throws WeftError for a file that cannot be written. */
  constructor(path: string) {
    this.file = new LogFile(path)
  }

  write(event: OutlierEvent): void {
    this.file.add(`${outlierLine(event, new Date())}\n`)
  }

  reopen(): void {
    this.file.reopen()
  }

  close(): void {
    this.file.close()
  }
}

/** The event as a data.cluster.v3.OutlierDetectionEvent in JSON. */
export function outlierLine({ cause, sinceLastMs, ...event }: OutlierEvent, at: Date): string {
  return JSON.stringify({
    // The first of its words where there is no cause.
    type: typeNames[cause ?? ''] ?? (cause ?? 'consecutive_5xx').toUpperCase(),
    timestamp: at.toISOString(),
    ...(sinceLastMs === null ? {} : { secs_since_last_action: String(Math.floor(sinceLastMs / 1000)) }),
    cluster_name: event.cluster,
    upstream_url: event.endpoint,
    action: cause === null ? 'UNEJECT' : 'EJECT',
    num_ejections: event.ejections,
    enforced: event.enforced,
    ...(cause === null ? {} : details(cause, event.rates)),
  })
}

const typeNames: Readonly<Record<string, string>> = {
  local_origin_success_rate: 'SUCCESS_RATE_LOCAL_ORIGIN',
  local_origin_failure_percentage: 'FAILURE_PERCENTAGE_LOCAL_ORIGIN',
}

function details(cause: string, rates: OutlierEvent['rates']): Record<string, object> {
  if (rates === undefined) return { eject_consecutive_event: {} }
  const host_success_rate = Math.floor(rates.own)
  if (!cause.endsWith('success_rate')) return { eject_failure_percentage_event: { host_success_rate } }
  return {
    eject_success_rate_event: {
      host_success_rate,
      cluster_average_success_rate: Math.floor(rates.average ?? 0),
      cluster_success_rate_ejection_threshold: Math.max(0, Math.floor(rates.threshold ?? 0)),
    },
  }
}
