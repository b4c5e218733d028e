import { RBAC, RBACPerRoute } from '@weft/contracts/envoy/extensions/filters/http/rbac/v3/rbac'
import type { Counter } from '../../../observe/stats.ts'
import type { FilterContext, FilterStatus, HttpFilter, HttpFilterKind, HttpStream } from '../filter.ts'
import { compileEngines, type Verdict } from './engine.ts'

const namespace = 'envoy.filters.http.rbac'

/** `envoy.filters.http.rbac`: who may do what, with shadow rules that only tell. */
export const rbac: HttpFilterKind = {
  types: ['envoy.extensions.filters.http.rbac.v3.RBAC'],
  routeTypes: ['envoy.extensions.filters.http.rbac.v3.RBACPerRoute'],
  compile(bytes, context) {
    const source = RBAC.decode(bytes)
    const stats = new RbacStats(context, source)
    const own = compileRules(source, context.path)
    return {
      isShared: true,
      // A route's rules count under this filter's stats.
      start(_stream, routeConfig) {
        const rules = routeConfig instanceof RbacRules ? routeConfig : own
        return rules === null ? null : new RbacFilter(rules, stats)
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
  readonly own: VerdictNotes
  readonly shadowed: VerdictNotes
  constructor(rules: Engine | null, shadow: Engine | null, ownPrefix: string, shadowPrefix: string) {
    this.rules = rules
    this.shadow = shadow
    this.own = new VerdictNotes(`${ownPrefix}enforced`)
    this.shadowed = new VerdictNotes(`${shadowPrefix}shadow`)
  }
}

function compileRules(source: RBAC, path: string): RbacRules | null {
  const { rules, shadow } = compileEngines(source, path, 'ruled-request')
  if (rules === null && shadow === null) return null
  return new RbacRules(rules, shadow, source.rulesStatPrefix, source.shadowRulesStatPrefix)
}

/** Counts verdicts, of each policy too where that is asked for. */
class RbacStats {
  readonly allowed: Counter
  readonly denied: Counter
  readonly shadowAllowed: Counter
  readonly shadowDenied: Counter
  private readonly byPolicy: ((name: string) => Counter) | null
  private readonly ownPrefix: string
  private readonly shadowPrefix: string

  constructor(context: FilterContext, source: RBAC) {
    const counter = (name: string) => context.stats.counter(`${context.statPrefix}rbac.${name}`)
    this.ownPrefix = dotted(source.rulesStatPrefix)
    this.shadowPrefix = dotted(source.shadowRulesStatPrefix)
    this.allowed = counter(`${this.ownPrefix}allowed`)
    this.denied = counter(`${this.ownPrefix}denied`)
    this.shadowAllowed = counter(`${this.shadowPrefix}shadow_allowed`)
    this.shadowDenied = counter(`${this.shadowPrefix}shadow_denied`)
    this.byPolicy = source.trackPerRuleStats ? counter : null
  }

  enforced({ allowed, policy }: Verdict): void {
    if (allowed) this.allowed.inc()
    else this.denied.inc()
    if (this.byPolicy !== null && policy !== null)
      this.byPolicy(`${this.ownPrefix}policy.${policy}.${allowed ? 'allowed' : 'denied'}`).inc()
  }

  shadowed({ allowed, policy }: Verdict): void {
    if (allowed) this.shadowAllowed.inc()
    else this.shadowDenied.inc()
    if (this.byPolicy !== null && policy !== null)
      this.byPolicy(`${this.shadowPrefix}policy.${policy}.shadow_${allowed ? 'allowed' : 'denied'}`).inc()
  }
}

function dotted(prefix: string): string {
  return prefix === '' || prefix.endsWith('.') ? prefix : `${prefix}.`
}

/** Holds no state of a request. */
class RbacFilter implements HttpFilter {
  private readonly rules: RbacRules
  private readonly stats: RbacStats

  constructor(rules: RbacRules, stats: RbacStats) {
    this.rules = rules
    this.stats = stats
  }

  onRequestHeaders(stream: HttpStream): FilterStatus {
    const { rules, shadow, own, shadowed } = this.rules
    if (shadow !== null) {
      const verdict = shadow(stream)
      this.stats.shadowed(verdict)
      stream.noteShared(shadowed.of(verdict))
    }
    if (rules === null) return 'continue'
    const verdict = rules(stream)
    this.stats.enforced(verdict)
    stream.noteShared(own.of(verdict))
    if (verdict.allowed) return 'continue'
    stream.reply(403, 'RBAC: access denied', { details: `rbac_access_denied_matched_policy[${verdict.policy ?? 'none'}]` })
    return 'stop'
  }
}

/** Tells verdicts by metadata, which is the same for all requests with the same verdict. */
class VerdictNotes {
  private readonly prefix: string
  private last: Verdict | null = null
  private lastNote: Record<string, Record<string, unknown>> = {}

  constructor(prefix: string) {
    this.prefix = prefix
  }

  of(verdict: Verdict): Record<string, Record<string, unknown>> {
    if (verdict === this.last) return this.lastNote
    const { allowed, policy } = verdict
    const values: Record<string, unknown> = policy === null ? {} : { [`${this.prefix}_effective_policy_id`]: policy }
    values[`${this.prefix}_engine_result`] = allowed ? 'allowed' : 'denied'
    this.last = verdict
    this.lastNote = { [namespace]: values }
    return this.lastNote
  }
}
