import {
  BandwidthLimit,
  BandwidthLimit_EnableMode as EnableMode,
} from '@weft/contracts/envoy/extensions/filters/http/bandwidth_limit/v3/bandwidth_limit'
import type { Counter, Gauge, Histogram } from '../../../observe/stats.ts'
import { durationMs } from '../../../plan/duration.ts'
import { type TokenBucket, TokenBuckets } from '../../../shared/token-buckets.ts'
import type { TimerWheel } from '../../../transport/timer-wheel.ts'
import type { FilterContext, FilterStatus, HttpFilter, HttpFilterKind, HttpStream } from '../filter.ts'
import { PacedBody, type PacedOutput } from '../paced-body.ts'
import { BucketPace } from './bucket-pace.ts'

/** A configuration, compiled; its bucket is shared by all its streams, of all workers. */
interface Limit {
  readonly isEnabled: () => boolean
  readonly bucket: TokenBucket
  readonly intervalMs: number
  /** null: this direction is not limited. */
  readonly request: Counts | null
  readonly response: Counts | null
}

interface Counts {
  readonly enabled: Counter
  readonly enforced: Counter
  readonly pending: Gauge
  readonly incoming: Gauge
  readonly incomingTotal: Counter
  readonly allowed: Gauge
  readonly allowedTotal: Counter
  readonly duration: Histogram
}

/** `envoy.filters.http.bandwidth_limit`: so many bytes a second for the bodies of all requests, of all answers, or of both. */
export const bandwidthLimit: HttpFilterKind = {
  types: ['envoy.extensions.filters.http.bandwidth_limit.v3.BandwidthLimit'],
  routeTypes: ['envoy.extensions.filters.http.bandwidth_limit.v3.BandwidthLimit'],
  compile(bytes, context) {
    const own = compileLimit(BandwidthLimit.decode(bytes), context)
    const timers = context.services?.timers
    if (timers === undefined) return { start: () => null }
    return {
      start(_stream, routeConfig) {
        const limit = (routeConfig as Limit | undefined) ?? own
        return limit.isEnabled() ? new BandwidthFilter(limit, timers) : null
      },
      close: () => own.bucket.release(),
    }
  },
  compileRouteConfig(bytes, _type, context): Limit {
    const source = BandwidthLimit.decode(bytes)
    if (source.limitKbps === undefined) return context.fail('limit_kbps', 'limit must be set for per route filter config')
    return compileLimit(source, context)
  },
}

function compileLimit(source: BandwidthLimit, context: FilterContext): Limit {
  const { runtime, services, path } = context
  const { enableMode, runtimeEnabled } = source
  const bytesPerSecond = (source.limitKbps ?? 0) * 1024
  const intervalMs = durationMs(source.fillInterval, 50)
  const rate = { maxTokens: bytesPerSecond, perNanosecond: bytesPerSecond / 1e9 }
  const bucket = (services?.tokenBuckets ?? new TokenBuckets(1)).open(`${path} ${JSON.stringify(source)}`, rate)
  // It begins with what comes within one interval, not full.
  const unready = Math.max(0, bytesPerSecond - Math.floor((bytesPerSecond * intervalMs) / 1000))
  if (services !== null && (services.workerIndex ?? 0) === 0) bucket.consume(process.hrtime.bigint(), unready)
  return {
    isEnabled: () =>
      runtimeEnabled === undefined || runtime.boolean(runtimeEnabled.runtimeKey, runtimeEnabled.defaultValue ?? true),
    bucket,
    intervalMs,
    request: (enableMode & EnableMode.REQUEST) === 0 ? null : countsOf('request', source.statPrefix, context),
    response: (enableMode & EnableMode.RESPONSE) === 0 ? null : countsOf('response', source.statPrefix, context),
  }
}

