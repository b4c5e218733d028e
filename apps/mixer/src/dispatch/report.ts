import type { Bag } from '@weft/attributes/bag'
import { WeftError } from '@weft/service/errors'
import { guarded, LazyCall } from './handler.ts'
import { matches } from './match.ts'
import type { DispatchMetrics } from './metrics.ts'
import type { Plan } from './plan.ts'

/**
 * Sends one record to all report handlers whose rules match. Gives what is still under way; a handler that fails is
 * counted and holds up nobody.
 */
export function report(plan: Plan, bag: Bag, deadlineMs: number, metrics: DispatchMetrics): Promise<unknown>[] {
  const later: Promise<unknown>[] = []
  const record = {}
  for (const rule of plan.report.candidates(bag)) {
    if (!matches(rule, bag, metrics)) continue
    for (const { handler, handle, instances } of rule.actions) {
      for (const planned of instances) {
        try {
          const instance = planned.build(bag, record)
          const done = guarded(handler, metrics, deadlineMs, new LazyCall(), () => handle(instance))
          if (done instanceof Promise) later.push(done)
        } catch (thrown) {
          metrics.instanceFailed(planned.name, WeftError.from(thrown))
        }
      }
    }
  }
  return later
}
