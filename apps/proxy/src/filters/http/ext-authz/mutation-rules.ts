import type { HeaderMutationRules } from '@weft/contracts/envoy/config/common/mutation_rules/v3/mutation_rules'
import type { RegexMatcher } from '@weft/contracts/envoy/type/matcher/v3/regex'
import { isPseudo } from '../../../routing/matchers/header-matcher.ts'
import { compileRegex, type Regex } from '../../../routing/matchers/regex.ts'

/** `refused`: left out; `error`: the whole answer counts as wrong. */
type MutationVerdict = 'ok' | 'refused' | 'error'
/** Says whether a header may be changed to a value (made longer by it: `appends`), or (null) removed. */
export type MutationCheck = (name: string, value: string | null, appends?: boolean) => MutationVerdict

const routing = new Set(['host', ':authority', ':scheme', ':method'])

/** Compiles `envoy.config.common.mutation_rules.v3`: what a service may do to headers. Throws WeftError. */
export function compileMutationRules(rules: HeaderMutationRules, path: string): MutationCheck {
  const { allowAllRouting = false, allowEnvoy = false, disallowSystem = false, disallowAll = false } = rules
  const never = expression(rules.disallowExpression, `${path}.disallow_expression`)
  const always = expression(rules.allowExpression, `${path}.allow_expression`)
  const no: MutationVerdict = rules.disallowIsError === true ? 'error' : 'refused'
  const isAllowed = (name: string): boolean => {
    if (never?.fullMatch(name) === true) return false
    if (always?.fullMatch(name) === true) return true
    if (disallowAll || (routing.has(name) && !allowAllRouting)) return false
    if (name.startsWith(':') && disallowSystem) return false
    return allowEnvoy || !name.startsWith('x-envoy-')
  }
  return (name, value, appends = false) => {
    if (value === null ? isPseudo(name) : appends && name.startsWith(':')) return no
    return isAllowed(name) && (value === null || isHeaderValue(value)) ? 'ok' : no
  }
}

function expression(matcher: RegexMatcher | undefined, path: string): Regex | undefined {
  return matcher === undefined ? undefined : compileRegex(matcher.regex, path)
}

/** Whether text can be a header's value: no control characters but the tab. */
export function isHeaderValue(value: string): boolean {
  return !/[\x00-\x08\x0a-\x1f\x7f]/.test(value)
}
