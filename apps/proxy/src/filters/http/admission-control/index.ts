import { AdmissionControl } from '@weft/contracts/envoy/extensions/filters/http/admission_control/v3/admission_control'
import { names } from '@weft/http/header-name'
import type { HeaderTable } from '@weft/http/header-table'
import type { Counter } from '../../../observe/stats.ts'
import { durationMs } from '../../../plan/duration.ts'
import type { FilterContext, FilterStatus, HttpFilter, HttpFilterKind, HttpStream } from '../filter.ts'
import { isGrpcType } from '../grpc-type.ts'
import { RecentRequests } from './recent-requests.ts'

/** gRPC statuses that count as success where nothing else is said: what the client got wrong is no failure of the server. */
const goodByDefault: readonly number[] = [0, 1, 2, 3, 5, 6, 9, 11, 12, 16]

interface Criteria {
  http(status: number): boolean
  grpc(status: number): boolean
}

interface Policy extends Criteria {
  readonly recent: RecentRequests
  /** The share (0…1) of requests that are turned away now. */
  rejected(): number
  readonly counts: { readonly rejected: Counter; readonly success: Counter; readonly failure: Counter }
}

/** `envoy.filters.http.admission_control`: turns requests away, the more the fewer of the last ones went well. */
export const admissionControl: HttpFilterKind = {
  types: ['envoy.extensions.filters.http.admission_control.v3.AdmissionControl'],
  compile(bytes, context) {
    const source = AdmissionControl.decode(bytes)
    const { runtime } = context
    const policy = compilePolicy(source, context)
    const isEnabled = () =>
      source.enabled === undefined || runtime.boolean(source.enabled.runtimeKey, source.enabled.defaultValue ?? true)
    return {
      start(stream) {
        if (!isEnabled() || stream.info.isHealthCheck) return null
        return new AdmissionFilter(policy, runtime.random() < policy.rejected())
      },
    }
  },
}

function compilePolicy(source: AdmissionControl, context: FilterContext): Policy {
  const { runtime, stats, statPrefix, fail } = context
  const percent = (given: AdmissionControl['srThreshold'], fallback: number) => () =>
    (given === undefined ? fallback : runtime.double(given.runtimeKey, given.defaultValue?.value ?? 0)) / 100
  const threshold = percent(source.srThreshold, 95)
  const most = percent(source.maxRejectionProbability, 80)
  if (source.srThreshold !== undefined && (source.srThreshold.defaultValue?.value ?? 0) < 1)
    return fail('sr_threshold', 'Success rate threshold cannot be less than 1.0%.')
  const { aggression, rpsThreshold } = source
  // Whole seconds count.
  const recent = new RecentRequests(Math.max(1, Math.floor(durationMs(source.samplingWindow, 30_000) / 1000)) * 1000)
  const stat = (name: string) => stats.counter(`${statPrefix}admission_control.${name}`)
  return {
    ...compileCriteria(source, context),
    recent,
    counts: { rejected: stat('rq_rejected'), success: stat('rq_success'), failure: stat('rq_failure') },
    rejected() {
      const least = rpsThreshold === undefined ? 0 : runtime.number(rpsThreshold.runtimeKey, rpsThreshold.defaultValue)
      if (recent.rate < least) return 0
      const { total, succeeded } = recent.counts
      const share = (total - succeeded / Math.max(threshold(), 0.01)) / (total + 1)
      const steepness = aggression === undefined ? 1 : Math.max(1, runtime.double(aggression.runtimeKey, aggression.defaultValue))
      return Math.min(share <= 0 ? 0 : share ** (1 / steepness), most())
    },
  }
}

function compileCriteria({ evaluationCriteria }: AdmissionControl, { fail }: FilterContext): Criteria {
  const { httpCriteria, grpcCriteria } = evaluationCriteria?.value ?? {}
  const ranges = httpCriteria?.httpSuccessStatus ?? [{ start: 0, end: 500 }]
  for (const [i, { start, end }] of (httpCriteria?.httpSuccessStatus ?? []).entries())
    if (start > end || start < 100 || end > 600)
      fail(`success_criteria.http_criteria.http_success_status[${i}]`, `invalid HTTP range: [${start}, ${end})`)
  const codes = grpcCriteria?.grpcSuccessStatus ?? goodByDefault
  for (const [i, code] of codes.entries())
    if (code > 16) fail(`success_criteria.grpc_criteria.grpc_success_status[${i}]`, `invalid gRPC code ${code}`)
  return {
    http: (status) => ranges.some(({ start, end }) => status >= start && status < end),
    grpc: (status) => codes.includes(status),
  }
}

class AdmissionFilter implements HttpFilter {
  private readonly policy: Policy
  private readonly isRejected: boolean
  private isRecorded = false
  private awaitsTrailers = false

  constructor(policy: Policy, isRejected: boolean) {
    this.policy = policy
    this.isRejected = isRejected
  }

  onRequestHeaders(stream: HttpStream): FilterStatus {
    if (!this.isRejected) return 'continue'
    // What is turned away tells nothing of the server.
    this.isRecorded = true
    this.policy.counts.rejected.inc()
    stream.reply(503, '', { details: 'denied_by_admission_control' })
    return 'stop'
  }

  onResponseHeaders({ response }: HttpStream, endStream: boolean): FilterStatus {
    const isGrpc = isGrpcType(response.headers) || (endStream && response.headers.has(names.grpcStatus))
    if (!isGrpc) this.record(this.policy.http(response.status))
    else {
      const status = statusOf(response.headers)
      this.awaitsTrailers = status === null
      if (status !== null) this.record(this.policy.grpc(status))
    }
    return 'continue'
  }

  onResponseTrailers(_stream: HttpStream, trailers: HeaderTable): FilterStatus {
    if (!this.awaitsTrailers) return 'continue'
    const status = statusOf(trailers)
    this.record(status !== null && this.policy.grpc(status))
    return 'continue'
  }

  /** An answer that did not come, or not to its end, is none that went well. */
  onComplete(): void {
    this.record(false)
  }

  private record(succeeded: boolean): void {
    if (this.isRecorded) return
    this.isRecorded = true
    const { recent, counts } = this.policy
    recent.record(succeeded)
    ;(succeeded ? counts.success : counts.failure).inc()
  }
}

/** null: it tells none. */
function statusOf(headers: HeaderTable): number | null {
  const text = headers.get(names.grpcStatus)
  return text === null || !/^\d{1,9}$/.test(text) ? null : Number(text)
}
