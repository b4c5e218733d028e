import {
  JwtAuthentication,
  type JwtRequirement,
  PerRouteConfig,
} from '@weft/contracts/envoy/extensions/filters/http/jwt_authn/v3/config'
import { headerName, names } from '@weft/http/header-table'
import { compileRouteMatch, type RouteMatcher } from '../../../routing/route-match.ts'
import type { CompiledHttpFilter, FilterContext, HttpFilter, HttpFilterKind, HttpStream } from '../filter.ts'
import { compileProvider, type Provider } from './provider.ts'
import { compileRequirement, type Requirement } from './requirement.ts'
import { type JwtStatus, jwtStatus } from './status.ts'

const wwwAuthenticate = 'www-authenticate'
const requestMethod = headerName('access-control-request-method')
/** Longest path that the realm of `WWW-Authenticate` quotes. */
const maxRealm = 256

/** `envoy.filters.http.jwt_authn`: end users are who their tokens say (RFC 7519), by route. */
export const jwtAuthn: HttpFilterKind = {
  types: ['envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication'],
  routeTypes: ['envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig'],
  compile,
  compileRouteConfig(bytes) {
    const { requirementSpecifier } = PerRouteConfig.decode(bytes)
    return requirementSpecifier?.$case === 'disabled' ? disabled : (requirementSpecifier?.value ?? '')
  },
}

/** A route's override: nothing is required, which counts as allowed. */
const disabled = Symbol('disabled')

interface Rule {
  readonly matches: RouteMatcher
  /** null: the route is open. */
  readonly requirement: Requirement | null
}

function compile(bytes: Uint8Array, context: FilterContext): CompiledHttpFilter {
  const config = JwtAuthentication.decode(bytes)
  const own = config.statPrefix === '' ? '' : `${config.statPrefix.replace(/\.$/, '')}.`
  const stat = (name: string) => context.stats.counter(`${context.statPrefix}jwt_authn.${own}${name}`)
  const counters = {
    allowed: stat('allowed'),
    denied: stat('denied'),
    bypassed: stat('cors_preflight_bypassed'),
    jwks: {
      success: stat('jwks_fetch_success'),
      failed: stat('jwks_fetch_failed'),
      hit: stat('jwt_cache_hit'),
      miss: stat('jwt_cache_miss'),
    },
  }
  const providers = new Map<string, Provider>()
  for (const [name, provider] of Object.entries(config.providers)) {
    providers.set(name, compileProvider(name, provider, context, counters.jwks))
  }
  const compileAt = (requirement: JwtRequirement, path: string): Requirement =>
    compileRequirement(requirement, providers, path, context)
  const named = new Map(
    Object.entries(config.requirementMap).map(([name, item]) => [name, compileAt(item, `requirement_map[${name}]`)]),
  )
  const rules = config.rules.map((rule, i): Rule => {
    const path = `rules[${i}]`
    if (rule.match === undefined) return context.fail(path, 'has no match')
    const matches = compileRouteMatch(rule.match, `${context.path}: ${path}.match`, context.runtime)
    const type = rule.requirementType
    if (type === undefined) return { matches, requirement: null }
    if (type.$case === 'requires') return { matches, requirement: compileAt(type.value, `${path}.requires`) }
    const requirement = named.get(type.value)
    if (requirement === undefined)
      return context.fail(path, `names the requirement '${type.value}', which is not in requirement_map`)
    return { matches, requirement }
  })
  const state = config.filterStateRules
  const stateRules = new Map(
    Object.entries(state?.requires ?? {}).map(([value, item]) => [
      value,
      compileAt(item, `filter_state_rules.requires[${value}]`),
    ]),
  )
  const forged = [...providers.values()].flatMap((provider) => [
    ...(provider.payloadHeader === null ? [] : [provider.payloadHeader.name]),
    ...provider.claimHeaders.map(({ name }) => name),
  ])

  const requirementOf = (stream: HttpStream, routeConfig: unknown): Requirement | null | 'unknown' => {
    if (routeConfig === disabled) return null
    if (typeof routeConfig === 'string' && routeConfig !== '') return named.get(routeConfig) ?? 'unknown'
    const rule = rules.find(({ matches }) => matches(stream.request, stream))
    if (rule !== undefined) return rule.requirement
    const value = state === undefined ? undefined : stream.filterState.get(state.name)
    return typeof value === 'string' ? (stateRules.get(value) ?? null) : null
  }

  /** `uri`: what the client asked for, before tokens were taken out. */
  const deny = (stream: HttpStream, status: JwtStatus, uri: string): void => {
    counters.denied.inc()
    const challenge = `Bearer realm="${uri}"${status === jwtStatus.missing ? '' : ', error="invalid_token"'}`
    stream.reply(status === jwtStatus.audienceNotAllowed ? 403 : 401, config.stripFailureResponse ? '' : status, {
      details: `jwt_authn_access_denied{${status.replaceAll(' ', '_')}}`,
      headers: config.stripFailureResponse ? [] : [[wwwAuthenticate, challenge]],
    })
  }

  const onRequestHeaders = (stream: HttpStream, routeConfig: unknown): 'continue' | 'stop' => {
    const { request } = stream
    if (config.bypassCorsPreflight && isPreflight(stream)) {
      counters.bypassed.inc()
      counters.allowed.inc()
      return 'continue'
    }
    for (const name of forged) request.headers.remove(name)
    const requirement = requirementOf(stream, routeConfig)
    if (requirement === null) {
      counters.allowed.inc()
      return 'continue'
    }
    if (requirement === 'unknown') {
      counters.denied.inc()
      const problem = `Wrong requirement_name: ${String(routeConfig)}. It should be one of [${[...named.keys()].join(',')}]`
      stream.reply(403, `Failed JWT authentication: ${problem}`, {
        details: `jwt_authn_access_denied{${problem.replaceAll(' ', '_')}}`,
      })
      return 'stop'
    }
    const { path } = request
    const verdict = requirement(stream)
    if (verdict === jwtStatus.ok) {
      counters.allowed.inc()
      return 'continue'
    }
    if (typeof verdict === 'string') {
      deny(stream, verdict, realm(stream, path))
      return 'stop'
    }
    void verdict.then((status) => {
      if (stream.done) return
      if (status !== jwtStatus.ok) return deny(stream, status, realm(stream, path))
      counters.allowed.inc()
      stream.continueRequest()
    })
    return 'stop'
  }
  const shared: HttpFilter = { onRequestHeaders: (stream) => onRequestHeaders(stream, null) }
  return {
    start: (_stream, routeConfig) =>
      routeConfig === null || routeConfig === undefined
        ? shared
        : { onRequestHeaders: (stream) => onRequestHeaders(stream, routeConfig) },
    close() {
      for (const provider of providers.values()) provider.keys.close()
    },
  }
}

function isPreflight({ request }: HttpStream): boolean {
  const { method, headers } = request
  return method === 'OPTIONS' && !!headers.get(names.origin) && !!headers.get(requestMethod)
}

function realm({ request }: HttpStream, path: string): string {
  return `${request.scheme}://${request.authority}${path.slice(0, maxRealm)}`
}
