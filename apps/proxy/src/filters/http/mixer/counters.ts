import type { Counter } from '../../../observe/stats.ts'

/** The filter's counters, under the names of Istio's mixer filter. */
export interface MixerCounters {
  readonly checkCalls: Counter
  readonly checkCacheHits: Counter
  readonly checkCacheMisses: Counter
  /** Times that all was forgotten since Mixer's configuration had changed. */
  readonly cacheFlushes: Counter
  readonly remoteCheckCalls: Counter
  readonly blockingRemoteCheckCalls: Counter
  readonly remoteCheckAccepts: Counter
  readonly remoteCheckDenies: Counter
  readonly quotaCalls: Counter
  readonly quotaCacheHits: Counter
  readonly quotaCacheMisses: Counter
  readonly remoteQuotaCalls: Counter
  readonly blockingRemoteQuotaCalls: Counter
  readonly remoteQuotaPrefetchCalls: Counter
  readonly remoteQuotaAccepts: Counter
  readonly remoteQuotaDenies: Counter
  readonly remoteCalls: Counter
  readonly remoteCallSuccesses: Counter
  readonly remoteCallTimeouts: Counter
  readonly remoteCallOtherErrors: Counter
  readonly remoteCallRetries: Counter
  readonly remoteCallCancellations: Counter
  /** Checks that were not sent: too many under way, or the circuit open. */
  readonly remoteCallOverflow: Counter
  readonly remoteCallCircuitOpen: Counter
  /** Requests that passed, or were refused, because Mixer gave no answer. */
  readonly failOpen: Counter
  readonly failClose: Counter
  readonly reportCalls: Counter
  readonly remoteReportCalls: Counter
  readonly remoteReportSuccesses: Counter
  readonly remoteReportErrors: Counter
  /** Records thrown away: too many reports under way. */
  readonly reportDrops: Counter
  readonly malformedForwardedAttributes: Counter
}

/** Makes the counters of `http_mixer_filter` or `tcp_mixer_filter`; `counter` gives the one of a name. */
export function mixerCounters(filter: string, counter: (name: string) => Counter): MixerCounters {
  const total = (name: string) => counter(`${filter}.total_${name}`)
  return {
    checkCalls: total('check_calls'),
    checkCacheHits: total('check_cache_hits'),
    checkCacheMisses: total('check_cache_misses'),
    cacheFlushes: total('check_cache_flushes'),
    remoteCheckCalls: total('remote_check_calls'),
    blockingRemoteCheckCalls: total('blocking_remote_check_calls'),
    remoteCheckAccepts: total('remote_check_accepts'),
    remoteCheckDenies: total('remote_check_denies'),
    quotaCalls: total('quota_calls'),
    quotaCacheHits: total('quota_cache_hits'),
    quotaCacheMisses: total('quota_cache_misses'),
    remoteQuotaCalls: total('remote_quota_calls'),
    blockingRemoteQuotaCalls: total('blocking_remote_quota_calls'),
    remoteQuotaPrefetchCalls: total('remote_quota_prefetch_calls'),
    remoteQuotaAccepts: total('remote_quota_accepts'),
    remoteQuotaDenies: total('remote_quota_denies'),
    remoteCalls: total('remote_calls'),
    remoteCallSuccesses: total('remote_call_successes'),
    remoteCallTimeouts: total('remote_call_timeouts'),
    remoteCallOtherErrors: total('remote_call_other_errors'),
    remoteCallRetries: total('remote_call_retries'),
    remoteCallCancellations: total('remote_call_cancellations'),
    remoteCallOverflow: total('remote_call_overflow'),
    remoteCallCircuitOpen: total('remote_call_circuit_open'),
    failOpen: total('fail_open'),
    failClose: total('fail_close'),
    reportCalls: total('report_calls'),
    remoteReportCalls: total('remote_report_calls'),
    remoteReportSuccesses: total('remote_report_successes'),
    remoteReportErrors: total('remote_report_other_errors'),
    reportDrops: total('report_drops'),
    malformedForwardedAttributes: total('malformed_forwarded_attributes'),
  }
}
