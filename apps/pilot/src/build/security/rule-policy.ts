import { type Permission, Policy, type Principal } from '@weft/contracts/envoy/config/rbac/v3/rbac'
import type { Condition, Rule, Source } from '@weft/contracts/istio/security/v1beta1/authorization_policy'
import {
  type Clause,
  operationClauses,
  permission,
  permissionConditions,
  principal,
  principalConditions,
  sourceClauses,
} from './rule-clauses.ts'
import { expandTrustDomains, type TrustDomains } from './trust-domains.ts'

export interface RuleContext {
  /** Of the policy. */
  readonly namespace: string
  readonly trustDomains: TrustDomains
  /** It stands before a connection of which nothing of HTTP is known. */
  readonly tcp: boolean
  /** The rule lets in; one that says what it can't ask about is left out, so that it lets in less and not more. */
  readonly allows: boolean
}

/** A policy that never holds: of an object without rules. */
export const neverPolicy: Policy = Policy.fromPartial({
  permissions: [permission({ $case: 'notRule', value: permission({ $case: 'any', value: true }) })],
  principals: [principal({ $case: 'notId', value: principal({ $case: 'any', value: true }) })],
})

/**
 * One rule of an AuthorizationPolicy as a policy of Envoy's RBAC: one of `to`, from one of `from`, with all of `when`.
 * Undefined where it lets in and asks about HTTP before a connection that is none; where it denies, what can't be asked is
 * passed over, so that it denies more.
 */
export function rulePolicy(rule: Rule, context: RuleContext): Policy | undefined {
  const when = rule.when.map((condition) => (condition.key === 'source.principal' ? inAllDomains(condition, context) : condition))
  const whereTo = permissionConditions(when)
  const whereFrom = principalConditions(when, context.namespace)
  const operations = rule.to.map(({ operation }) => [...(operation === undefined ? [] : operationClauses(operation)), ...whereTo])
  const sources = rule.from.map(({ source }) => [
    ...(source === undefined ? [] : sourceClauses(sourceInAllDomains(source, context), context.namespace)),
    ...whereFrom,
  ])
  const permissions = (operations.length === 0 ? [whereTo] : operations).map((clauses) => permissionOf(clauses, context))
  const principals = (sources.length === 0 ? [whereFrom] : sources).map((clauses) => principalOf(clauses, context))
  if (!permissions.every((one) => one !== undefined) || !principals.every((one) => one !== undefined)) return undefined
  return Policy.fromPartial({ permissions, principals })
}

function inAllDomains(condition: Condition, { trustDomains }: RuleContext): Condition {
  const { values, notValues } = condition
  return {
    ...condition,
    values: expandTrustDomains(values, trustDomains),
    notValues: expandTrustDomains(notValues, trustDomains),
  }
}

function sourceInAllDomains(source: Source, { trustDomains }: RuleContext): Source {
  const { principals, notPrincipals } = source
  return {
    ...source,
    principals: expandTrustDomains(principals, trustDomains),
    notPrincipals: expandTrustDomains(notPrincipals, trustDomains),
  }
}

function permissionOf(clauses: readonly Clause<Permission>[], context: RuleContext): Permission | undefined {
  const rules = conjunction(clauses, (one) => permission({ $case: 'notRule', value: one }), context)
  if (rules === undefined) return undefined
  return permission({
    $case: 'andRules',
    value: { rules: rules.length > 0 ? rules : [permission({ $case: 'any', value: true })] },
  })
}

function principalOf(clauses: readonly Clause<Principal>[], context: RuleContext): Principal | undefined {
  const ids = conjunction(clauses, (one) => principal({ $case: 'notId', value: one }), context)
  if (ids === undefined) return undefined
  return principal({ $case: 'andIds', value: { ids: ids.length > 0 ? ids : [principal({ $case: 'any', value: true })] } })
}

function conjunction<T>(clauses: readonly Clause<T>[], not: (one: T) => T, { tcp, allows }: RuleContext): T[] | undefined {
  const all: T[] = []
  for (const { values, notValues, httpOnly, anyOf } of clauses) {
    if (values.length === 0 && notValues.length === 0) continue
    if (httpOnly && tcp) {
      if (allows) return undefined
      continue
    }
    if (values.length > 0) all.push(anyOf(values))
    if (notValues.length > 0) all.push(not(anyOf(notValues)))
  }
  return all
}
