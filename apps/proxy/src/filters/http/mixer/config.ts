import { MutableBag } from '@weft/attributes/bag'
import { plainAttributes } from '@weft/attributes/decoding'
import type { AttributeValue } from '@weft/attributes/types'
import type { Duration } from '@weft/contracts/google/protobuf/duration'
import {
  type HttpClientConfig,
  type NetworkFailPolicy,
  NetworkFailPolicy_FailPolicy as Policy,
  type ServiceConfig,
  type TransportConfig,
} from '@weft/contracts/istio/mixer/v1/config/client/client_config'
import { encodeForwarded } from './forwarded-attributes.ts'
import type { FailPolicy } from './mixer-client.ts'
import { compileQuotaRules, type QuotaRules } from './quota-rules.ts'

/** What holds for requests to one service. */
export interface ServicePlan {
  readonly checks: boolean
  readonly reports: boolean
  /**
   * The attributes that do not follow from the request: the listener's, the service's over them, and below both what the
   * caller's sidecar forwarded. The same bag for the same caller.
   */
  baseFor(forwarded: ReadonlyMap<string, AttributeValue> | null): MutableBag
  /** Header value for the next sidecar; null: the header is only taken away. */
  readonly forwarded: string | null
  readonly quotas: QuotaRules
  readonly failPolicy: FailPolicy
}

/** What a service's configuration says, before it is laid over a listener's. */
export interface ServiceParts {
  readonly checks: boolean
  readonly reports: boolean
  readonly attributes: readonly (readonly [string, AttributeValue])[]
  readonly forward: readonly (readonly [string, AttributeValue])[]
  readonly quotas: QuotaRules
  readonly failPolicy: FailPolicy | undefined
}

export type Fail = (path: string, message: string, hint?: string) => never

/** Compiles a ServiceConfig on its own: a route's override does not know its listener yet. */
export function serviceParts(config: ServiceConfig, path: string, fail: Fail): ServiceParts {
  return {
    checks: !config.disableCheckCalls,
    reports: !config.disableReportCalls,
    attributes: plainAttributes(config.mixerAttributes),
    forward: plainAttributes(config.forwardAttributes),
    quotas: compileQuotaRules(config.quotaSpec, (at, message) => fail(`${path}quota_spec${at}`, message)),
    failPolicy: config.networkFailPolicy === undefined ? undefined : failPolicy(config.networkFailPolicy),
  }
}

/** How Mixer is reached, and what becomes of a request or connection that it gives no answer about. */
export interface TransportPlan {
  /** '' where there is none: then nothing is asked, or reported. */
  readonly checkCluster: string
  readonly reportCluster: string
  readonly useCheckCache: boolean
  readonly useQuotaCache: boolean
  readonly batchRecords: number
  readonly batchWaitMs: number
  readonly failPolicy: FailPolicy
}

/** What the listener's configuration says, for laying services over it. */
export interface ListenerPlan {
  readonly transport: TransportPlan
  readonly ignoredForwarded: readonly string[]
  /** For requests whose route says nothing of its own. */
  readonly service: ServicePlan
  forService(parts: ServiceParts): ServicePlan
}

const DEFAULT_BATCH_RECORDS = 1000
const MAX_BATCH_RECORDS = 10_000
const DEFAULT_BATCH_WAIT_MS = 1000

/** Compiles how Mixer is reached. */
export function compileTransport(transport: TransportConfig | undefined): TransportPlan {
  const maxRecords = transport?.reportBatchMaxEntries || DEFAULT_BATCH_RECORDS
  return {
    checkCluster: transport?.checkCluster ?? '',
    reportCluster: transport?.reportCluster ?? '',
    useCheckCache: transport?.disableCheckCache !== true,
    useQuotaCache: transport?.disableQuotaCache !== true,
    batchRecords: transport?.disableReportBatch === true ? 1 : Math.min(maxRecords, MAX_BATCH_RECORDS),
    batchWaitMs: toMs(transport?.reportBatchMaxTime) || DEFAULT_BATCH_WAIT_MS,
    failPolicy: failPolicy(transport?.networkFailPolicy),
  }
}

/** Compiles the filter's configuration. */
export function compileConfig(config: HttpClientConfig, fail: Fail): ListenerPlan {
  const transport = compileTransport(config.transport)
  const attributes = plainAttributes(config.mixerAttributes)
  const forward = plainAttributes(config.forwardAttributes)
  const forService = (parts: ServiceParts): ServicePlan => {
    const forwarded = new Map([...forward, ...parts.forward])
    return {
      checks: parts.checks && transport.checkCluster !== '',
      reports: parts.reports && transport.reportCluster !== '',
      baseFor: baseMaker(new Map([...attributes, ...parts.attributes])),
      forwarded: forwarded.size === 0 ? null : encodeForwarded(forwarded),
      quotas: parts.quotas,
      failPolicy: parts.failPolicy ?? transport.failPolicy,
    }
  }
  const services = new Map(
    Object.entries(config.serviceConfigs).map(([name, service]) => [
      name,
      serviceParts(service, `service_configs[${name}].`, fail),
    ]),
  )
  const named = services.get(config.defaultDestinationService)
  if (named === undefined && config.defaultDestinationService !== '' && services.size > 0) {
    fail('default_destination_service', `'${config.defaultDestinationService}' is not in service_configs`)
  }
  return {
    transport,
    ignoredForwarded: config.ignoreForwardedAttributes,
    service: forService(named ?? SILENT_SERVICE),
    forService,
  }
}

function baseMaker(statics: ReadonlyMap<string, AttributeValue>): ServicePlan['baseFor'] {
  const alone = new MutableBag(undefined, statics)
  const byCaller = new WeakMap<ReadonlyMap<string, AttributeValue>, MutableBag>()
  return (forwarded) => {
    if (forwarded === null) return alone
    const known = byCaller.get(forwarded)
    if (known !== undefined) return known
    const bag = new MutableBag(undefined, [...forwarded, ...statics])
    byCaller.set(forwarded, bag)
    return bag
  }
}

/** A service that no configuration is about: both calls are made, with the listener's attributes. */
const SILENT_SERVICE: ServiceParts = {
  checks: true,
  reports: true,
  attributes: [],
  forward: [],
  quotas: compileQuotaRules([], (_, message) => {
    throw new Error(message)
  }),
  failPolicy: undefined,
}

function failPolicy(policy: NetworkFailPolicy | undefined): FailPolicy {
  const baseRetryWaitMs = toMs(policy?.baseRetryWait) || 25
  return {
    isOpen: policy?.policy !== Policy.FAIL_CLOSE,
    maxRetries: Math.min(policy?.maxRetry ?? 0, 10),
    baseRetryWaitMs,
    maxRetryWaitMs: Math.max(baseRetryWaitMs, toMs(policy?.maxRetryWait)),
  }
}

/** A duration in milliseconds; 0 for none. */
function toMs(duration: Duration | undefined): number {
  return duration === undefined ? 0 : duration.seconds * 1000 + duration.nanos / 1_000_000
}
