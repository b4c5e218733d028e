import { RetryPolicy } from '@weft/contracts/envoy/config/route/v3/route_components'
import { PreviousHostsPredicate } from '@weft/contracts/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts'
import { PreviousPrioritiesConfig } from '@weft/contracts/envoy/extensions/retry/priority/previous_priorities/v3/previous_priorities_config'
import type { HTTPRetry } from '@weft/contracts/istio/networking/v1alpha3/virtual_service'
import { pack } from '../wire.ts'

/** What is tried again where nothing is said (Istio's default retry policy). */
const defaultRetryOn = 'connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes'
const defaultStatusCodes = [503]
const defaultAttempts = 2

/** The retries of a route; undefined when they are turned off by `attempts: 0`. */
export function retryPolicy(retries: HTTPRetry | undefined): RetryPolicy | undefined {
  if (retries !== undefined && retries.attempts <= 0) return undefined
  const { words, codes } = retryOn(retries?.retryOn ?? '')
  const ignorePrevious = retries?.retryIgnorePreviousHosts ?? true
  return RetryPolicy.fromPartial({
    retryOn: words,
    retriableStatusCodes: codes,
    numRetries: retries?.attempts ?? defaultAttempts,
    perTryTimeout: retries?.perTryTimeout,
    retryBackOff: retries?.backoff === undefined ? undefined : { baseInterval: retries.backoff, maxInterval: undefined },
    retryHostPredicate: ignorePrevious
      ? [
          {
            name: 'envoy.retry_host_predicates.previous_hosts',
            configType: {
              $case: 'typedConfig',
              value: pack('envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate', PreviousHostsPredicate, {}),
            },
          },
        ]
      : [],
    retryPriority:
      retries?.retryRemoteLocalities === true
        ? {
            name: 'envoy.retry_priorities.previous_priorities',
            configType: {
              $case: 'typedConfig',
              value: pack(
                'envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig',
                PreviousPrioritiesConfig,
                { updateFrequency: 2 },
              ),
            },
          }
        : undefined,
    hostSelectionRetryMaxAttempts: ignorePrevious ? 5 : 0,
  })
}

/** Status codes may stand among the words: `gateway-error,409` tries 409 again too. */
function retryOn(text: string): { words: string; codes: number[] } {
  if (text === '') return { words: defaultRetryOn, codes: defaultStatusCodes }
  const words: string[] = []
  const codes: number[] = []
  for (const word of text.split(',').map((part) => part.trim())) {
    if (/^\d{3}$/.test(word)) codes.push(Number(word))
    else if (word !== '') words.push(word)
  }
  if (codes.length > 0 && !words.includes('retriable-status-codes')) words.push('retriable-status-codes')
  return { words: words.join(','), codes }
}
