import { RBAC, RBACPerRoute } from '@weft/contracts/envoy/extensions/filters/http/rbac/v3/rbac'
import type { Counter } from '../../../observe/stats.ts'
import { unsupported } from '../../../plan/problems.ts'
import type { FilterContext, FilterStatus, HttpFilter, HttpFilterKind, HttpStream } from '../filter.ts'
import { compileEngine, type Verdict } from './engine.ts'

const namespace = 'envoy.filters.http.rbac'

/** `envoy.filters.http.rbac`: who may do what, with shadow rules that only tell. */
export const rbac: HttpFilterKind = {
  types: ['envoy.extensions.filters.http.rbac.v3.RBAC'],
  routeTypes: ['envoy.extensions.filters.http.rbac.v3.RBACPerRoute'],
  compile(bytes, context) {
    const source = RBAC.decode(bytes)
    const stats = new RbacStats(context, source)
    const own = compileRules(source, context.path)
    const filter = own === null ? null : new RbacFilter(own, stats)
    // A route's rules count under this filter's stats.
    const ofRoutes = new WeakMap<RbacRules, RbacFilter>()
    return {
      start(_stream, routeConfig) {
        if (!(routeConfig instanceof RbacRules)) return filter
        let one = ofRoutes.get(routeConfig)
        if (one === undefined) {
          one = new RbacFilter(routeConfig, stats)
          ofRoutes.set(routeConfig, one)
        }
        return one
      },
    }
  },
  compileRouteConfig(bytes, _type, context) {
    const { rbac: source } = RBACPerRoute.decode(bytes)
    return source === undefined ? 'off' : (compileRules(source, `${context.path}.rbac`) ?? 'off')
  },
}

type Engine = (stream: HttpStream) => Verdict

class RbacRules {
  readonly rules: Engine | null
  readonly shadow: Engine | null
  readonly shadowPrefix: string
  constructor(rules: Engine | null, shadow: Engine | null, shadowPrefix: string) {
    this.rules = rules
    this.shadow = shadow
    this.shadowPrefix = shadowPrefix
  }
}

function compileRules(source: RBAC, path: string): RbacRules | null {
  if (source.matcher !== undefined) throw unsupported(`${path}.matcher`, 'an RBAC matcher tree')
  if (source.shadowMatcher !== undefined) throw unsupported(`${path}.shadow_matcher`, 'an RBAC matcher tree')
  if (source.rules === undefined && source.shadowRules === undefined) return null
  return new RbacRules(
    source.rules === undefined ? null : compileEngine(source.rules, `${path}.rules`),
    source.shadowRules === undefined ? null : compileEngine(source.shadowRules, `${path}.shadow_rules`),
    source.shadowRulesStatPrefix,
  )
}

class RbacStats {
  readonly allowed: Counter
  readonly denied: Counter
  readonly shadowAllowed: Counter
  readonly shadowDenied: Counter
  constructor(context: FilterContext, source: RBAC) {
    const counter = (prefix: string, name: string) => context.stats.counter(`${context.statPrefix}rbac.${scope(prefix)}${name}`)
    this.allowed = counter(source.rulesStatPrefix, 'allowed')
    this.denied = counter(source.rulesStatPrefix, 'denied')
    this.shadowAllowed = counter(source.shadowRulesStatPrefix, 'shadow_allowed')
    this.shadowDenied = counter(source.shadowRulesStatPrefix, 'shadow_denied')
  }
}

/** Holds no state of a request: all share one. */
class RbacFilter implements HttpFilter {
  private readonly rules: RbacRules
  private readonly stats: RbacStats

  constructor(rules: RbacRules, stats: RbacStats) {
    this.rules = rules
    this.stats = stats
  }

  onRequestHeaders(stream: HttpStream): FilterStatus {
    const { rules, shadow } = this.rules
    if (shadow !== null) this.tell(stream, shadow(stream))
    if (rules === null) return 'continue'
    const verdict = rules(stream)
    if (verdict.allowed) {
      this.stats.allowed.inc()
      return 'continue'
    }
    this.stats.denied.inc()
    stream.reply(403, 'RBAC: access denied', { details: `rbac_access_denied_matched_policy[${verdict.policy ?? 'none'}]` })
    return 'stop'
  }

  private tell(stream: HttpStream, verdict: Verdict): void {
    if (verdict.allowed) this.stats.shadowAllowed.inc()
    else this.stats.shadowDenied.inc()
    const metadata = stream.metadata(namespace)
    if (verdict.policy !== null) metadata[`${this.rules.shadowPrefix}shadow_effective_policy_id`] = verdict.policy
    metadata[`${this.rules.shadowPrefix}shadow_engine_result`] = verdict.allowed ? 'allowed' : 'denied'
  }
}

/** A part of a stat's name: it ends with one dot. */
function scope(prefix: string): string {
  return prefix === '' || prefix.endsWith('.') ? prefix : `${prefix}.`
}
