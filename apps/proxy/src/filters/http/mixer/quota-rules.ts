import type { Bag } from '@weft/attributes/bag'
import type { AttributeMatch, QuotaSpec, StringMatch } from '@weft/contracts/istio/mixer/v1/config/client/quota'
import { compilePattern } from '@weft/expressions/values/pattern'

/** How much of a quota a request is charged. */
export interface QuotaCharge {
  readonly name: string
  readonly amount: number
}

/** Which quotas a request is charged for; the empty list is always the same one. */
export type QuotaRules = (bag: Bag) => readonly QuotaCharge[]

const NONE: readonly QuotaCharge[] = []

/** Compiles quota specifications. `fail` makes the error for a path within the list: `[0].rules[1].match[0]…`. */
export function compileQuotaRules(specs: readonly QuotaSpec[], fail: (path: string, message: string) => never): QuotaRules {
  const rules = specs.flatMap((spec, s) =>
    spec.rules.map((rule, r) => {
      const path = `[${s}].rules[${r}]`
      const matches = rule.match.map((match, m) => compileMatch(match, `${path}.match[${m}]`, fail))
      const charges = rule.quotas.map((quota, q): QuotaCharge => {
        if (quota.quota === '') fail(`${path}.quotas[${q}].quota`, 'a quota needs a name')
        if (quota.charge < 0) fail(`${path}.quotas[${q}].charge`, 'a charge is not negative')
        return { name: quota.quota, amount: quota.charge === 0 ? 1 : quota.charge }
      })
      return { matches, charges }
    }),
  )
  if (rules.length === 0) return () => NONE
  return (bag) => {
    let charges: Map<string, number> | null = null
    for (const rule of rules) {
      if (rule.matches.length > 0 && !rule.matches.some((matches) => matches(bag))) continue
      charges ??= new Map()
      for (const { name, amount } of rule.charges) charges.set(name, (charges.get(name) ?? 0) + amount)
    }
    return charges === null ? NONE : Array.from(charges, ([name, amount]) => ({ name, amount }))
  }
}

function compileMatch(
  match: AttributeMatch,
  path: string,
  fail: (path: string, message: string) => never,
): (bag: Bag) => boolean {
  const clauses = Object.entries(match.clause).map(([name, condition]) => {
    const holds = compileString(condition, `${path}.clause[${name}]`, fail)
    return (bag: Bag) => {
      const value = bag.get(name)
      return typeof value === 'string' && holds(value)
    }
  })
  return (bag) => clauses.every((holds) => holds(bag))
}

function compileString(
  { matchType }: StringMatch,
  path: string,
  fail: (path: string, message: string) => never,
): (text: string) => boolean {
  switch (matchType?.$case) {
    case 'exact':
      return (text) => text === matchType.value
    case 'prefix':
      return (text) => text.startsWith(matchType.value)
    case 'regex': {
      try {
        const pattern = compilePattern(`^(?:${matchType.value})$`)
        return (text) => pattern.test(text)
      } catch (thrown) {
        return fail(`${path}.regex`, thrown instanceof Error ? thrown.message : String(thrown))
      }
    }
    case undefined:
      return fail(path, 'one of exact, prefix and regex is needed')
  }
}
