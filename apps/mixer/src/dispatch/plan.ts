import type { Bag } from '@weft/attributes/bag'
import type { AttributeValue } from '@weft/attributes/types'
import type { Predicate } from '@weft/expressions/expression'
import type { AnyHandle, Call, QuotaCall, QuotaGrant, Verdict } from '../adapter.ts'
import type { LiveHandler } from './handler.ts'
import type { RuleSet } from './rule-set.ts'

/** An instance for one request, whatever its template. */
interface NamedInstance {
  readonly name: string
}

/** What makes an instance out of attributes. */
export interface PlannedInstance {
  /** `name.kind.namespace` */
  readonly name: string
  /** The name alone, by which quotas are asked for. */
  readonly shortName: string
  /** `record` stands for the bag as it is now: what instances have in common is made once for it. */
  build(bag: Bag, record?: object): NamedInstance
}

/** One handler that a rule sends instances of one template to. */
export interface Action<Handle> {
  readonly handler: LiveHandler
  readonly handle: Handle
  readonly instances: readonly PlannedInstance[]
}

export interface PlannedRule<Handle> {
  /** `name.namespace` */
  readonly name: string
  /** Undefined matches all. */
  readonly match: Predicate | undefined
  readonly actions: readonly Action<Handle>[]
}

export type CheckHandle = (instance: NamedInstance, call: Call) => CheckAnswer | Promise<CheckAnswer>
export type CheckAnswer = Verdict | boolean | undefined
export type QuotaHandle = (instance: NamedInstance, call: QuotaCall) => QuotaGrant | Promise<QuotaGrant>
export type ReportHandle = (instance: NamedInstance) => undefined | Promise<undefined>
export type AttributesHandle = (instance: NamedInstance, call: Call) => AttributesAnswer | Promise<AttributesAnswer>
export type AttributesAnswer = Readonly<Record<string, unknown>> | undefined

export interface HeaderOperation {
  readonly name: string
  readonly operation: 'REPLACE' | 'REMOVE' | 'APPEND'
  /** Gives the header's value; an absent attribute gives no operation. */
  value(bag: Bag): string | undefined
}

/** A rule with a part in checks: its verdicts, and the headers it edits when the request passes. */
export interface CheckRule extends PlannedRule<CheckHandle> {
  readonly requestHeaders: readonly HeaderOperation[]
  readonly responseHeaders: readonly HeaderOperation[]
}

/** A rule that completes the attributes; its instances say which attribute is made of what the handler gives. */
export interface AttributesRule extends PlannedRule<AttributesHandle> {
  readonly bindings: ReadonlyMap<PlannedInstance, readonly Binding[]>
}

export interface Binding {
  readonly attribute: string
  evaluate(bag: Bag): AttributeValue | undefined
}

/** Everything that answering requests needs. Immutable; a new configuration makes a new one. */
export interface Plan {
  readonly attributes: RuleSet<AttributesRule>
  readonly check: RuleSet<CheckRule>
  readonly quota: RuleSet<PlannedRule<QuotaHandle>>
  readonly report: RuleSet<PlannedRule<ReportHandle>>
}

/**
 * A handler's function as its variety calls it. Instances are made at run time to the shape of their template, which
 * the compiler checked; TypeScript cannot follow that, so this is the one place that says it.
 */
export function handleOf<Handle>(handle: AnyHandle): Handle {
  return handle as unknown as Handle
}
