import { type Bag, MutableBag } from '@weft/attributes/bag'
import { Duration } from '@weft/attributes/duration'
import type { AttributeValue } from '@weft/attributes/types'
import { WeftError } from '@weft/service/errors'
import { guarded, HandlerFailure, LazyCall } from './handler.ts'
import { matches } from './match.ts'
import type { DispatchMetrics } from './metrics.ts'
import type { AttributesAnswer, Binding, Plan } from './plan.ts'

/** What a handler gave, by name, among the attributes that a binding may use. Bindings write it as `$out.`. */
export const OUTPUT_PREFIX = 'output.'

/**
 * The request's attributes and those that attribute generators add. What the request says itself stays. Gives the
 * same bag, at once, where there is no generator.
 */
export function completeAttributes(plan: Plan, bag: Bag, deadlineMs: number, metrics: DispatchMetrics): Bag | Promise<Bag> {
  if (plan.attributes.all.length === 0) return bag
  return complete(plan, bag, deadlineMs, metrics)
}

async function complete(plan: Plan, bag: Bag, deadlineMs: number, metrics: DispatchMetrics): Promise<Bag> {
  const completed = new MutableBag(bag)
  for (const rule of plan.attributes.candidates(bag)) {
    if (!matches(rule, bag, metrics)) continue
    for (const { handler, handle, instances } of rule.actions) {
      for (const planned of instances) {
        try {
          const instance = planned.build(bag)
          const output = await guarded(handler, metrics, deadlineMs, new LazyCall(), (call) => handle(instance, call))
          if (output instanceof HandlerFailure) continue
          apply(rule.bindings.get(planned) ?? [], output, bag, completed)
        } catch (thrown) {
          metrics.instanceFailed(planned.name, WeftError.from(thrown))
        }
      }
    }
  }
  return completed
}

function apply(bindings: readonly Binding[], output: AttributesAnswer, bag: Bag, completed: MutableBag): void {
  const source = outputBag(output ?? {}, bag)
  for (const { attribute, evaluate } of bindings) {
    if (completed.get(attribute) !== undefined) continue
    const value = evaluate(source)
    if (value !== undefined) completed.set(attribute, value)
  }
}

function outputBag(output: Readonly<Record<string, unknown>>, bag: Bag): Bag {
  const own = (name: string): AttributeValue | undefined => {
    const key = name.slice(OUTPUT_PREFIX.length)
    const value = Object.hasOwn(output, key) ? output[key] : undefined
    return isAttributeValue(value) ? value : undefined
  }
  return {
    get: (name) => (name.startsWith(OUTPUT_PREFIX) ? own(name) : bag.get(name)),
    getEntry(name, key) {
      if (!name.startsWith(OUTPUT_PREFIX)) return bag.getEntry(name, key)
      const map = own(name)
      return map instanceof Map ? map.get(key) : undefined
    },
    names: () => bag.names(),
  }
}

function isAttributeValue(value: unknown): value is AttributeValue {
  return (
    ['string', 'bigint', 'number', 'boolean'].includes(typeof value) ||
    value instanceof Date ||
    value instanceof Duration ||
    value instanceof Uint8Array ||
    value instanceof Map
  )
}
