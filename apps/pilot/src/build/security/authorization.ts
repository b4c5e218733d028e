import type { TypedObject } from '@weft/config/objects'
import { Filter } from '@weft/contracts/envoy/config/listener/v3/listener_components'
import { type Policy, RBAC, RBAC_Action } from '@weft/contracts/envoy/config/rbac/v3/rbac'
import { ExtAuthz as HttpExtAuthz } from '@weft/contracts/envoy/extensions/filters/http/ext_authz/v3/ext_authz'
import { RBAC as HttpRbac } from '@weft/contracts/envoy/extensions/filters/http/rbac/v3/rbac'
import { ExtAuthz as TcpExtAuthz } from '@weft/contracts/envoy/extensions/filters/network/ext_authz/v3/ext_authz'
import { HttpFilter } from '@weft/contracts/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager'
import { RBAC as TcpRbac } from '@weft/contracts/envoy/extensions/filters/network/rbac/v3/rbac'
import { AuthorizationPolicy_Action as Action } from '@weft/contracts/istio/security/v1beta1/authorization_policy'
import { isDryRun } from '../../scope/workload-policies.ts'
import { pack } from '../wire.ts'
import { customPrefix, customStatPrefix, httpExtAuthz, type KnownProvider, tcpExtAuthz } from './ext-authz.ts'
import { neverPolicy, rulePolicy } from './rule-policy.ts'
import type { TrustDomains } from './trust-domains.ts'

type PolicyObject = TypedObject<'AuthorizationPolicy'>

export interface AuthorizationContext {
  readonly trustDomains: TrustDomains
  /** The provider of a name; undefined when it can't be asked, so that all that would be are refused. */
  provider(name: string): KnownProvider | undefined
}

/** What Envoy's RBAC is to enforce, and what it is to note alone. */
interface Rules {
  readonly enforced: RBAC | undefined
  readonly noted: RBAC | undefined
  readonly notedPrefix: string
}

/**
 * The filters that decide on requests as AuthorizationPolicies say, in the order CUSTOM, AUDIT, DENY, ALLOW: what any of
 * them refuses is refused.
 */
export function httpAuthorization(policies: readonly PolicyObject[], context: AuthorizationContext): HttpFilter[] {
  const rbac = ({ enforced, noted, notedPrefix }: Rules): HttpFilter =>
    HttpFilter.fromPartial({
      name: 'envoy.filters.http.rbac',
      configType: {
        $case: 'typedConfig',
        value: pack(
          'envoy.extensions.filters.http.rbac.v3.RBAC',
          HttpRbac,
          HttpRbac.fromPartial({ rules: enforced, shadowRules: noted, shadowRulesStatPrefix: notedPrefix }),
        ),
      },
    })
  const asks = (known: KnownProvider): HttpFilter =>
    HttpFilter.fromPartial({
      name: 'envoy.filters.http.ext_authz',
      configType: {
        $case: 'typedConfig',
        value: pack('envoy.extensions.filters.http.ext_authz.v3.ExtAuthz', HttpExtAuthz, httpExtAuthz(known)),
      },
    })
  return [...custom(policies, false, context, rbac, asks), ...plain(policies, false, context).map(rbac)]
}

/** The same for connections of which nothing of HTTP is known. */
export function tcpAuthorization(policies: readonly PolicyObject[], context: AuthorizationContext): Filter[] {
  const rbac = ({ enforced, noted, notedPrefix }: Rules): Filter =>
    Filter.fromPartial({
      name: 'envoy.filters.network.rbac',
      configType: {
        $case: 'typedConfig',
        value: pack(
          'envoy.extensions.filters.network.rbac.v3.RBAC',
          TcpRbac,
          TcpRbac.fromPartial({ rules: enforced, shadowRules: noted, shadowRulesStatPrefix: notedPrefix, statPrefix: 'tcp.' }),
        ),
      },
    })
  const asks = (known: KnownProvider): Filter | undefined => {
    const config = tcpExtAuthz(known)
    if (config === undefined) return undefined
    const value = pack('envoy.extensions.filters.network.ext_authz.v3.ExtAuthz', TcpExtAuthz, config)
    return Filter.fromPartial({ name: 'envoy.filters.network.ext_authz', configType: { $case: 'typedConfig', value } })
  }
  return [...custom(policies, true, context, rbac, asks), ...plain(policies, true, context).map(rbac)]
}

