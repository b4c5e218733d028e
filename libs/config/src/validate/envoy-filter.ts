import {
  EnvoyFilter_ApplyTo as ApplyTo,
  type EnvoyFilter_EnvoyConfigObjectPatch as ConfigPatch,
  EnvoyFilter_PatchContext as Context,
  type EnvoyFilter,
  EnvoyFilter_Patch_Operation as Operation,
  type EnvoyFilter_Patch as Patch,
} from '@weft/contracts/istio/networking/v1alpha3/envoy_filter'
import { envoyValue } from '../envoy-value.ts'
import type { Report } from './report.ts'
import { checkSelector } from './scalars.ts'
import { checkTargets } from './target-refs.ts'

const listenerParts: ReadonlySet<number> = new Set([
  ...[ApplyTo.LISTENER, ApplyTo.FILTER_CHAIN, ApplyTo.LISTENER_FILTER, ApplyTo.NETWORK_FILTER, ApplyTo.HTTP_FILTER],
])
const routeParts: ReadonlySet<number> = new Set([ApplyTo.ROUTE_CONFIGURATION, ApplyTo.VIRTUAL_HOST, ApplyTo.HTTP_ROUTE])

type ObjectMatch = NonNullable<NonNullable<ConfigPatch['match']>['objectTypes']>

/** What the filters and routes of a list know; what is no list knows less. */
const inList: readonly number[] = [
  ...[Operation.MERGE, Operation.ADD, Operation.REMOVE],
  ...[Operation.INSERT_BEFORE, Operation.INSERT_AFTER, Operation.INSERT_FIRST],
]
const filterOperations = [...inList, Operation.REPLACE]
const wholeOperations = [Operation.MERGE, Operation.ADD, Operation.REMOVE]
const operations: Readonly<Record<number, readonly number[]>> = {
  [ApplyTo.LISTENER]: [...wholeOperations, Operation.REPLACE],
  [ApplyTo.FILTER_CHAIN]: wholeOperations,
  [ApplyTo.LISTENER_FILTER]: filterOperations,
  [ApplyTo.NETWORK_FILTER]: filterOperations,
  [ApplyTo.HTTP_FILTER]: filterOperations,
  [ApplyTo.ROUTE_CONFIGURATION]: [Operation.MERGE],
  [ApplyTo.VIRTUAL_HOST]: wholeOperations,
  [ApplyTo.HTTP_ROUTE]: inList,
  [ApplyTo.CLUSTER]: wholeOperations,
  [ApplyTo.EXTENSION_CONFIG]: [Operation.ADD],
  [ApplyTo.BOOTSTRAP]: [Operation.MERGE],
}

/** The rules of an EnvoyFilter. */
export function checkEnvoyFilter(spec: EnvoyFilter, report: Report): void {
  if (spec.workloadSelector !== undefined) {
    checkSelector(spec.workloadSelector.labels, report.at('workloadSelector', 'labels'))
    if (spec.targetRefs.length > 0) report.error('only one of targetRefs or workloadSelector can be set')
  }
  checkTargets({ targetRefs: spec.targetRefs }, report)
  for (const [index, patch] of spec.configPatches.entries()) checkPatch(patch, report.at('configPatches', index))
}

function checkPatch({ applyTo, match, patch }: ConfigPatch, report: Report): void {
  const allowed = operations[applyTo]
  if (allowed === undefined) report.at('applyTo').error('missing applyTo', 'such as HTTP_FILTER or CLUSTER')
  else if (patch === undefined) report.error('missing patch')
  else {
    if (!allowed.includes(patch.operation)) {
      const names = Object.entries(Operation).flatMap(([name, number]) => (allowed.includes(number) ? [name] : []))
      report.at('patch', 'operation').error('this operation is not for what applyTo names', `write ${names.join(', ')}`)
    }
    checkMatch(applyTo, match, report.at('match'))
    checkValue(applyTo, patch, report.at('patch', 'value'))
    if (applyTo === ApplyTo.BOOTSTRAP) report.warn('a bootstrap is written before Pilot is asked: this patch has no effect')
  }
}

function checkValue(applyTo: number, { operation, value }: Patch, report: Report): void {
  if (operation === Operation.REMOVE) {
    if (value !== undefined) report.error('a REMOVE has no value', 'remove it')
  } else if (value === undefined) report.error('missing value')
  else {
    try {
      const { unknown } = envoyValue(applyTo, value)
      if (unknown !== '') report.warn(`in part unknown, which is left out: ${unknown}`)
    } catch (thrown) {
      report.error(`not what Envoy takes there: ${thrown instanceof Error ? thrown.message : String(thrown)}`)
    }
  }
}

function checkMatch(applyTo: number, match: ConfigPatch['match'], report: Report): void {
  const version = match?.proxy?.proxyVersion ?? ''
  if (!isPattern(version)) report.at('proxy', 'proxyVersion').error(`"${version}" is no regular expression`)
  const of = match?.objectTypes
  const isWaypoint = match?.context === Context.WAYPOINT
  if (of !== undefined && isWaypoint !== (of.$case === 'waypoint'))
    report.error('only support waypointMatch when context is WAYPOINT')
  else if (isWaypoint) report.warn('there are no waypoints here: this patch has no effect')
  else if (of !== undefined) checkObject(applyTo, of, report.at(of.$case))
}

function checkObject(applyTo: number, of: ObjectMatch, report: Report): void {
  const wanted = listenerParts.has(applyTo) ? 'listener' : routeParts.has(applyTo) ? 'routeConfiguration' : 'cluster'
  if (of.$case !== wanted) {
    report.error('this is not what applyTo names', `match by ${wanted}`)
  } else if (of.$case === 'listener') {
    const { filterChain, listenerFilter } = of.value
    if (listenerFilter !== '' && applyTo !== ApplyTo.LISTENER_FILTER)
      report.at('listenerFilter').error('only for applyTo LISTENER_FILTER')
    if (filterChain?.filter?.subFilter !== undefined && applyTo !== ApplyTo.HTTP_FILTER)
      report.at('filterChain', 'filter', 'subFilter').error('only for applyTo HTTP_FILTER')
  }
}

function isPattern(text: string): boolean {
  try {
    return new RegExp(text) !== undefined
  } catch {
    return false
  }
}
