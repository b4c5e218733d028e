import type { TypedObject } from '@weft/config/objects'
import { DataSource } from '@weft/contracts/envoy/config/core/v3/base'
import { JwtAuthentication, JwtProvider, JwtRequirement } from '@weft/contracts/envoy/extensions/filters/http/jwt_authn/v3/config'
import { HttpFilter } from '@weft/contracts/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager'
import type { JWTRule } from '@weft/contracts/istio/security/v1beta1/request_authentication'
import { milliseconds, pack } from '../wire.ts'
import { jwtMetadata } from './claims.ts'
import type { JwksSource } from './jwks-source.ts'

const fetchTimeoutMs = 5_000
const cacheMs = 300_000
/** Claims that are lists, written as text with spaces between (OAuth 2.0, RFC 6749 section 3.3). */
const spaceDelimited: readonly string[] = ['permission', 'scope']

/**
 * A key of which nobody has the private half: rules that name no keys, or an address that is none, accept no token. An
 * empty set would be refused by proxies.
 */
const nobodysKeys = JSON.stringify({
  keys: [
    {
      kty: 'EC',
      crv: 'P-256',
      x: 'dobl6c53MN0lmVHAsWJOe0jcON8cEoZlwha9go30tOE',
      y: 'kWbvk6MthSIClPbb3Rhd8ame6sphOSvCuvUu24GQNPw',
    },
  ],
})

/** The rules of all RequestAuthentications that hold for a workload, by issuer. */
export function jwtRules(policies: readonly TypedObject<'RequestAuthentication'>[]): JWTRule[] {
  const rules = policies.flatMap(({ spec }) => spec.jwtRules)
  return rules.sort((a, b) => (a.issuer < b.issuer ? -1 : a.issuer > b.issuer ? 1 : 0))
}

export interface AuthenticationContext {
  /** Where the keys at a jwksUri are fetched; undefined when it is no address. */
  source(uri: string): JwksSource | undefined
  /** Routes are chosen by claims, so that one is to be chosen again once they are known. */
  readonly clearRouteCache: boolean
}

/** Envoy's filter that reads tokens: one that is there has to be valid; one may be missing. Undefined without rules. */
export function requestAuthentication(rules: readonly JWTRule[], context: AuthenticationContext): HttpFilter | undefined {
  if (rules.length === 0) return undefined
  const config = JwtAuthentication.fromPartial({
    providers: Object.fromEntries(rules.map((rule, index) => [providerName(index), provider(rule, context)])),
    rules: [
      {
        match: { pathSpecifier: { $case: 'prefix', value: '/' } },
        requirementType: { $case: 'requires', value: validOrMissing(rules.map((_, index) => providerName(index))) },
      },
    ],
    bypassCorsPreflight: true,
  })
  const value = pack('envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication', JwtAuthentication, config)
  return HttpFilter.fromPartial({ name: jwtMetadata.filter, configType: { $case: 'typedConfig', value } })
}

function providerName(index: number): string {
  return `origins-${index}`
}

/**
 * Of one provider: valid, or missing. Of several: valid for any of them, or for each of them valid or missing. The first is
 * for providers that look at the same place, where the token of one is not one of the other.
 */
function validOrMissing(names: readonly string[]): JwtRequirement {
  const isValid = (name: string) => JwtRequirement.fromPartial({ requiresType: { $case: 'providerName', value: name } })
  const anyOf = (requirements: JwtRequirement[]) =>
    JwtRequirement.fromPartial({ requiresType: { $case: 'requiresAny', value: { requirements } } })
  const missing = JwtRequirement.fromPartial({ requiresType: { $case: 'allowMissing', value: {} } })
  const each = names.map((name) => anyOf([isValid(name), missing]))
  if (each.length === 1 && each[0] !== undefined) return each[0]
  const all = JwtRequirement.fromPartial({ requiresType: { $case: 'requiresAll', value: { requirements: each } } })
  return anyOf([...names.map(isValid), all])
}

function provider(rule: JWTRule, { source, clearRouteCache }: AuthenticationContext): JwtProvider {
  return JwtProvider.fromPartial({
    issuer: rule.issuer,
    audiences: rule.audiences,
    forward: rule.forwardOriginalToken,
    forwardPayloadHeader: rule.outputPayloadToHeader,
    payloadInMetadata: jwtMetadata.payload,
    normalizePayloadInMetadata: {
      spaceDelimitedClaims: [...new Set([...rule.spaceDelimitedClaims, ...spaceDelimited])].sort(),
    },
    clearRouteCache,
    claimToHeaders: rule.outputClaimToHeaders.map(({ header, claim }) => ({ headerName: header, claimName: claim })),
    fromHeaders: rule.fromHeaders.map(({ name, prefix }) => ({ name, valuePrefix: prefix })),
    fromParams: rule.fromParams,
    fromCookies: rule.fromCookies,
    jwksSourceSpecifier: keys(rule, source),
  })
}

function keys(rule: JWTRule, source: AuthenticationContext['source']): JwtProvider['jwksSourceSpecifier'] {
  const remote = rule.jwksUri === '' ? undefined : source(rule.jwksUri)
  if (remote === undefined) {
    const text = rule.jwks === '' ? nobodysKeys : rule.jwks
    return { $case: 'localJwks', value: DataSource.fromPartial({ specifier: { $case: 'inlineString', value: text } }) }
  }
  return JwtProvider.fromPartial({
    jwksSourceSpecifier: {
      $case: 'remoteJwks',
      value: {
        httpUri: {
          uri: remote.uri,
          httpUpstreamType: { $case: 'cluster', value: remote.cluster },
          timeout: rule.timeout ?? milliseconds(fetchTimeoutMs),
        },
        cacheDuration: milliseconds(cacheMs),
      },
    },
  }).jwksSourceSpecifier
}
