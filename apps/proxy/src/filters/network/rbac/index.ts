import { RBAC_EnforcementType as EnforcementType, RBAC } from '@weft/contracts/envoy/extensions/filters/network/rbac/v3/rbac'
import { RequestHead } from '@weft/http/message'
import { compileEngines, type RbacSubject } from '../../http/rbac/engine.ts'
import type { NetworkGateKind, Refusal } from '../filter.ts'
import type { AcceptedInfo } from '../http-connection-manager/downstream-connection.ts'

const namespace = 'envoy.filters.network.rbac'

/**
 * `envoy.filters.network.rbac`: who may connect. It decides with the first byte, as Envoy does, also where that is the
 * server's (which Envoy lets through).
 */
export const networkRbac: NetworkGateKind = {
  types: ['envoy.extensions.filters.network.rbac.v3.RBAC'],
  compile(config, path, { stats }) {
    const source = RBAC.decode(config)
    const { rules, shadow } = compileEngines(source, path)
    const { statPrefix, shadowRulesStatPrefix } = source
    const dotted = (prefix: string) => (prefix === '' || prefix.endsWith('.') ? prefix : `${prefix}.`)
    const counter = (name: string) => stats.counter(`${dotted(statPrefix)}rbac.${name}`)
    const allowed = counter('allowed')
    const denied = counter('denied')
    const shadowAllowed = counter(`${dotted(shadowRulesStatPrefix)}shadow_allowed`)
    const shadowDenied = counter(`${dotted(shadowRulesStatPrefix)}shadow_denied`)
    const asksAlways = source.enforcementType === EnforcementType.CONTINUOUS
    const judge = (info: AcceptedInfo): 'continue' | Refusal => {
      const subject = subjectOf(info)
      if (shadow !== null) {
        const { allowed: passes, policy } = shadow(subject)
        const noted = info.metadata ?? {}
        noted[namespace] = {
          ...noted[namespace],
          ...(policy === null ? {} : { [`${shadowRulesStatPrefix}shadow_effective_policy_id`]: policy }),
          [`${shadowRulesStatPrefix}shadow_engine_result`]: passes ? 'allowed' : 'denied',
        }
        if (passes) shadowAllowed.inc()
        else shadowDenied.inc()
      }
      if (rules === null) return 'continue'
      const verdict = rules(subject)
      if (verdict.allowed) {
        allowed.inc()
        return 'continue'
      }
      denied.inc()
      return { details: `rbac_access_denied_matched_policy[${verdict.policy ?? 'none'}]` }
    }
    return {
      start({ info }) {
        let last: 'continue' | Refusal | null = null
        return {
          asksAlways,
          onData: () => {
            if (last === null || asksAlways) last = judge(info)
            return last
          },
          onFirstWrite() {
            last ??= judge(info)
            return last
          },
        }
      },
    }
  },
}

const noRequest = new RequestHead()

/** A connection as rules see it: there is no request, so that what they ask of one is absent. */
function subjectOf(info: AcceptedInfo): RbacSubject {
  const metadata = info.metadata ?? {}
  return {
    request: noRequest,
    route: null,
    connection: { id: 0, ...info },
    info: { downstreamRemoteAddress: info.remoteAddress },
    filterState: info.filterState ?? new Map(),
    metadataOrNull: metadata,
    metadata: (name) => (metadata[name] ??= {}),
  }
}
