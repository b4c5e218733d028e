import type { TypedObject } from '@weft/config/objects'
import type { Tracing_CustomTag as CustomTag } from '@weft/contracts/istio/telemetry/v1alpha1/telemetry'
import { WorkloadMode } from '@weft/contracts/istio/telemetry/v1alpha1/telemetry'
import type { Scope } from './scope.ts'
import { policyHolds } from './workload-policies.ts'

type Telemetry = TypedObject<'Telemetry'>

/** The part of a workload in what is logged and traced: called, or calling (as gateways are). */
export type TelemetryMode = 'client' | 'server'

/** One access log: MeshConfig's provider, and a CEL expression of what is logged; empty: everything. */
export interface SelectedLog {
  readonly provider: string
  readonly filter: string
}

/** What Telemetries say of tracing; what they leave out is as ProxyConfig has it. */
export interface SelectedTracing {
  /** MeshConfig's provider; undefined: nothing is reported. */
  readonly provider: string | undefined
  readonly sampling: number | undefined
  /** In place of those of ProxyConfig; undefined: none are stated. */
  readonly customTags: Readonly<Record<string, CustomTag>> | undefined
  readonly istioTags: boolean | undefined
  readonly samplesByRequestId: boolean
  readonly propagatesContext: boolean
}

const found = new WeakMap<Scope, readonly Telemetry[]>()

/** The Telemetries that hold at a proxy, the later before the earlier: the root namespace's, its namespace's, its workload's. */
export function telemetriesFor(scope: Scope): readonly Telemetry[] {
  let telemetries = found.get(scope)
  if (telemetries === undefined) {
    telemetries = find(scope)
    found.set(scope, telemetries)
  }
  return telemetries
}

function find({ snapshot, proxy, labels, instances }: Scope): readonly Telemetry[] {
  const { telemetries, mesh } = snapshot
  if (telemetries.length === 0) return telemetries
  const own = telemetries.filter(({ metadata }) => metadata.namespace === proxy.namespace)
  const workload = { type: proxy.type, namespace: proxy.namespace, labels, instances }
  const levels = [
    ...(proxy.namespace === mesh.rootNamespace
      ? []
      : [telemetries.find((one) => one.metadata.namespace === mesh.rootNamespace && isForAll(one))]),
    own.find(isForAll),
    own.find((one) => !isForAll(one) && policyHolds(one, workload)),
  ]
  return levels.filter((one) => one !== undefined)
}

function isForAll({ spec }: Telemetry): boolean {
  const { selector, targetRef, targetRefs } = spec
  return Object.keys(selector?.matchLabels ?? {}).length === 0 && targetRef === undefined && targetRefs.length === 0
}

const modes: Readonly<Record<number, TelemetryMode | undefined>> = {
  [WorkloadMode.CLIENT]: 'client',
  [WorkloadMode.SERVER]: 'server',
}

/** Whether what is said of clients, servers or both is said of this side. */
export function holdsFor(match: { mode: WorkloadMode } | undefined, mode: TelemetryMode): boolean {
  const wanted = modes[match?.mode ?? 0]
  return wanted === undefined || wanted === mode
}

/**
 * The access logs of a proxy as Telemetries and MeshConfig's default providers select them; undefined where neither says anything, so
 * that MeshConfig's `accessLogFile` holds. Providers that a narrower Telemetry names take the place of the wider one's.
 */
export function selectedLogs(scope: Scope, mode: TelemetryMode): readonly SelectedLog[] | undefined {
  const defaults = scope.snapshot.mesh.accessLogProviders
  const levels = telemetriesFor(scope).flatMap(({ spec }) => (spec.accessLogging.length === 0 ? [] : [spec.accessLogging]))
  if (levels.length === 0) return defaults.length === 0 ? undefined : defaults.map((provider) => ({ provider, filter: '' }))
  let inScope: readonly string[] = defaults
  for (const level of levels) {
    const stated = level.flatMap(({ providers }) => providers.map(({ name }) => name))
    if (stated.length > 0) inScope = stated
  }
  const filters = new Map<string, string>()
  const logs = new Map<string, SelectedLog>()
  let inherited: readonly string[] = defaults
  for (const { providers, match, disabled, filter } of levels.flat()) {
    const names: readonly string[] = providers.length > 0 ? providers.map(({ name }) => name) : inherited
    inherited = names
    if (!holdsFor(match, mode)) continue
    for (const name of names.filter((one) => inScope.includes(one))) {
      if (filter !== undefined || providers.length > 0) filters.set(name, filter?.expression ?? '')
      if (disabled === true) logs.delete(name)
      else logs.set(name, { provider: name, filter: filters.get(name) ?? '' })
    }
  }
  return [...logs.values()].sort((a, b) => (a.provider < b.provider ? -1 : 1))
}

/** Tracing as Telemetries and MeshConfig's default provider select it; undefined where neither says anything. */
export function selectedTracing(scope: Scope, mode: TelemetryMode): SelectedTracing | undefined {
  const { tracingProvider } = scope.snapshot.mesh
  const stated = telemetriesFor(scope).flatMap(({ spec }) => spec.tracing)
  if (stated.length === 0 && tracingProvider === undefined) return undefined
  let isDisabled = false
  let provider = tracingProvider
  let sampling: number | undefined
  let customTags: SelectedTracing['customTags']
  let istioTags: boolean | undefined
  let samplesByRequestId = true
  let propagatesContext = true
  for (const tracing of stated) {
    if (!holdsFor(tracing.match, mode)) continue
    provider = tracing.providers[0]?.name ?? provider
    isDisabled = tracing.disableSpanReporting ?? isDisabled
    sampling = tracing.randomSamplingPercentage ?? sampling
    if (Object.keys(tracing.customTags).length > 0) customTags = tracing.customTags
    istioTags = tracing.enableIstioTags ?? istioTags
    samplesByRequestId = tracing.useRequestIdForTraceSampling ?? samplesByRequestId
    if (tracing.disableContextPropagation !== undefined) propagatesContext = !tracing.disableContextPropagation
  }
  return {
    ...{ provider: isDisabled ? undefined : provider, sampling, customTags, istioTags },
    ...{ samplesByRequestId, propagatesContext },
  }
}
