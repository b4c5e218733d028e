import type { CorsPolicy as LegacyCorsPolicy } from '@weft/contracts/envoy/config/route/v3/route_components'
import { CorsPolicy } from '@weft/contracts/envoy/extensions/filters/http/cors/v3/cors'
import { headerName, names } from '@weft/http/header-name'
import type { Counter } from '../../../observe/stats.ts'
import { compileFraction } from '../../../plan/runtime.ts'
import { compileStringMatcher } from '../../../routing/matchers/string-matcher.ts'
import type { FilterContext, FilterStatus, HttpFilter, HttpFilterKind, HttpStream } from '../filter.ts'

const requestMethod = headerName('access-control-request-method')
const requestPrivate = headerName('access-control-request-private-network')
const allowOrigin = headerName('access-control-allow-origin')
const allowCredentials = headerName('access-control-allow-credentials')
const exposeHeaders = headerName('access-control-expose-headers')

interface Policy {
  /** null: it names none, and the next level's count. */
  matches: ((origin: string) => boolean) | null
  allowMethods: string
  allowHeaders: string
  exposeHeaders: string
  maxAge: string
  credentials: boolean | undefined
  privateNetwork: boolean | undefined
  forwardUnmatchedPreflights: boolean | undefined
  enabled: () => boolean
  shadowed: () => boolean
  /** From the deprecated field of a route or virtual host, which counts only where no override does. */
  legacy: boolean
}

/** The name under which overrides of this filter, and the deprecated fields, are found. */
export const corsFilterName = 'envoy.filters.http.cors'

/** `envoy.filters.http.cors`: the policy stands in the route's override; without one the filter takes no part. */
export const cors: HttpFilterKind = {
  types: ['envoy.extensions.filters.http.cors.v3.Cors'],
  routeTypes: ['envoy.extensions.filters.http.cors.v3.CorsPolicy'],
  compile(_bytes, context) {
    const valid = context.stats.counter(`${context.statPrefix}cors.origin_valid`)
    const bad = context.stats.counter(`${context.statPrefix}cors.origin_invalid`)
    return {
      // Redirects and direct responses have no policy.
      start: (stream, policy) =>
        policy === undefined || (stream.route?.outcome?.type ?? 'forward') !== 'forward'
          ? null
          : new CorsFilter(policy as Policy, valid, bad),
      mergeRouteConfigs: (policies) => merged(policies as Policy[]),
    }
  },
  compileRouteConfig: (bytes, _type, context) => compilePolicy(CorsPolicy.decode(bytes), context),
}

/** Compiles the deprecated `cors` of a route or virtual host. */
export function compileLegacyPolicy(source: LegacyCorsPolicy, context: FilterContext): unknown {
  const { enabledSpecifier } = source
  return { ...compilePolicy({ ...source, filterEnabled: enabledSpecifier?.value }, context), legacy: true }
}

function compilePolicy(source: CorsPolicy, context: FilterContext): Policy {
  const matchers = source.allowOriginStringMatch.map((matcher, i) =>
    compileStringMatcher(matcher, `${context.path}.allow_origin_string_match[${i}]`),
  )
  // As with Envoy, a matcher of the asterisk is one of every origin.
  const any = matchers.some((matches) => matches('*'))
  const some = (origin: string) => matchers.some((matches) => matches(origin))
  return {
    matches: any ? () => true : matchers.length === 0 ? null : some,
    allowMethods: source.allowMethods,
    allowHeaders: source.allowHeaders,
    exposeHeaders: source.exposeHeaders,
    maxAge: source.maxAge,
    credentials: source.allowCredentials,
    privateNetwork: source.allowPrivateNetworkAccess,
    forwardUnmatchedPreflights: source.forwardNotMatchingPreflights,
    enabled: source.filterEnabled === undefined ? () => true : compileFraction(context.runtime, source.filterEnabled),
    shadowed: source.shadowEnabled === undefined ? () => false : compileFraction(context.runtime, source.shadowEnabled),
    legacy: false,
  }
}

/** The policies of several levels as one. */
function merged(policies: readonly Policy[]): Policy {
  const overrides = policies.filter(({ legacy }) => !legacy)
  return (overrides.length > 0 ? overrides : policies).reduce(completed)
}

/** A policy with what it leaves out from a more general one. */
function completed(specific: Policy, general: Policy): Policy {
  return {
    ...specific,
    matches: specific.matches ?? general.matches,
    allowMethods: specific.allowMethods || general.allowMethods,
    allowHeaders: specific.allowHeaders || general.allowHeaders,
    exposeHeaders: specific.exposeHeaders || general.exposeHeaders,
    maxAge: specific.maxAge || general.maxAge,
    credentials: specific.credentials ?? general.credentials,
    privateNetwork: specific.privateNetwork ?? general.privateNetwork,
    forwardUnmatchedPreflights: specific.forwardUnmatchedPreflights ?? general.forwardUnmatchedPreflights,
  }
}

class CorsFilter implements HttpFilter {
  private readonly policy: Policy
  private readonly valid: Counter
  private readonly bad: Counter
  private origin: string | null = null

  constructor(policy: Policy, valid: Counter, bad: Counter) {
    this.policy = policy
    this.valid = valid
    this.bad = bad
  }

  onRequestHeaders(stream: HttpStream): FilterStatus {
    const { policy } = this
    const { headers, method } = stream.request
    const origin = headers.get(names.origin)
    if (origin === null || origin === '') return 'continue'
    const enabled = policy.enabled()
    if (!enabled && !policy.shadowed()) return 'continue'
    const matched = policy.matches?.(origin) === true
    if (matched) {
      this.valid.inc()
      if (enabled) this.origin = origin
    } else this.bad.inc()
    if (!enabled || method !== 'OPTIONS' || (headers.get(requestMethod) ?? '') === '') return 'continue'
    if (!matched && policy.forwardUnmatchedPreflights !== false) return 'continue'
    const answer: [string, string][] = []
    if (matched) answer.push([allowOrigin.name, origin])
    if (policy.credentials === true) answer.push([allowCredentials.name, 'true'])
    if (policy.allowMethods !== '') answer.push(['access-control-allow-methods', policy.allowMethods])
    if (policy.allowHeaders !== '') answer.push(['access-control-allow-headers', policy.allowHeaders])
    if (matched && policy.exposeHeaders !== '') answer.push([exposeHeaders.name, policy.exposeHeaders])
    if (policy.maxAge !== '') answer.push(['access-control-max-age', policy.maxAge])
    if (policy.privateNetwork === true && headers.get(requestPrivate) === 'true')
      answer.push(['access-control-allow-private-network', 'true'])
    this.origin = null
    stream.reply(200, '', { details: 'cors_response', headers: answer })
    return 'stop'
  }

  onResponseHeaders(stream: HttpStream): FilterStatus {
    if (this.origin === null) return 'continue'
    const { headers } = stream.response
    headers.set(allowOrigin, this.origin)
    if (this.policy.credentials === true) headers.set(allowCredentials, 'true')
    if (this.policy.exposeHeaders !== '') headers.set(exposeHeaders, this.policy.exposeHeaders)
    return 'continue'
  }
}
