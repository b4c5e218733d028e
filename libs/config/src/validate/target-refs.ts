import type { PolicyTargetReference, WorkloadSelector } from '@weft/contracts/istio/type/v1beta1/selector'
import type { Report } from './report.ts'
import { checkSelector } from './scalars.ts'

interface Targeted {
  selector?: WorkloadSelector | undefined
  targetRef?: PolicyTargetReference | undefined
  targetRefs: readonly PolicyTargetReference[]
}

const kinds = new Set([
  'gateway.networking.k8s.io/Gateway',
  'gateway.networking.k8s.io/GatewayClass',
  '/Service',
  'core/Service',
  'networking.istio.io/ServiceEntry',
])

/** What a policy applies to: a selector, or references to targets, not both. */
export function checkTargets({ selector, targetRef, targetRefs }: Targeted, report: Report): void {
  if (selector !== undefined) checkSelector(selector.matchLabels, report.at('selector', 'matchLabels'))
  const given = [selector !== undefined, targetRef !== undefined, targetRefs.length > 0].filter((one) => one).length
  if (given > 1) report.error('only one of targetRefs or workloadSelector can be set')
  if (targetRef !== undefined) checkTarget(targetRef, report.at('targetRef'))
  for (const [index, reference] of targetRefs.entries()) checkTarget(reference, report.at('targetRefs', index))
}

function checkTarget({ group, kind, name, namespace }: PolicyTargetReference, report: Report): void {
  if (name === '') report.at('name').error('targetRef name must be set')
  if (namespace !== '') report.at('namespace').error('targetRef namespace must not be set')
  if (!kinds.has(`${group}/${kind}`)) report.at('kind').error(`targetRef kind "${kind}" of group "${group}" is not supported`)
}