function countsOf(direction: 'request' | 'response', statPrefix: string, { stats }: FilterContext): Counts {
  const name = (what: string) => `${statPrefix}.http_bandwidth_limit.${direction}_${what}`
  return {
    enabled: stats.counter(name('enabled')),
    enforced: stats.counter(name('enforced')),
    pending: stats.gauge(name('pending')),
    incoming: stats.gauge(name('incoming_size')),
    incomingTotal: stats.counter(name('incoming_total_size')),
    allowed: stats.gauge(name('allowed_size')),
    allowedTotal: stats.counter(name('allowed_total_size')),
    duration: stats.histogram(name('transfer_duration')),
  }
}

class BandwidthFilter implements HttpFilter {
  readonly keepsStream = true
  private readonly limit: Limit
  private readonly timers: TimerWheel
  private request: LimitedBody | null = null
  private response: LimitedBody | null = null
  /** Only where that direction is limited, so that other bodies pass by. */
  readonly onRequestData?: NonNullable<HttpFilter['onRequestData']>
  readonly onResponseData?: NonNullable<HttpFilter['onResponseData']>

  constructor(limit: Limit, timers: TimerWheel) {
    this.limit = limit
    this.timers = timers
    if (limit.request !== null) this.onRequestData = (_stream, data, endStream) => take(this.request, data, endStream)
    if (limit.response !== null) this.onResponseData = (_stream, data, endStream) => take(this.response, data, endStream)
  }

  onRequestHeaders(stream: HttpStream): FilterStatus {
    if (this.limit.request !== null)
      this.request = this.limited(this.limit.request, {
        send: (data, endStream) => stream.injectRequestData(this, data, endStream),
        pause: () => stream.pauseRequest(),
        resume: () => stream.resumeRequest(),
      })
    return 'continue'
  }

  onRequestTrailers(stream: HttpStream): FilterStatus {
    return this.request?.body.endWith(() => stream.continueRequest()) === true ? 'stop' : 'continue'
  }

  onResponseHeaders(stream: HttpStream): FilterStatus {
    if (this.limit.response !== null)
      this.response = this.limited(this.limit.response, {
        send: (data, endStream) => stream.injectResponseData(this, data, endStream),
        pause: () => stream.pauseResponse(),
        resume: () => stream.resumeResponse(),
      })
    return 'continue'
  }

  onResponseTrailers(stream: HttpStream): FilterStatus {
    return this.response?.body.endWith(() => stream.continueResponse()) === true ? 'stop' : 'continue'
  }

  onComplete(): void {
    this.request?.close()
    this.response?.close()
  }

  private limited(counts: Counts, output: Omit<PacedOutput, 'went'>): LimitedBody {
    counts.enabled.inc()
    return new LimitedBody(counts, this.limit, this.timers, output)
  }
}

function take(limited: LimitedBody | null, data: Buffer, endStream: boolean): FilterStatus {
  if (limited === null) return 'continue'
  limited.write(data, endStream)
  return 'taken'
}

/** A body that is limited, and what is counted of it. */
class LimitedBody {
  readonly body: PacedBody
  private readonly counts: Counts
  /** When its first byte came (monotonic ms); -1: none has, or it is over. */
  private sinceMs = -1

  constructor(counts: Counts, { bucket, intervalMs }: Limit, timers: TimerWheel, output: Omit<PacedOutput, 'went'>) {
    this.counts = counts
    this.body = new PacedBody(new BucketPace(bucket, intervalMs), timers, {
      ...output,
      send: (data, endStream) => {
        if (endStream) this.finish()
        output.send(data, endStream)
      },
      went: (bytes, waiting) => {
        counts.allowed.set(bytes)
        counts.allowedTotal.add(bytes)
        if (waiting) counts.enforced.inc()
      },
    })
  }

  write(data: Buffer, endStream: boolean): void {
    const { pending, incoming, incomingTotal } = this.counts
    if (this.sinceMs < 0) {
      this.sinceMs = performance.now()
      pending.inc()
    }
    incoming.set(endStream ? 0 : data.length)
    incomingTotal.add(data.length)
    this.body.write(data, endStream)
  }

  close(): void {
    this.body.close()
    this.finish()
  }

  private finish(): void {
    if (this.sinceMs < 0) return
    this.counts.duration.record(Math.round(performance.now() - this.sinceMs))
    this.counts.pending.dec()
    this.sinceMs = -1
  }
}
