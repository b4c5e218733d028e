import type { RetryPolicy } from '@weft/contracts/envoy/config/route/v3/route_components'
import { OmitHostMetadataConfig } from '@weft/contracts/envoy/extensions/retry/host/omit_host_metadata/v3/omit_host_metadata_config'
import { PreviousPrioritiesConfig } from '@weft/contracts/envoy/extensions/retry/priority/previous_priorities/v3/previous_priorities_config'
import { invalid, unsupported } from '../plan/problems.ts'
import { canonical, entriesOf, isRecord } from '../upstream/load-balancers/metadata-criteria.ts'
import type { UpstreamHost } from '../upstream/upstream-host.ts'

/** Which hosts a retry goes to. */
export interface RetryHosts {
  /** Whether a retry should rather go to another host; `tried`: those the request has been to. */
  refuses(endpoint: UpstreamHost, tried: readonly UpstreamHost[]): boolean
  /** How often at most another host is picked because one was refused. */
  attempts: number
  /** After so many tries the priorities tried are left out; 0: never. */
  priorityFrequency: number
}

type Predicate = (endpoint: UpstreamHost, tried: readonly UpstreamHost[]) => boolean

/** Compiles retry_host_predicate, retry_priority and host_selection_retry_max_attempts; null: retries go to any host. */
export function compileRetryHosts(source: RetryPolicy, path: string): RetryHosts | null {
  const predicates = source.retryHostPredicate.map((predicate, i): Predicate => {
    const at = `${path}.retry_host_predicate[${i}]`
    const any = predicate.configType?.value
    switch (typeOf(any?.typeUrl)) {
      case 'envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate':
        return (endpoint, tried) => tried.includes(endpoint)
      case 'envoy.extensions.retry.host.omit_canary_hosts.v3.OmitCanaryHostsPredicate':
        return isCanary
      case 'envoy.extensions.retry.host.omit_host_metadata.v3.OmitHostMetadataConfig':
        return withMetadata(OmitHostMetadataConfig.decode(any?.value ?? new Uint8Array()).metadataMatch?.filterMetadata ?? {})
      case '':
        throw invalid(`${at}.typed_config`, `there is no implementation of '${predicate.name}' with type URL: ''`)
      default:
        throw unsupported(at, `retry host predicate '${predicate.name}'`)
    }
  })
  const priorityFrequency = compilePriority(source, `${path}.retry_priority`)
  if (predicates.length === 0 && priorityFrequency === 0) return null
  return {
    refuses: (endpoint, tried) => predicates.some((refuses) => refuses(endpoint, tried)),
    attempts: predicates.length === 0 ? 0 : source.hostSelectionRetryMaxAttempts || 1,
    priorityFrequency,
  }
}

function compilePriority(source: RetryPolicy, path: string): number {
  const priority = source.retryPriority
  if (priority === undefined) return 0
  const any = priority.configType?.value
  if (
    any === undefined ||
    typeOf(any.typeUrl) !== 'envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig'
  )
    throw unsupported(path, `retry priority '${priority.name}'`)
  const { updateFrequency } = PreviousPrioritiesConfig.decode(any.value)
  if (updateFrequency < 1) throw invalid(`${path}.typed_config.update_frequency`, 'must be greater than 0')
  return updateFrequency
}

function typeOf(url: string | undefined): string {
  return url === undefined ? '' : url.slice(url.lastIndexOf('/') + 1)
}

function isCanary(endpoint: UpstreamHost): boolean {
  return endpoint.isCanary
}

function withMetadata(wanted: Readonly<Record<string, unknown>>): Predicate {
  const own = wanted['envoy.lb']
  const entries = isRecord(own) ? entriesOf(own) : []
  return (endpoint) => {
    const metadata = endpoint.metadata['envoy.lb']
    return entries.every(({ name, value }) => isRecord(metadata) && name in metadata && canonical(metadata[name]) === value)
  }
}
