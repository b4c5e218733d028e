import type { Bag } from '@weft/attributes/bag'
import type { DispatchMetrics } from './metrics.ts'
import type { PlannedRule } from './plan.ts'

/** Whether a rule is about this request. A match that cannot be told (an attribute is absent) counts as false. */
export function matches(rule: PlannedRule<unknown>, bag: Bag, metrics: DispatchMetrics): boolean {
  if (rule.match === undefined) return true
  try {
    const matched = rule.match.resolve(bag)
    if (matched === undefined) metrics.matchFailed(rule.name)
    return matched === true
  } catch {
    metrics.matchFailed(rule.name)
    return false
  }
}
