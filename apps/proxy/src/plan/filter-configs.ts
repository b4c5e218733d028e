import { FilterConfig } from '@weft/contracts/envoy/config/route/v3/route_components'
import { compileLegacyPolicy, corsFilterName } from '../filters/http/cors/index.ts'
import type { FilterContext } from '../filters/http/filter.ts'
import { httpFilterKindOfRoute, httpFilterTypes } from '../filters/http/index.ts'
import type { CompileFilterConfigs } from '../routing/route-table.ts'
import type { PlanContext } from './plan-context.ts'
import { invalid } from './problems.ts'

const wrapper = 'envoy.config.route.v3.FilterConfig'

/** An override that turns a filter on that is off by default. */
export const enabledOverride = Symbol('enabled')

/** An override for a filter that may be missing, and is. */
const spare = Symbol('spare')

/** Compiles typed_per_filter_config: what each filter makes of its override, by the filter's name; `off` disables it. */
export function compileFilterConfigs(context: PlanContext): CompileFilterConfigs {
  return (configs, path, legacyCors) => {
    const entries = Object.entries(configs)
    if (entries.length === 0 && legacyCors === undefined) return null
    const compiled = new Map<string, unknown>()
    for (const [name, any] of entries) {
      const at = `${path}.typed_per_filter_config['${name}']`
      const one = compileOne(name, any, at, context)
      if (one !== spare) compiled.set(name, one)
    }
    if (legacyCors !== undefined && !compiled.has(corsFilterName))
      compiled.set(corsFilterName, compileLegacyPolicy(legacyCors, filterContext(corsFilterName, `${path}.cors`, context)))
    return compiled
  }
}

function compileOne(name: string, any: { typeUrl: string; value: Uint8Array }, at: string, context: PlanContext): unknown {
  const type = any.typeUrl.split('/').pop() ?? ''
  if (type === wrapper) {
    const config = FilterConfig.decode(any.value)
    if (config.disabled) return 'off'
    if (config.config === undefined) throw invalid(at, `Empty route/virtual host per filter configuration for ${name} filter`)
    if (config.config.typeUrl === '') return enabledOverride
    const inner = config.config.typeUrl.split('/').pop() ?? ''
    if (config.isOptional && inner !== wrapper && !httpFilterTypes.has(inner)) return spare
    return compileOne(name, config.config, `${at}.config`, context)
  }
  const kind = httpFilterKindOfRoute(any.typeUrl, at)
  if (kind.compileRouteConfig === undefined) throw invalid(at, `filter '${name}' takes no override`)
  return kind.compileRouteConfig(any.value, type, filterContext(name, at, context))
}

function filterContext(name: string, at: string, context: PlanContext): FilterContext {
  return {
    path: at,
    name,
    statPrefix: 'http.',
    stats: context.stats,
    runtime: context.runtime,
    secrets: context.secrets,
    services: context.services,
    direction: context.direction,
    fail(inside, message, hint): never {
      throw invalid(inside === '' ? at : `${at}.${inside}`, message, hint)
    },
  }
}
