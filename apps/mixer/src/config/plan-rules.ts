import type { AnyHandle } from '../adapter.ts'
import type { LiveHandler } from '../dispatch/handler.ts'
import {
  type Action,
  type AttributesHandle,
  type AttributesRule,
  type CheckHandle,
  type CheckRule,
  handleOf,
  type Plan,
  type PlannedRule,
  type QuotaHandle,
  type ReportHandle,
} from '../dispatch/plan.ts'
import { type Placement, RuleSet } from '../dispatch/rule-set.ts'
import { templates } from '../templates/catalogue.ts'
import type { Variety } from '../templates/template.ts'
import type { Acquired, HandlerTable } from './handler-table.ts'
import type { HandlerSpec } from './kinds/handler.ts'
import type { CompiledInstance } from './kinds/instance.ts'
import type { CompiledRule } from './kinds/rule.ts'
import type { Report } from './mixer-object.ts'
import { candidates, resolveName } from './names.ts'

/** One action with its names looked up, divided by template. */
interface ResolvedAction {
  handler: HandlerSpec
  instances: CompiledInstance[]
  path: PropertyKey[]
}

interface ResolvedRule {
  rule: CompiledRule
  actions: ResolvedAction[]
}

/** Joins rules, handlers and instances into a plan. Opens the handlers that rules name, and only those. */
export async function planRules(
  rules: readonly CompiledRule[],
  handlers: ReadonlyMap<string, HandlerSpec>,
  instances: ReadonlyMap<string, CompiledInstance>,
  table: HandlerTable,
  report: Report,
): Promise<{ plan: Plan } & Pick<Acquired, 'commit' | 'abandon'>> {
  const resolved = rules.map((rule) => ({ rule, actions: resolveActions(rule, handlers, instances, report) }))
  const wanted = new Set(resolved.flatMap(({ actions }) => actions.map(({ handler }) => handler)))
  const { live, failures, commit, abandon } = await table.acquire(wanted)
  for (const [name, error] of failures) {
    const spec = handlers.get(name)
    if (spec !== undefined) report(spec.object, ['spec'], `the handler cannot open: ${error.message}`, error.hint)
  }
  for (const { rule, actions } of resolved) {
    for (const { handler, path } of actions) {
      if (failures.has(handler.name))
        report(rule.object, path, `handler '${handler.name}' cannot open: this action is left out`, undefined, 'warning')
    }
  }
  return { plan: planOf(resolved, live), commit, abandon }
}

/**
 * Looks up what a rule's actions name. An action that lacks something is left out: a warning, or an error when nothing
 * of the rule is left.
 */
function resolveActions(
  rule: CompiledRule,
  handlers: ReadonlyMap<string, HandlerSpec>,
  instances: ReadonlyMap<string, CompiledInstance>,
  report: Report,
): ResolvedAction[] {
  const { object } = rule
  const missing: { path: PropertyKey[]; message: string; hint: string }[] = []
  const notFound = (path: PropertyKey[], what: 'handler' | 'instance', reference: string): void => {
    const looked = candidates(reference, what, object.namespace).join(', ')
    missing.push({ path, message: `${what} '${reference}' is not found`, hint: `there is no good one of the names ${looked}` })
  }
  const resolved = rule.actions.flatMap((action, index) => {
    const path = ['spec', 'actions', index]
    const handler = resolveName(action.handler, 'handler', object.namespace, handlers)
    if (handler === undefined) {
      notFound([...path, 'handler'], 'handler', action.handler)
      return []
    }
    if (action.instances.length === 0) {
      missing.push({
        path: [...path, 'instances'],
        message: 'names no instance',
        hint: 'without one the handler is never called',
      })
    }
    const found = action.instances.flatMap((reference, place) => {
      const at = [...path, 'instances', place]
      const instance = resolveName(reference, 'instance', object.namespace, instances)
      if (instance === undefined) {
        notFound(at, 'instance', reference)
        return []
      }
      const { adapter } = handler.loaded
      if (adapter.templates.includes(instance.template)) return [instance]
      const hint = `it takes ${adapter.templates.join(', ')}`
      missing.push({ path: at, message: `adapter '${adapter.name}' takes no ${instance.template}`, hint })
      return []
    })
    return found.length === 0 ? [] : [{ handler, instances: found, path }]
  })
  const nothingLeft = resolved.length === 0 && rule.requestHeaders.length === 0 && rule.responseHeaders.length === 0
  for (const { path, message, hint } of missing) report(object, path, message, hint, nothingLeft ? 'error' : 'warning')
  return resolved
}

function planOf(rules: readonly ResolvedRule[], live: ReadonlyMap<string, LiveHandler>): Plan {
  const check: Placement<CheckRule>[] = []
  const quota: Placement<PlannedRule<QuotaHandle>>[] = []
  const report: Placement<PlannedRule<ReportHandle>>[] = []
  const attributes: Placement<AttributesRule>[] = []
  for (const { rule, actions } of rules) {
    const { object, demand, match, requestHeaders, responseHeaders } = rule
    const place = <Rule>(planned: Rule): Placement<Rule> => ({ namespace: object.namespace, demand, rule: planned })
    const planned = { name: `${object.name}.${object.namespace}`, match }

    const checks = actionsOf<CheckHandle>('check', actions, live)
    const edits = requestHeaders.length > 0 || responseHeaders.length > 0
    if (checks.length > 0 || edits) check.push(place({ ...planned, actions: checks, requestHeaders, responseHeaders }))
    const quotas = actionsOf<QuotaHandle>('quota', actions, live)
    if (quotas.length > 0) quota.push(place({ ...planned, actions: quotas }))
    const reports = actionsOf<ReportHandle>('report', actions, live)
    if (reports.length > 0) report.push(place({ ...planned, actions: reports }))
    const generators = actionsOf<AttributesHandle>('attributes', actions, live)
    if (generators.length > 0) {
      const bindings = new Map(
        actions.flatMap(({ instances }) => instances.map((instance) => [instance, instance.bindings] as const)),
      )
      attributes.push(place({ ...planned, actions: generators, bindings }))
    }
  }
  return {
    check: new RuleSet(check),
    quota: new RuleSet(quota),
    report: new RuleSet(report),
    attributes: new RuleSet(attributes),
  }
}

/** The part of actions that belongs to a variety. An action may send instances of several templates to its handler. */
function actionsOf<Handle>(
  variety: Variety,
  actions: readonly ResolvedAction[],
  live: ReadonlyMap<string, LiveHandler>,
): Action<Handle>[] {
  const planned: Action<Handle>[] = []
  for (const { handler: spec, instances } of actions) {
    const handler = live.get(spec.name)
    if (handler === undefined) continue
    const byHandle = new Map<AnyHandle, CompiledInstance[]>()
    for (const instance of instances) {
      const handle = handler.open.handles.get(instance.template)
      if (handle === undefined || templates[instance.template].variety !== variety) continue
      const others = byHandle.get(handle)
      if (others === undefined) byHandle.set(handle, [instance])
      else others.push(instance)
    }
    for (const [handle, ofHandle] of byHandle) planned.push({ handler, handle: handleOf<Handle>(handle), instances: ofHandle })
  }
  return planned
}
