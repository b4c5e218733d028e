import { enabledOverride } from '../../../plan/filter-configs.ts'
import type { FilterConfigs, RoutePlan, RouteTable } from '../../../routing/route-table.ts'
import type { HttpStream } from '../../http/filter.ts'
import { FilterParts, type ResolvedFilter, type ResolvedFilters } from '../../http/filter-parts.ts'
import type { FilterEntry, HcmPlan } from './hcm-plan.ts'

/**
 * The filters of a request: those that are on for its route, each with the most specific override. Worked out once a route
 * (and weighted choice), so that a filter that is off costs nothing; those of an `upgrade` that has its own each time.
 */
export function resolveFilters(
  stream: HttpStream,
  plan: HcmPlan,
  upgrade: string,
  table: RouteTable | null,
  route: RoutePlan | null,
  choice: FilterConfigs | null,
): ResolvedFilters {
  const own = upgrade === '' ? null : (plan.upgrades.get(upgrade)?.filters ?? null)
  if (plan.filters.length === 0 && own === null) return none
  // What no route takes and what is sent to TLS have no configuration at all, as with Envoy: not the table's either.
  if (route === null || route.outcome.type === 'to-tls') return build(stream, own ?? plan.filters, [])
  if (own !== null || choice !== null)
    return build(stream, own ?? plan.filters, [choice, route.filterConfigs, route.host.filterConfigs, table?.filterConfigs])
  if (route.resolved !== null && route.resolved.owner === plan) return route.resolved.filters
  const filters = build(stream, plan.filters, [route.filterConfigs, route.host.filterConfigs, table?.filterConfigs])
  route.resolved = { owner: plan, filters }
  return filters
}

const none: ResolvedFilters = { filters: [], shared: new FilterParts() }

function build(
  stream: HttpStream,
  entries: readonly FilterEntry[],
  levels: readonly (FilterConfigs | null | undefined)[],
): ResolvedFilters {
  const filters: ResolvedFilter[] = []
  for (const { name, filter, disabled } of entries) {
    const found = levels.map((level) => level?.get(name)).filter((one) => one !== undefined)
    const config = found[0]
    if (config === 'off' || (disabled && config === undefined)) continue
    const configs = found.filter((one) => one !== enabledOverride && one !== 'off')
    const merges = configs.length > 1 && filter.mergeRouteConfigs !== undefined
    const merged = merges ? filter.mergeRouteConfigs?.(configs) : configs[0]
    filters.push({ filter, config: merged, shared: filter.isShared === true ? filter.start(stream, merged) : undefined })
  }
  if (filters.some(({ shared }) => shared === undefined)) return { filters, shared: null }
  const parts = new FilterParts()
  for (const { shared } of filters) if (shared) parts.add(shared)
  return { filters, shared: parts }
}
