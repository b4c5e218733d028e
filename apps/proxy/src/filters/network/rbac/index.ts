import type { Permission, Principal, RBAC as Rules } from '@weft/contracts/envoy/config/rbac/v3/rbac'
import { RBAC_EnforcementType as EnforcementType, RBAC } from '@weft/contracts/envoy/extensions/filters/network/rbac/v3/rbac'
import { RequestHead } from '@weft/http/message'
import type { FormatContext } from '../../../observe/format/context.ts'
import { StreamRecord } from '../../../observe/stream-record.ts'
import { durationMs } from '../../../plan/duration.ts'
import { invalid } from '../../../plan/problems.ts'
import { compileEngines, type RbacSubject } from '../../http/rbac/engine.ts'
import type { AcceptedInfo, NetworkGateKind, Refusal } from '../filter.ts'

const namespace = 'envoy.filters.network.rbac'

/**
 * `envoy.filters.network.rbac`: who may connect. It decides with the first byte, as Envoy does, also where that is the
 * server's (which Envoy lets through).
 */
export const networkRbac: NetworkGateKind = {
  types: ['envoy.extensions.filters.network.rbac.v3.RBAC'],
  compile(config, path, { stats }) {
    const source = RBAC.decode(config)
    for (const [name, rbac] of [
      ['rules', source.rules],
      ['shadow_rules', source.shadowRules],
    ] as const)
      if (rbac !== undefined) refuseHeaderRules(rbac, `${path}.${name}`)
    const { rules, shadow } = compileEngines(source, path, 'ruled-connection')
    const { statPrefix, shadowRulesStatPrefix } = source
    const dotted = (prefix: string) => (prefix === '' || prefix.endsWith('.') ? prefix : `${prefix}.`)
    const counter = (name: string) => stats.counter(`${dotted(statPrefix)}rbac.${name}`)
    const allowed = counter('allowed')
    const denied = counter('denied')
    const shadowAllowed = counter(`${dotted(shadowRulesStatPrefix)}shadow_allowed`)
    const shadowDenied = counter(`${dotted(shadowRulesStatPrefix)}shadow_denied`)
    const delayMs = durationMs(source.delayDeny, 0)
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
      const details = `rbac_access_denied_matched_policy[${verdict.policy ?? 'none'}]`
      return { details, closeReason: 'rbac_deny_close', afterMs: delayMs }
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
            // Rules that are only tried wait for the client.
            if (rules === null) return 'continue'
            last ??= judge(info)
            return last
          },
        }
      },
    }
  },
}

/** A connection has no headers to rule by. */
function refuseHeaderRules({ policies }: Rules, path: string): void {
  const inside = (permission: Permission): boolean => {
    const { rule } = permission
    if (rule?.$case === 'andRules' || rule?.$case === 'orRules') return rule.value.rules.some(inside)
    return rule?.$case === 'notRule' ? inside(rule.value) : rule?.$case === 'header'
  }
  const among = (principal: Principal): boolean => {
    const { identifier } = principal
    if (identifier?.$case === 'andIds' || identifier?.$case === 'orIds') return identifier.value.ids.some(among)
    return identifier?.$case === 'notId' ? among(identifier.value) : identifier?.$case === 'header'
  }
  for (const [name, { permissions, principals }] of Object.entries(policies))
    if (permissions.some(inside) || principals.some(among))
      throw invalid(`${path}.policies['${name}']`, 'a header rule is not supported by the RBAC network filter')
}

const noRequest = new RequestHead()

/** A connection as rules see it: there is no request, so that what they ask of one is absent. */
function subjectOf(info: AcceptedInfo): RbacSubject {
  const metadata = info.metadata ?? {}
  const connection = { id: 0, ...info }
  const filterState = info.filterState ?? new Map<string, unknown>()
  return {
    request: noRequest,
    route: null,
    connection,
    info: { downstreamRemoteAddress: info.remoteAddress },
    filterState,
    metadataOrNull: metadata,
    metadata: (name) => (metadata[name] ??= {}),
    get format(): FormatContext {
      const record = new StreamRecord()
      record.downstreamRemoteAddress = info.remoteAddress
      record.downstreamRemotePort = info.remotePort
      const absent = { request: null, response: null, responseTrailers: null, routeMetadata: null, clusterMetadata: null }
      return { ...absent, connection, info: record, metadataOrNull: metadata, filterState }
    },
  }
}