const plainActions = [
  { action: Action.AUDIT, rbac: RBAC_Action.LOG },
  { action: Action.DENY, rbac: RBAC_Action.DENY },
  { action: Action.ALLOW, rbac: RBAC_Action.ALLOW },
] as const

function plain(policies: readonly PolicyObject[], tcp: boolean, context: AuthorizationContext): Rules[] {
  return plainActions.flatMap(({ action, rbac }): Rules[] => {
    const own = policies.filter(({ spec }) => spec.action === action)
    if (own.length === 0) return []
    const enforced = own.filter((policy) => !isDryRun(policy))
    const noted = own.filter(isDryRun)
    const rules = (some: readonly PolicyObject[]) =>
      some.length === 0 ? undefined : rbacOf(rbac, some, (policy, index) => policyName(policy, index), tcp, context)
    const denies = noted.length > 0 && action === Action.DENY
    return [
      { enforced: rules(enforced), noted: rules(noted), notedPrefix: denies ? 'istio_dry_run_deny_' : 'istio_dry_run_allow_' },
    ]
  })
}

/**
 * CUSTOM: shadow rules find what a provider is to be asked about, and its filter asks. Of a workload there may be one
 * provider alone; with more, or one that can't be asked, all that they would be asked about is refused.
 */
function custom<F>(
  policies: readonly PolicyObject[],
  tcp: boolean,
  context: AuthorizationContext,
  rbac: (rules: Rules) => F,
  asks: (known: KnownProvider) => F | undefined,
): F[] {
  const byProvider = new Map<string, PolicyObject[]>()
  for (const policy of policies) {
    if (policy.spec.action !== Action.CUSTOM) continue
    const name = policy.spec.actionDetail?.value.name ?? ''
    byProvider.set(name, [...(byProvider.get(name) ?? []), policy])
  }
  return [...byProvider]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([name, own]): F[] => {
      const known = byProvider.size > 1 ? undefined : context.provider(name)
      const named = (policy: PolicyObject, index: number): string => `${customPrefix(name)}-${policyName(policy, index)}`
      if (known === undefined) {
        const refused = (policy: PolicyObject, index: number): string => `${named(policy, index)}-deny-due-to-bad-CUSTOM-action`
        return [rbac({ enforced: rbacOf(RBAC_Action.DENY, own, refused, tcp, context), noted: undefined, notedPrefix: '' })]
      }
      const filter = asks(known)
      if (filter === undefined) return []
      const noted = rbacOf(RBAC_Action.DENY, own, named, tcp, context)
      return [rbac({ enforced: undefined, noted, notedPrefix: customStatPrefix }), filter]
    })
}

/** As it stands in an access log's response code details when the rule decides. */
function policyName({ metadata }: PolicyObject, index: number): string {
  return `ns[${metadata.namespace}]-policy[${metadata.name}]-rule[${index}]`
}

function rbacOf(
  action: RBAC['action'],
  policies: readonly PolicyObject[],
  name: (policy: PolicyObject, index: number) => string,
  tcp: boolean,
  { trustDomains }: AuthorizationContext,
): RBAC {
  const compiled: Record<string, Policy> = {}
  for (const policy of policies) {
    const { namespace } = policy.metadata
    const { rules } = policy.spec
    for (const [index, rule] of rules.entries()) {
      const one = rulePolicy(rule, { namespace, trustDomains, tcp, allows: action === RBAC_Action.ALLOW })
      if (one !== undefined) compiled[name(policy, index)] = one
    }
    if (rules.length === 0) compiled[name(policy, 0)] = neverPolicy
  }
  return RBAC.fromPartial({ action, policies: compiled })
}
