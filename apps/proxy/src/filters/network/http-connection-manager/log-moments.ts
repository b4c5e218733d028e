import type {
  HttpConnectionManager,
  HttpConnectionManager_HcmAccessLogOptions as Options,
} from '@weft/contracts/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager'
import { durationMs } from '../../../plan/duration.ts'
import { invalid } from '../../../plan/problems.ts'
import { Timeout, type TimerWheel } from '../../../transport/timer-wheel.ts'

/** When requests are logged besides at their end. */
export interface LogMoments {
  /** As soon as the request and its route are known. */
  readonly start: boolean
  /** When a tunnel stands. */
  readonly tunnel: boolean
  /** Again and again after so long (ms; 0: never). */
  readonly intervalMs: number
}

/** Reads `access_log_options`, or what says the same where it is not set; throws a WeftError where both are. */
export function compileLogMoments(source: HttpConnectionManager, path: string): LogMoments {
  const options: Options | undefined = source.accessLogOptions
  for (const [name, isSet] of [
    ['flush_access_log_on_new_request', source.flushAccessLogOnNewRequest],
    ['access_log_flush_interval', source.accessLogFlushInterval !== undefined],
  ] as const)
    if (options !== undefined && isSet)
      throw invalid(`${path}.${name}`, `Only one of ${name} or access_log_options can be specified.`)
  return {
    start: options?.flushAccessLogOnNewRequest ?? source.flushAccessLogOnNewRequest,
    tunnel: options?.flushLogOnTunnelSuccessfullyEstablished ?? false,
    intervalMs: durationMs(options?.accessLogFlushInterval ?? source.accessLogFlushInterval, 0),
  }
}

/** Logs a request again and again; gives what ends it. */
export function logAtIntervals(timers: TimerWheel, exchange: { log(type: string): void }, intervalMs: number): () => void {
  const timer = new Timeout(() => {
    timers.arm(timer, intervalMs)
    exchange.log('DownstreamPeriodic')
  })
  timers.arm(timer, intervalMs)
  return () => timers.cancel(timer)
}
