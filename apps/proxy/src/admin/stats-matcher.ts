import type { StatsMatcher } from '@weft/contracts/envoy/config/metrics/v3/stats'
import { compileStringMatcher } from '../routing/matchers/string-matcher.ts'

/** Which stats exist by `stats_config.stats_matcher`: all, none, those on a list, or those not on it. */
export function statsMatcher(matcher: StatsMatcher | undefined): (name: string) => boolean {
  const which = matcher?.statsMatcher
  if (which === undefined) return () => true
  if (which.$case === 'rejectAll') return () => !which.value
  const path = `stats_config.stats_matcher.${which.$case === 'inclusionList' ? 'inclusion_list' : 'exclusion_list'}`
  const patterns = which.value.patterns.map((pattern, index) => compileStringMatcher(pattern, `${path}.patterns[${index}]`))
  const listed = (name: string): boolean => patterns.some((pattern) => pattern(name))
  return which.$case === 'inclusionList' ? listed : (name) => !listed(name)
}
