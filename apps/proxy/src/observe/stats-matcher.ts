import type { StatsMatcher } from '@weft/contracts/envoy/config/metrics/v3/stats'
import { compileTextMatcher } from '../routing/matchers/string-matcher.ts'

/** Says whether a stat exists, by its whole name. */
export type StatsMatch = (name: string) => boolean

/** Which stats exist by the bootstrap's `stats_matcher`, or by the one at `at`: all, none, those on a list, or those not on it. */
export function statsMatcher(matcher: StatsMatcher | undefined, at = 'stats_config.stats_matcher'): StatsMatch {
  const which = matcher?.statsMatcher
  if (which === undefined) return () => true
  if (which.$case === 'rejectAll') return () => !which.value
  const path = `${at}.${which.$case === 'inclusionList' ? 'inclusion_list' : 'exclusion_list'}`
  const patterns = which.value.patterns.map((pattern, index) => compileTextMatcher(pattern, `${path}.patterns[${index}]`))
  const listed = (name: string): boolean => patterns.some((pattern) => pattern(name))
  return which.$case === 'inclusionList' ? listed : (name) => !listed(name)
}

/**
 * The same, where clusters may have matchers of their own, which hold in place of `others` for their stats. `clusters`: of each by the
 * prefix of its stats; undefined for one that has none.
 */
export function matchByCluster(clusters: ReadonlyMap<string, StatsMatch | undefined>, others: StatsMatch): StatsMatch {
  if ([...clusters.values()].every((one) => one === undefined)) return others
  return (name) => {
    // Names of clusters have dots too: the longest that fits is the one.
    for (let end = name.lastIndexOf('.'); end > 0; end = name.lastIndexOf('.', end - 1)) {
      const prefix = name.slice(0, end)
      if (clusters.has(prefix)) return (clusters.get(prefix) ?? others)(name)
    }
    return others(name)
  }
}
