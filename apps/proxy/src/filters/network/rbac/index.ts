import { RBAC } from '@weft/contracts/envoy/extensions/filters/network/rbac/v3/rbac'
import { RequestHead } from '@weft/http/message'
import { unsupported } from '../../../plan/problems.ts'
import { compileEngine, type RbacSubject } from '../../http/rbac/engine.ts'
import type { NetworkGateKind } from '../filter.ts'
import type { AcceptedInfo } from '../http-connection-manager/downstream-connection.ts'

/** `envoy.filters.network.rbac`: who may connect. It decides as a connection is accepted, when all that it may ask is known. */
export const networkRbac: NetworkGateKind = {
  types: ['envoy.extensions.filters.network.rbac.v3.RBAC'],
  compile(config, path, { stats }) {
    const source = RBAC.decode(config)
    if (source.matcher !== undefined) throw unsupported(`${path}.matcher`, 'an RBAC matcher tree')
    if (source.shadowMatcher !== undefined) throw unsupported(`${path}.shadow_matcher`, 'an RBAC matcher tree')
    const rules = source.rules === undefined ? null : compileEngine(source.rules, `${path}.rules`)
    const shadow = source.shadowRules === undefined ? null : compileEngine(source.shadowRules, `${path}.shadow_rules`)
    const counter = (name: string) => stats.counter(`${source.statPrefix}rbac.${name}`)
    const allowed = counter('allowed')
    const denied = counter('denied')
    const shadowAllowed = counter(`${source.shadowRulesStatPrefix}shadow_allowed`)
    const shadowDenied = counter(`${source.shadowRulesStatPrefix}shadow_denied`)
    return {
      refuses(info) {
        const subject = subjectOf(info)
        if (shadow !== null) {
          if (shadow(subject).allowed) shadowAllowed.inc()
          else shadowDenied.inc()
        }
        if (rules === null) return null
        const verdict = rules(subject)
        if (verdict.allowed) {
          allowed.inc()
          return null
        }
        denied.inc()
        return `rbac_access_denied_matched_policy[${verdict.policy ?? 'none'}]`
      },
    }
  },
}

const noRequest = new RequestHead()

/** A connection as rules see it: there is no request, so that what they ask of one is absent. */
function subjectOf(info: AcceptedInfo): RbacSubject {
  const metadata: Record<string, Record<string, unknown>> = {}
  return {
    request: noRequest,
    connection: { id: 0, ...info },
    info: { downstreamRemoteAddress: info.remoteAddress },
    filterState: new Map(),
    metadataOrNull: metadata,
    metadata: (namespace) => (metadata[namespace] ??= {}),
  }
}
